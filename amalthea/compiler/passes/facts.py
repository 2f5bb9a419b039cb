"""What passes know of ops and of values."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from amalthea.compiler.passes.rewriting import Sweep
from amalthea.core.node import Constant, Node
from amalthea.core.value import Value

COMMUTATIVE = frozenset({"add", "multiply", "equal", "bitwise_and", "bitwise_or", "bitwise_xor"})
"""Ops whose two inputs may be exchanged without a change of any bit (but the payload of a NaN).

Not maximum and minimum: of 0.0 and -0.0 either may come out, and which depends on the order.
"""

UNARY = frozenset(
    {
        "abs", "bitwise_not", "cast", "cos", "erf", "erfc", "erfinv", "exp", "expm1", "floor", "isfinite", "log",
        "log1p", "negative", "round_half_even", "sigmoid", "sign", "sin", "sqrt", "stop_gradient", "tanh",
    }
)  # fmt: skip
"""Ops that compute each element of the result from the one element of the input at the same place."""

BROADCASTING = frozenset(
    {
        "add", "arctan2", "bitwise_and", "bitwise_or", "bitwise_xor", "divide", "equal", "floor_divide", "left_shift",
        "less", "less_equal", "maximum", "minimum", "mod", "multiply", "power", "right_shift", "subtract", "where",
    }
)  # fmt: skip
"""Ops that compute element by element of inputs that broadcast."""

ELEMENTWISE = UNARY | BROADCASTING

MOVING = frozenset({"reshape", "transpose", "broadcast_to", "strided_slice", "flip"})
"""Ops that only move or repeat elements of their input."""

LOOK_BACK = 6  # nodes that a fact is followed through


def scalar_of(value: Value) -> Any:
    """The number (a NumPy scalar) if the value is a constant with one element, else None.

    >>> import numpy as np
    >>> import amalthea as am
    >>> from amalthea.core.node import Constant
    >>> scalar_of(Constant(am.Tensor([2.0])))
    np.float32(2.0)
    """
    if type(value) is Constant and (value.spec.shape == () or value.spec.size == 1):
        return _number(value)
    return None


@functools.lru_cache(maxsize=8192)
def _number(constant: Constant) -> Any:
    return constant.tensor.numpy().reshape(-1)[0]


def is_number(value: Value, wanted: float) -> bool:
    """Whether the value is a constant with one element, equal to the number; 0.0 and -0.0 differ."""
    found = scalar_of(value)
    return found is not None and bool(found == wanted) and bool(np.signbit(float(found)) == np.signbit(wanted))


def is_float(value: Value) -> bool:
    return value.spec.dtype.is_floating


def never_negative(sweep: Sweep, value: Value, steps: int = LOOK_BACK) -> bool:
    """Whether it is known that no element is below zero or a negative zero. Elements may be NaN."""
    dtype = value.spec.dtype
    if dtype.startswith("uint") or dtype == "bool":
        return True
    if type(value) is Constant:
        array = value.tensor.numpy()
        if array.size > 4096:
            return False
        wide = array.astype(np.float64) if dtype.is_floating else array
        return bool(np.all((wide > 0) | ((wide == 0) & ~np.signbit(wide)) | np.isnan(wide)))
    node = sweep.maker(value, *_NEVER_NEGATIVE)
    return node is not None and steps > 0 and _NEVER_NEGATIVE[node.op.name](sweep, node, steps - 1)


def _all(sweep: Sweep, node: Node, steps: int) -> bool:
    return all(never_negative(sweep, value, steps) for value in node.inputs)


def _always(sweep: Sweep, node: Node, steps: int) -> bool:
    return True


def _product(sweep: Sweep, node: Node, steps: int) -> bool:
    if not is_float(node.outputs[0]):
        return False  # integers wrap
    return node.inputs[0] is node.inputs[1] or _all(sweep, node, steps)


def _float_all(sweep: Sweep, node: Node, steps: int) -> bool:
    return is_float(node.outputs[0]) and _all(sweep, node, steps)


def _extreme(sweep: Sweep, node: Node, steps: int) -> bool:
    return node.attrs["initial"] is None and _all(sweep, node, steps)


def _chosen(sweep: Sweep, node: Node, steps: int) -> bool:
    return all(never_negative(sweep, value, steps) for value in node.inputs[1:])


def _cast(sweep: Sweep, node: Node, steps: int) -> bool:
    return is_float(node.outputs[0]) and never_negative(sweep, node.inputs[0], steps)


_NEVER_NEGATIVE: dict[str, Any] = {
    **dict.fromkeys(("exp", "sigmoid", "erfc"), _always),
    "abs": lambda sweep, node, steps: is_float(node.outputs[0]),
    **dict.fromkeys(("sqrt", "maximum", "minimum", "floor", *MOVING, "stop_gradient"), _all),
    **dict.fromkeys(("max", "min"), _extreme),
    **dict.fromkeys(("add", "divide", "sum", "prod", "power"), _float_all),
    "multiply": _product,
    "where": _chosen,
    "cast": _cast,
}


def never_negative_zero(sweep: Sweep, value: Value, steps: int = LOOK_BACK) -> bool:
    """Whether it is known that no element is -0.0: a sum is only if both terms are."""
    if not is_float(value) or never_negative(sweep, value, steps):
        return True
    node = sweep.maker(value, "add", "cast", *MOVING)
    if node is None or not steps:
        return False
    if node.op.name == "cast":
        return not is_float(node.inputs[0])  # a small negative number may round to -0.0
    return any(never_negative_zero(sweep, v, steps - 1) for v in node.inputs)
