"""`Softmax` as a layer."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["Softmax"]


@public("keras.layers.Softmax")
class Softmax(Layer):
    """Positive numbers that sum to 1 along an axis: `exp(x) / sum(exp(x))`.

    Args:
        axis: the axis, or a list of axes that count as one.

    `call` takes a `mask` that broadcasts to the input: masked positions get 0.

    >>> import amalthea as am
    >>> float(am.ops.sum(am.layers.Softmax()(am.ops.array([1.0, 2.0, 3.0]))).numpy().round(5))
    1.0
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor, mask: Any = None) -> Tensor:
        """The softmax of the inputs."""
        if mask is not None:
            self._check_mask(inputs, mask)
            if mask.dtype != "bool":
                mask = mask > 0.5
            inputs = ops.where(mask, inputs, -3e4 if inputs.dtype == "float16" else -1e9)
        axes = self.axis if isinstance(self.axis, (list, tuple)) else [self.axis]
        if len(axes) > 1:
            outputs = ops.exp(inputs - ops.logsumexp(inputs, axis=tuple(axes), keepdims=True))
        else:
            outputs = ops.softmax(inputs, axis=axes[0])
        return outputs if mask is None else ops.where(mask, outputs, 0.0)

    def _check_mask(self, inputs: Tensor, mask: Any) -> None:
        sizes = zip(mask.shape[::-1], inputs.shape[::-1], strict=False)
        if len(mask.shape) > len(inputs.shape) or any(m not in (1, None) and m != n for m, n in sizes):
            fail(
                ShapeError,
                "the mask does not broadcast to the input",
                where="Softmax",
                received=f"input of shape {tuple(inputs.shape)}, mask of shape {tuple(mask.shape)}",
                fix="each size of the mask must be 1 or the input's",
            )

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "axis": self.axis}
