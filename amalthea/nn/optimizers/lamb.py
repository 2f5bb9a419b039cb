"""Lamb."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.Lamb")
class Lamb(Optimizer):
    """Adam whose step on each variable is as large as the variable, for large batches (arXiv:1904.00962).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        beta_1: how much of the mean gradient stays at each step.
        beta_2: how much of the mean squared gradient stays at each step.
        epsilon: keeps the division away from zero ("epsilon hat" of the paper).

    The other arguments are those of `Optimizer`.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.Lamb(learning_rate=0.5).apply([[3.0]], [w])
    >>> round(float(w[0]), 4)
    0.5
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._velocities = self.add_optimizer_variables(var_list, ["momentum", "velocity"])

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        momentum.assign_add((gradient - momentum) * (1 - self.beta_1))
        velocity.assign_add((ops.square(gradient) - velocity) * (1 - self.beta_2))
        step = self._local_step(variable.dtype)
        change = momentum / (1 - ops.power(self.beta_1, step))
        change = change / (ops.sqrt(velocity / (1 - ops.power(self.beta_2, step))) + self.epsilon)
        of_variable = ops.sqrt(ops.sum(ops.square(variable)))
        of_change = ops.sqrt(ops.sum(ops.square(change)))
        both = ops.logical_and(of_variable > 0, of_change > 0)
        ratio = ops.where(both, of_variable / ops.where(both, of_change, 1.0), 1.0)
        variable.assign_sub(ratio * self._rate(learning_rate, variable.dtype) * change)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
