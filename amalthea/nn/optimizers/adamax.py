"""Adamax and Nadam, relatives of Adam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.context import eager_scope
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.Adamax")
class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of the mean squared one (Kingma and Ba, 2014, section 7).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        beta_1: how much of the mean gradient stays at each step.
        beta_2: how much of the largest gradient stays at each step.
        epsilon: keeps the division away from zero.

    The other arguments are those of `Optimizer`.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.Adamax(learning_rate=0.5).apply([[3.0]], [w])
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
        self._m, self._u = self.add_optimizer_variables(var_list, ["momentum", "norm"])

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        momentum, norm = self._m[index], self._u[index]
        momentum.assign_add((gradient - momentum) * (1 - self.beta_1))
        norm.assign(ops.maximum(self.beta_2 * norm, ops.abs(gradient)))
        unbiased = self._once(("bias", dtype), lambda: 1 - ops.power(self.beta_1, self._local_step(dtype)))
        variable.assign_sub(self._rate(learning_rate, dtype) * momentum / (unbiased * (norm + self.epsilon)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


@public("keras.optimizers.Nadam")
class Nadam(Optimizer):
    """Adam with Nesterov's look ahead along the mean gradient (Dozat, 2015).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        beta_1: how much of the mean gradient stays at each step.
        beta_2: how much of the mean squared gradient stays at each step.
        epsilon: keeps the division away from zero ("epsilon hat" of the paper).

    The other arguments are those of `Optimizer`.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.Nadam(learning_rate=0.5).apply([[3.0]], [w])
    >>> bool(w[0] < 1.0)
    True
    """

    # How fast the momentum warms up: 1 - 0.5 * 0.96**(step / 1), as in the paper's reference schedule.
    _WARM_UP = 0.96

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
        with eager_scope():
            dtype = var_list[0].dtype if var_list else None
            self._u_product = Variable(1.0, dtype=dtype, trainable=False, name="variable")

    def _momentum_at(self, step: Tensor) -> Tensor:
        """The momentum of a step, which warms up towards `beta_1`."""
        return self.beta_1 * (1.0 - 0.5 * ops.power(self._WARM_UP, step))

    def _update_variables(self, grads: list[Tensor], variables: list[Variable], learning_rate: Any) -> None:
        product = self._u_product
        product.assign(product * self._momentum_at(self._local_step(product.dtype)))
        super()._update_variables(grads, variables, learning_rate)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        momentum, velocity = self._momentums[index], self._velocities[index]
        momentum.assign_add((gradient - momentum) * (1 - self.beta_1))
        velocity.assign_add((ops.square(gradient) - velocity) * (1 - self.beta_2))

        def compute() -> tuple[Tensor, Tensor, Tensor]:
            step = self._local_step(dtype)
            now, following = self._momentum_at(step), self._momentum_at(step + 1)
            product = as_tensor(self._u_product, dtype)
            of_momentum = following / (1 - product * following)
            of_gradient = (1 - now) / (1 - product)
            return of_momentum, of_gradient, 1 - ops.power(self.beta_2, step)

        of_momentum, of_gradient, unbiased = self._once(("factors", dtype), compute)
        ahead = of_momentum * momentum + of_gradient * gradient
        rate = self._rate(learning_rate, dtype)
        variable.assign_sub(ahead * rate / (ops.sqrt(velocity / unbiased) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
