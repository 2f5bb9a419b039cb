"""Tensors of PyTorch, JAX and TensorFlow wherever an array is, on every backend, and their loaders in `fit`."""

import jax
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import torch

import amalthea as am
from amalthea import layers as L
from amalthea.core.backend import active

BACKENDS = ("numpy", "native", "jax", "torch", "tensorflow")
NUMBERS = np.arange(6, dtype="float32").reshape(2, 3)
BRAIN = NUMBERS.astype(ml_dtypes.bfloat16)
FOREIGN = {
    "torch": lambda: torch.tensor(NUMBERS),
    "torch, transposed": lambda: torch.tensor(NUMBERS.T.copy()).T,
    "torch, with a gradient": lambda: torch.tensor(NUMBERS, requires_grad=True),
    "torch, a parameter": lambda: torch.nn.Parameter(torch.tensor(NUMBERS)),
    "torch, bfloat16": lambda: torch.tensor(NUMBERS).to(torch.bfloat16),
    "torch, half": lambda: torch.tensor(NUMBERS).half(),
    "torch, whole numbers": lambda: torch.tensor(NUMBERS).long(),
    "jax": lambda: jax.numpy.asarray(NUMBERS),
    "jax, bfloat16": lambda: jax.numpy.asarray(BRAIN),
    "tensorflow": lambda: tf.constant(NUMBERS),
    "tensorflow, bfloat16": lambda: tf.constant(BRAIN),
    "tensorflow, a variable": lambda: tf.Variable(NUMBERS),
    "numpy, bfloat16": lambda: BRAIN,
    "numpy, transposed": lambda: np.asfortranarray(NUMBERS),
    "numpy, backwards": lambda: NUMBERS[::-1, ::-1].copy()[::-1, ::-1],
    "numpy, of the other byte order": lambda: NUMBERS.astype(">f4"),
}


@pytest.fixture(params=BACKENDS)
def backend(request):
    with am.backend_scope(request.param):
        yield request.param


@pytest.mark.parametrize("kind", FOREIGN)
def test_every_place_of_an_array(backend, kind):
    x = FOREIGN[kind]()

    def same(found, want=NUMBERS):
        np.testing.assert_allclose(np.asarray(found).astype("float64"), want, rtol=1e-6)

    taken = am.ops.convert_to_tensor(x)
    assert isinstance(taken._array, active.array_type)
    same(taken)
    same(am.ops.multiply(x, x), NUMBERS**2)
    same(am.ops.ones((2, 3)) + x, NUMBERS + 1)
    same(np.add(am.ops.ones((2, 3)), x), NUMBERS + 1)
    same(am.function(lambda given: given * 2)(x), NUMBERS * 2)
    same(am.function(lambda: am.ops.multiply(x, 2))(), NUMBERS * 2)
    variable = am.Variable(np.zeros((2, 3), "float32"))
    variable.assign(x)
    same(variable)
    same(am.Variable(x))
    mean = am.metrics.Mean()
    mean.update_state(x)
    same(mean.result(), NUMBERS.mean())
    model = am.Sequential([L.Input((3,)), L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, np.ones((2, 1), "float32"), verbose=0)
    assert model(x).shape == model.predict(x, verbose=0).shape == model.predict_on_batch(x).shape == (2, 1)
    assert np.isfinite(model.evaluate(x, np.ones((2, 1), "float32"), verbose=0))


@pytest.mark.parametrize("kind", ["torch, whole numbers", "torch", "jax", "tensorflow"])
def test_bools(backend, kind):
    x = FOREIGN[kind]() > 2
    np.testing.assert_array_equal(am.ops.where(x, 1, 0).numpy(), NUMBERS > 2)


def test_what_holds_no_numbers_is_refused(backend):
    for x in (tf.constant(["a"]), torch.ones(2, dtype=torch.complex64), tf.ones(2, tf.complex64)):
        with pytest.raises(TypeError, match="are not numbers.*Fix: pass numbers"):
            am.ops.convert_to_tensor(x)


def test_a_tensor_does_not_change_with_what_it_was_made_of_nor_the_other_way_round(backend):
    theirs, numbers = torch.ones(8192), np.ones(8192, "float32")
    kept = [am.ops.convert_to_tensor(x) for x in (theirs, numbers)]
    theirs[:] = 5
    numbers[:] = 5
    assert all(tensor.numpy().max() == 1 for tensor in kept)
    for x in (torch.ones(8192), jax.numpy.ones(8192), tf.ones(8192), np.ones(8192, "float32")):
        variable = am.Variable(x)
        am.function(lambda: variable.assign(variable + 1))()  # noqa: B023
        variable.assign_add(am.ops.ones((8192,)))
        assert variable.numpy().min() == 3 and np.asarray(x).max() == 1
        seen = [torch.utils.dlpack.from_dlpack(variable.value), variable.numpy()]
        am.function(lambda: variable.assign(variable + 1))()  # noqa: B023
        assert variable.numpy().min() == 4 and all(array.max() == 3 for array in seen)


def test_loaders_are_fed_to_fit(backend):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(70, 4)).astype("float32")
    y = (x.sum(1) > 0).astype("int32")

    def history(data, **options):
        am.utils.set_random_seed(1)
        model = am.Sequential([L.Input((4,)), L.Dense(8, activation="relu"), L.Dense(2)])
        model.compile("adam", am.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        found = model.fit(*data, epochs=2, shuffle=False, verbose=0, **options).history
        return [*found["loss"], *found["accuracy"], *model.evaluate(data[0], *data[1:], verbose=0, **options)]

    pairs = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    loader = torch.utils.data.DataLoader(pairs, batch_size=16)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    want = history((x, y), batch_size=16)
    for data in (loader, dataset, dataset.prefetch(1).map(lambda a, b: (a, b))):
        np.testing.assert_allclose(history((data,)), want, rtol=1e-5)
