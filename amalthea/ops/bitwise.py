"""Ops on the bits of integers."""

from __future__ import annotations

from amalthea.core.op import composite, export, nondifferentiable, primitive
from amalthea.core.tensor import Tensor
from amalthea.ops.samples import integers, values
from amalthea.ops.specs import elementwise_spec, require


def _pair() -> list[tuple[tuple[object, ...], dict[str, object]]]:
    a, b = integers(2, 3, low=-20, high=20), integers(3, high=20, seed=1)
    return [((a, b), {}), ((values(4) > 0, values(4, seed=1) > 0), {}), ((a.astype("uint32"), b.astype("uint32")), {})]


def _shift() -> list[tuple[tuple[object, ...], dict[str, object]]]:
    a, b = integers(2, 3, low=-20, high=20), integers(3, high=5, seed=1)
    return [((a, b), {}), ((a, 2), {}), ((a.astype("uint32"), b.astype("uint32")), {})]


@primitive(promote="common", broadcasts=True, gradient=nondifferentiable, samples=_pair)
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in both x and y. For integers and bools.

    >>> import amalthea as am
    >>> am.ops.bitwise_and(6, 3).item()
    2
    """
    require(x, "integer", "bool")
    return elementwise_spec(x, y, names=("x", "y"))


@primitive(promote="common", broadcasts=True, gradient=nondifferentiable, samples=_pair)
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in x or y. For integers and bools.

    >>> import amalthea as am
    >>> am.ops.bitwise_or(6, 3).item()
    7
    """
    require(x, "integer", "bool")
    return elementwise_spec(x, y, names=("x", "y"))


@primitive(promote="common", broadcasts=True, gradient=nondifferentiable, samples=_pair)
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """The bits set in one of x and y only. For integers and bools.

    >>> import amalthea as am
    >>> am.ops.bitwise_xor(6, 3).item()
    5
    """
    require(x, "integer", "bool")
    return elementwise_spec(x, y, names=("x", "y"))


@primitive(
    gradient=nondifferentiable, samples=lambda: [((integers(2, 3, low=-20, high=20),), {}), ((values(4) > 0,), {})]
)
def bitwise_not(x: Tensor) -> Tensor:
    """The bits not set in x (for bools, the logical not). For integers and bools.

    >>> import amalthea as am
    >>> am.ops.bitwise_not([0, 5]).tolist()
    [-1, -6]
    """
    require(x, "integer", "bool")
    return elementwise_spec(x)


@composite(gradient=nondifferentiable, samples=lambda: [((integers(2, 3),), {})])
def bitwise_invert(x: Tensor) -> Tensor:
    """Another name of `bitwise_not`.

    >>> import amalthea as am
    >>> am.ops.bitwise_invert(0).item()
    -1
    """
    return bitwise_not(x)


@primitive(promote="common", broadcasts=True, gradient=nondifferentiable, samples=_shift)
def left_shift(x: Tensor, y: Tensor) -> Tensor:
    """The bits of x moved y places up, zeros coming in; 0 where y is the width of the dtype or more. For integers.

    >>> import amalthea as am
    >>> am.ops.left_shift([1, 3], 2).tolist()
    [4, 12]
    """
    require(x, "integer")
    return elementwise_spec(x, y, names=("x", "y"))


@primitive(promote="common", broadcasts=True, gradient=nondifferentiable, samples=_shift)
def right_shift(x: Tensor, y: Tensor) -> Tensor:
    """The bits of x moved y places down. For integers.

    The sign bit comes in for signed dtypes (arithmetic shift), zeros for unsigned ones (logical shift).

    >>> import amalthea as am
    >>> am.ops.right_shift([8, -8], 2).tolist()
    [2, -2]
    """
    require(x, "integer")
    return elementwise_spec(x, y, names=("x", "y"))


@composite(gradient=nondifferentiable, samples=_shift)
def bitwise_left_shift(x: Tensor, y: Tensor) -> Tensor:
    """Another name of `left_shift`.

    >>> import amalthea as am
    >>> am.ops.bitwise_left_shift(1, 3).item()
    8
    """
    return left_shift(x, y)


@composite(gradient=nondifferentiable, samples=_shift)
def bitwise_right_shift(x: Tensor, y: Tensor) -> Tensor:
    """Another name of `right_shift`.

    >>> import amalthea as am
    >>> am.ops.bitwise_right_shift(8, 3).item()
    1
    """
    return right_shift(x, y)


export(__name__)
