"""What only the TensorFlow backend does: clusters for XLA, state in resource variables, memory of other libraries."""

import functools
import gc
import signal

import numpy as np
import pytest

import amalthea as am
from amalthea import layers as L
from amalthea.backends.tensorflow.clusters import parts_of
from amalthea.backends.tensorflow.program import Program
from amalthea.backends.tensorflow.state import Cell
from amalthea.core.backend import active, kept_ops
from amalthea.core.registry import registry
from amalthea.core.tensor import wrap

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def on_tensorflow():
    with am.backend_scope("tensorflow"):
        yield


def training(size=600):
    w, m = am.Variable(np.ones((size, size), "float32")), am.Variable(np.zeros((size, size), "float32"))

    @am.function
    def step(x):
        gradient = am.ops.matmul(am.ops.transpose(x), am.ops.tanh(am.ops.matmul(x, w))) * 0.01
        m.assign(m * 0.9 + gradient * gradient)
        w.assign(w - 0.1 * gradient / (am.ops.sqrt(m) + 1.0))
        return am.ops.sum(w)

    return w, m, step


def test_large_state_is_overwritten_where_it_lies_and_what_was_read_before_stays():
    x = rng.normal(size=(8, 600)).astype("float32")
    w, m, step = training()
    step(x)
    assert all(type(v._tensor._array) is Cell for v in (w, m))
    before, values = am.ops.convert_to_tensor(w), w.numpy().copy()
    step(x)
    np.testing.assert_array_equal(before.numpy(), values)
    assert not np.array_equal(w.numpy(), values)
    del before
    places = [id(v._tensor._array) for v in (w, m)]
    step(x)
    assert [id(v._tensor._array) for v in (w, m)] == places
    with am.backend_scope("numpy"):
        want = training()
        for _ in range(3):
            want[2](x)
    for found, wanted in zip((w, m), want[:2], strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-10)
    with am.backend_scope("native"):  # other backends read it too
        assert float(am.ops.sum(w)) == pytest.approx(w.numpy().sum(), rel=1e-5)


@pytest.mark.parametrize("way", ["previous", "returned", "both"])
def test_the_old_value_of_state_that_is_overwritten_may_be_an_output_too(way):
    value = rng.normal(size=(600, 600)).astype("float32")
    w, previous = am.Variable(value), am.Variable(np.zeros_like(value))

    @am.function
    def step(x):
        old = w.value
        if way != "returned":
            previous.assign(w)
        w.assign(am.ops.tanh(w) * 0.9 + am.ops.exp(-w * w) * 0.1 - x)
        return old if way != "previous" else x

    step(0.5)
    for _ in range(3):
        before = w.numpy()
        found = step(0.5)
        if way != "returned":
            np.testing.assert_array_equal(previous.numpy(), before)
        if way != "previous":
            np.testing.assert_array_equal(found.numpy(), before)
        want = np.tanh(before) * 0.9 + np.exp(-before * before) * 0.1 - 0.5
        np.testing.assert_allclose(w.numpy(), want, rtol=1e-4, atol=1e-5)
    assert type(w._tensor._array) is Cell


def test_ctrl_c_leaves_large_and_small_state_of_one_step():
    w, steps = am.Variable(np.zeros((600, 600), "float32")), am.Variable(0.0)

    @am.function(jit_compile=True)
    def step():
        w.assign(am.ops.sin(w) * 0.0 + steps + 1.0)
        steps.assign_add(1.0)

    step(), step()
    gc.collect()  # here, as Ctrl-C in the finalizer of a function of an earlier test would be lost
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for i in range(40):
            try:
                # Again and again: what comes while Python deletes an object is lost.
                signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.0001 * i, 0.5)
                while True:
                    step()
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert w.numpy().min() == w.numpy().max() == steps.numpy()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert type(w._tensor._array) is Cell and steps.numpy() > 42


def test_a_graph_is_cut_at_contractions_and_small_parts_are_left_to_tensorflow():
    def graph(size):
        def body(x):
            return am.ops.sum(am.ops.exp(am.ops.matmul(x * 2.0, x) + 1.0), axis=-1)

        return am.trace(body, am.TensorSpec((size, size))).expand("primitive", keep=kept_ops())

    assert [[node.op.name for node in part.graph.nodes] for part in parts_of(graph(512))] == [
        ["multiply"],
        ["contract"],
        ["add", "exp", "sum"],
    ]
    assert [part.fused for part in parts_of(graph(512))] == [False, False, True]
    assert not any(part.fused for part in parts_of(graph(5)))


