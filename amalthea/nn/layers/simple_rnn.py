"""The plain recurrent layer: SimpleRNNCell and SimpleRNN."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.layers.recurrent import RecurrentLayer
from amalthea.nn.layers.rnn_cell import RecurrentCell
from amalthea.nn.objects import public


@public("keras.layers.SimpleRNNCell")
class SimpleRNNCell(RecurrentCell):
    """One step of a plain recurrent network: h = activation(x @ kernel + bias + h_before @ recurrent_kernel).

    Args:
        units: width of the state, which is also the output.
        activation: function of the sum.
        dropout, recurrent_dropout: fraction of the input and of the state to drop in training, with the same mask at
            all steps of a sequence.
        seed: seed of the dropout masks.

    Called as cell(inputs (batch, features), states), it returns (output (batch, units), [new state]).

    >>> import amalthea as am
    >>> cell = am.layers.SimpleRNNCell(4)
    >>> output, states = cell(am.ops.ones((2, 3)), [am.ops.zeros((2, 4))])
    >>> output.shape
    (2, 4)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        settings = {
            "activation": activation,
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

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """inputs @ kernel + bias, for inputs (batch, features) or (steps, batch, features)."""
        if training and self.dropout > 0:
            inputs = inputs * self.get_dropout_mask(inputs)
        projected = ops.matmul(inputs, self.kernel)
        return ops.add(projected, self.bias) if self.use_bias else projected

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """Add the recurrent product and apply the activation."""
        several = isinstance(states, (list, tuple))
        before = states[0] if several else states
        if training and self.recurrent_dropout > 0:
            before = before * self.get_recurrent_dropout_mask(before)
        output = projected + ops.matmul(before, self.recurrent_kernel)
        if self.activation is not None:
            output = self.activation(output)
        return output, [output] if several else output


@public("keras.layers.SimpleRNN")
class SimpleRNN(RecurrentLayer):
    """Plain recurrent layer: h = activation(x @ kernel + bias + h_before @ recurrent_kernel) at each step.

    Input (batch, steps, features); output (batch, units), or (batch, steps, units) with return_sequences.

    Args:
        units: width of the state, which is also the output.
        activation: function of the sum.
        dropout, recurrent_dropout: fraction of the input and of the state to drop in training, with the same mask at
            all steps of a sequence.
        return_sequences: return the outputs of all steps, not only the last.
        return_state: return the last state too, after the output.
        go_backwards: read the sequence from its end; outputs come in the order in which they were made.
        stateful: start each batch from the states that the batch before ended with.
        unroll: write the loop out step by step, which suits short sequences.
        seed: seed of the dropout masks.

    Call arguments: sequences, initial_state (a list of one (batch, units) tensor), mask (batch, steps), training.

    >>> import amalthea as am
    >>> am.layers.SimpleRNN(4)(am.ops.ones((2, 10, 3))).shape
    (2, 4)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
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
            name="simple_rnn_cell",
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

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values (without the seed, as Keras writes them)."""
        config = super().get_config()
        del config["seed"]
        return config
