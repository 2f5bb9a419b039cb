"""What the recurrent cells share: weights, dropout masks that last for a whole sequence, zero states.

A cell here is two functions. `project(inputs)` is the part of a step that does not need the state: the product of the
input with the kernel. `advance(projected, states)` is the rest. A cell called alone does both; a recurrent layer
projects the whole sequence at once, in one large product, and only advances inside its loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.arguments import whole_number
from amalthea.nn.layer import Layer
from amalthea.nn.layers.settings import keep, written
from amalthea.nn.layers.sliding import known
from amalthea.nn.tracking import untracked
from amalthea.ops.random import SeedGenerator
from amalthea.ops.random import dropout as draw_dropout


def zero_column(inputs: Tensor) -> Tensor:
    """Zeros of shape (batch, 1) for inputs (batch, ...): the batch size is taken from the input, not written down."""
    index = (slice(None), slice(0, 1)) + (0,) * (inputs.ndim - 2)
    return ops.zeros_like(inputs[index])


def masked_products(inputs: Tensor, kernel: Any, masks: Any) -> Tensor:
    """inputs @ kernel, with `inputs` multiplied by a dropout mask, or by another mask for each part of the kernel."""
    if masks is None:
        return ops.matmul(inputs, kernel)
    if not isinstance(masks, list):
        return ops.matmul(inputs * masks, kernel)
    parts = ops.split(kernel, len(masks), axis=1)
    products = [ops.matmul(inputs * mask, part) for mask, part in zip(masks, parts, strict=True)]
    return ops.concatenate(products, axis=-1)


class RecurrentCell(Layer):
    """Base of SimpleRNNCell, GRUCell and LSTMCell (not for direct use).

    A subclass sets `gates` (how many products of width `units` a step makes) and writes `project` and `advance`.
    """

    gates = 1
    activation: Any
    kernel_initializer: Any
    kernel_regularizer: Any
    kernel_constraint: Any
    recurrent_initializer: Any
    recurrent_regularizer: Any
    recurrent_constraint: Any
    bias_initializer: Any
    bias_regularizer: Any
    bias_constraint: Any

    def __init__(
        self,
        units: int,
        use_bias: bool,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        settings: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        whole_number(units, type(self).__name__, "units")
        self.units = units
        self.use_bias = use_bias
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self.output_size = units
        self.state_size: int | list[int] = units
        self.bias: Any = None
        self._settings = tuple(settings)
        keep(self, **settings)
        with untracked():
            self._masks: dict[str, Any] = {}
        self._masks_held = False

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _bias_initializer(self) -> Any:
        return self.bias_initializer

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Add the kernel (features, gates * units), the recurrent kernel (units, gates * units) and the bias."""
        features = input_shape[-1]
        if features is None:
            fail(
                ShapeError,
                "the number of features of the input must be known, because it sets the size of the kernel",
                where=type(self).__name__,
                received=f"input {tuple(input_shape)}",
                fix="give the last axis a size in `Input(shape=(steps, features))`",
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.gates * self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, self.gates * self.units),
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=self._bias_shape(),
                initializer=self._bias_initializer(),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.built = True

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The part of a step without the state, for inputs (batch, features) or (steps, batch, features)."""
        raise NotImplementedError

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """The output and the new states of one step, from `project`'s result for it and the states before it."""
        raise NotImplementedError

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """One step: (output (batch, units), new states) for inputs (batch, features) and the states before."""
        features = self.kernel.shape[0]
        if inputs.ndim != 2 or known(inputs.shape)[-1] not in (features, None):
            fail(
                ShapeError,
                f"a cell takes one step (batch, features) with {features} features",
                where=type(self).__name__,
                received=f"input {tuple(inputs.shape)}, kernel {tuple(self.kernel.shape)}",
                fix="for a whole sequence (batch, steps, features) wrap the cell: RNN(cell)",
            )
        return self.advance(self.project(inputs, training), states, training)

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Zero states for a batch of this size, one (batch_size, size) tensor for each of `state_size`."""
        if batch_size is None:
            fail(
                ArgumentError,
                "the batch size is needed to make the first states",
                where=type(self).__name__,
                fix="call `get_initial_state(batch_size=...)`",
            )
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes]

    # Dropout: one mask for all steps of a sequence, so it is drawn once and kept until it is reset.

    def _mask_count(self) -> int | None:
        """How many masks each kind of dropout uses; None for a single one."""
        return None

    def _mask(self, kind: str, ones: Tensor, rate: float) -> Any:
        if rate <= 0:
            return None
        held, mask = self._masks.get(kind, (None, None))
        first = mask[0] if isinstance(mask, list) else mask
        if mask is None or not (self._masks_held or (held is context.trace and first.shape == ones.shape)):
            ones, count = ops.ones_like(ones), self._mask_count()
            if count is None:
                mask = draw_dropout(ones, rate, seed=self.seed_generator)
            else:
                mask = [draw_dropout(ones, rate, seed=self.seed_generator) for _ in range(count)]
            self._masks[kind] = (context.trace, mask)
        return mask

    def get_dropout_mask(self, step_input: Tensor) -> Any:
        """The mask for inputs (batch, features): kept values scaled by 1 / (1 - dropout), None without dropout.

        It is drawn at the first call and returned again until `reset_dropout_mask()`.
        """
        return self._mask("input", step_input, self.dropout)

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Any:
        """The same for the recurrent state (batch, units), until `reset_recurrent_dropout_mask()`."""
        return self._mask("recurrent", step_input, self.recurrent_dropout)

    def reset_dropout_mask(self) -> None:
        """Forget the mask for inputs, so that the next sequence gets a new one."""
        self._masks.pop("input", None)

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the mask for the recurrent state, so that the next sequence gets a new one."""
        self._masks.pop("recurrent", None)

    def hold_masks(self, step_input: Tensor, column: Tensor, training: bool) -> None:
        """Draw the masks of a sequence before its loop starts; `column` is zeros (batch, 1)."""
        self.release_masks()
        if training:
            self.get_dropout_mask(step_input)
            self.get_recurrent_dropout_mask(ops.add(column, ops.zeros((1, self.units), dtype=column.dtype)))
            self._masks_held = True

    def release_masks(self) -> None:
        """Forget the masks after the loop."""
        self._masks_held = False
        self.reset_dropout_mask()
        self.reset_recurrent_dropout_mask()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this cell again, as plain values."""
        return {
            **super().get_config(),
            "units": self.units,
            "use_bias": self.use_bias,
            **written(self, *self._settings),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }
