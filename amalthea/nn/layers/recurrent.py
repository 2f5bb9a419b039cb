"""Base of the recurrent layers that make their own cell: SimpleRNN, GRU and LSTM."""

from __future__ import annotations

from typing import Any

from amalthea.core.errors import ArgumentError, fail
from amalthea.nn.layers.rnn import RNN
from amalthea.nn.layers.settings import written


def of_cell(name: str) -> Any:
    """A read-only attribute of a layer that is kept by its cell."""
    return property(lambda layer: getattr(layer.cell, name), doc=f"`{name}` of the cell.")


def check_use_cudnn(value: Any, where: str) -> None:
    """Refuse anything but "auto", True and False (all three compute the same here)."""
    if value not in ("auto", True, False):
        fail(
            ArgumentError,
            "`use_cudnn` must be 'auto', True or False",
            where=where,
            received=f"use_cudnn={value!r}",
            fix="leave it out",
        )


class RecurrentLayer(RNN):
    """An RNN whose cell is made from the layer's own arguments, which can be read from the layer again."""

    units = of_cell("units")
    activation = of_cell("activation")
    use_bias = of_cell("use_bias")
    kernel_initializer = of_cell("kernel_initializer")
    recurrent_initializer = of_cell("recurrent_initializer")
    bias_initializer = of_cell("bias_initializer")
    kernel_regularizer = of_cell("kernel_regularizer")
    recurrent_regularizer = of_cell("recurrent_regularizer")
    bias_regularizer = of_cell("bias_regularizer")
    kernel_constraint = of_cell("kernel_constraint")
    recurrent_constraint = of_cell("recurrent_constraint")
    bias_constraint = of_cell("bias_constraint")
    dropout = of_cell("dropout")
    recurrent_dropout = of_cell("recurrent_dropout")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        config = super().get_config()
        del config["cell"]
        cell = {k: v for k, v in self.cell.get_config().items() if k not in ("name", "trainable", "dtype")}
        return {**config, **cell, **written(self, "activity_regularizer")}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The layer that a config describes."""
        return cls(**config)