@pytest.mark.parametrize("jit_compile", [None, True, False])
def test_parts_compute_what_the_whole_does(jit_compile):
    def body(x, y):
        h = am.ops.softmax(am.ops.matmul(x, y) + 1.0)
        rows = am.ops.reshape(am.ops.sum(h, axis=0), (-1, 1))
        return h, rows, am.ops.reshape(rows, (2, -1)), x, am.ops.ones((3,)), am.ops.sum(am.ops.matmul(h, h) * h)

    x, y = rng.normal(size=(2, 400, 400)).astype("float32")
    graph = am.trace(body, am.TensorSpec(x.shape), am.TensorSpec(y.shape)).expand("primitive", keep=kept_ops())
    program = Program(graph, active.backend.bare_kernels, jit_compile)
    found = program([active.backend.to_array(x), active.backend.to_array(y)])
    with am.backend_scope("numpy"):
        want = [t.numpy() for t in body(am.Tensor(x), am.Tensor(y))]
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=2e-4, atol=1e-5)


def test_loops_have_clusters_too():
    x = rng.normal(size=(300, 300)).astype("float32")

    def run(x):
        return am.ops.fori_loop(0, 5, lambda i, c: am.ops.tanh(am.ops.matmul(c, x) * 0.1 + 1.0) - c * 0.5, x)

    with am.backend_scope("numpy"):
        want = run(am.Tensor(x)).numpy()
    np.testing.assert_allclose(am.function(run)(x).numpy(), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(am.Tensor(x)).numpy(), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("special", [None, np.nan, -np.inf, np.inf])
@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [((2, 2), (2, 2), ((0, 0), (0, 0))), ((3, 2), (1, 2), ((1, 1), (0, 1))), ((3, 3), (2, 3), ((1, 0), (1, 1)))],
)
def test_pooled_maxima_and_their_gradient_with_ties_and_values_that_are_no_numbers(special, size, strides, padding):
    x = rng.integers(0, 4, (2, 7, 6, 3)).astype("float32")
    if special is not None:
        x[0, 1, 1, 0] = x[1, 0, 0, 1] = special
    attrs = {"size": size, "strides": strides, "padding": padding}

    def both(x):
        y = registry["max_pooling"](x, **attrs)
        g = am.ops.reshape(am.ops.arange(y.size, dtype="float32"), y.shape)
        return y, registry["max_pooling_gradient"](x, g, **attrs)

    with am.backend_scope("numpy"):
        want = [t.numpy() for t in both(am.Tensor(x))]
    for run in (both, am.function(both)):
        for a, b in zip(run(am.Tensor(x)), want, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)


@pytest.mark.parametrize(
    ("sizes", "window", "strides", "dilation", "padding"),
    [
        ((7, 6), (3, 2), (2, 2), (1, 1), ((1, 1), (0, 0))),
        ((5, 5), (3, 3), (1, 1), (2, 2), ((2, 2), (2, 2))),
        ((6, 6), (3, 3), (2, 2), (1, 1), ((1, 1), (1, 1))),
        ((9,), (4,), (3,), (1,), ((0, 1),)),
        ((4, 5, 3), (2, 2, 3), (2, 1, 1), (1, 1, 1), ((0, 0), (0, 1), (1, 1))),
    ],
)
def test_convolutions_with_paddings_that_tensorflow_has_a_name_for_and_others(
    sizes, window, strides, dilation, padding
):
    x, w = rng.normal(size=(2, *sizes, 4)), rng.normal(size=(*window, 4, 3))
    attrs = {"strides": strides, "padding": padding, "dilation": dilation, "groups": 1}

    def all_three(x, w):
        y = registry["convolution"](x, w, **attrs)
        g = am.ops.cos(y)
        return (
            y,
            registry["conv_input_gradient"](g, w, input_size=sizes, **attrs),
            registry["conv_kernel_gradient"](x, g, kernel_size=window, **attrs),
        )

    with am.backend_scope("numpy"):
        want = [t.numpy() for t in all_three(am.Tensor(x), am.Tensor(w))]
    for a, b in zip(all_three(am.Tensor(x), am.Tensor(w)), want, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-9, atol=1e-9)


def test_arrays_that_begin_at_any_address_are_taken():
    import jax
    import torch

    memory = np.zeros(4 * 100 + 64, "uint8")
    start = -memory.ctypes.data % 64
    at_64 = memory[start : start + 400].view("float32")
    shared = active.backend.to_array(at_64)
    at_64[:] = 3
    assert shared.numpy().sum() == 300  # the same memory
    parts = torch.arange(40.0)
    for array in (
        at_64[1:],  # TensorFlow's kernels would end the process
        at_64[::3],
        parts[3:],
        parts.bfloat16()[1:],
        parts.reshape(5, 8).T,
        torch.ones(3, requires_grad=True),
        jax.numpy.arange(9)[2:],
        np.ones(3, ">f4"),
        np.zeros((0, 3)),
        np.array(True),
    ):
        want = np.asarray(array.detach().float() if isinstance(array, torch.Tensor) else array).astype("float64")
        made = am.ops.cast(wrap(active.backend.to_array(array)), "float64") + 1.0
        np.testing.assert_array_equal(made.numpy(), want + 1)


