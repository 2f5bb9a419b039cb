"""TimeDistributed: one layer, applied to every step of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.context import layer_scope
from amalthea.core.errors import ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.layers.conv_base import ConvolutionLayer
from amalthea.nn.layers.dense import Dense
from amalthea.nn.layers.flatten import Flatten
from amalthea.nn.layers.global_pooling import BaseGlobalPooling
from amalthea.nn.layers.pooling import BasePooling
from amalthea.nn.layers.wrapper import Wrapper, takes
from amalthea.nn.objects import public

# These treat every sample alone and keep no statistics, so the steps can be samples of one large batch.
_SAMPLE_BY_SAMPLE = (Dense, ConvolutionLayer, BasePooling, BaseGlobalPooling, Flatten)


@public("keras.layers.TimeDistributed")
class TimeDistributed(Wrapper):
    """Applies a layer to each step of a sequence, with the same weights.

    Input (batch, steps, ...), output (batch, steps, ...): what the layer makes of each (batch, ...).

    Args:
        layer: the layer to apply.

    Call arguments: inputs, training and mask (batch, steps, ...), passed on to the layer, where it takes them.

    >>> import amalthea as am
    >>> video = am.ops.ones((2, 5, 8, 8, 3))
    >>> am.layers.TimeDistributed(am.layers.Conv2D(4, 3))(video).shape
    (2, 5, 6, 6, 4)
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _step_shape(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        if not isinstance(shape, (list, tuple)) or len(shape) < 3:
            fail(
                ShapeError,
                "the input must have at least 3 axes (batch, steps, ...)",
                where=type(self).__name__,
                received=f"input {tuple(shape)}",
                fix="use the wrapped layer without TimeDistributed, or add the axis of the steps",
            )
        return (shape[0], *shape[2:])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The output shape for an input shape; unknown sizes are None."""
        shape = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (shape[0], input_shape[1], *shape[1:])

    def build(self, input_shape: Sequence[int | None]) -> None:  # type: ignore[override]
        """Build the layer for one step."""
        super().build(self._step_shape(input_shape))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """Apply the layer to every step."""
        self._step_shape(inputs.shape)
        if mask is not None and tuple(mask.shape[:2]) != tuple(inputs.shape[:2]):
            fail(
                ShapeError,
                "the mask must start with the batch and the steps of the input",
                where=type(self).__name__,
                received=f"mask {tuple(mask.shape)}, input {tuple(inputs.shape)}",
                fix=f"pass a mask of shape {tuple(inputs.shape[:2])}",
            )
        with layer_scope(self.layer.name):
            if isinstance(self.layer, _SAMPLE_BY_SAMPLE) and mask is None:
                return self._all_at_once(inputs, training)
            return self._step_by_step(inputs, training, mask)

    def _arguments(self, training: bool | None) -> dict[str, Any]:
        return {"training": training} if takes(self.layer, "training") else {}

    def _all_at_once(self, inputs: Tensor, training: bool | None) -> Tensor:
        steps, rest = inputs.shape[1], tuple(inputs.shape[2:])
        outputs = self.layer.call(ops.reshape(inputs, (-1, *rest)), **self._arguments(training))
        return ops.reshape(outputs, (-1, steps, *outputs.shape[1:]))

    def _step_by_step(self, inputs: Tensor, training: bool | None, mask: Tensor | None) -> Tensor:
        arguments = self._arguments(training)
        steps: Any = ops.swapaxes(inputs, 0, 1)
        if mask is None or not takes(self.layer, "mask"):
            _, outputs = ops.scan(lambda carry, x: (carry, self.layer.call(x, **arguments)), (), steps)
        else:
            steps = (steps, ops.swapaxes(mask, 0, 1))
            _, outputs = ops.scan(lambda carry, x: (carry, self.layer.call(x[0], mask=x[1], **arguments)), (), steps)
        return ops.swapaxes(outputs, 0, 1)
