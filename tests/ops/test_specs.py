"""Every op: the shape and dtype that its record declares are those of what was computed; kernels match primitives."""

import inspect
import sys
import types

import keras
import numpy as np
import pytest

import amalthea.ops
from amalthea.core import backend, dtypes, tree
from amalthea.core.backend import active
from amalthea.core.errors import UnsupportedError
from amalthea.core.function import function as traced
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
        assert not isinstance(t, Tensor) or isinstance(t._array, active.array_type)


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


def unexported():
    """Registered ops that their module does not export, or that `am.ops` has not got.

    An op declared as a function of another name is the inside of a public function.
    """
    found = []
    for name, function in registry.items():
        space = vars(sys.modules[function.op.module])
        if not function.op.module.startswith("amalthea.ops.") or name not in space:
            continue
        if name not in space.get("__all__", ()):
            found.append(f"{function.op.module}: {name}")
        elif not any(hasattr(public, name) for public in (amalthea.ops, amalthea.ops.image, amalthea.ops.linalg)):
            found.append(f"am.ops: {name}")
    return found


def test_every_registered_op_is_exported():
    message = "end the module with export(__name__), and star-import it in amalthea/ops/__init__.py"
    assert unexported() == [], message


def test_an_op_after_the_export_is_noticed(monkeypatch):
    """What happens to a module whose last line, `export(__name__)`, is missing or stands above an op."""
    module = types.ModuleType("amalthea.ops.forgetful")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(
        "from amalthea.core.op import composite, export\nfrom amalthea.core.tensor import Tensor\nexport(__name__)\n"
        "@composite(samples=lambda: [((1.0,), {})])\ndef left_out(x: Tensor) -> Tensor:\n    'x'\n    return x\n",
        vars(module),
    )
    try:
        assert unexported() == ["amalthea.ops.forgetful: left_out"]
    finally:
        del registry["left_out"]


def test_the_names_of_ops_are_ops():
    names = dir(amalthea.ops)
    assert {"add", "matmul", "nonzero", "image", "linalg", "nn"} <= set(names)
    assert not [n for n in names if n in ("annotations", "methods", "specs") or n.startswith("_")]
    with pytest.raises(AttributeError, match=r"no attribute 'matmull'. Fix: did you mean matmul\?"):
        amalthea.ops.matmull  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        amalthea.ops.frobnicate  # noqa: B018


def test_a_primitive_without_a_kernel_says_where_to_add_one(monkeypatch):
    with backend.backend_scope("numpy"):
        for table in (active.kernels, active.backend.bare_kernels):
            monkeypatch.delitem(table, "erfinv")
        for call in (amalthea.ops.erfinv, traced(lambda x: amalthea.ops.erfinv(x) + 0.5)):
            with pytest.raises(UnsupportedError, match=r"\[erfinv\].*no kernel.*amalthea/backends/numpy") as error:
                call(amalthea.ops.ones(2))
            assert "set_backend" in str(error.value)


def test_there_are_about_a_hundred_primitives():
    assert sum(function.op.kind == "primitive" for function in registry.values()) <= 110


def test_every_op_has_samples_and_an_example():
    for name, function in registry.items():
        assert function.op.samples(), name
    public = [getattr(amalthea.ops, n) for n in dir(amalthea.ops) if hasattr(keras.ops, n)]
    public = [f for f in public if inspect.isfunction(f)]
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
