"""Cross-entropies, element by element and class by class."""

from __future__ import annotations

from typing import Any, NoReturn

from amalthea.core import config, dtypes
from amalthea.core.errors import ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.spec import UnknownDim
from amalthea.core.tensor import Tensor
from amalthea.ops.activations import log_sigmoid, log_softmax
from amalthea.ops.core_ops import cast
from amalthea.ops.elementary import log
from amalthea.ops.elementwise import clip
from amalthea.ops.encoding import one_hot
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.samples import integers, values
from amalthea.ops.shaping import squeeze
from amalthea.ops.specs import normal_axis, show
from amalthea.ops.whole_numbers import as_whole_numbers


def _fail(message: str, target: Any, output: Any, fix: str) -> NoReturn:
    fail(ShapeError, message, received=f"target {show(target.shape)}, output {show(output.shape)}", fix=fix)


def _same(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(
        x == y or isinstance(x, UnknownDim) or isinstance(y, UnknownDim) for x, y in zip(a, b, strict=True)
    )


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    output = output if dtypes.is_floating(output.dtype) else cast(output, dtypes.floatx())
    if from_logits:
        return log_softmax(output, axis=axis)
    output = output / reduce_sum(output, axis=axis, keepdims=True)
    return log(clip(output, config.epsilon(), 1.0 - config.epsilon()))


def _probabilities(*shape: int) -> Any:
    x = values(*shape, low=0.1, high=1.0)
    return x / x.sum(axis=-1, keepdims=True)


@composite(
    samples=lambda: [
        ((_probabilities(2, 3), _probabilities(2, 3)[::-1].copy()), {}),
        ((_probabilities(2, 3), values(2, 3)), {"from_logits": True}),
        ((_probabilities(2, 3, 2), values(2, 3, 2)), {"from_logits": True, "axis": 1}),
    ]
)
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Tensor:
    """-sum(target * log(output)) over the classes.

    Args:
        target: The true probabilities, for example one-hot vectors.
        output: The predicted probabilities, which are made to add up to 1 and kept `am.config.epsilon()` away from
            0 and 1; or logits.
        from_logits: Whether `output` is logits (more accurate than taking the softmax first).
        axis: The axis of the classes, the last by default.

    Returns:
        A tensor without the axis of classes.

    Raises:
        ShapeError: If the shapes differ or are scalar.

    Example:

    >>> import amalthea as am
    >>> am.ops.categorical_crossentropy([0.0, 1.0], [0.0, 1.0]).numpy().round(4).item()
    0.0
    """
    if not _same(target.shape, output.shape) or not output.shape:
        _fail(
            "target and output must have the same shape, with an axis of classes",
            target,
            output,
            "use sparse_categorical_crossentropy if the target is class numbers",
        )
    axis = normal_axis(axis, len(output.shape))
    logs = _log_probabilities(output, from_logits, axis)
    return -reduce_sum(cast(target, logs.dtype) * logs, axis=axis)


@composite(
    samples=lambda: [
        ((integers(3, low=0, high=4), _probabilities(3, 4)), {}),
        ((integers(3, 1, low=0, high=4), values(3, 4)), {"from_logits": True}),
    ]
)
def sparse_categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log(output[target]), with the target a class number.

    Args:
        target: True classes, whole numbers, in the shape of `output` without the axis of classes (a last axis of
            size 1 is allowed). A class that does not exist counts 0.
        output: The predicted probabilities, or logits.
        from_logits: Whether `output` is logits (more accurate than taking the softmax first).
        axis: The axis of the classes, the last by default.

    Returns:
        A tensor of the shape of the target.

    Raises:
        ShapeError: If the shapes do not match.

    Example:

    >>> import amalthea as am
    >>> am.ops.sparse_categorical_crossentropy([1], [[0.0, 1.0]]).numpy().round(4).tolist()
    [0.0]
    """
    if not output.shape:
        _fail("output needs an axis of classes", target, output, "give output at least one axis")
    axis = normal_axis(axis, len(output.shape))
    if len(target.shape) == len(output.shape) and target.shape[-1] == 1:
        target = squeeze(target, axis=-1)
    others = tuple(d for i, d in enumerate(output.shape) if i != axis)
    if not _same(target.shape, others):
        _fail(
            "target must have the shape of output without the axis of classes",
            target,
            output,
            "use categorical_crossentropy if the target is one-hot vectors",
        )
    logs = _log_probabilities(output, from_logits, axis)
    chosen = one_hot(cast(as_whole_numbers(target, "target"), "int32"), output.shape[axis], axis=axis, dtype=logs.dtype)
    return -reduce_sum(chosen * logs, axis=axis)


@composite(
    samples=lambda: [
        ((values(2, 3, low=0.0, high=1.0), values(2, 3, low=0.1, high=0.9, seed=1)), {}),
        ((values(2, 3, low=0.0, high=1.0), values(2, 3, seed=1)), {"from_logits": True}),
    ]
)
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """-target * log(output) - (1 - target) * log(1 - output), element by element.

    Args:
        target: The true probabilities.
        output: The predicted probabilities, kept `am.config.epsilon()` away from 0 and 1; or logits.
        from_logits: Whether `output` is logits (more accurate than taking the sigmoid first).

    Returns:
        A tensor of the same shape.

    Raises:
        ShapeError: If the shapes differ.

    Example:

    >>> import amalthea as am
    >>> am.ops.binary_crossentropy([1.0, 0.0], [0.5, 0.5]).numpy().round(4).tolist()
    [0.6930999755859375, 0.6930999755859375]
    """
    if not _same(target.shape, output.shape):
        _fail("target and output must have the same shape", target, output, "reshape or squeeze one of them")
    output = output if dtypes.is_floating(output.dtype) else cast(output, dtypes.floatx())
    target = cast(target, output.dtype)
    if from_logits:
        return -target * log_sigmoid(output) - (1.0 - target) * log_sigmoid(-output)
    output = clip(output, config.epsilon(), 1.0 - config.epsilon())
    return -(target * log(output) + (1.0 - target) * log(1.0 - output))


export(__name__)
