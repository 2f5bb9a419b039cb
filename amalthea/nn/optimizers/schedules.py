"""Learning rates that change with the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn.objects import deserialize_keras_object, public, serialize_keras_object
from amalthea.nn.optimizers.checks import check_numbers


@public("keras.optimizers.schedules.LearningRateSchedule")
class LearningRateSchedule:
    """A learning rate as a function of the step.

    Subclass it and write `__call__(step)`, in ops if it shall run inside a compiled step, and `get_config`.

    Example:
    >>> import amalthea as am
    >>> class Halving(am.optimizers.schedules.LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5 ** am.ops.cast(step, "float32")
    >>> optimizer = am.optimizers.SGD(learning_rate=Halving())
    >>> round(float(optimizer.learning_rate), 4)
    0.1
    """

    name: str

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, counted from 0."""
        raise NotImplementedError(
            f"[{type(self).__name__}] the schedule has no `__call__`. Fix: define __call__(self, step) in the class."
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that build this schedule again, as plain data."""
        raise NotImplementedError(
            f"[{type(self).__name__}] the schedule has no `get_config` and cannot be saved. "
            "Fix: define get_config(self) in the class; it returns the arguments of __init__."
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """The schedule that `get_config` described."""
        return cls(**config)

    def _check_positive(self, argument: str, value: Any) -> None:
        if value <= 0:
            raise ValueError(
                f"[{type(self).__name__}] `{argument}` must be above 0. Received: {argument}={value!r}. "
                "Fix: it is a number of steps."
            )


def _progress(start: Any, step: Any, steps: Any, staircase: bool = False) -> tuple[Tensor, Tensor]:
    """The first learning rate as a tensor, and `step / steps` in its dtype, whole numbers alone with `staircase`."""
    rate = ops.convert_to_tensor(start)
    share = ops.cast(step, rate.dtype) / ops.cast(steps, rate.dtype)
    return rate, ops.floor(share) if staircase else share


@public("keras.optimizers.schedules.ExponentialDecay")
class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: the first learning rate.
        decay_steps: in so many steps it is multiplied by `decay_rate`.
        decay_rate: see above.
        staircase: change it every `decay_steps` steps rather than at each.
        name: name of the schedule.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
    >>> import amalthea as am
    >>> schedule = am.optimizers.schedules.ExponentialDecay(0.5, decay_steps=10, decay_rate=0.5)
    >>> float(schedule(10))
    0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name
        check_numbers(
            type(self).__name__,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            decay_rate=decay_rate,
        )
        self._check_positive("decay_steps", decay_steps)

    def __call__(self, step: Any) -> Tensor:
        rate, share = _progress(self.initial_learning_rate, step, self.decay_steps, self.staircase)
        return rate * ops.power(ops.cast(self.decay_rate, rate.dtype), share)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@public("keras.optimizers.schedules.PiecewiseConstantDecay")
class PiecewiseConstantDecay(LearningRateSchedule):
    """One learning rate up to each boundary: `values[i]` for steps above `boundaries[i - 1]`, up to `boundaries[i]`.

    Args:
        boundaries: steps, increasing.
        values: learning rates, one more than boundaries.
        name: name of the schedule.

    Raises:
        ValueError: there is not exactly one value more than boundaries.

    Example:
    >>> import amalthea as am
    >>> schedule = am.optimizers.schedules.PiecewiseConstantDecay([10], [0.5, 0.25])
    >>> float(schedule(10)), float(schedule(11))
    (0.5, 0.25)
    """

    def __init__(self, boundaries: Sequence[int], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1 or not len(boundaries):
            raise ValueError(
                "[PiecewiseConstantDecay] one value more than boundaries is needed. Received: "
                f"boundaries={boundaries} ({len(boundaries)}), values={values} ({len(values)}). "
                "Fix: the first value holds up to the first boundary, the last one beyond the last."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        step = ops.convert_to_tensor(step)
        rate = ops.convert_to_tensor(self.values[-1])
        for boundary, value in zip(reversed(self.boundaries), reversed(self.values[:-1]), strict=True):
            rate = ops.where(step <= ops.cast(boundary, step.dtype), ops.cast(value, rate.dtype), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


@public("keras.optimizers.schedules.PolynomialDecay")
class PolynomialDecay(LearningRateSchedule):
    """From one learning rate to another along `(1 - step / decay_steps) ** power`.

    Args:
        initial_learning_rate: the first learning rate.
        decay_steps: after so many steps `end_learning_rate` is reached.
        end_learning_rate: the last learning rate.
        power: 1.0 is a straight line.
        cycle: begin again from there on, over twice, three times ... the steps; else it stays.
        name: name of the schedule.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
    >>> import amalthea as am
    >>> schedule = am.optimizers.schedules.PolynomialDecay(0.5, decay_steps=10, end_learning_rate=0.25)
    >>> float(schedule(10))
    0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name
        check_numbers(
            type(self).__name__,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            end_learning_rate=end_learning_rate,
            power=power,
        )
        self._check_positive("decay_steps", decay_steps)

    def __call__(self, step: Any) -> Tensor:
        rate = ops.convert_to_tensor(self.initial_learning_rate)
        step = ops.cast(step, rate.dtype)
        end, steps = ops.cast(self.end_learning_rate, rate.dtype), ops.cast(self.decay_steps, rate.dtype)
        if self.cycle:
            steps = steps * ops.where(ops.equal(step, 0), 1.0, ops.ceil(step / self.decay_steps))
        else:
            step = ops.minimum(step, steps)
        return (rate - end) * ops.power(1 - step / steps, self.power) + end

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


@public("keras.optimizers.schedules.InverseTimeDecay")
class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        initial_learning_rate: the first learning rate.
        decay_steps: see above.
        decay_rate: see above.
        staircase: change it every `decay_steps` steps rather than at each.
        name: name of the schedule.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
    >>> import amalthea as am
    >>> schedule = am.optimizers.schedules.InverseTimeDecay(0.5, decay_steps=10, decay_rate=1.0)
    >>> float(schedule(10))
    0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name
        check_numbers(
            type(self).__name__,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            decay_rate=decay_rate,
        )
        self._check_positive("decay_steps", decay_steps)

    def __call__(self, step: Any) -> Tensor:
        rate, share = _progress(self.initial_learning_rate, step, self.decay_steps, self.staircase)
        return rate / (1 + ops.cast(self.decay_rate, rate.dtype) * share)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


def _half_cosine(share: Tensor, alpha: float, height: Any = 1.0) -> Tensor:
    """From `height` down to `alpha` along half a cosine."""
    return (1 - alpha) * (0.5 * height * (1.0 + ops.cos(math.pi * share))) + alpha


@public("keras.optimizers.schedules.CosineDecay")
class CosineDecay(LearningRateSchedule):
    """Down along half a cosine, after a straight rise if wished (Loshchilov and Hutter, 2016, arXiv:1608.03983).

    Args:
        initial_learning_rate: the first learning rate.
        decay_steps: length of the way down.
        alpha: the last learning rate as a fraction of the highest.
        name: name of the schedule.
        warmup_target: the learning rate after the rise; None leaves the rise out.
        warmup_steps: length of the rise.

    Raises:
        ValueError: `decay_steps` is not positive.

    Example:
    >>> import amalthea as am
    >>> schedule = am.optimizers.schedules.CosineDecay(0.0, 100, warmup_target=0.5, warmup_steps=10)
    >>> float(schedule(5)), float(schedule(10))
    (0.25, 0.5)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps
        check_numbers(
            type(self).__name__,
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            alpha=alpha,
            warmup_target=warmup_target,
            warmup_steps=warmup_steps,
        )
        self._check_positive("decay_steps", decay_steps)

    def __call__(self, step: Any) -> Tensor:
        start = ops.convert_to_tensor(self.initial_learning_rate)
        step = ops.cast(step, start.dtype)
        steps = ops.cast(self.decay_steps, start.dtype)
        if self.warmup_target is None:
            return start * _half_cosine(ops.minimum(step, steps) / steps, self.alpha)
        target = ops.cast(self.warmup_target, start.dtype)
        down = target * _half_cosine(ops.minimum(step - self.warmup_steps, steps) / steps, self.alpha)
        if not self.warmup_steps:
            return down
        up = (target - start) * (step / self.warmup_steps) + start
        return ops.where(step < self.warmup_steps, up, down)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


@public("keras.optimizers.schedules.CosineDecayRestarts")
class CosineDecayRestarts(LearningRateSchedule):
    """Down along half a cosine again and again (SGDR: Loshchilov and Hutter, 2016, arXiv:1608.03983).

    Args:
        initial_learning_rate: the first learning rate.
        first_decay_steps: length of the first way down.
        t_mul: each way down is so many times as long as the last.
        m_mul: each begins so many times as high as the last.
        alpha: the lowest learning rate as a fraction of the first.
        name: name of the schedule.

    Raises:
        ValueError: `first_decay_steps` is not positive.

    Example:
    >>> import amalthea as am
    >>> schedule = am.optimizers.schedules.CosineDecayRestarts(0.5, first_decay_steps=10)
    >>> float(schedule(0)), float(schedule(10))
    (0.5, 0.5)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self._t_mul = t_mul
        self._m_mul = m_mul
        self.alpha = alpha
        self.name = name
        check_numbers(
            type(self).__name__,
            initial_learning_rate=initial_learning_rate,
            first_decay_steps=first_decay_steps,
            t_mul=t_mul,
            m_mul=m_mul,
            alpha=alpha,
        )
        self._check_positive("first_decay_steps", first_decay_steps)

    def __call__(self, step: Any) -> Tensor:
        rate, share = _progress(self.initial_learning_rate, step, self.first_decay_steps)
        if self._t_mul == 1.0:
            restarts = ops.floor(share)
            share = share - restarts
        else:
            # The first n ways down are 1 + t + ... + t^(n-1) = (1 - t^n) / (1 - t) times the first one long.
            ratio = ops.cast(self._t_mul, rate.dtype)
            restarts = ops.floor(ops.log(1.0 - share * (1.0 - ratio)) / ops.log(ratio))
            length = ops.power(ratio, restarts)
            share = (share - (1.0 - length) / (1.0 - ratio)) / length
        height = ops.power(ops.cast(self._m_mul, rate.dtype), restarts)
        return rate * _half_cosine(share, self.alpha, height)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self._t_mul,
            "m_mul": self._m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


# These can be computed inside a compiled step; what a user writes may contain any Python.
BUILT_IN: tuple[type[LearningRateSchedule], ...] = (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)


@public("keras.optimizers.schedules.serialize")
def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The config of a schedule, as plain data that `deserialize` and Keras read.

    >>> import amalthea as am
    >>> am.optimizers.schedules.serialize(am.optimizers.schedules.CosineDecay(0.1, 10))["class_name"]
    'CosineDecay'
    """
    return serialize_keras_object(learning_rate_schedule)


@public("keras.optimizers.schedules.deserialize")
def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> LearningRateSchedule:
    """The schedule that a config describes.

    Args:
        config: config of a schedule.
        custom_objects: classes of your own, by name.

    Example:
    >>> import amalthea as am
    >>> schedules = am.optimizers.schedules
    >>> schedules.deserialize(schedules.serialize(schedules.CosineDecay(0.1, 10))).decay_steps
    10
    """
    named = {schedule.__name__: schedule for schedule in BUILT_IN}
    return deserialize_keras_object(config, custom_objects=custom_objects, module_objects=named)


__all__ = ["LearningRateSchedule", "deserialize", "serialize", *(schedule.__name__ for schedule in BUILT_IN)]
