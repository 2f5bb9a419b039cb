"""Layers that combine several tensors into one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


class Merge(Layer):
    """Base of the layers that take a list of tensors."""

    _exactly: int | None = None  # how many tensors, where it is not any number

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Check that the shapes go together."""
        if not isinstance(input_shape, (list, tuple)) or not input_shape or not _are_shapes(input_shape):
            self._refuse("the layer takes a list of tensors", input_shape, "call it as layer([x, y])", ArgumentError)
        if self._exactly is not None and len(input_shape) != self._exactly:
            self._refuse(
                f"the layer takes {self._exactly} tensors", input_shape, "call it as layer([x, y])", ArgumentError
            )
        self._check_shapes([tuple(shape) for shape in input_shape])

    def _refuse(self, message: str, shapes: Any, fix: str, kind: Any = ShapeError) -> None:
        several = isinstance(shapes, (list, tuple)) and shapes and _are_shapes(shapes)
        shown = ", ".join(str(tuple(shape)) for shape in shapes) if several else str(shapes)
        fail(kind, message, where=type(self).__name__, received=f"inputs of shapes {shown}", fix=fix)

    def _check_shapes(self, shapes: list[tuple[Any, ...]]) -> None:
        """Sizes must be equal or 1, counted from the last axis; the batch axes too."""
        if len({shape[0] for shape in shapes if shape and shape[0] is not None}) > 1:
            self._refuse("the tensors have different batch sizes", shapes, "give batches of the same size")
        columns: dict[int, set[Any]] = {}
        for shape in shapes:
            for place, size in enumerate(reversed(shape[1:])):
                columns.setdefault(place, set()).add(size)
        if any(len(sizes - {1, None}) > 1 for sizes in columns.values()):
            self._refuse("the shapes do not broadcast", shapes, "give tensors of equal sizes, or sizes of 1")

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The combined inputs."""
        rank = max(x.ndim for x in inputs)
        aligned = [x if x.ndim == rank else _with_rank(x, rank) for x in inputs]
        return self._merge(aligned)

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        raise NotImplementedError

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where any input's mask is; None if an input has none."""
        if mask is None or any(m is None for m in mask):
            return None
        return functools.reduce(ops.logical_or, mask)


def _are_shapes(shapes: Any) -> bool:
    return all(isinstance(shape, (list, tuple)) for shape in shapes)


def _with_rank(x: Tensor, rank: int) -> Tensor:
    """`x` with axes of size 1 put in after the batch axis."""
    return ops.reshape(x, (x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:]))


class _Elementwise(Merge):
    """A merge by an op of two tensors."""

    _op: Callable[..., Tensor]

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return functools.reduce(type(self)._op, inputs)


class _Extreme(_Elementwise):
    """Maximum and minimum, which have no neutral element: masked positions take the other input's value."""

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        output, output_mask = None, None
        for x in inputs:
            mask = getattr(x, "_keras_mask", None)
            if mask is not None:
                mask = ops.broadcast_to(ops.expand_dims(mask, -1), x.shape)
            if output is None:
                output, output_mask = x, mask
                continue
            if mask is not None:
                x = ops.where(mask, x, output)
            if output_mask is not None:
                output = ops.where(output_mask, output, x)
            both = mask is not None and output_mask is not None
            output_mask = ops.logical_or(output_mask, mask) if both else None
            output = type(self)._op(output, x)
        return output  # type: ignore[return-value]


@public("keras.layers.Add")
class Add(_Elementwise):
    """The sum of the inputs.

    >>> import amalthea as am
    >>> float(am.layers.Add()([am.ops.ones((1, 1)), am.ops.ones((1, 1))])[0, 0])
    2.0
    """

    _op = staticmethod(ops.add)


@public("keras.layers.Subtract")
class Subtract(_Elementwise):
    """The first of two inputs minus the second.

    >>> import amalthea as am
    >>> float(am.layers.Subtract()([am.ops.ones((1, 1)), am.ops.ones((1, 1))])[0, 0])
    0.0
    """

    _exactly = 2
    _op = staticmethod(ops.subtract)


