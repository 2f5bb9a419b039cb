"""Compiled programs compute what the reference backend does."""

import threading

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.generators import GENERATORS
from amalthea.compiler.program import Program
from amalthea.core.function import function
from amalthea.core.trace import trace

RNG = np.random.default_rng(0)
L = am.layers


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def program_and_arrays(f, *arrays):
    graph = trace(f, *arrays, level="op").expand("primitive", keep=BACKEND.bare_kernels)
    values = [np.array(a, order="C") for a in arrays] + [v.numpy() for v in graph.variables]
    return graph, Program(graph, BACKEND.bare_kernels), values


def check(f, *arrays, tolerance=2e-5):
    graph, program, values = program_and_arrays(f, *arrays)
    got, want = program(values), REFERENCE.compile(graph)(values)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(
            a.astype("float64"),
            b.astype("float64"),
            rtol=tolerance,
            atol=tolerance * max(1.0, np.abs(b).max(initial=0)),
        )
    return program


X = normal(32, 10)
FUNCTIONS = {
    "softmax": (ops.softmax, X),
    "pointwise": (lambda x: ops.exp(x) * 2 + 1, X),
    "bias": (lambda x: ops.relu(x + np.arange(10, dtype="float32")), X),
    "mean_of_columns": (lambda x: ops.mean(x, axis=0), X),
    "variance": (lambda x: ops.var(x, axis=0), X),
    "two_sums_of_columns": (lambda x: (ops.sum(x, axis=0), ops.sum(x * x, axis=0)), X),
    "sum_of_all": (lambda x: ops.sum(x * x), X),
    "max_of_all": (lambda x: ops.max(x) - ops.min(x), X),
    "product": (lambda x: ops.prod(x, axis=1), X),
    "sum_of_the_middle": (lambda x: ops.sum(ops.reshape(x, (4, 8, 10)), axis=1), X),
    "sum_of_first_and_last": (lambda x: ops.sum(ops.reshape(x, (4, 8, 10)), axis=(0, 2)), X),
    "transpose": (lambda x: ops.transpose(x) + 1, X),
    "transpose_sum": (lambda x: ops.sum(ops.transpose(x) * 2, axis=0), X),
    "slices": (lambda x: x[::2, 1:5] * x[1::2, 5:9], X),
    "flip": (lambda x: ops.flip(x, axis=1) + x, X),
    "reshape": (lambda x: ops.reshape(ops.exp(x), (320,)) * 2, X),
    "compare": (lambda x: ops.cast(x > 0, "int32") + ops.cast(x, "int32"), X),
    "where": (lambda x: ops.where(x > 0, x, ops.exp(x)), X),
    "argmax": (lambda x: ops.argmax(x * 2, axis=1) + 1, X),
    "concatenate": (lambda x: ops.concatenate([x * 2, x + 1], axis=0) * 3, X),
    "input_comes_back": (lambda x: (x, x + 1), X),
    "same_output_twice": (lambda x: (lambda y: (y, y))(x * 2), X),
    "constant_output": (lambda x: (ops.ones((3,)), x), X),
    "scalar": (lambda x: x * 2 + 1, np.array(3, "float32")),
    "empty": (lambda x: (x * 2, ops.sum(x, axis=0)), normal(0, 4)),
    "integers": (
        lambda x: (x // 3, x % 3, ops.sum(x, axis=1), ops.max(x, axis=0)),
        RNG.integers(-9, 9, (5, 7)).astype("int32"),
    ),
    "bools": (lambda x: (ops.any(x > 0, axis=1), ops.all(x > -9, axis=0)), X),
    "float64": (lambda x: ops.softmax(x), RNG.normal(size=(5, 7))),
    "bfloat16": (lambda x: ops.cast(ops.softmax(ops.cast(x, "bfloat16")), "float32"), X),
    "random": (lambda x: x * am.random.uniform((32, 10), seed=3), X),
    "layer_normalization": (lambda x: ops.layer_normalization(x), X),
    "matmul": (ops.matmul, normal(7, 5), normal(5, 9)),
    "batched_matmul": (ops.matmul, normal(3, 4, 5, 6), normal(3, 4, 6, 7)),
    "einsum": (lambda x, y: ops.einsum("bij,bkj->bik", x, y), normal(2, 3, 4), normal(2, 5, 4)),
    "scan": (lambda x: ops.scan(lambda c, r: (ops.tanh(c + r), c * 2), ops.zeros((10,)), x), X),
    "cond": (lambda x: ops.cond(ops.sum(x) > 0, lambda: x * 2, lambda: x - 1), X),
    "while_loop": (lambda x: ops.while_loop(lambda i, y: i < 5, lambda i, y: (i + 1, y * 1.5), (0, x)), X),
}
IMAGES, KERNEL = normal(4, 9, 9, 6), normal(3, 3, 6, 8)
CONVOLUTIONS = [
    {"padding": "same"},
    {"padding": "valid", "strides": 2},
    {"padding": "same", "strides": 2},
    {"padding": "same", "dilation_rate": 2},
]
POOLS = [((2, 2), (2, 2), "valid"), ((3, 3), (2, 2), "same"), ((3, 2), (1, 1), "valid"), ((2, 2), (3, 3), "same")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    f, *arrays = FUNCTIONS[name]
    check(f, *arrays)


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_convolutions_and_their_gradients(options):
    def gradients(x, k):
        with am.GradientTape() as tape:
            tape.watch([x, k])
            y = ops.sum(ops.square(ops.conv(x, k, **options)))
        return tape.gradient(y, [x, k])

    assert len(check(lambda x, k: ops.conv(x, k, **options), IMAGES, KERNEL).stretches) == 1
    assert len(check(gradients, IMAGES, KERNEL).stretches) == 1


@pytest.mark.parametrize("size, strides, padding", POOLS)
def test_max_pooling_and_its_gradient(size, strides, padding):
    def gradient(x):
        with am.GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(ops.square(ops.max_pool(x, size, strides, padding)))
        return tape.gradient(y, x)

    ties = np.round(IMAGES)
    for x in (IMAGES, ties):
        assert len(check(gradient, x).stretches) == 1
    with_nan = IMAGES.copy()
    with_nan[0, 3, 3, 2] = np.nan
    f = lambda x: ops.max_pool(x, size, strides, padding)  # noqa: E731
    graph, program, values = program_and_arrays(f, with_nan)
    np.testing.assert_array_equal(program(values)[0], REFERENCE.compile(graph)(values)[0])


def models():
    yield "mlp", am.Sequential([L.Dense(16, activation="gelu"), L.Dropout(0.3), L.Dense(3)]), normal(8, 5)
    convolutional = [
        L.Conv2D(8, 3, padding="same", use_bias=False),  # normalising makes a bias' gradient zero, and Adam its noise 1
        L.BatchNormalization(),
        L.ReLU(),
        L.MaxPooling2D(),
        L.DepthwiseConv2D(3),
        L.AveragePooling2D(2),
        L.Flatten(),
        L.Dense(3),
    ]
    yield "cnn", am.Sequential(convolutional), normal(4, 12, 12, 3)
    yield (
        "lstm",
        am.Sequential([L.Embedding(10, 4), L.LSTM(8), L.Dense(3)]),
        RNG.integers(0, 10, (4, 6)).astype("int32"),
    )
    x = am.Input((6, 8))
    h = L.LayerNormalization()(x)
    h = x + L.MultiHeadAttention(2, 4)(h, h, use_causal_mask=True)
    yield "attention", am.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(h))), normal(4, 6, 8)
    x = am.Input((5,), dtype="int32")
    columns = [L.Flatten()(L.Embedding(10 + i, 4)(x[:, i : i + 1])) for i in range(5)]
    h = L.BatchNormalization()(L.Concatenate()(columns))
    yield "tabular", am.Model(x, L.Dense(3)(h)), RNG.integers(0, 10, (8, 5)).astype("int32")
    x = am.Input((8, 8, 3))
    yield "augmented", am.Model(x, L.Dense(3)(L.Flatten()(L.Conv2D(4, 3)(Augmentation()(x))))), normal(6, 8, 8, 3)


