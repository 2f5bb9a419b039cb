"""The state of an optimizer: the variables that it keeps beside those it trains."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from amalthea.core.config import floatx
from amalthea.core.context import eager_scope, name_scope
from amalthea.core.variable import Variable
from amalthea.nn import initializers


class OptimizerState:
    """Makes, lists, saves and loads an optimizer's own variables."""

    name: str
    built: bool
    _variables: list[Variable]

    @property
    def variables(self) -> list[Variable]:
        """All state: `iteration`, `learning_rate` (where it is a number), then what `build` made."""
        return self._variables[:]

    def _track_variable(self, variable: Variable) -> None:
        if not any(variable is known for known in self._variables):
            self._variables.append(variable)

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a state variable of the optimizer.

        Args:
            shape: its shape.
            initializer: initializer or its name.
            dtype: its dtype; default `am.config.floatx()`.
            aggregation: how replicas are joined.
            layout: accepted for Keras' sake.
            name: its name.
        """
        with eager_scope(), name_scope(self.name):
            variable = Variable(
                initializers.get(initializer),
                shape=tuple(shape),
                dtype=dtype or floatx(),
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                name=name,
            )
        self._track_variable(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Make a state variable of the shape and dtype of another, named after it."""
        return self.add_variable(
            shape=reference_variable.shape,
            initializer=initializer,
            dtype=reference_variable.dtype,
            name=f"{reference_variable.path.replace('/', '_')}_{name or 'var'}",
        )

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """Make one or several state variables for each of `trainable_variables`.

        Args:
            trainable_variables: the variables to be changed.
            name: a name, or a list of them.
            initializer: an initializer, or one for each name.

        Returns:
            A list of variables for one name, a tuple of such lists for several. Variables that are overwritten by their
            gradient need no state and have None.

        Raises:
            ValueError: there are not as many initializers as names.
        """
        names = [name] if isinstance(name, str) else list(name)
        several = isinstance(initializer, (list, tuple))
        makers = list(initializer) if several else [initializer] * len(names)
        if len(names) != len(makers):
            raise ValueError(
                f"[{self.name}] one initializer is needed for each name. Received: name={name!r}, "
                f"initializer={initializer!r}. Fix: pass lists of equal length."
            )
        made: tuple[list[Variable | None], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for column, part, maker in zip(made, names, makers, strict=True):
                skip = self._overwrite_variable_with_gradient(variable)
                column.append(
                    None if skip else self.add_variable_from_reference(variable, name=part, initializer=maker)
                )
        return made[0] if isinstance(name, str) else made

    def _overwrite_variable_with_gradient(self, variable: Variable) -> bool:
        return getattr(variable, "overwrite_with_gradient", False)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all state, from values in the order of `variables`.

        Raises:
            ValueError: the optimizer is not built, or a shape differs.
        """
        if not self.built:
            raise ValueError(
                f"[{self.name}] an optimizer has no weights before it is built. Received: {len(weights)} values. "
                "Fix: call optimizer.build(trainable_variables) first."
            )
        for variable, value in zip(self.variables, weights, strict=False):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Write all state into a mapping, under "0", "1", ... in the order of `variables`."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Read all state from a mapping that `save_own_variables` (or Keras) wrote; warns if it does not fit."""
        if len(store.keys()) != len(self.variables):
            warnings.warn(
                f"[{self.name}] the saved state does not fit and is skipped. Received: {len(store.keys())} saved "
                f"variables for the optimizer's {len(self.variables)}. Fix: build it with the same variables.",
                stacklevel=2,
            )
            return
        for i, variable in enumerate(self.variables):
            variable.assign(store[str(i)])