@public("keras.layers.Multiply")
class Multiply(_Elementwise):
    """The product of the inputs, element by element.

    >>> import amalthea as am
    >>> float(am.layers.Multiply()([am.ops.ones((1, 1)), am.ops.ones((1, 1))])[0, 0])
    1.0
    """

    _op = staticmethod(ops.multiply)

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        masks = [getattr(x, "_keras_mask", None) for x in inputs]
        wide = [None if m is None else ops.broadcast_to(ops.expand_dims(m, -1), inputs[0].shape) for m in masks]
        # A masked position counts as 1, the neutral element, so that it leaves the others as they are.
        kept = [x if m is None else ops.where(m, x, ops.ones_like(x)) for m, x in zip(wide, inputs, strict=True)]
        output = functools.reduce(ops.multiply, kept)
        if all(m is not None for m in wide):
            output = ops.where(functools.reduce(ops.logical_or, wide), output, ops.zeros_like(output))
        return output


@public("keras.layers.Average")
class Average(_Elementwise):
    """The mean of the inputs.

    >>> import amalthea as am
    >>> float(am.layers.Average()([am.ops.ones((1, 1)), am.ops.zeros((1, 1))])[0, 0])
    0.5
    """

    _op = staticmethod(ops.add)

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return super()._merge(inputs) / len(inputs)


@public("keras.layers.Maximum")
class Maximum(_Extreme):
    """The largest of the inputs, element by element.

    >>> import amalthea as am
    >>> float(am.layers.Maximum()([am.ops.ones((1, 1)), am.ops.zeros((1, 1))])[0, 0])
    1.0
    """

    _op = staticmethod(ops.maximum)


@public("keras.layers.Minimum")
class Minimum(_Extreme):
    """The smallest of the inputs, element by element.

    >>> import amalthea as am
    >>> float(am.layers.Minimum()([am.ops.ones((1, 1)), am.ops.zeros((1, 1))])[0, 0])
    0.0
    """

    _op = staticmethod(ops.minimum)