def test_the_error_function_at_infinity_in_float64():
    x = np.array([-np.inf, -7.0, 0.5, 6.5, np.inf, np.nan])
    for run in (am.ops.erf, am.function(am.ops.erf)):
        np.testing.assert_allclose(run(x).numpy(), [-1, -1, 0.5204998778130465, 1, 1, np.nan], rtol=1e-15)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"])
def test_the_order_of_integers_at_the_ends_of_their_range(dtype):
    ends = np.iinfo(dtype)
    x = np.array([1, ends.max // 2 + 1, ends.min, 5, ends.max], dtype)

    def run(x):
        y = x[::-1]
        found = [am.ops.maximum(x, y), am.ops.minimum(x, y), am.ops.max(x), am.ops.min(x), am.ops.max(x, initial=7)]
        return [*found, am.ops.argmax(x), am.ops.argmin(x), am.ops.argsort(x), am.ops.searchsorted(am.ops.sort(x), y)]

    with am.backend_scope("numpy"):
        want = [t.numpy() for t in run(am.Tensor(x))]
    for way in (run, am.function(run), am.function(run, jit_compile=True)):
        for found, wanted in zip(way(am.Tensor(x)), want, strict=True):
            np.testing.assert_array_equal(found.numpy(), wanted)


BATCHES = [(6, 5), (3, 4, 5), (2, 3, 4, 5), (1, 5), (2, 2, 2, 2, 5), (0, 5), (0, 3, 4, 5)]


def batch_arguments(shape, axis, dtype="float32"):
    """x, scale, offset and what is known of the gradients of the three results."""
    n = (shape[axis],)
    sizes = (shape, n, n, shape, n, n)
    return [(rng.normal(size=size) * 2 + 1).astype(dtype) for size in sizes]


def batch_and_gradients(x, scale, offset, g, g_mean, g_variance, **attrs):
    forward, backward = registry["batch_normalization_training"], registry["batch_normalization_gradient"]
    zeros = am.ops.zeros_like(g_mean)
    return [
        *forward(x, scale, offset, **attrs),
        *backward(g, zeros, zeros, x, scale, **attrs),
        *forward(x, **attrs),
        *backward(g, g_mean, g_variance, x, **attrs),
    ]


def assert_like_numpy(run, arguments, rtol, atol):
    with am.backend_scope("numpy"):
        want = run(*map(am.Tensor, arguments))
    for way in (run, am.function(run), am.function(run, jit_compile=True)):
        for found, wanted in zip(way(*map(am.Tensor, arguments)), want, strict=True):
            assert found.dtype == wanted.dtype and found.shape == wanted.shape
            pair = [t.numpy().astype("float64") for t in (found, wanted)]
            np.testing.assert_allclose(*pair, rtol=rtol, atol=atol)


@pytest.mark.parametrize("shape", BATCHES)
@pytest.mark.parametrize(
    ("axis", "epsilon", "dtype"),
    [(-1, 1e-3, "float32"), (0, 0.1, "float32"), (1, 1e-6, "float32"), (1, 1e-3, "float32"), (-1, 1e-3, "float64")],
)
def test_batch_normalization_and_its_gradients(shape, axis, epsilon, dtype):
    run = functools.partial(batch_and_gradients, axis=axis, epsilon=epsilon)
    tolerance = 1e-9 if dtype == "float64" else 2e-3 if epsilon < 1e-5 else 3e-5
    assert_like_numpy(run, batch_arguments(shape, axis, dtype), tolerance, tolerance)


def test_batch_normalization_in_half_precision_and_of_integers():
    halves = batch_arguments((4, 3, 5), -1, "float16")
    assert_like_numpy(batch_and_gradients, halves, 2e-2, 2e-2)
    whole = [rng.integers(0, 9, (4, 5)), *batch_arguments((4, 5), -1)[1:]]
    assert_like_numpy(batch_and_gradients, whole, 3e-5, 3e-5)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_spoils_its_channel_only(special):
    arguments = batch_arguments((3, 4, 2, 5), -1)
    arguments[0][0, 1, 1, 2] = special
    arguments[3][2, 0, 0, 4] = special
    assert_like_numpy(batch_and_gradients, arguments, 3e-5, 3e-5)


def test_batch_normalization_is_one_call_forwards_and_one_backwards():
    model = am.Sequential([L.Input((6, 6, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten(), L.Dense(1)])

    def step(x):
        with am.GradientTape() as tape:
            loss = am.ops.sum(model(x, training=True) ** 2)
        return tape.gradient(loss, model.trainable_variables)

    graph = am.trace(step, am.TensorSpec((4, 6, 6, 3))).expand("primitive", keep=kept_ops())
    program = Program(graph, active.backend.bare_kernels, None)
    types = [operation.type for operation in program._function.graph.get_operations()]
    assert types.count("FusedBatchNormV3") == types.count("FusedBatchNormGradV3") == 1
    assert "Mean" not in types  # the statistics have no gradients


def test_an_index_out_of_range_in_a_program_is_an_error_and_variables_stay():
    table = am.Variable(rng.normal(size=(4, 3)).astype("float32"))
    rows = table.numpy().copy()

    @am.function
    def step(i):
        taken = am.ops.take(table, i, axis=0)
        table.assign(am.ops.scatter_update(table, am.ops.expand_dims(i, -1), -taken))
        return am.ops.sum(taken)

    for bad in ([1, 4], [-5, 0]):
        with pytest.raises(
            am.ArgumentError, match=r"\[step\]: TensorFlow refuses .*index out of range.* Fix: "
        ) as told:
            step(np.array(bad, "int32"))
        assert "{{" not in str(told.value) and "[0, 4)" in str(told.value)
        np.testing.assert_array_equal(table.numpy(), rows)
    step(np.array([1, -1], "int32"))
    np.testing.assert_array_equal(table.numpy(), rows * np.array([[1], [-1], [1], [-1]], "float32"))


@pytest.mark.parametrize("reduction", [None, "add", "max", "min", "mul"])
@pytest.mark.parametrize("index", [[4, 0], [-5, 0], [1, 3], [1, -4], [-5, 7]])
@pytest.mark.parametrize("depth", [1, 2])
def test_scatters_out_of_range_are_refused_also_where_another_place_would_be_hit(index, depth, reduction):
    x, where = np.ones((4, 3), "float32"), np.array([[1, 1], index], "int32")[:, :depth]
    updates = np.full((2, *x.shape[depth:]), 2, "float32")

    def run(x, i, u):
        return registry["scatter_update"](x, i, u, reduction=reduction)

    if depth == 1 and index[0] == 1:  # in range
        with am.backend_scope("numpy"):
            want = run(*map(am.Tensor, (x, where, updates)))
        np.testing.assert_array_equal(am.function(run)(x, where, updates).numpy(), want.numpy())
        return
    for way in (run, am.function(run)):
        with pytest.raises(am.ArgumentError, match="out of range"):
            way(*map(am.ops.convert_to_tensor, (x, where, updates)))


def test_xla_and_jax_read_the_end_for_an_index_out_of_range_and_drop_what_would_be_written():
    def both(x, i):
        return am.ops.take(x, i, axis=0), am.ops.scatter_update(x, am.ops.expand_dims(i, -1), am.ops.zeros((2,)))

    x, i = np.arange(1.0, 5.0, dtype="float32"), np.array([1, 6], "int32")
    for engine in ("tensorflow", "jax"):
        with am.backend_scope(engine):
            taken, written = am.function(both, jit_compile=True)(x, i)
        assert taken.tolist() == [2, 4] and written.tolist() == [1, 0, 3, 4]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32", "int8", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(3, 7), (), (0, 4)])
def test_relu_of_every_dtype(shape, dtype):
    x = am.ops.cast(am.Tensor(rng.normal(size=shape) * 9), dtype).numpy()
    with am.backend_scope("numpy"):
        want = am.ops.relu(x)
    for run in (am.ops.relu, am.function(am.ops.relu)):
        assert run(x).dtype == want.dtype
        np.testing.assert_array_equal(run(x).numpy(), want.numpy())


def test_relu_keeps_what_is_no_number_also_behind_products_and_convolutions():
    x = np.array([np.nan, np.inf, -np.inf, -1, -0.0, 2], "float32")

    def run(x):
        with am.GradientTape() as tape:
            tape.watch(x)
            y = am.ops.relu(x)
        column = am.ops.reshape(x, (-1, 1))
        product = am.ops.relu(am.ops.matmul(column, am.ops.ones((1, 8))) + am.ops.ones((8,)))
        kernel = am.ops.ones((1, 1, 8))
        convolved = am.ops.relu(am.ops.conv(am.ops.reshape(x, (1, -1, 1)), kernel) + am.ops.ones((8,)))
        return y, tape.gradient(y, x, output_gradients=am.ops.ones_like(x) * np.inf), product, convolved

    assert_like_numpy(run, [x], 0, 0)
