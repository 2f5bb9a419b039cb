"""NaN and infinity are what IEEE 754 says, unless fast math is on."""

import numpy as np
import pytest

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.compiler.elementwise import FAST_MATH
from amalthea.compiler.program import Program
from amalthea.core.trace import trace

INF, NAN = np.inf, np.nan
SPECIAL = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -2.5, 3e38, 1e-45], "float32")
X, Y = (np.ascontiguousarray(a) for a in np.broadcast_arrays(SPECIAL[:, None], SPECIAL[None, :]))


@pytest.fixture
def fast():
    am.config.set_fast_math(True)
    with am.backend_scope("native"):
        yield
    am.config.set_fast_math(False)


def texts(f, *arrays):
    graph = trace(f, *arrays, level="op").expand("primitive", keep=BACKEND.bare_kernels)
    program = Program(graph, BACKEND.bare_kernels)
    return "\n".join(code.text for step in program.steps for code, _ in step.codes)


EXACT = {
    "add": ops.add,
    "subtract": ops.subtract,
    "multiply": ops.multiply,
    "divide": ops.divide,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
    "relu": lambda x, y: ops.relu(x) + ops.relu6(y),
    "nothing is cancelled": lambda x, y: (x + y) - y,
    "zero times": lambda x, y: x * 0.0 + y * 0.0,
    "itself": lambda x, y: (x - x) + (y / y),
    "comparisons": lambda x, y: ops.where(x < y, 1.0, 0.0) + ops.where(x >= y, 2.0, 0.0) + ops.where(x == x, 4.0, 0.0),
    "clip": lambda x, y: ops.clip(x, -1.0, 1.0) + y,
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_special_values_are_those_of_the_reference(name):
    found = {}
    for backend in ("numpy", "native"):
        with am.backend_scope(backend):
            found[backend] = np.asarray(am.function(EXACT[name])(X, Y))
    np.testing.assert_array_equal(found["native"], found["numpy"])
    if name in ("maximum", "minimum", "relu", "clip"):
        return  # of zeros of both signs either is the greater
    known = ~np.isnan(found["numpy"])
    np.testing.assert_array_equal(np.signbit(found["native"])[known], np.signbit(found["numpy"])[known])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_reductions_and_products_carry_them_on():
    with am.backend_scope("native"):
        rows = am.function(lambda x: (ops.sum(x, axis=1), ops.max(x, axis=1), ops.min(x, axis=0), ops.mean(x)))(X)
        assert [np.isnan(np.asarray(r)).any() for r in rows] == [True] * 4
        assert not np.isnan(np.asarray(rows[1])[1:]).any() and np.asarray(rows[1])[1] == INF
        product = np.asarray(am.function(ops.matmul)(X[1:2, 1:3] * [[1.0, 0.0]], np.ones((2, 3), "float32")))
        assert np.isnan(product).all()  # infinity * 0


def test_code_is_relaxed_only_while_the_switch_is_on(fast):
    f = lambda x, y: ops.maximum(x * y + x, y) / y  # noqa: E731
    assert f"fmul {FAST_MATH}" in texts(f, X, Y) and f"fdiv {FAST_MATH}" in texts(f, X, Y)
    am.config.set_fast_math(False)
    assert FAST_MATH not in texts(f, X, Y)


def test_a_function_is_compiled_again_when_the_switch_changes(fast):
    values = np.linspace(0.1, 3.0, 1000, dtype="float32")
    made = []
    compile_graph = BACKEND.compile
    f = am.function(lambda x: (x * 3.0 + x) / 7.0)
    try:
        type(BACKEND).compile = lambda self, graph, jit_compile=None: made.append(graph) or compile_graph(graph)
        results = []
        for enabled in (True, False, True, False):
            am.config.set_fast_math(enabled)
            results.append(np.asarray(f(values)))
    finally:
        type(BACKEND).compile = compile_graph.__func__
    assert len(made) == 2
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[3])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


def test_masks_of_minus_infinity_keep_their_meaning(fast):
    scores = np.random.default_rng(0).normal(size=(7, 33)).astype("float32")
    mask = np.where(np.arange(33) < 20, 0.0, -INF).astype("float32")
    got = np.asarray(am.function(lambda s, m: ops.softmax(s + m))(scores, mask))
    e = np.exp(scores[:, :20] - scores[:, :20].max(1, keepdims=True))
    np.testing.assert_allclose(got[:, :20], e / e.sum(1, keepdims=True), rtol=1e-5)
    assert not got[:, 20:].any()


def test_a_training_step_agrees(fast):
    losses = []
    for enabled in (True, False):
        am.config.set_fast_math(enabled)
        am.utils.set_random_seed(0)
        model = am.Sequential([am.Input((5,)), am.layers.Dense(16, activation="gelu"), am.layers.Dense(1)])
        model.compile("adam", "mse")
        x = np.linspace(-1, 1, 200).reshape(40, 5).astype("float32")
        losses.append(model.fit(x, x.sum(1), epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_a_switch_is_on_or_off():
    for setting in (am.config.set_fast_math, am.config.set_autotune):
        with pytest.raises(ValueError, match="Fix: True or False"):
            setting(1)
    assert (am.config.fast_math(), am.config.autotune()) == (False, False)
