"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.SGD")
class SGD(Optimizer):
    """Gradient descent, with momentum if wished.

    Without momentum `w -= learning_rate * g`. With it `v = momentum * v - learning_rate * g` and `w += v`; with
    `nesterov` as well `w += momentum * v - learning_rate * g` (Sutskever et al., 2013).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        momentum: how much of the last change stays, 0 to 1.
        nesterov: whether the step looks ahead along the momentum.

    The other arguments are those of `Optimizer`.

    Raises:
        ValueError: `momentum` is not between 0 and 1.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.SGD(learning_rate=0.5).apply([[1.0]], [w])
    >>> w.numpy()
    array([0.5], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(
                f"[{self.name}] `momentum` must be a number from 0 to 1. Received: momentum={momentum!r}. "
                "Fix: the usual one is 0.9."
            )
        self.momentum = momentum
        self.nesterov = nesterov

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum != 0 else []

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        change = gradient * self._rate(learning_rate, variable.dtype)
        if self.momentum == 0:
            variable.assign_sub(change)
            return
        momentum = self.momentums[self._get_variable_index(variable)]
        momentum.assign(momentum * self.momentum - change)
        variable.assign_add(momentum * self.momentum - change if self.nesterov else momentum)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "nesterov": self.nesterov,
        }
