"""`validation_data` that cannot begin anew is evaluated on the same batches after every epoch."""

import numpy as np
import pytest

import amalthea as am


def fit(validation, steps, epochs=3, **kwargs):
    model = am.Sequential([am.layers.Input((1,)), am.layers.Dense(1, use_bias=False)])
    model.compile(am.optimizers.SGD(0.0), "mse", **kwargs)
    x = np.ones((4, 1), "float32")
    return model.fit(x, x, epochs=epochs, validation_data=validation, validation_steps=steps, verbose=0).history[
        "val_loss"
    ]


def numbers(taken, count=1000):
    for i in range(count):
        taken.append(i)
        yield np.full((2, 1), i, "float32"), np.full((2, 1), 2 * i, "float32")


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_the_same_batches_each_epoch(steps, steps_per_execution):
    taken = []
    losses = fit(numbers(taken), steps, steps_per_execution=steps_per_execution)
    assert losses[0] == losses[1] == losses[2]
    assert taken == list(range(steps))


def test_a_generator_that_ends_too_early_says_so():
    with pytest.warns(UserWarning, match="ran out after 2 of 3 steps"):
        losses = fit(numbers([], 2), 3)
    assert losses[0] == losses[1] == losses[2]