@public("keras.layers.Concatenate")
class Concatenate(Merge):
    """The inputs one after the other along an axis; all other sizes must agree.

    Args:
        axis: the axis.

    >>> import amalthea as am
    >>> am.layers.Concatenate()([am.ops.ones((2, 3)), am.ops.ones((2, 4))]).shape
    (2, 7)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def _check_shapes(self, shapes: list[tuple[Any, ...]]) -> None:
        rank = len(shapes[0])
        if any(len(shape) != rank for shape in shapes):
            self._refuse("the tensors have different ranks", shapes, "reshape them to the same rank")
        if not -rank <= self.axis < rank:
            self._refuse(f"there is no axis {self.axis}", shapes, f"choose an axis from {-rank} to {rank - 1}")
        for axis in range(rank):
            if axis != self.axis % rank and len({shape[axis] for shape in shapes} - {None}) > 1:
                self._refuse(
                    f"the sizes of axis {axis} differ, and only axis {self.axis} is concatenated",
                    shapes,
                    "give tensors that agree there, or concatenate along that axis",
                )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The concatenated inputs."""
        return ops.concatenate(list(inputs), axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The masks joined in the same way; inputs without a mask count as unmasked."""
        if mask is None or all(m is None for m in mask):
            return None
        full = []
        for x, m in zip(inputs, mask, strict=True):
            if m is None:
                m = ops.ones_like(x, dtype="bool")
            elif m.ndim < x.ndim:
                m = ops.logical_or(ops.expand_dims(m, -1), ops.zeros_like(x, dtype="bool"))
            full.append(m)
        return ops.any(ops.concatenate(full, axis=self.axis), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "axis": self.axis}


@public("keras.layers.Dot")
class Dot(Merge):
    """The inner products of two tensors along one axis of each, example by example.

    Args:
        axes: the axis of both, or `(axis of the first, axis of the second)`; not the batch axis.
        normalize: whether the vectors are scaled to length 1 first, which gives cosines.

    Inputs of shapes `(2, 3, 5)` and `(2, 10, 3)` with `axes=(1, 2)` give `(2, 5, 10)`.

    >>> import amalthea as am
    >>> am.layers.Dot(axes=(1, 2))([am.ops.ones((2, 3, 5)), am.ops.ones((2, 10, 3))]).shape
    (2, 5, 10)
    """

    _exactly = 2

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = isinstance(axes, (list, tuple)) and len(axes) == 2 and all(isinstance(axis, int) for axis in axes)
        if not isinstance(axes, int) and not pair:
            fail(
                ArgumentError,
                "`axes` must be a whole number or two of them",
                where="Dot",
                received=f"axes={axes!r}",
                fix="for example axes=1 or axes=(1, 2)",
            )
        self.axes = axes
        self.normalize = normalize

    def _both_axes(self, shapes: Sequence[tuple[Any, ...]]) -> list[int]:
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        return [axis % len(shape) for axis, shape in zip(axes, shapes, strict=True)]

    def _check_shapes(self, shapes: list[tuple[Any, ...]]) -> None:
        if any(len(shape) < 2 for shape in shapes):
            self._refuse("the tensors need two axes or more", shapes, "add a batch axis: x[None]")
        first, second = self._both_axes(shapes)
        if 0 in (first, second):
            self._refuse("the batch axis cannot be summed over", shapes, "choose axes from 1 on")
        sizes = {shapes[0][first], shapes[1][second]} - {None}
        if len(sizes) > 1:
            self._refuse(
                f"axis {first} of the first has another size than axis {second} of the second",
                shapes,
                "choose axes of equal size",
            )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The inner products."""
        x, y = inputs
        first, second = self._both_axes([x.shape, y.shape])
        if self.normalize:
            x, y = ops.normalize(x, axis=first), ops.normalize(y, axis=second)
        letters_x = ["b", *(chr(ord("c") + i) for i in range(x.ndim - 1))]
        letters_y = ["b", *(chr(ord("m") + i) for i in range(y.ndim - 1))]
        letters_x[first] = letters_y[second] = "a"
        kept = "".join(["b", *(letter for letter in letters_x + letters_y if letter not in "ab")])
        output = ops.einsum(f"{''.join(letters_x)},{''.join(letters_y)}->{kept}", x, y)
        return output if output.ndim > 1 else ops.expand_dims(output, -1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: an inner product has no masked positions."""
        return None

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


@public("keras.layers.add")
def add(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """`Add(**kwargs)(inputs)`.

    >>> float(add([ops.ones((1, 1)), ops.ones((1, 1))])[0, 0])
    2.0
    """
    return Add(**kwargs)(inputs)


@public("keras.layers.subtract")
def subtract(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """`Subtract(**kwargs)(inputs)`.

    >>> float(subtract([ops.ones((1, 1)), ops.ones((1, 1))])[0, 0])
    0.0
    """
    return Subtract(**kwargs)(inputs)


@public("keras.layers.multiply")
def multiply(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """`Multiply(**kwargs)(inputs)`.

    >>> float(multiply([ops.ones((1, 1)), ops.ones((1, 1))])[0, 0])
    1.0
    """
    return Multiply(**kwargs)(inputs)


@public("keras.layers.average")
def average(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """`Average(**kwargs)(inputs)`.

    >>> float(average([ops.ones((1, 1)), ops.ones((1, 1))])[0, 0])
    1.0
    """
    return Average(**kwargs)(inputs)


@public("keras.layers.maximum")
def maximum(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """`Maximum(**kwargs)(inputs)`.

    >>> float(maximum([ops.ones((1, 1)), ops.zeros((1, 1))])[0, 0])
    1.0
    """
    return Maximum(**kwargs)(inputs)


@public("keras.layers.minimum")
def minimum(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """`Minimum(**kwargs)(inputs)`.

    >>> float(minimum([ops.ones((1, 1)), ops.zeros((1, 1))])[0, 0])
    0.0
    """
    return Minimum(**kwargs)(inputs)


@public("keras.layers.concatenate")
def concatenate(inputs: Sequence[Tensor], axis: int = -1, **kwargs: Any) -> Tensor:
    """`Concatenate(axis, **kwargs)(inputs)`.

    >>> concatenate([ops.ones((2, 3)), ops.ones((2, 4))]).shape
    (2, 7)
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


@public("keras.layers.dot")
def dot(inputs: Sequence[Tensor], axes: Any = -1, **kwargs: Any) -> Tensor:
    """`Dot(axes, **kwargs)(inputs)`.

    >>> dot([ops.ones((2, 3)), ops.ones((2, 3))], axes=1).shape
    (2, 1)
    """
    return Dot(axes=axes, **kwargs)(inputs)
