"""The base class of optimizers: everything but the update rule."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from amalthea import ops
from amalthea.core.config import floatx
from amalthea.core.context import context, eager_scope, name_scope, no_tapes
from amalthea.core.function import function
from amalthea.core.tensor import KerasTensor, Tensor, as_tensor
from amalthea.core.variable import Variable
from amalthea.nn.naming import auto_name
from amalthea.nn.objects import deserialize_keras_object, public, serialize_keras_object
from amalthea.nn.optimizers.checks import check_variables, checked_pairs, checked_rate, is_number
from amalthea.nn.optimizers.conditional import only_where
from amalthea.nn.optimizers.gradients import clip_by_global_norm, clip_by_norm, fitting
from amalthea.nn.optimizers.schedules import BUILT_IN, LearningRateSchedule
from amalthea.nn.optimizers.state import OptimizerState
from amalthea.nn.stateless import borrowed_values, current_values


@public("keras.optimizers.Optimizer", "keras.Optimizer")
class Optimizer(OptimizerState):
    """Changes variables so that a loss falls, given the loss's gradients.

    Subclass it and write `update_step(gradient, variable, learning_rate)`; make what it needs to remember in `build`
    with `add_optimizer_variables`. Written in ops and `assign`, it runs eagerly and inside a compiled step alike.
    Eagerly the whole update runs as one compiled function.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function without arguments that gives a number.
        weight_decay: each step also takes `learning_rate * weight_decay * variable` from each variable.
        clipnorm: bound on the norm of each gradient.
        clipvalue: bound on the size of each element of gradients.
        global_clipnorm: bound on the joint norm of all gradients. At most one of these three.
        use_ema: keep exponential moving averages of the variables, which `finalize_variable_values` puts in place.
        ema_momentum: how much of an average stays at each step, 0 to 1.
        ema_overwrite_frequency: also put the averages in place every so many steps.
        loss_scale_factor: the loss was multiplied by this (see `scale_loss`); gradients are divided by it.
        gradient_accumulation_steps: update only every so many steps (at least 2), with the mean of their gradients.
        name: name of the optimizer; made from the class name when absent.

    Raises:
        ValueError: an argument is none of these.

    Example:
    >>> import amalthea as am
    >>> class SignDescent(am.optimizers.Optimizer):
    ...     def update_step(self, gradient, variable, learning_rate):
    ...         variable.assign_sub(learning_rate * am.ops.sign(gradient))
    >>> w = am.Variable([1.0, -2.0])
    >>> SignDescent(learning_rate=0.5).apply([[3.0, -4.0]], [w])
    >>> w.numpy()
    array([ 0.5, -1.5], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Any,
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
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._trainable_variables_indices: dict[int, int] = {}
        self._step_values: dict[Any, Any] | None = None
        self._given_learning_rate: Any = None
        self._warned_of: set[tuple[str, ...]] = set()
        self._undecayed: set[int] = set()
        self._undecayed_pattern: re.Pattern[str] | None = None
        self.name = name or auto_name(type(self).__name__)
        if kwargs.pop("decay", None) is not None:
            warnings.warn(
                f"[{self.name}] `decay` no longer exists and is ignored. "
                "Fix: use learning_rate=am.optimizers.schedules.InverseTimeDecay(...).",
                stacklevel=3,
            )
        if kwargs:
            raise ValueError(
                f"[{self.name}] unknown arguments. Received: {sorted(kwargs)}. Fix: see help(am.optimizers."
                f"{type(self).__name__}) for those that there are."
            )
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check_arguments()
        self.built = False
        with eager_scope(), name_scope(self.name):
            self._iterations = Variable(
                0, name="iteration", dtype="int32", trainable=False, aggregation="only_first_replica"
            )
            self._learning_rate = self._standardize_learning_rate(learning_rate)

    def _check_arguments(self) -> None:
        steps = self.gradient_accumulation_steps
        clips = {key: getattr(self, key) for key in ("clipnorm", "clipvalue", "global_clipnorm")}
        frequency = self.ema_overwrite_frequency
        problem = None
        if steps and not (isinstance(steps, int) and steps >= 2):
            problem = f"`gradient_accumulation_steps` must be an int of at least 2, or None. Received: {steps!r}"
        elif self.use_ema and not 0 <= self.ema_momentum <= 1:
            problem = f"`ema_momentum` must lie between 0 and 1. Received: {self.ema_momentum!r}"
        elif self.use_ema and frequency and not (isinstance(frequency, int) and frequency >= 1):
            problem = f"`ema_overwrite_frequency` must be an int of at least 1, or None. Received: {frequency!r}"
        elif sum(value is not None for value in clips.values()) > 1:
            problem = f"gradients can be clipped in one way only. Received: {clips}"
        if problem:
            raise ValueError(f"[{self.name}] {problem}. Fix: change or leave out that argument.")

    def _standardize_learning_rate(self, value: Any) -> Any:
        if isinstance(value, (Variable, LearningRateSchedule)):
            return value
        if not is_number(value) and callable(value):
            return value
        return Variable(
            checked_rate(value, self.name),
            name="learning_rate",
            dtype=floatx(),
            trainable=False,
            aggregation="only_first_replica",
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if "_variables" not in self.__dict__ and name not in ("_compiled", "_variables"):
            raise RuntimeError(
                f"[{type(self).__name__}] an attribute was set before the optimizer itself was made. "
                "Fix: call super().__init__() first in __init__."
            )
        if isinstance(value, Variable):
            self._track_variable(value)
        if not name.startswith("_") and name not in ("learning_rate", "built"):
            self._compiled.clear()  # compiled updates have hyperparameters built in
        super().__setattr__(name, value)

    # State

    @property
    def iterations(self) -> Any:
        """How many updates were made: an int variable (with gradient accumulation, a tensor computed from it)."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the state for these variables; `apply` does it at its first call.

        Args:
            variables: the variables that the optimizer will change.
        """
        variables = list(variables)
        if self.use_ema:
            self._model_variables_moving_average = self.add_optimizer_variables(variables, "average")
        self._accumulated_gradients: list[Variable] = []
        for index, variable in enumerate(variables):
            self._trainable_variables_indices[id(variable)] = index
            if self.gradient_accumulation_steps:
                self._accumulated_gradients.append(
                    self.add_variable_from_reference(variable, name="gradient_accumulator")
                )
        self._trainable_variables = variables
        self.built = True

    def _get_variable_index(self, variable: Variable) -> int:
        return self._trainable_variables_indices[id(variable)]

    # Learning rate

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the coming step: a variable where it is a number, else a tensor.

        Set it to a number at any time. A schedule or function can be replaced by another one.
        """
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        current = self._learning_rate
        if isinstance(value, LearningRateSchedule) or (callable(value) and not isinstance(value, (Variable, Tensor))):
            if isinstance(current, Variable):
                self._variables[:] = [v for v in self._variables if v is not current]
            self._learning_rate = value
            self._compiled.clear()
        elif isinstance(current, Variable):
            symbolic = isinstance(value, (KerasTensor, Variable))
            current.assign(value if symbolic else checked_rate(value, self.name))
        else:
            raise TypeError(
                f"[{self.name}] the learning rate follows {type(current).__name__} and cannot be set to a number. "
                f"Received: learning_rate={value!r}. Fix: make the optimizer with a number, or set another schedule."
            )

    def _get_current_learning_rate(self) -> Any:
        if self._given_learning_rate is not None:
            return self._given_learning_rate
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            return rate(self._iterations)
        if isinstance(rate, Variable):
            return rate
        return rate()

    # Updates

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        """Change one variable; every subclass writes this.

        Args:
            gradient: its gradient, of its shape and dtype, clipped already.
            variable: the variable.
            learning_rate: scalar tensor or variable.
        """
        raise NotImplementedError(
            f"[{self.name}] {type(self).__name__} has no `update_step`. Fix: define "
            "update_step(self, gradient, variable, learning_rate) in the class."
        )

    def assign(self, variable: Variable, value: Any) -> None:
        """Set a variable; for use in `update_step`."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add to a variable; for use in `update_step`."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract from a variable; for use in `update_step`."""
        variable.assign_sub(value)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """Update variables, given as pairs `(gradient, variable)`.

        Returns:
            The variable that counts steps.

        Raises:
            ValueError: no gradient is there, or a variable is new to the optimizer.
            ShapeError: a gradient has another shape than its variable.

        Example:
        >>> import amalthea as am
        >>> w = am.Variable([1.0, 2.0])
        >>> int(am.optimizers.SGD(0.5).apply_gradients([([1.0, 1.0], w)]))
        1
        """
        self.apply(*checked_pairs(grads_and_vars, f"{type(self).__name__}.apply_gradients"))
        return self._iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Update variables.

        Args:
            grads: one gradient each; None leaves its variable as it is (with a warning).
            trainable_variables: the variables; absent, those that the optimizer was built with.

        Raises:
            ValueError: no gradient is there, or a variable is new to the optimizer.
            ShapeError: a gradient has another shape than its variable.
        """
        grads = list(grads)
        if not grads:
            return
        variables = self._variables_of(grads, trainable_variables)
        grads, variables = self._present(grads, variables)
        if context.trace is not None:
            self._update(grads, variables)
        else:
            self._compiled_update(grads, variables)

    def _compiled_update(self, grads: list[Tensor], variables: list[Variable]) -> None:
        """The update in eager code: traced once for these variables, then one compiled call a step."""
        key = tuple(map(id, variables))
        step = self._compiled.get(key)
        if step is None:
            step = function(lambda grads, rate: self._update(grads, variables, rate), name=f"{self.name}.apply")
            self._compiled[key] = step
        with no_tapes():
            step(grads, self._rate_from_outside())

    def _rate_from_outside(self) -> Tensor | None:
        """The learning rate, where the user computes it in Python: that happens at each step, not once in the trace."""
        rate = self._learning_rate
        return None if isinstance(rate, Variable) or type(rate) in BUILT_IN else as_tensor(self.learning_rate)

    def _update(self, grads: list[Tensor], variables: list[Variable], learning_rate: Any = None) -> None:
        """The whole update, in ops and assignments."""
        self._step_values, self._given_learning_rate = {}, learning_rate
        try:
            grads, variables = self._overwrite(grads, variables)
            if grads:
                if self.loss_scale_factor is not None:
                    grads = [g / self.loss_scale_factor for g in grads]
                self._accumulate_and_step(grads, variables)
                if self.use_ema:
                    self._update_averages()
                for variable in variables:
                    if variable.constraint is not None:
                        variable.assign(variable.constraint(variable))
            self._iterations.assign_add(1)
        finally:
            self._step_values, self._given_learning_rate = None, None

    def _accumulate_and_step(self, grads: list[Tensor], variables: list[Variable]) -> None:
        steps = self.gradient_accumulation_steps
        if not steps:
            self._step(grads, variables)
            return
        stores = [self._accumulated_gradients[self._get_variable_index(v)] for v in variables]
        sums = [g + store for g, store in zip(grads, stores, strict=True)]
        due = self._accumulation_is_due()
        kept = {id(store) for store in self._accumulated_gradients}
        with only_where(due, [*variables, *(v for v in self.variables if id(v) not in kept)]):
            self._step([total / steps for total in sums], variables)
        for store, total in zip(stores, sums, strict=True):
            store.assign(ops.where(due, ops.zeros_like(total), total))

    def _accumulation_is_due(self) -> Tensor:
        return ops.equal((self._iterations + 1) % self.gradient_accumulation_steps, 0)

    def _step(self, grads: list[Tensor], variables: list[Variable]) -> None:
        grads = self._clip_gradients(grads)
        self._apply_weight_decay(variables)
        self._update_variables(grads, variables, self.learning_rate)

    def _update_variables(self, grads: list[Tensor], variables: list[Variable], learning_rate: Any) -> None:
        for gradient, variable in zip(grads, variables, strict=True):
            self.update_step(gradient, variable, learning_rate)

    def _once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """`compute()`, done once in each update: scalars that the steps of all variables share."""
        values = self._step_values
        if values is None:
            return compute()
        if key not in values:
            values[key] = compute()
        return values[key]

    def _local_step(self, dtype: Any) -> Tensor:
        """The number of the update that is being made, from 1, in this dtype."""
        return self._once(("step", dtype), lambda: ops.cast(self.iterations + 1, dtype))

    def _rate(self, learning_rate: Any, dtype: Any) -> Tensor:
        """The learning rate in this dtype."""
        return self._once(("rate", dtype, id(learning_rate)), lambda: as_tensor(learning_rate, dtype))

    # Checks

    def _variables_of(self, grads: list[Any], trainable_variables: Sequence[Variable] | None) -> list[Variable]:
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    f"[{self.name}] `apply` without variables needs a built optimizer. Received: {len(grads)} "
                    "gradients. Fix: call optimizer.build(variables) first, or pass the variables."
                )
            variables = self._trainable_variables
        else:
            variables = list(trainable_variables)
            check_variables(variables, self.name)
            if not self.built:
                self.build(variables)
                self.built = True
            for variable in variables:
                if id(variable) not in self._trainable_variables_indices:
                    raise ValueError(
                        f"[{self.name}] a variable is new to this optimizer, which was built for others. "
                        f"Received: '{getattr(variable, 'path', variable)}' of shape {tuple(variable.shape)}. "
                        "Fix: make a new optimizer, or call optimizer.build(all_variables) before the first step."
                    )
        if len(grads) != len(variables):
            raise ValueError(
                f"[{self.name}] one gradient is needed for each variable. Received: {len(grads)} gradients for "
                f"{len(variables)} variables. Fix: pass both in the same order, None where there is no gradient."
            )
        return variables

    def _present(self, grads: list[Any], variables: list[Variable]) -> tuple[list[Tensor], list[Variable]]:
        """The gradients that there are, as tensors that fit their variables."""
        missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
        if missing:
            self._report_missing(missing, len(grads))
            kept = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
            grads, variables = [g for g, _ in kept], [v for _, v in kept]
        return [fitting(self.name, g, v) for g, v in zip(grads, variables, strict=True)], variables

    def _report_missing(self, paths: list[str], number: int) -> None:
        if len(paths) == number:
            raise ValueError(
                f"[{self.name}] no variable has a gradient. Received: None for {paths}. Fix: compute the loss from "
                "these variables inside the tape, by ops (not by NumPy), and watch what is not a trainable variable."
            )
        if tuple(paths) not in self._warned_of:
            self._warned_of.add(tuple(paths))
            warnings.warn(
                f"[{self.name}] variables without a gradient are left as they are: {paths}. "
                "Fix: does the loss depend on them? If it need not, make them trainable=False.",
                stacklevel=4,
            )

    # Parts of an update

    def _overwrite(self, grads: list[Tensor], variables: list[Variable]) -> tuple[list[Tensor], list[Variable]]:
        """Serve variables whose "gradient" is their new value (scales of 8-bit layers); return the others."""
        if not any(map(self._overwrite_variable_with_gradient, variables)):
            return grads, variables
        others = []
        for new, variable in zip(grads, variables, strict=True):
            if not self._overwrite_variable_with_gradient(variable):
                others.append((new, variable))
            elif self.gradient_accumulation_steps:
                store = self._accumulated_gradients[self._get_variable_index(variable)]
                largest, due = ops.maximum(new, store), self._accumulation_is_due()
                variable.assign(ops.where(due, largest, variable))
                store.assign(ops.where(due, ops.zeros_like(largest), largest))
            else:
                variable.assign(new)
        return [g for g, _ in others], [v for _, v in others]

    def _clip_gradients(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clipnorm and self.clipnorm > 0:
            return [clip_by_norm(g, self.clipnorm) for g in grads]
        if self.global_clipnorm and self.global_clipnorm > 0:
            return clip_by_global_norm(grads, self.global_clipnorm)
        if self.clipvalue and self.clipvalue > 0:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Name variables that shall not decay; to be called before the first step.

        Args:
            var_list: the variables themselves.
            var_names: pieces of their names (regular expressions), for example `["bias", "beta"]`.
        """
        self._undecayed = {id(v) for v in var_list or ()}
        names = list(var_names or ())
        self._undecayed_pattern = re.compile("|".join(names)) if names else None
        self._compiled.clear()

    def _use_weight_decay(self, variable: Variable) -> bool:
        if id(variable) in self._undecayed:
            return False
        return self._undecayed_pattern is None or not self._undecayed_pattern.search(variable.name)

    def _apply_weight_decay(self, variables: Iterable[Variable]) -> None:
        if self.weight_decay is None:
            return
        for variable in variables:
            if self._use_weight_decay(variable):
                self._decay(variable, self.weight_decay)

    def _decay(self, variable: Variable, weight_decay: float) -> None:
        rate = self._rate(self.learning_rate, variable.dtype)
        variable.assign(variable - variable * weight_decay * rate)

    def _update_averages(self) -> None:
        momentum = ops.cast(ops.not_equal(self.iterations, 0), floatx()) * self.ema_momentum
        pairs = [
            (v, average)
            for v, average in zip(self._trainable_variables, self._model_variables_moving_average, strict=True)
            if average is not None
        ]
        for variable, average in pairs:
            keep = as_tensor(momentum, variable.dtype)
            average.assign(keep * average + (1 - keep) * variable)
        if self.ema_overwrite_frequency:
            due = ops.equal((self.iterations + 1) % self.ema_overwrite_frequency, 0)
            for variable, average in pairs:
                variable.assign(ops.where(due, average, variable))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """With `use_ema`, set the variables to their averages; `fit` does it at its end.

        Args:
            var_list: the variables that the optimizer was built with.

        Raises:
            ValueError: there are not as many as the optimizer was built with.
        """
        if not self.use_ema:
            return
        averages = self._model_variables_moving_average
        if len(var_list) != len(averages):
            raise ValueError(
                f"[{self.name}] the averages belong to other variables. Received: {len(var_list)} variables for "
                f"{len(averages)} averages. Fix: pass the variables that the optimizer was built with."
            )
        for variable, average in zip(var_list, averages, strict=True):
            if average is not None:
                variable.assign(average)

    def scale_loss(self, loss: Any) -> Any:
        """The loss times `loss_scale_factor`: take gradients of this one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """`apply` as a function of values: nothing is assigned.

        Args:
            optimizer_variables: values of `optimizer.variables`.
            grads: gradients.
            trainable_variables: values of the variables that the optimizer was built with.

        Returns:
            The new values: those of the trainable variables, those of the optimizer.

        Raises:
            ValueError: the optimizer is not built, or the numbers of values are wrong.
        """
        if not self.built:
            raise ValueError(
                f"[{self.name}] `stateless_apply` needs a built optimizer. Received: an optimizer without state. "
                "Fix: call optimizer.build(trainable_variables) first."
            )
        for what, values, own in (
            ("optimizer_variables", optimizer_variables, self.variables),
            ("trainable_variables", trainable_variables, self._trainable_variables),
        ):
            if len(values) != len(own):
                raise ValueError(
                    f"[{self.name}] `{what}` must hold one value for each variable. Received: {len(values)} values for "
                    f"{len(own)} variables. Fix: pass them in the order in which the optimizer has them."
                )
        trained, own = self._trainable_variables, self.variables
        with borrowed_values([*trained, *own], [*trainable_variables, *optimizer_variables]):
            self.apply(grads)
            return current_values(trained), current_values(own)

    # Configs

    def get_config(self) -> dict[str, Any]:
        """The arguments that build this optimizer again, as plain data."""
        rate = self._learning_rate
        return {
            "name": self.name,
            "learning_rate": float(rate.numpy()) if isinstance(rate, Variable) else serialize_keras_object(rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
        """The optimizer that `get_config` described."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = deserialize_keras_object(config["learning_rate"], custom_objects=custom_objects)
        return cls(**config)

    def _obj_type(self) -> str:
        return "Optimizer"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
