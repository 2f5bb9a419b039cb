"""One seed on five backends: random bits, uniforms, masks and orders are identical, normals and curves agree."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import amalthea as am
from amalthea import initializers, layers, ops, random

OTHERS = ("native", "jax", "torch", "tensorflow")
N = (997,)
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

EXACT = {
    "bits": lambda: ops.random_bits(ops.convert_to_tensor([3, 4], "uint32"), N),
    "uniform": lambda: random.uniform(N, seed=1),
    "uniform in a range": lambda: random.uniform(N, -3.0, 7.0, seed=1),
    "uniform float64": lambda: random.uniform(N, dtype="float64", seed=1),
    "uniform bfloat16": lambda: random.uniform(N, dtype="bfloat16", seed=1),
    "randint": lambda: random.randint(N, -5, 1000, seed=2),
    "randint int64": lambda: random.randint(N, 0, 2**40, dtype="int64", seed=2),
    "randint uint8": lambda: random.randint(N, 0, 100, dtype="uint8", seed=2),
    "shuffle": lambda: random.shuffle(ops.arange(997), seed=3),
    "shuffle of columns": lambda: random.shuffle(ops.reshape(ops.arange(990), (9, 110)), axis=1, seed=3),
    "dropout": lambda: random.dropout(ops.ones(N), 0.3, seed=4),
    "dropout, shared": lambda: random.dropout(ops.ones((7, 9, 11)), 0.3, noise_shape=(7, 1, 11), seed=4),
    "categorical": lambda: random.categorical(ops.log(ops.convert_to_tensor([[0.1, 0.2, 0.7]])), 997, seed=5),
    "binomial": lambda: random.binomial(N, 20, 0.3, seed=6),
    "of tf's generator": lambda: random.Generator(7).uniform(N),
    "initial uniform": lambda: initializers.GlorotUniform(seed=8)((31, 17)),
}
CLOSE = {
    "normal": lambda: random.normal(N, seed=1),
    "normal float64": lambda: random.normal(N, dtype="float64", seed=1),
    "truncated normal": lambda: random.truncated_normal(N, seed=2),
    "initial truncated normal": lambda: initializers.HeNormal(seed=8)((64, 64)),
    "initial normal": lambda: initializers.RandomNormal(seed=8)((64, 64)),
}
LESS_CLOSE = {  # what is added up here has lost the last digit
    "gamma": lambda: random.gamma(N, 0.7, seed=3),
    "beta": lambda: random.beta(N, 2.0, 3.0, seed=4),
}
NOISY = {  # layers with the shape of an input; what they drop is told by zeros
    "Dropout": (lambda: layers.Dropout(0.4, seed=1), (50, 20)),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.4, seed=1), (20, 3, 8)),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.4, seed=1), (10, 3, 3, 8)),
    "SpatialDropout3D": (lambda: layers.SpatialDropout3D(0.4, seed=1), (10, 2, 2, 2, 8)),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.4, seed=1), (50, 20)),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.4, seed=1), (50, 20)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.4, seed=1), (50, 20)),
    "LSTM": (lambda: layers.LSTM(5, dropout=0.4, recurrent_dropout=0.3, seed=1), (6, 7, 4)),
    "GRU": (lambda: layers.GRU(5, dropout=0.4, recurrent_dropout=0.3, seed=1), (6, 7, 4)),
    "SimpleRNN": (lambda: layers.SimpleRNN(5, dropout=0.4, recurrent_dropout=0.3, seed=1), (6, 7, 4)),
}


def compiled(draw):
    return am.function(draw)()


@pytest.fixture(params=[lambda draw: draw(), compiled], ids=["eagerly", "compiled"])
def way(request):
    return request.param


def drawn(way, table):
    return {name: way(draw).numpy().astype("float64") for name, draw in table.items()}


@pytest.fixture(scope="module")
def reference():
    with am.backend_scope("numpy"):
        return drawn(lambda draw: draw(), EXACT | CLOSE | LESS_CLOSE)


@pytest.mark.parametrize("backend", OTHERS)
def test_draws(backend, way, reference):
    with am.backend_scope(backend):
        found = drawn(way, EXACT | CLOSE | LESS_CLOSE)
    for name in EXACT:
        np.testing.assert_array_equal(found[name], reference[name], err_msg=name)
    for name in CLOSE:
        np.testing.assert_allclose(found[name], reference[name], rtol=1e-6, err_msg=name)
    for name in LESS_CLOSE:
        np.testing.assert_allclose(found[name], reference[name], rtol=2e-6, atol=3e-7, err_msg=name)


@pytest.mark.parametrize("backend", OTHERS)
def test_orthogonal_weights(backend):
    with am.backend_scope("numpy"):
        want = initializers.Orthogonal(seed=8)((16, 16)).numpy()
    with am.backend_scope(backend):
        np.testing.assert_allclose(initializers.Orthogonal(seed=8)((16, 16)).numpy(), want, atol=3e-7)


@pytest.mark.parametrize("name", NOISY)
def test_layers_drop_the_same(name, way):
    make, shape = NOISY[name]

    def outputs():
        am.utils.set_random_seed(9)
        layer, x = make(), ops.ones(shape)
        layer.build(shape)
        return [way(lambda: layer(x, training=True)).numpy() for _ in range(2)]

    with am.backend_scope("numpy"):
        want = outputs()
    assert not np.array_equal(*want)
    for backend in OTHERS:
        with am.backend_scope(backend):
            found = outputs()
        np.testing.assert_array_equal(np.equal(found, 0), np.equal(want, 0))
        np.testing.assert_allclose(found, want, rtol=2e-6, atol=1e-6)


def test_a_seed_for_all_and_a_generator_go_on_where_they_were():
    def drawn():
        return [random.uniform((3,)).numpy(), random.randint((3,), 0, 99, seed=generator).numpy(), np.random.rand(2)]

    backends, runs = ("numpy", *OTHERS), []
    for order in (["numpy"] * 5, backends, backends[::-1]):
        am.utils.set_random_seed(5)
        generator, found = random.SeedGenerator(3), []
        for name in order:
            with am.backend_scope(name):
                found += drawn()
        runs.append(found)
    for found in runs[1:]:
        for a, b in zip(found, runs[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("eagerly", [False, True], ids=["compiled", "eagerly"])
def test_fit_takes_the_samples_in_the_same_order(eagerly):
    x = np.arange(50, dtype="float32")[:, None]

    def orders():
        am.utils.set_random_seed(6)
        seen = []

        class Seeing(am.Model):
            def __init__(self):
                super().__init__()
                self.last = am.Variable(np.zeros((10, 1), "float32"), trainable=False)

            def train_step(self, data):
                self.last.assign(data[0])
                return {"loss": ops.sum(data[0])}

        class Notes(am.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                seen.append(self.model.last.numpy().ravel())

        model = Seeing()
        model.compile(run_eagerly=eagerly)
        model.fit(x, x, batch_size=10, epochs=2, verbose=0, callbacks=[Notes()])
        return np.array(seen)

    with am.backend_scope("numpy"):
        want = orders()
    assert sorted(want[:5].ravel()) == list(range(50)) and not np.array_equal(want[:5], want[5:])
    for backend in OTHERS:
        with am.backend_scope(backend):
            np.testing.assert_array_equal(orders(), want)


def example(name, monkeypatch):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_the_demo_learns_along_one_curve(monkeypatch):
    """An epoch of the demo, batch after batch, on the data it is trained with."""
    demo = example("digits_demo", monkeypatch)
    (x, y), _ = am.datasets.digits.load_data()
    x = np.reshape(x, (-1, 8, 8, 1)).astype("float32")

    def curve():
        am.utils.set_random_seed(0)
        model, losses = demo.make_model(), []
        model.compile(am.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        each = am.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
        model.fit(x, y, batch_size=64, verbose=0, callbacks=[each])
        return np.array(losses)

    with am.backend_scope("numpy"):
        want = curve()
    assert len(want) == -(-len(x) // 64) and want[-1] < want[0]
    for backend in OTHERS:
        with am.backend_scope(backend):
            np.testing.assert_allclose(curve(), want, rtol=1e-4, err_msg=backend)


def test_the_example_has_one_curve_on_all_backends(monkeypatch):
    loop = example("one_loop_every_backend", monkeypatch)
    monkeypatch.setattr(loop, "STEPS", 60)
    with am.backend_scope("numpy"):
        want = loop.curve()
    for backend in OTHERS:
        with am.backend_scope(backend):
            np.testing.assert_allclose(loop.curve(), want, rtol=1e-4, err_msg=backend)
