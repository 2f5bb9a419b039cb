"""An optimizer around another one that keeps small gradients from vanishing in float16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.core.variable import Variable
from amalthea.nn import initializers
from amalthea.nn.objects import deserialize_keras_object, public, serialize_keras_object
from amalthea.nn.optimizers.conditional import only_where
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.LossScaleOptimizer", "keras.mixed_precision.LossScaleOptimizer")
class LossScaleOptimizer(Optimizer):
    """Scales the loss up and gradients down again, by as much as they bear (arXiv:1710.03740).

    A step whose gradients are not all finite is left out and halves the scale; after `dynamic_growth_steps` good steps
    in a row the scale doubles.

    Args:
        inner_optimizer: the optimizer that makes the steps.
        initial_scale: where the scale starts.
        dynamic_growth_steps: good steps until the scale doubles.
        name: name of the optimizer.

    Raises:
        ValueError: an argument belongs to the inner optimizer.

    Example:
    >>> import amalthea as am
    >>> optimizer = am.optimizers.LossScaleOptimizer(am.optimizers.SGD(0.5), initial_scale=4.0)
    >>> w = am.Variable([1.0])
    >>> optimizer.apply([optimizer.scale_loss(am.ops.ones((1,)))], [w])
    >>> w.numpy()
    array([0.5], dtype=float32)
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = {k: v for k, v in kwargs.items() if not (k in _DEFAULTS and v == _DEFAULTS[k])}
        if kwargs:
            raise ValueError(
                f"[{name or 'loss_scale_optimizer'}] arguments that it does not take. Received: {sorted(kwargs)}. "
                "Fix: give them to the inner optimizer."
            )
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        self.step_counter = self.add_variable((), "zeros", dtype="int32", name="step_counter")
        self.dynamic_scale = self.add_variable(
            (), initializers.Constant(self.initial_scale), dtype="float32", name="dynamic_scale"
        )
        self.inner_optimizer.build(var_list)
        super().build(var_list)

    @property
    def variables(self) -> list[Variable]:
        """Its own state, then that of the inner optimizer."""
        return self._variables + self.inner_optimizer.variables

    def _update(self, grads: list[Tensor], variables: list[Variable], learning_rate: Any = None) -> None:
        finite = self.check_finite(grads)
        overwritten = self._overwrite_variable_with_gradient
        unscaled = [
            g if overwritten(v) else g / as_tensor(self.dynamic_scale, g.dtype)
            for g, v in zip(grads, variables, strict=True)
        ]
        with only_where(finite, [*variables, *self.inner_optimizer.variables]):
            self.inner_optimizer._update(unscaled, variables, learning_rate)
        full = ops.equal(self.step_counter, self.dynamic_growth_steps - 1)
        grown = ops.where(full, self.dynamic_scale * 2.0, self.dynamic_scale)
        counted = ops.where(full, 0, self.step_counter + 1)
        self.dynamic_scale.assign(ops.where(finite, grown, self.dynamic_scale * 0.5))
        self.step_counter.assign(ops.where(finite, counted, 0))

    def check_finite(self, grads: Sequence[Tensor | None]) -> Tensor:
        """Whether all elements of all gradients are finite: a scalar bool tensor."""
        checks = [ops.all(ops.isfinite(g)) for g in grads if g is not None]
        result = checks[0]
        for check in checks[1:]:
            result = ops.logical_and(result, check)
        return result

    def _get_current_learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    def _rate_from_outside(self) -> Tensor | None:
        return self.inner_optimizer._rate_from_outside()

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the inner optimizer, which can be set here as well."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value
        self._compiled.clear()

    @property
    def iterations(self) -> Any:
        """How many updates the inner optimizer made."""
        return self.inner_optimizer.iterations

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the present scale: take gradients of this one."""
        return loss * (self.dynamic_scale if self.built else self.initial_scale)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": serialize_keras_object(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
        config = dict(config)
        inner = deserialize_keras_object(config.pop("inner_optimizer"), custom_objects=custom_objects)
        return cls(inner, **config)


# What callers may pass for every optimizer, and this one takes only where it says nothing.
_DEFAULTS: dict[str, Any] = {
    "dynamic": True,
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}
