"""Compiled functions: signatures, state, retracing, errors on the user's line."""

import gc
import threading
import warnings

import numpy as np
import pytest

from amalthea import ops
from amalthea.core import config
from amalthea.core.function import function
from amalthea.core.spec import TensorSpec
from amalthea.core.tape import GradientTape
from amalthea.core.tensor import as_tensor
from amalthea.core.variable import Variable


def counted(body):
    """A compiled function and the list that grows with each tracing."""
    traced = []

    def run(*args, **kwargs):
        traced.append(1)
        return body(*args, **kwargs)

    return function(run), traced


def test_one_trace_per_signature():
    double, traced = counted(lambda x, k=1: x * k)
    for x in (np.ones(2, "float32"), np.zeros(2, "float32"), as_tensor([1.0, 2.0])):
        double(x)
    assert len(traced) == 1
    double(np.ones(3, "float32"))
    double(np.ones(2, "float64"))
    double(np.ones(2, "float32"), k=2)
    double(np.ones(2, "float32"), k=2.0)
    assert len(traced) == 5


def test_structures_in_and_out():
    @function
    def f(batch, *, scale):
        return {"sum": batch["a"] + batch["b"][0], "scale": scale, "pair": (batch["a"], None)}

    result = f({"a": np.float32(1), "b": [as_tensor(2.0)]}, scale=3)
    assert float(result["sum"]) == 3.0 and result["scale"] == 3 and result["pair"][1] is None


def test_variables_are_state():
    v = Variable(1.0)

    @function
    def step(x):
        before = v + 0.0
        v.assign_add(x)
        return before, v.value

    before, after = step(2.0 * np.ones((), "float32"))
    assert (float(before), float(after), float(v)) == (1.0, 3.0, 3.0)
    step(np.float32(1))
    assert float(v) == 4.0


def test_freezing_a_variable_retraces():
    v = Variable(1.0)

    def body(x):
        with GradientTape() as tape:
            y = v * x
        g = tape.gradient(y, v)
        return x * 0.0 if g is None else g

    slope, traced = counted(body)
    assert float(slope(np.float32(2))) == 2.0
    v.trainable = False
    assert float(slope(np.float32(2))) == 0.0
    v.trainable = True
    assert float(slope(np.float32(2))) == 2.0
    assert len(traced) == 2


def test_variables_made_while_tracing_live_on():
    made = []

    @function
    def f(x):
        if not made:
            made.append(Variable(5.0))
        return made[0] * x

    assert float(f(np.float32(2))) == 10.0
    made[0].assign(1.0)
    assert float(f(np.float32(2))) == 2.0


def test_methods():
    class Counter:
        def __init__(self, start):
            self.v = Variable(start)

        @function
        def add(self, x):
            self.v.assign_add(x)
            return self.v.value

    a, b = Counter(1.0), Counter(10.0)
    assert float(a.add(np.float32(1))) == 2.0 and float(b.add(np.float32(1))) == 11.0


def test_often_retracing_is_said_once():
    f = function(lambda x, k: x * k)
    with pytest.warns(UserWarning, match=r"traced 8 times.*a Python argument changed its value.*Fix: pass tensors"):
        for k in range(8):
            f(np.float32(1), k)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(np.float32(1), 100)


@pytest.mark.parametrize(
    "body, what",
    [
        (lambda x: x if x > 0 else -x, "Python `if`"),
        (lambda x: float(x), r"float\(\)"),
        (lambda x: [0, 1, 2][ops.cast(x, "int32")], "Python index"),
        (lambda x: x.numpy(), r"numpy\(\)"),
        (lambda x: np.asarray(x), "np.asarray"),
    ],
)
def test_python_control_flow_names_the_line_and_the_way_out(body, what):
    with pytest.raises(TypeError, match=rf"{what}.*test_function.py:\d+.*ops.cond.*ops.while_loop.*ops.scan"):
        function(body)(np.float32(1))


def test_a_tensor_that_escapes_its_trace():
    kept = []

    @function
    def leak(x):
        kept.append(x * 2.0)
        return x

    leak(np.float32(1))
    with pytest.raises(TypeError, match=r"\[add\].*used after the trace has ended.*Fix: return it"):
        kept[0] + 1.0


