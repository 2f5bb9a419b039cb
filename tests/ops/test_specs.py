"""Every op: the shape and dtype that its record declares are those of what was computed; kernels match primitives."""

import inspect

import keras
import numpy as np
import pytest

import amalthea.ops
from amalthea.core import dtypes, tree
from amalthea.core.backend import active
from amalthea.core.infer import abstract_call
from amalthea.core.op import registry
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import Tensor
from amalthea.core.trace import trace
from tests.ops.sampling import sample_calls, with_tensors


def cases():
    return [pytest.param(function, bound, id=name) for name, function, bound in sample_calls()]


def specs_of(structure):
    return [TensorSpec(t.shape, t.dtype) for t in tree.flatten(structure) if isinstance(t, Tensor)]


@pytest.mark.parametrize(("function", "bound"), cases())
def test_declared_spec_is_the_computed_one(function, bound):
    bound = with_tensors(function.op, bound)
    computed = function(**bound)
    declared = [
        s if isinstance(s, TensorSpec) else TensorSpec(s.shape, s.dtype)
        for s in tree.flatten(abstract_call(lambda **a: function(**a), **bound))
        if isinstance(s, (Tensor, TensorSpec))
    ]
    assert declared == specs_of(computed)
    for t in tree.flatten(computed):
        assert not isinstance(t, Tensor) or type(t._array) is np.ndarray


def test_no_input_is_changed():
    for name, function, bound in sample_calls():
        arrays = [x for x in tree.flatten(bound) if isinstance(x, np.ndarray)]
        before = [x.copy() for x in arrays]
        function(**bound)
        for x, y in zip(arrays, before, strict=True):
            assert np.array_equal(x, y, equal_nan=x.dtype.kind == "f"), name


def test_primitives_and_kernels_are_the_same_set():
    primitives = {name for name, function in registry.items() if function.op.kind == "primitive"}
    assert primitives - set(active.kernels) == set(), "primitives without a kernel"
    assert set(active.kernels) - set(registry) == set(), "kernels without an op"


def test_there_are_about_a_hundred_primitives():
    assert sum(function.op.kind == "primitive" for function in registry.values()) <= 110


def test_every_op_has_samples_and_an_example():
    for name, function in registry.items():
        assert function.op.samples(), name
    public = [f for n, f in vars(amalthea.ops).items() if inspect.isfunction(f) and hasattr(keras.ops, n)]
    assert [f.__name__ for f in public if ">>>" not in (f.__doc__ or "")] == []


def alike(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    if dtypes.is_floating(a.dtype):
        np.testing.assert_allclose(a.numpy().astype("float64"), b.numpy().astype("float64"), rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(("function", "bound"), cases())
def test_a_traced_call_computes_the_same(function, bound):
    op = function.op
    bound = with_tensors(op, bound)
    tensors = {name: bound[name] for name in op.tensors if bound[name] is not None}
    static = {name: value for name, value in bound.items() if name not in tensors}
    graph = trace(lambda given: function(**given, **static), tensors, level="op").verify()
    eager = [t for t in tree.flatten(function(**bound)) if isinstance(t, Tensor)]
    for run in (graph, graph.expand("primitive").verify()):
        traced = [t for t in tree.flatten(run.run(tensors)) if isinstance(t, Tensor)]
        for a, b in zip(traced, eager, strict=True):
            alike(a, b)
