"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.Adam")
class Adam(Optimizer):
    """Steps of the mean gradient over the root of the mean squared gradient (Kingma and Ba, 2014, arXiv:1412.6980).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        beta_1: how much of the mean gradient stays at each step.
        beta_2: how much of the mean squared gradient stays at each step.
        epsilon: keeps the division away from zero ("epsilon hat" of the paper).
        amsgrad: divide by the largest mean squared gradient so far (Reddi et al., 2018, arXiv:1904.09237).

    The other arguments are those of `Optimizer`.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.Adam(learning_rate=0.5).apply([[3.0]], [w])
    >>> round(float(w[0]), 4)
    0.5
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        self.amsgrad = amsgrad

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._velocities = self.add_optimizer_variables(var_list, ["momentum", "velocity"])
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(var_list, "velocity_hat")

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        momentum.assign_add((gradient - momentum) * (1 - self.beta_1))
        velocity.assign_add((ops.square(gradient) - velocity) * (1 - self.beta_2))
        if self.amsgrad:
            largest = self._velocity_hats[index]
            largest.assign(ops.maximum(largest, velocity))
            velocity = largest
        rate = self._unbiased_rate(learning_rate, variable.dtype)
        variable.assign_sub(momentum * rate / (ops.sqrt(velocity) + self.epsilon))

    def _unbiased_rate(self, learning_rate: Any, dtype: Any) -> Tensor:
        """The learning rate times what makes up for both means having started at zero."""

        def compute() -> Tensor:
            step = self._local_step(dtype)
            rate = self._rate(learning_rate, dtype)
            return rate * ops.sqrt(1 - ops.power(self.beta_2, step)) / (1 - ops.power(self.beta_1, step))

        return self._once(("unbiased rate", dtype), compute)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


@public("keras.optimizers.AdamW")
class AdamW(Adam):
    """Adam with weight decay on by default (Loshchilov and Hutter, 2017, arXiv:1711.05101).

    Each step also takes `learning_rate * weight_decay * w` from each variable, apart from the gradient.

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        weight_decay: see above; a number.
        beta_1: how much of the mean gradient stays at each step.
        beta_2: how much of the mean squared gradient stays at each step.
        epsilon: keeps the division away from zero ("epsilon hat" of the paper).
        amsgrad: see `Adam`.

    The other arguments are those of `Optimizer`.

    Raises:
        ValueError: `weight_decay` is None.

    Example:
    >>> import amalthea as am
    >>> optimizer = am.optimizers.AdamW(weight_decay=0.01)
    >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
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
        if self.weight_decay is None:
            raise ValueError(
                f"[{self.name}] `weight_decay` must be a number. Received: weight_decay=None. "
                "Fix: use Adam for no weight decay."
            )
