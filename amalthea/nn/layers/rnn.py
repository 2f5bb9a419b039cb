"""RNN: a cell called at every step of a sequence, inside one loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core import tree
from amalthea.core.context import autocast_scope, layer_scope
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.layer import Layer
from amalthea.nn.layers.rnn_cell import RecurrentCell, zero_column
from amalthea.nn.layers.sliding import known
from amalthea.nn.layers.stacked_rnn_cells import StackedRNNCells, output_width
from amalthea.nn.layers.wrapper import takes
from amalthea.nn.objects import deserialize_keras_object, public, serialize_keras_object
from amalthea.nn.tracking import untracked


def _is_nested(x: Any) -> bool:
    return isinstance(x, (list, tuple, dict))


def _fits(shape: Sequence[int | None], expected: Sequence[int | None]) -> bool:
    """Whether two shapes are the same, where both are known."""
    pairs = zip(known(shape), known(expected), strict=False)
    return len(shape) == len(expected) and all(a is None or b is None or a == b for a, b in pairs)


def _like(mask: Tensor, value: Tensor) -> Tensor:
    """The mask (batch,) with axes of size 1 added, so that it broadcasts against `value`."""
    return ops.reshape(mask, (-1,) + (1,) * (value.ndim - 1))


def _zero_states(cell: Any, column: Tensor) -> Any:
    """Zero states with the batch size of `column` (batch, 1), or None for a cell that makes its states itself."""
    make = getattr(type(cell), "get_initial_state", None)
    if isinstance(cell, StackedRNNCells) and make is StackedRNNCells.get_initial_state:
        parts = [_zero_states(c, column) for c in cell.cells]
        return None if any(part is None for part in parts) else parts
    if make is not None and make is not RecurrentCell.get_initial_state:
        return None
    sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
    dtype = getattr(cell, "compute_dtype", column.dtype)
    return [ops.add(ops.cast(column, dtype), ops.zeros((1, size), dtype=dtype)) for size in sizes]


@public("keras.layers.RNN")
class RNN(Layer):
    """Recurrent layer around a cell: the cell is called at each step with the input and the states it returned before.

    Input (batch, steps, ...); output (batch, output_size), or (batch, steps, output_size) with return_sequences. A mask
    (batch, steps) skips the steps where it is False: states stay, and the output repeats the one before.

    Args:
        cell: an object with `call(inputs, states) -> (output, new_states)`, `state_size` (an integer or several),
            optionally `output_size` and `get_initial_state(batch_size)`; or a list of cells, which are stacked.
        return_sequences: return the outputs of all steps, not only the last.
        return_state: return the last states too, after the output.
        go_backwards: read the sequence from its end; outputs come in the order in which they were made.
        stateful: start each batch from the states that the batch before ended with; the batch size must be fixed.
            `reset_state()` sets them to zero.
        unroll: write the loop out step by step, which suits short sequences.
        zero_output_for_mask: give zeros, not the output before, at masked steps.

    Call arguments: sequences, initial_state (a list of tensors, one for each state), mask (batch, steps), training.

    >>> import amalthea as am
    >>> layer = am.layers.RNN([am.layers.GRUCell(4), am.layers.GRUCell(5)], return_sequences=True)
    >>> layer(am.ops.ones((2, 10, 3))).shape
    (2, 10, 5)
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        where = type(self).__name__
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        if not hasattr(cell, "call"):
            fail(
                ArgumentError,
                "the cell must have a method `call(inputs, states)`",
                where=where,
                received=f"cell={cell!r}",
                fix="pass for example `LSTMCell(32)`, or write the method",
            )
        if not isinstance(getattr(cell, "state_size", None), (int, list, tuple)):
            fail(
                ArgumentError,
                "the cell must have an attribute `state_size`: an integer, or a list of integers, one for each state",
                where=where,
                received=f"cell={cell!r}",
                fix="set `self.state_size` in the cell's `__init__`",
            )
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True
        self.single_state = isinstance(cell.state_size, int)
        self.state_size = [cell.state_size] if self.single_state else list(cell.state_size)
        self.states: Any = None  # of a stateful layer: a list of Variables, which count as no weights
        self._expected_batch_size: int | None = None

    # Shapes

    def compute_output_shape(self, sequences_shape: Sequence[int | None], initial_state_shape: Any = None) -> Any:
        """The output shape for a shape of sequences; with `return_state`, followed by those of the states."""
        batch, steps = self._check_sequences(sequences_shape)[:2]
        width = output_width(self.cell)
        output = (batch, steps, width) if self.return_sequences else (batch, width)
        if not self.return_state:
            return output
        states = [
            [(batch, size) for size in sizes] if isinstance(sizes, (list, tuple)) else (batch, sizes)
            for sizes in self.state_size
        ]
        return output, *states

    def compute_mask(self, _: Any, mask: Any) -> Any:
        """The mask of the output: that of the input for whole sequences, else None."""
        mask = tree.flatten(mask)[0]
        output = mask if self.return_sequences else None
        return [output, *(None for _ in self.state_size)] if self.return_state else output

    def build(self, sequences_shape: Sequence[int | None], initial_state_shape: Any = None) -> None:
        """Build the cell, and the kept states of a stateful layer."""
        shape = tuple(sequences_shape)
        if len(shape) < 3:
            self._refuse_rank(shape)
        if self.unroll and shape[1] is None:
            fail(
                ShapeError,
                "`unroll=True` needs a known number of steps",
                where=type(self).__name__,
                received=f"input {shape}",
                fix="give the steps a size in `Input(shape=(steps, features))`, or use unroll=False",
            )
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((shape[0], *shape[2:]))
            self.cell.built = True
        if self.stateful:
            if self.states is not None:
                self.reset_state()
            else:
                self._keep_states(shape)
        self.built = True

    def _refuse_rank(self, shape: tuple[int | None, ...]) -> None:
        fail(
            ShapeError,
            f"a recurrent layer takes sequences (batch, steps, features), but the input has {len(shape)} axes",
            where=type(self).__name__,
            received=f"input {shape}",
            fix="set return_sequences=True in the recurrent layer before this one, or add the features with "
            "`x = ops.expand_dims(x, -1)`",
        )

    # States

    def _keep_states(self, shape: tuple[int | None, ...]) -> None:
        batch = shape[0]
        if batch is None:
            fail(
                ShapeError,
                "`stateful=True` needs a fixed batch size, because the states of each sample are kept",
                where=type(self).__name__,
                received=f"input {shape}",
                fix="give the batch a size: `Input(batch_shape=(batch, steps, features))`",
            )
        with untracked():
            self.states = tree.map_structure(
                lambda value: Variable(value, trainable=False, dtype=self.variable_dtype, name="rnn_state"),
                self.get_initial_state(batch),  # type: ignore[arg-type]
            )
        self._expected_batch_size = batch

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states at the start of a sequence, for a batch of this size."""
        make = getattr(self.cell, "get_initial_state", None)
        if make is None:
            dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
            return [ops.zeros((batch_size, size), dtype=dtype) for size in self.state_size]
        states = make(batch_size=batch_size)
        return list(states) if _is_nested(states) else [states]

    def reset_state(self) -> None:
        """Set the kept states of a stateful layer to zero."""
        for state in tree.flatten(self.states) if self.states is not None else ():
            state.assign(ops.zeros_like(state))

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def _first_states(self, sequences: Tensor, initial_state: Any, column: Tensor) -> list[Any]:
        """The states that the loop starts with, in the compute dtype of the cell."""
        if initial_state is not None:
            states = list(initial_state) if _is_nested(initial_state) else [initial_state]
            self._check_states(states, sequences)
        elif self.stateful:
            states = list(self.states)
        else:
            own = type(self).get_initial_state is RNN.get_initial_state
            zeros = _zero_states(self.cell, column) if own else None
            states = zeros if zeros is not None else self.get_initial_state(sequences.shape[0])
        dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
        return tree.map_structure(lambda x: ops.cast(x, dtype), states)

    def _check_states(self, states: list[Any], sequences: Tensor) -> None:
        where = type(self).__name__
        wanted = len(self.state_size)
        if len(states) != wanted:
            fail(
                ArgumentError,
                f"the cell has {wanted} state{'s' if wanted > 1 else ''}, and `initial_state` has {len(states)}",
                where=where,
                received=f"initial_state of {[tuple(s.shape) for s in tree.flatten(states)]}",
                fix=f"pass a list of {wanted} tensor{'s' if wanted > 1 else ''} (batch, size)",
            )
        for state, size in zip(states, self.state_size, strict=True):
            expected = (sequences.shape[0], size)
            if isinstance(size, int) and not _is_nested(state) and not _fits(state.shape, expected):
                fail(
                    ShapeError,
                    f"a state in `initial_state` must have the shape (batch, size) = {expected}",
                    where=where,
                    received=f"state {tuple(state.shape)}, input {tuple(sequences.shape)}",
                    fix="pass states of that shape, for example those that a layer with return_state=True gave",
                )

    # The loop

    def inner_loop(self, sequences: Tensor, initial_state: Any, mask: Tensor | None, training: bool = False) -> Any:
        """Run the cell over the sequences: (last output, outputs (batch, steps, ...) or None, last states)."""
        steps_first = ops.swapaxes(sequences, 0, 1)
        cell, ahead = self.cell, type(self.cell).call is RecurrentCell.call
        if ahead:  # one product for all steps instead of one in each
            with layer_scope(cell.name), autocast_scope(cell.compute_dtype):
                steps_first = cell.project(ops.cast(steps_first, cell.compute_dtype), training)
        # Where only the last output is asked for, and it is the first state too, the loop need not collect outputs.
        zeroed = mask is not None and self.zero_output_for_mask
        state_is_output = ahead and not self.return_sequences and not zeroed and not self.unroll
        arguments = {"training": training} if takes(cell, "training") else {}

        def run(inputs: Tensor, states: list[Any]) -> tuple[Tensor, list[Any]]:
            if ahead:
                with layer_scope(cell.name), autocast_scope(cell.compute_dtype):
                    output, new = cell.advance(inputs, states, training)
            else:
                output, new = (cell if callable(cell) else cell.call)(inputs, states, **arguments)
            return output, tree.pack(states, tree.flatten(new))

        def step(states: list[Any], inputs: Any) -> tuple[list[Any], Tensor | None]:
            if mask is None:
                output, new = run(inputs, states)
                return new, None if state_is_output else output
            inputs, keep = inputs
            output, new = run(inputs, states)
            if self.zero_output_for_mask:
                before = ops.zeros_like(output)
            else:  # the first state is the output before; that of the last cell in a stack
                before = states[-1] if _is_nested(states[0]) else states[0]
                before = before[0] if _is_nested(before) else before
            output = ops.where(_like(keep, output), output, before)
            new = tree.map_structure(lambda n, s: ops.where(_like(keep, n), n, s), new, states)
            return new, None if state_is_output else output

        xs: Any = steps_first
        if mask is not None:
            mask = ops.cast(mask, "bool")
            if mask.ndim > 2:
                mask = ops.any(mask, axis=tuple(range(2, mask.ndim)))
            xs = (steps_first, ops.swapaxes(mask, 0, 1))
        if self.go_backwards:
            xs = tree.map_structure(lambda x: ops.flip(x, axis=0), xs)
        if self.unroll:
            states, made = initial_state, []
            for i in range(sequences.shape[1]):
                states, output = step(states, tree.map_structure(lambda x, i=i: x[i], xs))
                made.append(output)
            outputs = ops.stack(made)
        else:
            states, outputs = ops.scan(step, initial_state, xs)
        if state_is_output:
            return states[0], None, states
        return outputs[-1], ops.swapaxes(outputs, 0, 1), states

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Tensor | tuple[Tensor, ...]:
        """Run the layer over `sequences`; see the class for the arguments and results."""
        self._check_sequences(sequences.shape, mask)
        column = zero_column(sequences[:, 0])
        states = self._first_states(sequences, initial_state, column)
        mask = tree.flatten(mask)[0] if mask is not None else None
        self._hold_masks(self.cell, sequences[:, 0], column, training)
        try:
            last, outputs, states = self.inner_loop(sequences, states, mask, training=training)
        finally:
            self._release_masks(self.cell)
        states = tree.map_structure(lambda x: ops.cast(x, self.compute_dtype), states)
        if self.stateful:
            for kept, state in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                kept.assign(ops.cast(state, kept.dtype))
        output = ops.cast(outputs if self.return_sequences else last, self.compute_dtype)
        return (output, *states) if self.return_state else output

    def _check_sequences(self, sequences_shape: Sequence[int | None], mask: Any = None) -> tuple[int | None, ...]:
        """Refuse sequences (and a mask) of a wrong shape; returns the shape, with None for unknown sizes."""
        where, shape = type(self).__name__, known(sequences_shape)
        if len(shape) < 3:
            self._refuse_rank(shape)
        if shape[1] == 0:
            fail(
                ShapeError,
                "a recurrent layer needs at least one step",
                where=where,
                received=f"input {shape}",
                fix="drop empty sequences, or pad them and pass a mask",
            )
        kernel = getattr(self.cell, "kernel", None) if isinstance(self.cell, RecurrentCell) else None
        if kernel is not None and shape[-1] is not None and shape[-1] != kernel.shape[0]:
            fail(
                ShapeError,
                f"the input has {shape[-1]} features and the kernel expects {kernel.shape[0]}",
                where=where,
                received=f"input {shape}, kernel {tuple(kernel.shape)}",
                fix=f"pass sequences (batch, steps, {kernel.shape[0]}), or a new layer for these",
            )
        for m in tree.flatten(mask) if mask is not None else ():
            if m is not None and not _fits(m.shape[:2], shape[:2]):
                fail(
                    ShapeError,
                    "the mask must have the batch and the steps of the input",
                    where=where,
                    received=f"mask {tuple(m.shape)}, input {shape}",
                    fix=f"pass a mask of shape {shape[:2]}",
                )
        if self.stateful and self.built and shape[0] is not None and shape[0] != self._expected_batch_size:
            fail(
                ShapeError,
                f"this layer is stateful and keeps the states of {self._expected_batch_size} samples",
                where=where,
                received=f"input {shape}",
                fix=f"pass batches of {self._expected_batch_size}, also for the last one (drop the remainder)",
            )
        return shape

    def _hold_masks(self, cell: Any, step_input: Tensor, column: Tensor, training: bool) -> None:
        """Draw the dropout masks of all cells before the loop, since they are the same at all its steps."""
        if isinstance(cell, StackedRNNCells):
            for inner in cell.cells:
                self._hold_masks(inner, step_input, column, training)
                step_input = ops.add(column, ops.zeros((1, output_width(inner)), dtype=column.dtype))
        elif isinstance(cell, RecurrentCell):
            cell.hold_masks(ops.cast(step_input, cell.compute_dtype), ops.cast(column, cell.compute_dtype), training)

    def _release_masks(self, cell: Any) -> None:
        if isinstance(cell, StackedRNNCells):
            for inner in cell.cells:
                self._release_masks(inner)
        elif isinstance(cell, RecurrentCell):
            cell.release_masks()

    # Configs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
            "cell": serialize_keras_object(self.cell),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The layer that a config describes."""
        config = dict(config)
        cell = deserialize_keras_object(config.pop("cell"), custom_objects=custom_objects)
        return cls(cell, **config)
