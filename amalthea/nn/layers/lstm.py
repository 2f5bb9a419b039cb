"""Long short-term memory: LSTMCell and LSTM."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn import initializers
from amalthea.nn.layers.recurrent import RecurrentLayer, check_use_cudnn, of_cell
from amalthea.nn.layers.rnn_cell import RecurrentCell, masked_products
from amalthea.nn.objects import public


@public("keras.layers.LSTMCell")
class LSTMCell(RecurrentCell):
    """One step of a long short-term memory (Hochreiter and Schmidhuber, 1997).

    With z = x @ kernel + h_before @ recurrent_kernel + bias, cut into four parts of width units:
    i = r(z0), f = r(z1), c = f * c_before + i * a(z2), o = r(z3), h = o * a(c), where a is the activation and r the
    recurrent activation. The states are h and c; the output is h.

    Args:
        units: width of the states.
        activation: function of the candidate and of the carry.
        recurrent_activation: function of the three gates.
        unit_forget_bias: start the bias of the forget gate at 1 (Jozefowicz et al., 2015).
        dropout, recurrent_dropout: fraction of the input and of the state to drop in training, with the same mask at
            all steps of a sequence.
        seed: seed of the dropout masks.

    Called as cell(inputs (batch, features), [h, c]), it returns (h, [h, c]).

    >>> import amalthea as am
    >>> cell = am.layers.LSTMCell(4)
    >>> output, states = cell(am.ops.ones((2, 3)), [am.ops.zeros((2, 4)), am.ops.zeros((2, 4))])
    >>> output.shape, len(states)
    ((2, 4), 2)
    """

    gates = 4
    recurrent_activation: Any

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        implementation = kwargs.pop("implementation", 2)
        settings = {
            "activation": activation,
            "recurrent_activation": recurrent_activation,
            "kernel_initializer": kernel_initializer,
            "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "recurrent_regularizer": recurrent_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "recurrent_constraint": recurrent_constraint,
            "bias_constraint": bias_constraint,
        }
        super().__init__(units, use_bias, dropout, recurrent_dropout, seed, settings, **kwargs)
        self.implementation = 1 if recurrent_dropout else implementation  # 1: other dropout masks for each gate
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [units, units]

    def _mask_count(self) -> int | None:
        return 4 if self.implementation == 1 else None

    def _bias_initializer(self) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer
        ones: Any = initializers.get("ones")

        def initialize(shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
            parts = ((self.bias_initializer, 1), (ones, 1), (self.bias_initializer, 2))
            return ops.concatenate([make((n * self.units,), dtype=dtype, **kwargs) for make, n in parts])

        return initialize

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """inputs @ kernel + bias, for inputs (batch, features) or (steps, batch, features)."""
        mask = self.get_dropout_mask(inputs) if training and self.dropout > 0 else None
        projected = masked_products(inputs, self.kernel, mask)
        return ops.add(projected, self.bias) if self.use_bias else projected

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """Add the recurrent product and update the carry and the output."""
        before, carry = states
        mask = self.get_recurrent_dropout_mask(before) if training and self.recurrent_dropout > 0 else None
        z = projected + masked_products(before, self.recurrent_kernel, mask)
        z0, z1, z2, z3 = ops.split(z, 4, axis=-1)
        kept = self.recurrent_activation(z1) * carry
        carry = kept + self.recurrent_activation(z0) * self.activation(z2)
        output = self.recurrent_activation(z3) * self.activation(carry)
        return output, [output, carry]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this cell again, as plain values."""
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


@public("keras.layers.LSTM")
class LSTM(RecurrentLayer):
    """Long short-term memory layer (Hochreiter and Schmidhuber, 1997).

    Input (batch, steps, features); output (batch, units), or (batch, steps, units) with return_sequences.
    `LSTMCell` gives the formulas.

    Args:
        units: width of the states and of the output.
        activation: function of the candidate and of the carry.
        recurrent_activation: function of the three gates.
        unit_forget_bias: start the bias of the forget gate at 1 (Jozefowicz et al., 2015).
        dropout, recurrent_dropout: fraction of the input and of the state to drop in training, with the same mask at
            all steps of a sequence.
        return_sequences: return the outputs of all steps, not only the last.
        return_state: return the last states h and c too, after the output.
        go_backwards: read the sequence from its end; outputs come in the order in which they were made.
        stateful: start each batch from the states that the batch before ended with.
        unroll: write the loop out step by step, which suits short sequences.
        seed: seed of the dropout masks.
        use_cudnn: "auto", True or False; accepted for compatibility, all three compute the same.

    Call arguments: sequences, initial_state ([h, c], each (batch, units)), mask (batch, steps), training.

    >>> import amalthea as am
    >>> output, h, c = am.layers.LSTM(4, return_sequences=True, return_state=True)(am.ops.ones((2, 10, 3)))
    >>> output.shape, h.shape, c.shape
    ((2, 10, 4), (2, 4), (2, 4))
    """

    recurrent_activation = of_cell("recurrent_activation")
    unit_forget_bias = of_cell("unit_forget_bias")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        check_use_cudnn(use_cudnn, type(self).__name__)
        cell = LSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="lstm_cell",
            implementation=kwargs.pop("implementation", 2),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.use_cudnn = use_cudnn
