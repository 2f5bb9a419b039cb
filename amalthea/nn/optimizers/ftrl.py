"""FTRL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn import initializers
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.Ftrl")
class Ftrl(Optimizer):
    """Follow the regularized leader, for large sparse linear models (McMahan et al., KDD 2013).

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        learning_rate_power: how the learning rate falls with the sum of squares; at most 0, where it is constant.
        initial_accumulator_value: where the sums of squares start; not negative.
        l1_regularization_strength: pulls weights to exactly zero; not negative.
        l2_regularization_strength: pulls weights towards zero; not negative.
        l2_shrinkage_regularization_strength: an L2 penalty on the gradient's side; not negative.
        beta: the paper's beta, 0 or more.

    The other arguments are those of `Optimizer`.

    Raises:
        ValueError: an argument has the wrong sign.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([1.0])
    >>> am.optimizers.Ftrl(learning_rate=0.1).apply([[3.0]], [w])
    >>> w.shape
    (1,)
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
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
        for argument, value, sign in (
            ("learning_rate_power", learning_rate_power, -1),
            ("initial_accumulator_value", initial_accumulator_value, 1),
            ("l1_regularization_strength", l1_regularization_strength, 1),
            ("l2_regularization_strength", l2_regularization_strength, 1),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength, 1),
        ):
            if value * sign < 0:
                raise ValueError(
                    f"[{self.name}] `{argument}` must be {'0 or more' if sign > 0 else '0 or less'}. "
                    f"Received: {argument}={value!r}. Fix: change its sign."
                )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        start = initializers.Constant(self.initial_accumulator_value)
        self._accumulators, self._linears = self.add_optimizer_variables(
            var_list, ["accumulator", "linear"], initializer=[start, "zeros"]
        )

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        squares, linear = self._accumulators[index], self._linears[index]
        rate = self._rate(learning_rate, variable.dtype)
        power = -self.learning_rate_power
        new_squares = squares + ops.square(gradient)
        strength, old_strength = ops.power(new_squares, power), ops.power(squares, power)
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * variable
        linear.assign_add(shrunk - (strength - old_strength) / rate * variable)
        quadratic = strength / rate + 2 * (self.l2_regularization_strength + self.beta / (2.0 * rate))
        limit = self.l1_regularization_strength
        variable.assign((ops.clip(linear, -limit, limit) - linear) / quadratic)
        squares.assign(new_squares)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }
