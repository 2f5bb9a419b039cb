"""Adam without a learning-rate schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.context import eager_scope
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.ScheduleFreeAdamW")
class ScheduleFreeAdamW(Optimizer):
    """AdamW that averages its own path instead of lowering the learning rate (Defazio et al., 2024, arXiv:2405.15682).

    Gradients are taken between the fast path and its average.

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        beta_1: how near to the average gradients are taken.
        beta_2: how much of the mean squared gradient stays at each step.
        epsilon: keeps the division away from zero.
        warmup_steps: over so many steps the learning rate rises from 0.

    The other arguments are those of `Optimizer`.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.ScheduleFreeAdamW(learning_rate=0.5).apply([[3.0]], [w])
    >>> bool(w[0] < 1.0)
    True
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
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
        self.warmup_steps = warmup_steps

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._velocities = self.add_optimizer_variables(var_list, ["momentum", "velocity"])
        for fast, variable in zip(self._momentums, var_list, strict=True):
            if fast is not None:
                with eager_scope():
                    fast.assign(variable.value)  # the fast path starts where the variable is

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        fast, velocity = self._momentums[index], self._velocities[index]
        step = self._local_step(variable.dtype)
        rate = self._rate(learning_rate, variable.dtype)
        if self.warmup_steps > 0:
            rate = rate * ops.minimum(step / self.warmup_steps, 1.0)
        velocity.assign_add((ops.square(gradient) - velocity) * (1 - self.beta_2))
        size = ops.sqrt(velocity / (1 - ops.power(self.beta_2, step))) + self.epsilon
        average = (variable - (1 - self.beta_1) * fast) / self.beta_1
        fast.assign_sub(rate * gradient / size)
        average = (1 - 1 / step) * average + 1 / step * fast
        variable.assign((1 - self.beta_1) * fast + self.beta_1 * average)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "warmup_steps": self.warmup_steps,
        }
