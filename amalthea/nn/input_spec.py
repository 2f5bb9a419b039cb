"""`InputSpec`: what a layer expects of the rank, shape and dtype of its input, and the check of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.errors import AmaltheaError, ArgumentError, DTypeError, ShapeError, fail
from amalthea.core.spec import UnknownDim
from amalthea.nn.registry import public


@public("keras.InputSpec", "keras.layers.InputSpec")
class InputSpec:
    """What one input of a layer must look like.

    Args:
        dtype: the dtype it must have, or None for any.
        shape: the shape it must have, batch axis included; None in it is any size.
        ndim, max_ndim, min_ndim: its rank, or bounds of it.
        axes: `{axis: size}`, sizes of single axes (None is any size).
        allow_last_axis_squeeze: also accept one axis of size 1 more or less at the end.
        name: key of this input where data come as a dict.
        optional: whether None is accepted instead of a tensor.

    >>> InputSpec(min_ndim=2, axes={-1: 3})
    InputSpec(min_ndim=2, axes={-1: 3})
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else dtypes.standardize(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if shape is None else len(self.shape)  # type: ignore[arg-type]
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.name = name
        self.optional = optional
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        try:
            self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        except (AttributeError, TypeError, ValueError):
            raise TypeError(
                f"[InputSpec] `axes` must be a dict from axis numbers to sizes. Received: axes={axes!r}. "
                "Fix: for example axes={-1: 64}."
            ) from None
        most = self.ndim if self.ndim is not None else self.max_ndim
        if self.axes and most is not None and max(self.axes) >= most:
            raise ValueError(
                f"[InputSpec] axis {max(self.axes)} does not exist in an input of rank {most}. "
                f"Received: axes={self.axes}. Fix: use axes from 0 to {most - 1}, or negative ones."
            )

    def __repr__(self) -> str:
        facts = {
            "dtype": self.dtype,
            "shape": self.shape,
            "ndim": self.ndim,
            "max_ndim": self.max_ndim,
            "min_ndim": self.min_ndim,
            "axes": self.axes,
        }
        return f"InputSpec({', '.join(f'{key}={value}' for key, value in facts.items() if value)})"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal spec."""
        return {
            "dtype": self.dtype,
            "shape": self.shape,
            "ndim": self.ndim,
            "max_ndim": self.max_ndim,
            "min_ndim": self.min_ndim,
            "axes": self.axes,
            "optional": self.optional,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """The spec that `get_config` described."""
        return cls(**config)


def accepts_quickly(spec: InputSpec, shape: tuple[Any, ...]) -> bool:
    """Whether a single input of this shape surely meets the spec; False sends the caller to the full check."""
    if spec.shape is not None or spec.dtype is not None or spec.max_ndim is not None:
        return False
    rank = len(shape)
    if spec.ndim is not None and rank != spec.ndim:
        return False
    if spec.min_ndim is not None and rank < spec.min_ndim:
        return False
    for axis, size in spec.axes.items():
        if size is not None and shape[axis] != size:
            return False
    return True


def check_inputs(spec: Any, inputs: Any, where: str, weights: Sequence[Any] = ()) -> None:
    """Raise a clear error unless `inputs` (a tensor or a nested structure of tensors) meets `spec`.

    Args:
        spec: an `InputSpec`, a nested structure of them (None in it is unchecked), or None.
        inputs: what the layer was called on.
        where: class name of the layer, for the message; the layer's path comes from the context.
        weights: the layer's variables, the first of which is shown in the message.
    """
    if not spec:
        return
    specs = tree.flatten(spec)
    names = [item.name if item is not None else None for item in specs]
    if isinstance(inputs, dict) and all(names):
        missing = [name for name in names if name not in inputs]
        if missing:
            fail(
                ArgumentError,
                f"there is no input named {missing[0]!r}",
                where=where,
                received=f"a dict with the keys {list(inputs)}",
                fix=f"pass a dict with the keys {names}",
            )
        inputs = [inputs[name] for name in names]
    tensors = tree.flatten(inputs)
    if len(tensors) != len(specs):
        fail(
            ArgumentError,
            f"the layer takes {len(specs)} input(s), but got {len(tensors)}",
            where=where,
            received=", ".join(_shown(x) for x in tensors),
            fix=f"pass a dict with the keys {names}" if all(names) else f"pass {len(specs)} tensor(s)",
        )
    for position, (tensor, item) in enumerate(zip(tensors, specs, strict=True)):
        if item is None or (tensor is None and item.optional):
            continue
        if not hasattr(tensor, "shape"):
            fail(
                ArgumentError,
                f"input {position} is not a tensor",
                where=where,
                received=f"{tensor!r} (of type {type(tensor).__name__})",
                fix="pass tensors or arrays; call a layer on data before giving its output to another layer",
            )
        shape = tuple([None if type(size) is UnknownDim else size for size in tensor.shape])
        problem = _problem(item, shape, tensor.dtype)
        if problem is not None:
            kind, message, fix = problem
            number = f" {position}" if len(specs) > 1 else ""
            received = f"input of {_shown(tensor)}"
            if weights:
                received += f", {weights[0].name} of shape {tuple(weights[0].shape)}"
            fail(kind, f"the input{number} {message}", where=where, received=received, fix=fix)


def _shown(x: Any) -> str:
    return f"shape {tuple(x.shape)}" if hasattr(x, "shape") else repr(x)


def _problem(spec: InputSpec, shape: tuple[Any, ...], dtype: Any) -> tuple[type[AmaltheaError], str, str] | None:
    """(error class, what is wrong, how to mend it), or None when all is well."""
    rank = len(shape)
    if spec.ndim is not None and rank != spec.ndim and not spec.allow_last_axis_squeeze:
        return ShapeError, f"has rank {rank} and the layer expects rank {spec.ndim}", _rank_fix(rank, spec.ndim)
    if spec.max_ndim is not None and rank > spec.max_ndim:
        return ShapeError, f"has rank {rank} and the layer expects at most {spec.max_ndim}", "flatten or reshape it"
    if spec.min_ndim is not None and rank < spec.min_ndim:
        return ShapeError, f"has rank {rank} and the layer expects at least {spec.min_ndim}", _rank_fix(rank, rank + 1)
    if spec.dtype is not None and dtypes.standardize(dtype) != spec.dtype:
        return DTypeError, f"is {dtype} and the layer expects {spec.dtype}", f'cast it: ops.cast(x, "{spec.dtype}")'
    for axis, size in spec.axes.items():
        if size is not None and shape[axis] is not None and shape[axis] != size:
            last = axis in (-1, rank - 1)
            place = f"{shape[axis]} features on its last axis" if last else f"size {shape[axis]} on axis {axis}"
            return (
                ShapeError,
                f"has {place} and the layer expects {size}",
                f"give an input of size {size} there, or make a new layer for the new size",
            )
    if spec.shape is not None:
        expected, found = spec.shape, shape
        if spec.allow_last_axis_squeeze:
            found = found[:-1] if found and found[-1] == 1 else found
            expected = expected[:-1] if expected and expected[-1] == 1 else expected
        agree = all(a is None or b is None or a == b for a, b in zip(expected, found, strict=False))
        if len(expected) != len(found) or not agree:
            return ShapeError, f"does not have the shape {spec.shape} that the layer expects", "reshape the input"
    return None


def _rank_fix(rank: int, wanted: int) -> str:
    if rank == wanted - 1:
        return "add the missing axis, for example x[None] for a batch of one or x[..., None] for one channel"
    return f"reshape the input to rank {wanted}"