def test_input_signature():
    f = function(lambda x: x * 2.0, input_signature=[TensorSpec((None, 3), "float32")])
    assert f(np.ones((2, 3), "float32")).shape == (2, 3)
    with pytest.raises(
        ValueError, match=r"argument 0 does not fit the input_signature float32\[\?,3\]. Received: float32\[2,4\]"
    ):
        f(np.ones((2, 4), "float32"))


def test_an_argument_that_cannot_be_hashed():
    with pytest.raises(ValueError, match="cannot be hashed.*Fix: pass numbers"):
        function(lambda x, s: x)(np.float32(1), {1, 2})


def test_inside_another_function_it_is_part_of_it():
    inner = function(lambda x: x * 2.0)
    outer = function(lambda x: inner(x) + 1.0)
    assert float(outer(np.float32(3))) == 7.0
    assert [n.op.name for n in outer.get_graph(np.float32(3)).nodes] == ["multiply", "add"]


def test_two_threads_trace_at_once():
    results = {}

    def work(i):
        f = function(lambda x: ops.sum(x * float(i)))
        results[i] = [float(f(np.ones(3, "float32"))) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {i: [3.0 * i] * 20 for i in range(4)}


def test_a_failed_trace_leaves_everything_usable():
    v = Variable(1.0)

    @function
    def bad(x):
        v.assign_add(1.0)
        return ops.add(x, as_tensor(np.ones((3,), "float32")))

    with pytest.raises(ValueError, match=r"\[add\]"):
        bad(np.ones((2,), "float32"))
    assert float(v) == 1.0 and float(as_tensor(1.0) + 1.0) == 2.0


def test_zeros_of_either_sign_and_nan_as_arguments():
    signed, traced = counted(lambda x, k: ops.arctan2(x * k, -1.0))
    x = as_tensor([1.0])
    assert float(signed(x, 0.0)[0]) == -float(signed(x, -0.0)[0]) != 0
    assert len(traced) == 2
    for _ in range(3):
        assert np.isnan(signed(x, float("nan")).numpy()).all()
    assert len(traced) == 3


class Slotted:
    __slots__ = ("__weakref__", "w")

    def __init__(self, w):
        self.w = Variable(w)

    @function
    def scaled(self, x):
        TRACED.append(1)
        return x * self.w


TRACED: list[int] = []


def test_a_method_of_a_class_with_slots():
    one, two = Slotted(2.0), Slotted(3.0)
    TRACED.clear()
    for _ in range(3):
        assert float(one.scaled(1.0)) == 2.0 and float(two.scaled(1.0)) == 3.0
    assert len(TRACED) == 2
    kept = Slotted.__dict__["scaled"]._by_instance
    assert len(kept) == 2
    del one, two
    gc.collect()
    assert not kept


def test_a_method_of_a_class_that_graphs_cannot_be_kept_for():
    class Closed:
        __slots__ = ()

        @function
        def double(self, x):
            return x * 2.0

    with pytest.raises(ValueError, match=r"\[double\].*Closed.*Fix: add '__weakref__'"):
        Closed().double(1.0)


def test_an_input_signature_makes_tensors_of_numbers_and_lists():
    f = function(lambda x, n: x * n, input_signature=[TensorSpec((None,), "float32"), TensorSpec((), "int32")])
    assert f([1, 2], 3).numpy().tolist() == [3.0, 6.0]
    assert f((1.0,), 3).dtype == "float32"
    with pytest.raises(ValueError, match="argument 1 does not fit"):
        f([1.0], 3.5)
    g = function(lambda x: x["a"] + x["b"], input_signature=[{"a": TensorSpec((2,)), "b": TensorSpec(())}])
    assert g({"a": [1, 2], "b": 1}).numpy().tolist() == [2.0, 3.0]


def test_a_setting_that_the_body_reads_retraces():
    probabilities = np.array([[0.0, 1.0]], "float32")
    loss = function(lambda p: ops.categorical_crossentropy(np.array([[1.0, 0.0]], "float32"), p))
    before = float(loss(probabilities)[0])
    config.set_epsilon(1e-3)
    try:
        np.testing.assert_allclose(loss(probabilities), -np.log(1e-3), rtol=1e-5)
    finally:
        config.set_epsilon(1e-7)
    assert float(loss(probabilities)[0]) == before


def test_a_variable_of_which_only_the_shape_is_used():
    shape, factor = Variable(np.ones((2, 3), "float32")), Variable(3.0)
    got = function(lambda x: ops.zeros_like(shape) + x * factor)(np.float32(2))
    np.testing.assert_array_equal(got, np.full((2, 3), 6, "float32"))
