"""Normalisation on the torch backend where a scale is broadcast, and where there is nothing to take a mean over."""

import numpy as np
import pytest

import amalthea as am

rng = np.random.default_rng(3)


def on_both(run, *arrays):
    """What a function of tensors gives on torch op by op, on torch compiled, and on numpy."""
    found = []
    for backend, compiled in (("torch", False), ("torch", True), ("numpy", False)):
        with am.backend_scope(backend):
            tensors = [am.ops.convert_to_tensor(a) for a in arrays]
            made = (am.function(run) if compiled else run)(*tensors)
            found.append([np.asarray(t) for t in made])
    return found


def compared(found, **tolerance):
    for made in found[:2]:
        for got, want in zip(made, found[2], strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, **tolerance)


@pytest.mark.filterwarnings("ignore:.*rms_scaling")
@pytest.mark.parametrize("rms_scaling", [False, True])
@pytest.mark.parametrize(
    ("shape", "gamma", "axis"),
    [((2, 3), (), -1), ((2, 3), (1,), -1), ((2, 3), (2, 3), -1), ((2, 3, 4), (3, 4), -1),
     ((2, 3, 4), (1, 1, 4), (1, 2)),
     ((2, 3, 4), (2, 4), (0, 2)), ((3,), (1,), -1), ((3,), (3,), -1)],
)  # fmt: skip
def test_scales_that_broadcast(shape, gamma, axis, rms_scaling):
    def run(x, gamma, beta):
        with am.GradientTape() as tape:
            tape.watch([x, gamma, beta])
            kwargs = {"gamma": gamma} if rms_scaling else {"gamma": gamma, "beta": beta}
            y = am.ops.layer_normalization(x, **kwargs, axis=axis, epsilon=0.1, rms_scaling=rms_scaling)
            loss = am.ops.sum(y**3)
        return [y, *tape.gradient(loss, [x, gamma] if rms_scaling else [x, gamma, beta])]

    x, g, b = rng.normal(size=shape), rng.normal(size=gamma), rng.normal(size=gamma)
    compared(on_both(run, x, g, b), rtol=1e-9, atol=1e-9)


def test_gradients_of_one_number_a_group_are_arrays_of_their_own():
    from amalthea.backends.torch.fused import batch_gradients, batch_statistics, layer_gradients, layer_statistics

    with am.backend_scope("torch"):
        x, g = (am.ops.convert_to_tensor(rng.normal(size=3))._array for _ in range(2))
        _, mean, factor = layer_statistics(x, None, None, (0,), 0.1, True)
        made = [*layer_gradients(g, x, None, mean, factor, (0,), True)]
        statistics = batch_statistics(x, None, None, 0, 0.1)
        made += [*statistics, *batch_gradients(g, x, None, statistics[1], statistics[3], 0, 0.1)]
        given = {x.data_ptr(), g.data_ptr()}
        assert given.isdisjoint(array.data_ptr() for array in made)
