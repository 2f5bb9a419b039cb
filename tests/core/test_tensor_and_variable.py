"""Tensors and variables as objects: conversion, immutability, Python's protocols, and mistakes."""

import copy
import pickle

import numpy as np
import pytest

from amalthea import ops
from amalthea.core.context import name_scope
from amalthea.core.errors import TraceError
from amalthea.core.function import function
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Tensor, as_tensor
from amalthea.core.variable import Variable


@pytest.mark.parametrize(
    "value, dtype",
    [
        (1.5, "float32"),
        (3, "int32"),
        (2**40, "int64"),
        (True, "bool"),
        ([1, 2], "int32"),
        ([1.0, 2.0], "float32"),
        ([[True], [False]], "bool"),
        (np.float64(1), "float64"),
        (np.arange(3), "int64"),
        ([np.float64(1.0)], "float64"),
        (np.zeros((0, 3), "int8"), "int8"),
    ],
)
def test_conversion(value, dtype):
    tensor = as_tensor(value)
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), value)


def test_a_tensor_does_not_change_with_the_array_it_came_from():
    array = np.ones(3, "float32")
    tensor = as_tensor(array)
    array[0] = 5
    assert tensor.numpy().tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        tensor.numpy()[0] = 3


def test_protocols():
    x = as_tensor([[1.0, 2.0]])
    assert len(x) == 1 and [row.shape for row in x] == [(2,)] and x.ndim == 2 and x.size == 2
    assert (
        float(as_tensor(2.5)) == 2.5 and int(as_tensor(3)) == 3 and bool(as_tensor(1)) and [10, 20][as_tensor(1)] == 20
    )
    assert f"{as_tensor(2.5):.2f}" == "2.50" and "shape=(1, 2)" in repr(x)
    assert pickle.loads(pickle.dumps(x)).numpy().tolist() == [[1.0, 2.0]] and copy.deepcopy(x) is x
    assert (np.ones((1, 2), "float32") + x).__class__ is Tensor
    np.testing.assert_array_equal(np.from_dlpack(x), [[1.0, 2.0]])
    assert len({x, as_tensor(1.0)}) == 2


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: as_tensor("text"), "are not numbers"),
        (lambda: as_tensor([[1], [2, 3]]), "ragged"),
        (lambda: as_tensor(object()), "are not numbers"),
        (lambda: as_tensor([1.0, 2.0]).item(), r"one element has an item. Received: shape \(2,\)"),
        (lambda: len(as_tensor(1.0)), "scalar tensor has no length"),
        (lambda: [1][as_tensor(1.5)], "only an integer tensor"),
        (lambda: bool(as_tensor([1, 2])), "one element"),
        (lambda: bool(KerasTensor((2,))), "while a model is built"),
        (lambda: len(KerasTensor((None,))), "not known yet"),
        (lambda: as_tensor([KerasTensor(()), 1.0]), "ops.stack"),
        (lambda: pickle.dumps(KerasTensor(())), "cannot be pickled"),
        (lambda: Variable(KerasTensor(())), "cannot start from a symbolic tensor"),
        (lambda: Variable(np.zeros), "needs a shape"),
        (lambda: Variable(1.0, name="a/b"), "cannot contain '/'"),
        (lambda: Variable([1.0], shape=(2,)), "shape asked for"),
        (lambda: Variable([1.0]).assign([1.0, 2.0]), r"\[assign\].*variable of shape \(1,\)"),
        (lambda: Variable([1], dtype="int32").assign([1.5]), "lose their fractions"),
        (lambda: Variable(1.0).assign(KerasTensor(())), "cannot hold a symbolic tensor"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_variables_are_tensors_to_ops():
    v = Variable([1.0, 2.0], name="v")
    assert (v * 2.0 + v).numpy().tolist() == [3.0, 6.0] and (1.0 - v)[0].numpy() == 0.0
    assert ops.sum(v).item() == 3.0 and np.asarray(v).tolist() == [1.0, 2.0]
    before = v.value
    v.assign_add([1.0, 1.0]).assign_sub(0.5 * v)
    assert before.numpy().tolist() == [1.0, 2.0] and v.numpy().tolist() == [1.0, 1.5]
    v.assign(np.array([1, 2]))
    assert v.dtype == "float32" and v.path == "v" and "path=v" in repr(v)
    clone = copy.deepcopy(v)
    clone.assign([9.0, 9.0])
    assert v.numpy().tolist() == [1.0, 2.0]


def test_the_array_a_variable_gives_is_a_copy():
    v = Variable([1.0])
    v.numpy()[0] = 5.0
    assert v.numpy().tolist() == [1.0]


def test_a_variable_that_does_not_fit_memory_is_named(monkeypatch):
    huge = r"'big/kernel' of shape \(100000, 100000000\) and dtype float32 takes 37,252.9 GiB"
    with name_scope("big"), pytest.raises(MemoryError, match=huge):
        Variable(lambda shape, dtype: pytest.fail("was made"), shape=(10**5, 10**8), name="kernel")

    def exhausted(shape, dtype):
        raise MemoryError("bare")

    with pytest.raises(MemoryError, match=r"'small' of shape \(2,\).*Fix: "):
        Variable(exhausted, shape=(2,), name="small")


def test_specs():
    assert TensorSpec((None, 3)) == TensorSpec([None, 3], "float32") and len({TensorSpec(()), TensorSpec(())}) == 1
    assert repr(TensorSpec((None, 3))) == "float32[?,3]" and not TensorSpec((None,)).is_static


@pytest.mark.parametrize(
    "ask, what",
    [
        (lambda x: f"{x:.2f}", r"the format '\.2f'"),
        (lambda x: "{:>8}".format(x), "the format '>8'"),  # noqa: UP032
        (lambda x: float(x), r"float\(\)"),
        (lambda x: np.from_dlpack(x), "DLPack"),
    ],
)
def test_a_traced_tensor_has_no_value_to_show(ask, what):
    with pytest.raises(TraceError, match=f"{what} needs the value.*test_tensor_and_variable.py"):
        function(ask)(as_tensor(1.0))


def test_a_traced_tensor_is_shown_without_a_value():
    shown = []
    function(lambda x: shown.append(f"{x}") or x)(as_tensor(1.0))
    assert shown[0].startswith("<KerasTensor")


@pytest.mark.parametrize("ask", [lambda x: x.numpy(), float, np.mean, lambda x: f"{x:.1f}"])
def test_a_tensor_that_left_its_trace_says_so(ask):
    leaked = []
    function(lambda x: leaked.append(x * 2) or x)(as_tensor(1.0))
    with pytest.raises(TraceError, match="the trace that it belongs to has ended .*Fix: return it"):
        ask(leaked[0])
