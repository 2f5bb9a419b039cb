"""Lion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.Lion")
class Lion(Optimizer):
    """Steps by the sign of a mean gradient: all of one size, with one state variable (arXiv:2302.06675).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number; three to ten times smaller than Adam's.
        beta_1: how much of the mean goes into the step, the rest being the new gradient.
        beta_2: how much of the mean stays at each step.

    The other arguments are those of `Optimizer`.

    Raises:
        ValueError: `beta_1` is not above 0 and at most 1 (at 0 nothing of the mean would be used).

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.Lion(learning_rate=0.25).apply([[3.0]], [w])
    >>> w.numpy()
    array([0.75], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
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
        if not 0 < beta_1 <= 1:
            raise ValueError(
                f"[{self.name}] `beta_1` must be above 0 and at most 1. Received: beta_1={beta_1!r}. "
                "Fix: the usual one is 0.9."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self._momentums = self.add_optimizer_variables(var_list, "momentum")

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        momentum = self._momentums[self._get_variable_index(variable)]
        direction = ops.sign(momentum * self.beta_1 + gradient * (1 - self.beta_1))
        variable.assign_sub(self._rate(learning_rate, variable.dtype) * direction)
        momentum.assign(momentum * self.beta_2 + gradient * (1 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
        }
