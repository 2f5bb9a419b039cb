"""The state of a layer: its variables and those of its sublayers, their lists, values and saving."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from amalthea.core import tree
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor, as_tensor, is_symbolic
from amalthea.core.variable import Variable
from amalthea.nn.stateless import borrowed_values, current_values
from amalthea.nn.tracking import Tracker


def _unique(*groups: Sequence[Any]) -> list[Any]:
    """The items of all groups, each object once, where it comes first."""
    return list({id(item): item for group in groups for item in group}.values())


class LayerState:
    """The part of `Layer` that is about variables, sublayers and losses."""

    _tracker: Tracker
    _trainable: bool
    _losses: list[Any]
    name: str
    built: bool

    # What is held

    @property
    def _layers(self) -> list[Any]:
        return self._tracker.stores["layers"]

    @property
    def _metrics(self) -> list[Any]:
        return self._tracker.stores["metrics"]

    @property
    def _trainable_variables(self) -> list[Variable]:
        return self._tracker.stores["trainable_variables"]

    @property
    def _non_trainable_variables(self) -> list[Variable]:
        return self._tracker.stores["non_trainable_variables"]

    @property
    def _seed_generators(self) -> list[Any]:
        return self._tracker.stores["seed_generators"]

    def _own_variables(self) -> list[Variable]:
        return self._trainable_variables + self._non_trainable_variables

    def _track_variable(self, variable: Variable) -> None:
        """Make a variable part of this layer's state."""
        self._tracker.add("trainable_variables" if variable.trainable else "non_trainable_variables", variable)
        if not self._trainable:
            variable.trainable = False

    def _untrack_variable(self, variable: Variable) -> None:
        """Take a variable out of this layer's state."""
        self._tracker.remove(variable)

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        """This layer and all sublayers, each once, depth first."""
        found: list[Any] = [self] if include_self else []
        seen: set[int] = set()
        queue = collections.deque(self._layers)
        while queue:
            layer = queue.popleft()
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            found.append(layer)
            if recursive:
                queue.extendleft(reversed(layer._layers))
        return found

    # Lists of variables

    @property
    def variables(self) -> list[Variable]:
        """All variables: weights and the states of seed generators, sublayers' included (metrics' are not)."""
        seeds = [generator.state for generator in self._seed_generators]
        return _unique(self._own_variables(), seeds, *[layer.variables for layer in self._layers])

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that training changes; none while `trainable` is False."""
        return [v for v in self.variables if v.trainable] if self._trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All other variables."""
        return [v for v in self.variables if not v.trainable] if self._trainable else self.variables

    @property
    def weights(self) -> list[Variable]:
        """All variables except the states of seed generators: what is saved and counted."""
        return _unique(self._own_variables(), *[layer.weights for layer in self._layers])

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes; none while `trainable` is False."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """All other weights."""
        return [v for v in self.weights if not v.trainable] if self._trainable else self.weights

    @property
    def metrics(self) -> list[Any]:
        """The metrics held by this layer and its sublayers."""
        return [*self._metrics, *[metric for layer in self._layers for metric in layer.metrics]]

    @property
    def metrics_variables(self) -> list[Variable]:
        """The variables of those metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def trainable(self) -> bool:
        """Whether training may change this layer. Setting it sets it for all sublayers too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._trainable_variables:
            variable.trainable = self._trainable
        for layer in self._layers:
            layer.trainable = self._trainable

    def count_params(self) -> int:
        """The number of scalars in all weights. Raises ArgumentError for a layer that is not built."""
        if not self.built:
            fail(
                ArgumentError,
                f"'{self.name}' has no weights to count yet, because it is not built",
                where=f"{type(self).__name__}.count_params",
                fix="call it on data, or call `build(input_shape)`",
            )
        return sum(int(np.prod(weight.shape)) for weight in self.weights)

    # Values

    def get_weights(self) -> list[np.ndarray]:
        """The values of `weights` as NumPy arrays."""
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign arrays to `weights`, in that order. Raises ArgumentError or ShapeError before anything is changed."""
        own = self.weights
        if len(own) != len(weights):
            fail(
                ArgumentError,
                f"'{self.name}' has {len(own)} weights",
                where=f"{type(self).__name__}.set_weights",
                received=f"{len(weights)} arrays",
                fix="pass one array per weight, as `get_weights()` returns them"
                + ("" if self.built else "; build the layer first"),
            )
        for weight, value in zip(own, weights, strict=True):
            if tuple(np.shape(value)) != tuple(weight.shape):
                fail(
                    ShapeError,
                    f"the array for '{weight.path}' has the wrong shape",
                    where=f"{type(self).__name__}.set_weights",
                    received=f"shape {tuple(np.shape(value))} for a weight of shape {tuple(weight.shape)}",
                    fix="pass arrays in the order and shapes of `get_weights()`",
                )
        for weight, value in zip(own, weights, strict=True):
            weight.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Write this layer's own variables (not its sublayers') into a dict-like store, as "0", "1", ..."""
        for position, variable in enumerate(self._own_variables()):
            store[f"{position}"] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote."""
        own = self._own_variables()
        if len(store.keys()) != len(own):
            unbuilt = not own and not self.built
            fail(
                ArgumentError,
                f"'{self.name}' has {len(own)} variables and the file holds {len(store.keys())} for it",
                where=f"{type(self).__name__}.load_own_variables",
                received=f"variables {[v.name for v in own]}, entries {sorted(store.keys())}",
                fix=(
                    "build the layer before loading: the layer that owns it must build it in its own `build()`, "
                    "or give it `build_from_config`"
                    if unbuilt
                    else "load into a layer made with the same arguments"
                ),
            )
        for position, variable in enumerate(own):
            variable.assign(np.asarray(store[f"{position}"]))

    # Losses

    def add_loss(self, loss: Any) -> None:
        """Add scalar tensors to what training minimises; called inside `call`. Kept until the next outermost call."""
        for item in tree.flatten(loss):
            if not isinstance(item, (Tensor, Variable)):
                fail(
                    ArgumentError,
                    "a loss must be a tensor",
                    where=f"{type(self).__name__}.add_loss",
                    received=f"{item!r} (of type {type(item).__name__})",
                    fix="compute it with ops from the layer's inputs or weights",
                )
            self._losses.append(as_tensor(item))

    def _own_losses(self) -> list[Any]:
        if context.trace is None:  # what a finished trace left behind has no value
            return [loss for loss in self._losses if not is_symbolic(loss)]
        return list(self._losses)

    @property
    def losses(self) -> list[Any]:
        """Scalar tensors to add to the loss: from `add_loss`, activity regularizers and weight regularizers."""
        found = []
        for layer in self._flatten_layers():
            found.extend(layer._own_losses())
        for weight in self.trainable_weights:
            if weight.regularizer is not None:
                found.append(weight.regularizer(weight))
        return found

    def _clear_losses(self) -> None:
        if self._losses:
            self._losses.clear()
        for layer in self._layers:
            layer._clear_losses()

    # Calls without side effects

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Call the layer with the given values in place of its variables, leaving the variables as they were.

        Args:
            trainable_variables: values for `trainable_variables`, in that order.
            non_trainable_variables: values for `non_trainable_variables`.
            *args, **kwargs: arguments of `call`.
            return_losses: whether to return the list of losses as well.

        Returns:
            `(outputs, new values of non_trainable_variables)`, and the losses if asked for.
        """
        if not self.built:
            fail(
                ArgumentError,
                f"'{self.name}' is not built",
                where=f"{type(self).__name__}.stateless_call",
                fix="call it on data once, or call `build(input_shape)`",
            )
        own: list[Any] = []
        values: list[Any] = []
        for kind, given in (("trainable", trainable_variables), ("non_trainable", non_trainable_variables)):
            variables = getattr(self, f"{kind}_variables")
            if len(variables) != len(given):
                fail(
                    ArgumentError,
                    f"'{self.name}' has {len(variables)} {kind} variables",
                    where=f"{type(self).__name__}.stateless_call",
                    received=f"{len(given)} values",
                    fix=f"pass one value per variable of `layer.{kind}_variables`",
                )
            own.extend(variables)
            values.extend(given)
        with borrowed_values(own, values):
            outputs = self(*args, **kwargs)  # type: ignore[operator]
            losses = self.losses if return_losses else None
            after = current_values(self.non_trainable_variables)
        return (outputs, after, losses) if return_losses else (outputs, after)