class Augmentation(L.Layer):
    """Noise, a random crop that is scaled back, a flip of some examples, and the examples in another order."""

    def call(self, x):
        n = x.shape[0] or 1
        x = x + am.random.normal(x.shape, stddev=0.1, seed=am.random.SeedGenerator(1))
        corner = am.random.randint((2,), 0, 2, seed=am.random.SeedGenerator(2))
        x = ops.slice(x, ops.concatenate([[0], corner, [0]]), (n, 7, 7, 3))
        x = ops.image.resize(x, (8, 8))
        turned = am.random.uniform((n, 1, 1, 1), seed=am.random.SeedGenerator(3)) < 0.5
        x = ops.where(turned, ops.flip(x, 2), x)
        return ops.take(x, ops.argsort(am.random.uniform((n,), seed=am.random.SeedGenerator(4))), axis=0)


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "attention", "tabular", "augmented"])
def test_training_steps(name):
    am.utils.set_random_seed(1)
    model, x = next((m, x) for n, m, x in models() if n == name)
    y = np.arange(len(x)) % 3
    model(x)
    optimizer = am.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    loss = am.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(x, y):
        with am.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        optimizer.apply_gradients(
            zip(tape.gradient(value, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return value

    assert not check(step, x, y.astype("int32"), tolerance=2e-4).fallbacks


def test_fit_on_the_native_backend_follows_the_reference():
    curves = {}
    for name in ("numpy", "native"):
        with am.backend_scope(name):
            am.utils.set_random_seed(0)
            model = am.Sequential([am.Input((5,)), L.Dense(16, activation="relu"), L.Dropout(0.2), L.Dense(1)])
            model.compile("adam", "mse", metrics=["mae"])
            x = np.linspace(-1, 1, 200).reshape(40, 5).astype("float32")
            curves[name] = model.fit(x, x.sum(1), batch_size=16, epochs=4, verbose=0).history
    for key in curves["numpy"]:
        np.testing.assert_allclose(curves["native"][key], curves["numpy"][key], rtol=1e-4)


def test_one_program_from_several_threads():
    with am.backend_scope("native"):
        f = function(lambda x: ops.sum(ops.softmax(ops.matmul(x, x)), axis=1) * 3)
        x = normal(64, 64)
        want = np.array(f(x))
        wrong = []

        def work():
            for _ in range(50):
                if not np.array_equal(np.array(f(x)), want):
                    wrong.append(1)

        workers = [threading.Thread(target=work) for _ in range(3)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    assert not wrong


def test_results_are_not_overwritten_by_the_next_call():
    with am.backend_scope("native"):
        f = function(lambda x: x * 2.0)
        first = f(np.ones(4, "float32"))
        f(np.full(4, 5, "float32"))
        assert first.numpy().tolist() == [2, 2, 2, 2]


HOLDERS = {
    "tensor": lambda y: y,
    "view": lambda y: y.numpy()[3:5],
    "asarray": lambda y: np.asarray(y),
    "memoryview": lambda y: memoryview(y.numpy()),
    "reshaped": lambda y: ops.reshape(y, (-1,)),
    "variable": lambda y: am.Variable(y),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_large_results_are_not_overwritten_while_anybody_holds_them(name):
    with am.backend_scope("native"):
        f = function(lambda x: x * 2.0)
        held = [HOLDERS[name](f(np.full((300, 300), i, "float32"))) for i in range(5)]
        for i, one in enumerate(held):
            assert set(np.unique(np.asarray(one))) == {2.0 * i}


def test_memory_of_large_results_is_used_again():
    graph, program, (x,) = program_and_arrays(lambda x: x * 2.0, normal(300, 300))
    places = set()
    for _ in range(6):
        (y,) = program([x])
        places.add(y.ctypes.data)
        np.testing.assert_array_equal(y, x * 2)
    assert len(places) <= 2


def test_describe_names_kernels_and_what_falls_back(monkeypatch):
    monkeypatch.delitem(GENERATORS, "argmax")
    graph, program, values = program_and_arrays(lambda x: ops.argmax(ops.softmax(x), axis=1), X)
    text = program.describe(values)
    assert "numpy: argmax" in text and "flops" in text and " us " in text


def test_numpy_scalars_are_inputs_too():
    program = program_and_arrays(lambda x, y: x * y, np.array(2.0), np.array(3.0))[1]
    for _ in range(20):
        assert program([np.float64(0.25), np.float64(8.0)])[0] == 2.0
