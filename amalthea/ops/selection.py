"""Choosing between values: `where`, `select` and the places where something holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, TraceError, fail
from amalthea.core.op import composite, export, primitive
from amalthea.core.tensor import Tensor, as_tensor, is_symbolic
from amalthea.ops.samples import values
from amalthea.ops.specs import elementwise_spec


def _condition() -> Any:
    return values(2, 3) > 0


@primitive(
    name="where",
    promote=lambda of: (dtypes.bool_, *[dtypes.result_type(*of[1:])] * 2),
    broadcasts=True,
    gradient=(
        None,
        lambda g, out, condition, x1, x2: _where(condition, g, 0),
        lambda g, out, condition, x1, x2: _where(condition, 0, g),
    ),
    samples=lambda: [
        ((_condition(), values(2, 3), values(2, 3, seed=1)), {}),
        ((_condition(), values(3), values(2, 1, seed=1)), {}),
        ((_condition()[0], 1.5, values(2, 3, seed=1)), {}),
    ],
)
def _where(condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """x1 where the condition holds and x2 elsewhere, with broadcasting."""
    return elementwise_spec(condition, x1, x2, dtype=x1.dtype, names=("condition", "x1", "x2"))


@overload
def where(condition: Any) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Any, x1: Any, x2: Any) -> Tensor: ...
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds and x2 elsewhere, with broadcasting, in the common dtype of x1 and x2.

    With the condition alone, the indices where it holds, as `nonzero` gives them. The gradient of x1 is 0 where x2
    is taken and the other way round, whatever the values there; a NaN *inside* the branch not taken still spoils its
    own gradient, so guard the argument, not only the result.

    >>> import amalthea as am
    >>> am.ops.where([True, False], [1.0, 2.0], 0.0).numpy()
    array([1., 0.], dtype=float32)
    """
    if x1 is None and x2 is None:
        return nonzero(condition)
    if x1 is None or x2 is None:
        fail(ArgumentError, "either both x1 and x2 are given or neither", where="where", fix="give both")
    return _where(condition, x1, x2)


def nonzero(x: Any) -> tuple[Tensor, ...]:
    """The places where x is not zero: an int32 vector of indices for each axis. Not for traced tensors.

    >>> import amalthea as am
    >>> [i.tolist() for i in am.ops.nonzero([[0, 1], [2, 0]])]
    [[0, 1], [1, 0]]
    """
    tensor = as_tensor(x)
    if is_symbolic(tensor):
        fail(
            TraceError,
            "how many elements are nonzero depends on their values, which are not known yet",
            where="nonzero",
            received=f"a symbolic tensor of shape {tensor.shape}",
            fix="use ops.where(condition, x1, x2), or multiply by a mask",
        )
    return tuple(as_tensor(i.astype(np.int32)) for i in np.nonzero(tensor.numpy()))


@composite(
    samples=lambda: [
        (([_condition(), ~_condition()], [values(2, 3), values(2, 3, seed=1)]), {"default": 0.5}),
        (([_condition(), ~_condition()], [values(2, 3), values(2, 3, seed=1)]), {}),
    ]
)
def select(condlist: Sequence[Tensor], choicelist: Sequence[Tensor], default: Any = 0) -> Tensor:
    """From each place, the choice whose condition is the first to hold there, else the default.

    >>> import amalthea as am
    >>> x = am.ops.convert_to_tensor([1, 5, 9])
    >>> am.ops.select([x < 3, x < 7], [x, x * 10], default=-1).tolist()
    [1, 50, -1]
    """
    if len(condlist) != len(choicelist):
        fail(
            ArgumentError,
            "there must be a choice for each condition",
            received=f"{len(condlist)} conditions and {len(choicelist)} choices",
            fix="make the lists equally long",
        )
    out: Any = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        out = _where(condition, choice, out)
    return as_tensor(out)


export(__name__)
