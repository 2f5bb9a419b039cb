"""Loops and branches inside compiled programs compute what the reference backend does, on one thread and on several."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings

import amalthea as am
from amalthea import ops
from amalthea.backends.native import BACKEND
from amalthea.backends.numpy import BACKEND as REFERENCE
from amalthea.compiler.execution import Execution
from amalthea.compiler.generators import GENERATORS
from amalthea.compiler.layout import layout_of
from amalthea.compiler.linking import link
from amalthea.compiler.program import Program
from amalthea.compiler.routine import Routine
from amalthea.compiler.target import Target
from amalthea.compiler.threads import set_num_threads
from amalthea.core.op import registry
from amalthea.core.spec import TensorSpec
from tests.compiler.random_graphs import assert_close, assert_same_bits, cases

SMALL, LARGE = (3,), (64, 130)  # left to one thread, and shared


@pytest.fixture(autouse=True)
def three_threads():
    set_num_threads(3)
    yield
    set_num_threads(None)


def runs(graph):
    """The graph as planned without passes, and as a program with them."""
    routine = Routine(graph, Target.host())
    stretches, loaded = link(routine)
    planned = Execution(layout_of(routine, stretches), loaded, BACKEND.bare_kernels)
    return [planned, Program(graph, BACKEND.bare_kernels)]


def check(graph, arrays, exact=True, native=True):
    want = REFERENCE.compile(graph)(arrays)
    for program in runs(graph):
        if native:
            assert not program.layout.fallbacks
        for _ in range(2):
            (assert_same_bits if exact else assert_close)(program(arrays), want)


def arrays_for(graph, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=v.spec.sizes).astype(v.spec.dtype.as_numpy_dtype) for v in graph.all_inputs]


def body(function, *specs):
    """A graph with all its inputs, as the inside of a loop."""
    return am.trace(lambda *xs: list(function(*xs)), *specs, level="primitive")


def scan_graph(function, shapes, carries, sequences, length, reverse=False, save=False, dtype="float32"):
    """A graph of one `scan_loop`, made as it stands: no pass has simplified it."""
    inner = body(function, *(TensorSpec(s, dtype) for s in shapes))
    outer = [(length, *s) if carries <= i < carries + sequences else s for i, s in enumerate(shapes)]
    options = {"carries": carries, "sequences": sequences, "length": length, "reverse": reverse, "save": save}
    return am.trace(
        lambda *xs: list(registry["scan_loop"](list(xs), body=inner, **options)),
        *(TensorSpec(s, dtype) for s in outer),
        level="primitive",
    )


# name: (the body, carries, sequences, constants)
BODIES = {
    "carry": (lambda c, x: [c * 0.5 + x], 1, 1, 0),
    "carry_and_result": (lambda c, x: [c * 0.5 + x, c - x], 1, 1, 0),
    "new_carry_is_stacked": (lambda c, x: (lambda n: [n, n])(c * 0.5 + x), 1, 1, 0),
    "old_carry_is_stacked": (lambda c, x: [c * 0.5 + x, c], 1, 1, 0),
    "both_are_stacked": (lambda c, x: (lambda n: [n, n, c])(c * 0.5 + x), 1, 1, 0),
    "stacked_twice": (lambda c, x: (lambda n: [n, n, n, c, c])(c * 0.5 + x), 1, 1, 0),
    "old_carry_stacked_twice": (lambda c, x: [c * 0.5 + x, c, c], 1, 1, 0),
    "carry_stays": (lambda c, d, x: [c, d + c * x, c], 2, 1, 0),
    "carries_change_places": (lambda c, d, x: [d, c, c + x], 2, 1, 0),
    "carries_move_on": (lambda c, d, e, x: [d, e, c * 0.5 + x], 3, 1, 0),
    "old_carry_moves_on_and_is_stacked": (lambda c, d, x: [c * 0.5 + x, c, c], 2, 1, 0),
    "one_value_for_two_carries": (lambda c, d, x: (lambda n: [n, n, d])(c - d + x), 2, 1, 0),
    "one_value_for_two_carries_stacked": (lambda c, d, x: (lambda n: [n, n, n])(c - d + x), 2, 1, 0),
    "carry_becomes_the_sequence": (lambda c, x: [x, c], 1, 1, 0),
    "carry_becomes_the_constant": (lambda c, x, w: [w, c * x], 1, 1, 1),
    "carry_becomes_a_number": (lambda c, x: [ops.ones_like(c) * 2.0, c * x], 1, 1, 0),
    "sequence_and_constant_are_stacked": (lambda c, x, w: [c + x, x, w], 1, 1, 1),
    "no_carry": (lambda x, w: [x * w], 0, 1, 1),
    "no_sequence": (lambda c: [c * 0.5 + 1.0], 1, 0, 0),
    "no_result_uses_the_sequence": (lambda c, x: [c * 0.5, c], 1, 1, 0),
    "reshaped": (lambda c, x: [ops.reshape(ops.reshape(c * 0.5 + x, (-1,)), c.shape), ops.reshape(c, (-1,))], 1, 1, 0),
    "constant_array": (
        lambda c, x: [c * 0.5 + np.linspace(0, 1, c.shape[-1]).astype("float32"), c * x],
        1,
        1,
        0,
    ),
}


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("name", BODIES)
def test_scans(name, shape):
    function, carries, sequences, constants = BODIES[name]
    for length in (0, 1, 4, 5) if shape == SMALL else (4,):
        for flag in (False, True):
            shapes = [shape] * (carries + sequences + constants)
            graph = scan_graph(function, shapes, carries, sequences, length, reverse=flag, save=flag)
            check(graph, arrays_for(graph))


def test_the_value_before_each_step_is_written_where_it_is_stacked():
    graph = scan_graph(lambda c, x: [c * 0.5 + x, c], [LARGE, LARGE], 1, 1, 5)
    (step,) = Routine(graph, Target.host()).steps
    ((code, _),) = step.codes
    (_, inside), *_ = code.inside
    assert inside.outputs == graph.nodes[0].attrs["body"].outputs[:1]


@pytest.mark.parametrize("op", ["scan_loop", "loop", "branch"])
def test_samples_of_the_registry(op):
    for args, kwargs in registry[op].op.samples():
        arrays = [np.asarray(a) for a in args[0]]
        specs = [TensorSpec(a.shape, str(a.dtype)) for a in arrays]
        graph = am.trace(lambda *xs, kwargs=kwargs: list(registry[op](list(xs), **kwargs)), *specs, level="primitive")
        check(graph.expand("primitive"), arrays)


def loop_graph(test, function, shapes, dtypes, carries):
    specs = [TensorSpec(*pair) for pair in zip(shapes, dtypes, strict=True)]
    options = {"test": body(test, *specs), "body": body(function, *specs), "carries": carries}
    return am.trace(lambda *xs: list(registry["loop"](list(xs), **options)), *specs, level="primitive")


WHILES = {
    "counted": (lambda i, x, w: [i < 3], lambda i, x, w: [i + 1, x * w], 2),
    "even": (lambda i, x, w: [i < 4], lambda i, x, w: [i + 1, x * w], 2),
    "never": (lambda i, x, w: [i < 0], lambda i, x, w: [i + 1, x * w], 2),
    "once": (lambda i, x, w: [i < 1], lambda i, x, w: [i + 1, x + w], 2),
    "by_value": (lambda i, x, w: [ops.sum(ops.abs(x)) > 1.0], lambda i, x, w: [i + 1, x * 0.5], 2),
    "places_change": (lambda i, x, y: [i < 5], lambda i, x, y: [i + 1, y, x * 0.5], 3),
    "one_value_twice": (lambda i, x, y: [i < 2], lambda i, x, y: (lambda n: [i + 1, n, n])(x - y), 3),
    "stays": (lambda i, x, y: [i < 2], lambda i, x, y: [i + 1, x, x + y], 3),
}


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("name", WHILES)
def test_while_loops(name, shape):
    test, function, carries = WHILES[name]
    graph = loop_graph(test, function, [(), shape, shape], ["int32", "float32", "float32"], carries)
    _, *arrays = arrays_for(graph)
    check(graph, [np.zeros((), "int32"), *arrays])


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
def test_branches(shape, dtype):
    specs = TensorSpec(shape, "float32"), TensorSpec(shape, "float32")
    graphs = (
        body(lambda x, y: [x * y, y], *specs),
        body(lambda x, y: [x, x], *specs),
        body(lambda x, y: [ops.zeros_like(x) + 3.0, x - y], *specs),
    )
    graph = am.trace(
        lambda i, x, y: list(registry["branch"]([i, x, y], graphs=graphs)),
        TensorSpec((), dtype),
        *specs,
        level="primitive",
    )
    _, *arrays = arrays_for(graph)
    for index in (0, 1) if dtype == "bool" else (0, 1, 2, 3, 200) if dtype == "uint8" else (-(2**31), -1, 0, 1, 2, 9):
        check(graph, [np.asarray(index).astype(dtype), *arrays])


def nested(x, w):
    """A loop in a branch in a loop in a loop."""

    def outer(c, x):
        def step(d, row):
            big = ops.sum(d) > 0
            d = ops.cond(
                big, lambda: ops.while_loop(lambda d: ops.sum(d) > 10.0, lambda d: d * 0.5, d), lambda: d + row
            )
            return d, ops.cond(big, lambda: d * 2.0, lambda: d)

        new, rows = ops.scan(step, c, x)
        return new, ops.sum(rows, axis=0) + w

    return ops.scan(outer, ops.zeros_like(w), x)


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
def test_control_flow_nests(shape):
    specs = TensorSpec((3, 4, *shape), "float32"), TensorSpec(shape, "float32")
    graph = am.trace(nested, *specs, level="primitive").expand("primitive")
    check(graph, [np.abs(a) for a in arrays_for(graph)], exact=False)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int8", "bool"])
def test_dtypes_of_carried_values(dtype):
    def step(c, x):
        if dtype == "bool":
            return [ops.logical_xor(c, x), c]
        return [c + x, c]

    graph = scan_graph(step, [(7, 9)] * 2, 1, 1, 5, dtype=dtype).expand("primitive")
    arrays = [np.array(np.abs(a.astype("float32")) * 3).astype(a.dtype) for a in arrays_for(graph)]
    check(graph, arrays)


def test_what_has_no_code_in_a_body_falls_back_with_the_compiled_rest(monkeypatch):
    monkeypatch.delitem(GENERATORS, "max_pooling")

    def f(x):
        return ops.scan(lambda c, r: (ops.tanh(ops.max_pool(c, 3, 1, "same") + r), c * 2), ops.zeros_like(x[0]), x)

    graph = am.trace(f, TensorSpec((5, 2, 6, 6, 3), "float64"), level="primitive").expand("primitive")
    program = Program(graph, BACKEND.bare_kernels)
    check(graph, arrays_for(graph), exact=False, native=False)
    text = program.describe(arrays_for(graph))
    assert "numpy: scan_loop" in text and "body:" in text and "numpy: max_pooling" in text and "tanh" in text


def test_describe_shows_the_inside_of_loops_without_running_them_on_ones():
    def f(x):
        forever = lambda y: ops.while_loop(lambda y: ops.sum(y) > 0.0, lambda y: y * 1.0, y)  # noqa: E731
        return ops.scan(lambda c, r: (ops.cond(ops.sum(r) > 1e9, lambda: forever(c), lambda: c + r), None), x[0], x)

    graph = am.trace(f, TensorSpec((5, 10), "float32"), level="primitive").expand("primitive")
    text = Program(graph, BACKEND.bare_kernels).describe(arrays_for(graph))
    assert "body:" in text and "branch_1:" in text and "test:" in text and "5 steps" in text


LAYERS = {
    "lstm": lambda: am.layers.LSTM(6, return_sequences=True),
    "lstm_backwards": lambda: am.layers.LSTM(6, go_backwards=True),
    "gru": lambda: am.layers.GRU(6, return_sequences=True),
    "gru_reset_before": lambda: am.layers.GRU(6, reset_after=False),
    "simple": lambda: am.layers.SimpleRNN(6),
    "bidirectional": lambda: am.layers.Bidirectional(am.layers.LSTM(6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_recurrent_layers_forward_and_backward(name):
    am.utils.set_random_seed(0)
    layer = LAYERS[name]()
    x = np.random.default_rng(0).normal(size=(5, 7, 4)).astype("float32")
    layer(x)

    def step(x):
        with am.GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(ops.square(layer(x)))
        return y, tape.gradient(y, [x, *layer.trainable_variables])

    graph = am.trace(step, x, level="op").expand("primitive", keep=BACKEND.bare_kernels)
    arrays = [x, *(v.numpy() for v in graph.variables)]
    want = REFERENCE.compile(graph)(arrays)
    for program in runs(graph):
        assert_close(program(arrays), want, 2e-5)


@settings(max_examples=30, deadline=None)
@given(cases("smooth", control=True))
def test_random_graphs_with_loops_and_their_gradients(case):
    for program in runs(case.graph):
        assert_close(program(case.arrays), case.run(), 1e-8)


@settings(max_examples=30, deadline=None)
@given(cases("ring", control=True))
def test_random_graphs_with_loops_and_branches_are_exact(case):
    for program in runs(case.graph):
        assert_same_bits(program(case.arrays), case.run(), zero_signs=False)


def test_loops_run_in_two_threads_at_once():
    graph = am.trace(nested, TensorSpec((3, 4, *LARGE), "float32"), TensorSpec(LARGE, "float32"), level="primitive")
    graph = graph.expand("primitive")
    program = Program(graph, BACKEND.bare_kernels)
    given_arrays = [[np.abs(a) for a in arrays_for(graph, seed)] for seed in range(3)]
    want = [program(arrays) for arrays in given_arrays]
    wrong = []

    def work(i):
        for _ in range(20):
            if not all(map(np.array_equal, program(given_arrays[i]), want[i])):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
