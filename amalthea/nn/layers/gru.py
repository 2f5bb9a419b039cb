"""Gated recurrent unit: GRUCell and GRU."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.layers.recurrent import RecurrentLayer, check_use_cudnn, of_cell
from amalthea.nn.layers.rnn_cell import RecurrentCell, masked_products
from amalthea.nn.objects import public


@public("keras.layers.GRUCell")
class GRUCell(RecurrentCell):
    """One step of a gated recurrent unit (Cho et al., https://arxiv.org/abs/1406.1078).

    With gates z = r(x Wz + h_before Uz) and s = r(x Ws + h_before Us), and the candidate
    n = a(x Wn + s * (h_before Un)) for reset_after=True or n = a(x Wn + (s * h_before) Un) for reset_after=False,
    the new state is h = z * h_before + (1 - z) * n. It is also the output.

    Args:
        units: width of the state.
        activation: function of the candidate.
        recurrent_activation: function of the two gates.
        dropout, recurrent_dropout: fraction of the input and of the state to drop in training, with the same mask at
            all steps of a sequence.
        reset_after: apply the reset gate after the recurrent product (then the bias has two rows, one for the input and
            one for the state), or before it.
        seed: seed of the dropout masks.

    Called as cell(inputs (batch, features), states), it returns (output (batch, units), [new state]).

    >>> import amalthea as am
    >>> output, states = am.layers.GRUCell(4)(am.ops.ones((2, 3)), [am.ops.zeros((2, 4))])
    >>> output.shape
    (2, 4)
    """

    gates = 3
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
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
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
        self.reset_after = reset_after

    def _mask_count(self) -> int | None:
        return 3 if self.implementation == 1 else None

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """inputs @ kernel + bias, for inputs (batch, features) or (steps, batch, features)."""
        mask = self.get_dropout_mask(inputs) if training and self.dropout > 0 else None
        projected = masked_products(inputs, self.kernel, mask)
        if not self.use_bias:
            return projected
        return ops.add(projected, self.bias[0] if self.reset_after else self.bias)

    def advance(self, projected: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """Add the recurrent products and mix the old state with the candidate."""
        several = isinstance(states, (list, tuple))
        before = states[0] if several else states
        mask = self.get_recurrent_dropout_mask(before) if training and self.recurrent_dropout > 0 else None
        x_z, x_s, x_n = ops.split(projected, 3, axis=-1)
        kernel, units = self.recurrent_kernel, self.units
        if self.reset_after:
            inner = masked_products(before, kernel, mask)
            if self.use_bias:
                inner = inner + self.bias[1]
            h_z, h_s, h_n = ops.split(inner, 3, axis=-1)
            update, reset = self.recurrent_activation(x_z + h_z), self.recurrent_activation(x_s + h_s)
            recurrent = reset * h_n
        else:
            gate_mask = mask[:2] if isinstance(mask, list) else mask
            h_z, h_s = ops.split(masked_products(before, kernel[:, : 2 * units], gate_mask), 2, axis=-1)
            update, reset = self.recurrent_activation(x_z + h_z), self.recurrent_activation(x_s + h_s)
            dropped = before * mask[2] if isinstance(mask, list) else before
            recurrent = ops.matmul(reset * dropped, kernel[:, 2 * units :])
        output = update * before + (1 - update) * self.activation(x_n + recurrent)
        return output, [output] if several else output

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this cell again, as plain values."""
        return {**super().get_config(), "reset_after": self.reset_after}


@public("keras.layers.GRU")
class GRU(RecurrentLayer):
    """Gated recurrent unit layer (Cho et al., https://arxiv.org/abs/1406.1078).

    Input (batch, steps, features); output (batch, units), or (batch, steps, units) with return_sequences.
    `GRUCell` gives the formulas.

    Args:
        units: width of the state and of the output.
        activation: function of the candidate.
        recurrent_activation: function of the two gates.
        dropout, recurrent_dropout: fraction of the input and of the state to drop in training, with the same mask at
            all steps of a sequence.
        return_sequences: return the outputs of all steps, not only the last.
        return_state: return the last state too, after the output.
        go_backwards: read the sequence from its end; outputs come in the order in which they were made.
        stateful: start each batch from the states that the batch before ended with.
        unroll: write the loop out step by step, which suits short sequences.
        seed: seed of the dropout masks.
        use_cudnn: "auto", True or False; accepted for compatibility, all three compute the same.
        reset_after: apply the reset gate after the recurrent product, or before it.

    Call arguments: sequences, initial_state (a list of one (batch, units) tensor), mask (batch, steps), training.

    >>> import amalthea as am
    >>> am.layers.GRU(4, return_sequences=True)(am.ops.ones((2, 10, 3))).shape
    (2, 10, 4)
    """

    recurrent_activation = of_cell("recurrent_activation")
    reset_after = of_cell("reset_after")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
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
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        check_use_cudnn(use_cudnn, type(self).__name__)
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
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
            reset_after=reset_after,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="gru_cell",
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
