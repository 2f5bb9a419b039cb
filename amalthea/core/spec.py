"""What is known of a tensor without its values: shape and dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea.core import dtypes

Shape = tuple[int | None, ...]


class UnknownDim(int):
    """A stand-in for a dimension of unknown size, while a rule is evaluated: an int that matches any other size."""

    __slots__ = ()


class TensorSpec:
    """The shape (None where a size is unknown) and dtype of a tensor.

    >>> import amalthea as am
    >>> am.TensorSpec((None, 28, 28), "float32")
    float32[?,28,28]
    """

    __slots__ = ("dtype", "name", "shape")

    shape: Shape
    dtype: dtypes.DType
    name: str | None

    def __init__(self, shape: Sequence[int | None] | int, dtype: Any = None, name: str | None = None) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = dtypes.standardize(dtype)
        self.name = name

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements (of a static shape)."""
        size = 1
        for dim in self.shape:
            size *= dim  # type: ignore[operator]
        return size

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape of a spec whose sizes are all known."""
        return self.shape  # type: ignore[return-value]

    @property
    def is_static(self) -> bool:
        return None not in self.shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and self.shape == other.shape and str(self.dtype) == str(other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, str(self.dtype)))

    def __repr__(self) -> str:
        return f"{self.dtype!s}[{','.join(map(_size_text, self.shape))}]"


def _size_text(size: int | None) -> str:
    return "?" if size is None or isinstance(size, UnknownDim) else str(int(size))


def spec_of(x: Any) -> TensorSpec:
    """The spec of a tensor, a variable, an array or a spec."""
    return x if isinstance(x, TensorSpec) else TensorSpec(x.shape, x.dtype)
