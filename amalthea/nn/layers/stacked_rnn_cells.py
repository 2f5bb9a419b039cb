"""StackedRNNCells: several cells, one on top of the other, used as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.layers.wrapper import takes
from amalthea.nn.objects import deserialize_keras_object, public, serialize_keras_object


def output_width(cell: Any) -> int:
    """The size of a cell's output: its `output_size`, or that of its first state."""
    width = getattr(cell, "output_size", None)
    if width is not None:
        return width
    return cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size


@public("keras.layers.StackedRNNCells")
class StackedRNNCells(Layer):
    """Several cells as one: the output of each is the input of the next, and the states are a list of theirs.

    Args:
        cells: list of cells (`LSTMCell(32)`, ..., or objects with `call` and `state_size`).

    >>> import amalthea as am
    >>> cells = am.layers.StackedRNNCells([am.layers.LSTMCell(4), am.layers.GRUCell(5)])
    >>> am.layers.RNN(cells)(am.ops.ones((2, 10, 3))).shape
    (2, 5)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            for needed, example in (("call", "call(inputs, states)"), ("state_size", "state_size")):
                if not hasattr(cell, needed):
                    fail(
                        ArgumentError,
                        f"every cell must have `{example}`",
                        where=type(self).__name__,
                        received=f"cell={cell!r}",
                        fix="stack cells (`LSTMCell`, `GRUCell`, ...), not layers (`LSTM`, `GRU`, ...)",
                    )
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The size of the last cell's output."""
        return output_width(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """The first states of all cells, for a batch of this size."""
        states: list[Any] = []
        for cell in self.cells:
            make = getattr(cell, "get_initial_state", None)
            if make is not None:
                states.append(make(batch_size=batch_size))
            elif isinstance(cell.state_size, int):
                states.append(ops.zeros((batch_size, cell.state_size), dtype=self.compute_dtype))
            else:
                states.append([ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in cell.state_size])
        return states

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Build the cells from the bottom up."""
        shape = tuple(input_shape)
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(shape)
                cell.built = True
            shape = (shape[0], output_width(cell))
        self.built = True

    def call(self, inputs: Tensor, states: Any, training: bool = False, **kwargs: Any) -> tuple[Tensor, Any]:
        """One step through all cells: (output of the last cell, list of the new states of each)."""
        new_states = []
        for cell, state in zip(self.cells, states, strict=True):
            arguments = dict(kwargs)
            if takes(cell, "training"):
                arguments["training"] = training
            several = isinstance(state, (list, tuple))
            run = cell if callable(cell) else cell.call
            inputs, new = run(inputs, list(state) if several else [state], **arguments)
            new = list(new) if isinstance(new, (list, tuple)) else [new]
            new_states.append(new if several else new[0])
        return inputs, new_states

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {**super().get_config(), "cells": [serialize_keras_object(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The layer that a config describes."""
        config = dict(config)
        cells = [deserialize_keras_object(cell, custom_objects=custom_objects) for cell in config.pop("cells")]
        return cls(cells, **config)
