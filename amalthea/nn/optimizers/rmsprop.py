"""RMSprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.RMSprop")
class RMSprop(Optimizer):
    """Gradients divided by the root of their mean square (Hinton, Coursera lecture 6e, 2012).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        rho: how much of the mean square stays at each step.
        momentum: how much of the last change stays; 0 keeps none.
        epsilon: keeps the division away from zero.
        centered: divide by the estimated standard deviation instead, which takes the mean gradient out.

    The other arguments are those of `Optimizer`.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.RMSprop(learning_rate=0.1, rho=0.0).apply([[3.0]], [w])
    >>> round(float(w[0]), 4)
    0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
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
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self._velocities = self.add_optimizer_variables(var_list, "velocity")
        self._momentums = self.add_optimizer_variables(var_list, "momentum") if self.momentum > 0 else []
        self._average_gradients = self.add_optimizer_variables(var_list, "average_gradient") if self.centered else []

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        velocity = self._velocities[index]
        velocity.assign(self.rho * velocity + (1 - self.rho) * ops.square(gradient))
        spread = velocity.value
        if self.centered:
            average = self._average_gradients[index]
            average.assign(self.rho * average + (1 - self.rho) * gradient)
            spread = spread - ops.square(average)
        change = self._rate(learning_rate, variable.dtype) * gradient / ops.sqrt(spread + self.epsilon)
        if self.momentum > 0:
            momentum = self._momentums[index]
            momentum.assign(self.momentum * momentum + change)
            change = momentum
        variable.assign_sub(change)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
