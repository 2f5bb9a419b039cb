"""The base class of metrics: numbers that are gathered over batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from amalthea import ops
from amalthea.core.config import floatx
from amalthea.core.context import eager_scope, name_scope
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn import dtype_policies, initializers
from amalthea.nn.naming import auto_name
from amalthea.nn.objects import public
from amalthea.nn.stateless import borrowed_values, current_values


@public("keras.metrics.Metric", "keras.Metric")
class Metric:
    """A quantity gathered over many batches: it keeps state in variables, and `result` makes the number of them.

    Subclass it, make the state in `__init__` with `add_weight`, change it in `update_state` by `assign` and ops, and
    compute from it in `result`. Written so, it runs eagerly and inside a compiled step alike.

    Args:
        dtype: dtype (or dtype policy, whose compute dtype counts) of state and result; default `am.config.floatx()`.
        name: name of the metric; made from the class name when absent.

    Example:
    >>> import amalthea as am
    >>> class Largest(am.metrics.Metric):
    ...     def __init__(self, name="largest", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.value = self.add_weight(name="value", initializer="zeros")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(am.ops.maximum(self.value, am.ops.max(y_pred)))
    ...     def result(self):
    ...         return self.value
    >>> metric = Largest()
    >>> metric.update_state(None, [1.0, 3.0])
    >>> metric.update_state(None, [2.0, 0.5])
    >>> float(metric.result())
    3.0
    """

    _tracked_as = "metrics"
    _direction: str | None = None

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self._variables: list[Variable] = []
        self._metrics: list[Metric] = []
        self.name = name or auto_name(self.__class__.__name__)
        self._dtype_policy = dtype_policies.get(dtype or floatx())
        self._dtype = self._dtype_policy.compute_dtype

    @property
    def dtype(self) -> str:
        """The dtype of state and result."""
        return self._dtype

    @property
    def variables(self) -> list[Variable]:
        """All state: its own, then that of metrics which it holds."""
        return [*self._variables, *(v for metric in self._metrics for v in metric.variables)]

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith(("_variables", "_metrics")):
            for item in _parts(value):
                store: list[Any] | None = None
                if isinstance(item, Variable):
                    store = self._checked("_variables")
                elif isinstance(item, Metric):
                    store = self._checked("_metrics")
                if store is not None and not any(item is known for known in store):
                    store.append(item)
        super().__setattr__(name, value)

    def _checked(self, store: str) -> list[Any]:
        if store not in self.__dict__:
            raise RuntimeError(
                f"[{type(self).__name__}] state was made before the metric itself. "
                "Fix: call super().__init__() first in __init__."
            )
        return self.__dict__[store]

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a state variable.

        Args:
            shape: its shape.
            initializer: initializer, its name, or None for zeros.
            dtype: its dtype; default `am.config.floatx()`.
            aggregation: how replicas are joined: `"sum"`, `"mean"`, `"none"`, `"only_first_replica"`.
            name: its name.

        Returns:
            The variable, which belongs to `variables` from now on.
        """
        variables = self._checked("_variables")
        with eager_scope(), name_scope(self.name.replace("/", ">")):
            variable = Variable(
                initializers.get("zeros" if initializer is None else initializer),
                shape=tuple(shape),
                dtype=dtype or floatx(),
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                synchronization="on_read",
                name=name,
            )
        variables.append(variable)
        return variable

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """`add_variable` with a scalar of zero as the default."""
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    def reset_state(self) -> None:
        """Set all state to zero; `fit` does this at the start of each epoch."""
        for v in self.variables:
            v.assign(ops.zeros(v.shape, dtype=v.dtype))

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Take one more batch in; every subclass writes this."""
        raise NotImplementedError(
            f"[{self.name}] {type(self).__name__} has no `update_state`. Fix: define "
            "update_state(self, y_true, y_pred, sample_weight=None) in the class."
        )

    def result(self) -> Any:
        """The value so far, a tensor (or a dict of tensors); every subclass writes this."""
        raise NotImplementedError(
            f"[{self.name}] {type(self).__name__} has no `result`. Fix: define result(self) in the class."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take one more batch in and return the value so far."""
        self._checked("_variables")
        self.update_state(*args, **kwargs)
        return self.result()

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Tensor]:
        """`update_state` as a function: from the state, given as a list of tensors, to the new state.

        Raises:
            ValueError: there are not as many values as variables.
        """
        self._check_count(metric_variables)
        with borrowed_values(self.variables, metric_variables):
            self.update_state(*args, **kwargs)
            return current_values(self.variables)

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """`result` of a state that is given as a list of tensors.

        Raises:
            ValueError: there are not as many values as variables.
        """
        self._check_count(metric_variables)
        with borrowed_values(self.variables, metric_variables):
            result = self.result()
            return result.value if isinstance(result, Variable) else result

    def stateless_reset_state(self) -> list[Tensor]:
        """The state after a reset, as a list of tensors; the metric keeps its own."""
        with borrowed_values(self.variables, current_values(self.variables)):
            self.reset_state()
            return current_values(self.variables)

    def _check_count(self, values: Sequence[Any]) -> None:
        if len(values) != len(self.variables):
            raise ValueError(
                f"[{self.name}] `metric_variables` must hold one value for each variable of the metric. "
                f"Received: {len(values)} values for the {len(self.variables)} variables "
                f"{[v.path for v in self.variables]}. Fix: pass [v.value for v in metric.variables]."
            )

    def get_config(self) -> dict[str, Any]:
        """The arguments that build this metric again, as plain data."""
        return {"name": self.name, "dtype": str(self.dtype)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        return cls(**config)

    def _obj_type(self) -> str:
        return "Metric"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _parts(value: Any) -> Iterator[Any]:
    """The object itself, or what a list, tuple or dict holds."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _parts(item)
    else:
        yield value
