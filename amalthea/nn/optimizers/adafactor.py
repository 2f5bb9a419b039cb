"""Adafactor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.context import eager_scope
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.Adafactor")
class Adafactor(Optimizer):
    """Adam's second moment kept as one row and one column per matrix: little memory (arXiv:1804.04235).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        beta_2_decay: how the memory of squares grows with the step; negative.
        epsilon_1: added to squared gradients.
        epsilon_2: least size of a variable that steps are measured by.
        clip_threshold: bound on the root mean square of an update.
        relative_step: whether a learning rate that is a number falls like `1 / sqrt(step)`.

    The other arguments are those of `Optimizer`.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([[1.0, 2.0], [3.0, 4.0]])
    >>> am.optimizers.Adafactor(learning_rate=0.1).apply([[[1.0, 1.0], [1.0, 1.0]]], [w])
    >>> bool(w[0, 0] < 1.0)
    True
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self._r: list[Any] = []
        self._c: list[Any] = []
        self._v: list[Any] = []
        for variable in var_list:
            row, column = self._factors(variable)
            self._r.append(row)
            self._c.append(column)
            skip = self._overwrite_variable_with_gradient(variable)
            self._v.append(None if skip else self.add_variable_from_reference(variable, name="velocity"))

    def _factors(self, variable: Variable) -> tuple[Variable | None, Variable | None]:
        """The row and the column of squares of a matrix; for vectors and scalars two zeros that nothing uses.

        Keras keeps those zeros, and saved state is exchanged by the order of the variables.
        """
        shape = variable.shape
        if len(shape) < 2:
            return self._unused(variable), self._unused(variable)
        if self._overwrite_variable_with_gradient(variable):
            return None, None
        row = self.add_variable(shape[:-1], dtype=variable.dtype, name=variable.name)
        return row, self.add_variable((*shape[:-2], shape[-1]), dtype=variable.dtype, name=variable.name)

    def _unused(self, variable: Variable) -> Variable:
        with eager_scope():
            zero = Variable(0, dtype="int32", trainable=False, name=variable.name)
        self._track_variable(zero)
        return zero

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        row, column, velocity = self._r[index], self._c[index], self._v[index]
        step = self._local_step(dtype)
        rate = ops.minimum(self._rate(learning_rate, dtype), 1 / ops.sqrt(step))
        keep = 1 - ops.power(step, self.beta_2_decay)
        squares = ops.square(gradient) + self.epsilon_1
        if len(variable.shape) >= 2:
            row.assign(keep * row + (1 - keep) * ops.mean(squares, axis=-1))
            column.assign(keep * column + (1 - keep) * ops.mean(squares, axis=-2))
            scaled = row / ops.mean(row, axis=-1, keepdims=True)
            velocity.assign(ops.expand_dims(scaled, -1) * ops.expand_dims(column, -2))
        else:
            velocity.assign(keep * velocity + (1 - keep) * squares)
        change = gradient / ops.sqrt(velocity)
        change = change / ops.maximum(_root_mean_square(change) / self.clip_threshold, 1.0)
        size = ops.maximum(_root_mean_square(variable), self.epsilon_2)
        variable.assign_sub(size * rate * change)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }


def _root_mean_square(x: Any) -> Tensor:
    return ops.sqrt(ops.mean(ops.square(x)))
