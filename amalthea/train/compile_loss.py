"""The losses of a model: one for each output that has one, weighted and added up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from amalthea import ops
from amalthea.core import config, tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.nn import metrics
from amalthea.train.check_targets import LabelRule, check_labels, check_shapes, label_rule
from amalthea.train.resolve import get_loss
from amalthea.train.structure import Path, at, is_nested, leaf_paths, same_paths, shape_of


class Term(NamedTuple):
    """One loss of a model."""

    path: Path
    loss: Any
    weight: float | None
    name: str
    shown: str  # what errors call its output


class CompileLoss:
    """The total loss of a model, as `compile(loss=..., loss_weights=...)` describes it.

    A single loss holds for every output. Several are given in a list in the order of the outputs, in a dict by the
    names of the outputs, or in the structure of the outputs; None leaves an output without a loss. Names are resolved
    when the first targets and outputs are seen.

    Args:
        loss: the `loss` argument of `compile`.
        loss_weights: the `loss_weights` argument of `compile`.
        output_names: names of the model's outputs, or None.
        shown_outputs: gives the names by which errors call the outputs; by default `output_names`.

    Raises:
        ValueError: if losses, weights, targets and outputs do not match.
    """

    def __init__(
        self,
        loss: Any,
        loss_weights: Any = None,
        output_names: list[str] | None = None,
        shown_outputs: Callable[[], list[str] | None] | None = None,
    ) -> None:
        if loss_weights is not None and not isinstance(loss_weights, (list, tuple, dict, float, int)):
            fail(
                ArgumentError,
                "`loss_weights` must be a number, a list or a dict",
                where="compile",
                received=f"loss_weights={loss_weights!r}",
                fix="give one number for each output",
            )
        self.loss = loss
        self.loss_weights = loss_weights
        self.output_names = list(output_names) if output_names else None
        self.shown_outputs = shown_outputs or (lambda: self.output_names)
        self.name = "compile_loss"
        self.built = False
        self.terms: list[Term] = []
        self.metrics: list[Any] = []
        self.label_rules: list[LabelRule] = []
        self._expected: list[Path] = []
        self._form: Any = None

    @property
    def variables(self) -> list[Any]:
        """Variables of the trackers of the single losses."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Find the loss of each output.

        Args:
            y_true: targets; only structure and shapes are read.
            y_pred: outputs.
        """
        paths = leaf_paths(y_pred)
        names = self._names(y_pred, paths)
        chosen = self._spread(self.loss, "loss", y_pred, paths, names)
        weights = self._spread(self.loss_weights, "loss_weights", y_pred, paths, names) if self.loss_weights else {}
        self._expected = [path for path, identifier in chosen.items() if identifier is not None]
        y_true = self._align(y_true, y_pred)
        self.terms = []
        for path, identifier in chosen.items():
            if identifier is None:
                continue
            target, output = _target(y_true, path), at(y_pred, path)
            first = tree.flatten(output)[0] if is_nested(output) else output
            found = get_loss(identifier, target, first) if not is_nested(target) else get_loss(identifier, first, first)
            weight = weights.get(path)
            name = _term_name(path, names.get(path), found)
            self.terms.append(Term(path, found, weight, name, self._shown(path, paths, name)))
        rules = [label_rule(term.loss, term.path, term.shown, at(y_pred, term.path)) for term in self.terms]
        self.label_rules = [rule for rule in rules if rule is not None]
        self.metrics = [metrics.Mean(name=f"{term.name}_loss") for term in self.terms] if len(self.terms) > 1 else []
        self._form = tree.map_structure(lambda _: 0, y_pred)
        self.built = True

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The weighted sum of the losses.

        Args:
            y_true: targets, in the structure of the outputs, or one for each output that has a loss.
            y_pred: outputs.
            sample_weight: None, one array for all outputs, or one for each.

        Returns:
            A scalar Tensor of dtype floatx, or None if no output has a loss.
        """
        if y_true is None:
            fail(
                ArgumentError,
                "the loss needs targets, and none were given",
                where="fit",
                received=f"y=None, loss={describe_loss(self.loss)}",
                fix="pass y, or yield (x, y) from the data set; a model without targets needs no loss in compile",
            )
        if not self.built:
            self.build(y_true, y_pred)
        y_true = self._align(y_true, y_pred)
        if is_nested(sample_weight):
            sample_weight = self._align(sample_weight, y_pred, argument="sample_weight")
        total = None
        for index, (path, loss, weight, _, shown) in enumerate(self.terms):
            target, output = _target(y_true, path), at(y_pred, path)
            if target is None:
                fail(
                    ArgumentError,
                    f"output {'/'.join(map(str, path)) or 0} has a loss and no target",
                    where="fit",
                    received=f"targets of shapes {shape_of(y_true)}",
                    fix="give a target for it, or None as its loss",
                )
            weights = _target(sample_weight, path) if is_nested(sample_weight) else sample_weight
            check_shapes(loss, target, output, shown)
            value = ops.cast(loss(target, output, weights), config.floatx())
            if self.metrics:
                # the single losses are reported as they are, without their weights
                self.metrics[index].update_state(value, sample_weight=tree.flatten(output)[0].shape[0])
            if weight is not None:
                value = value * weight
            total = value if total is None else total + value
        return total

    def check_labels(self, y_true: Any, sample_weight: Any = None, where: str = "fit") -> None:
        """Refuse targets with NaN or with class indices that name no class.

        Args:
            y_true: targets as NumPy arrays or Tensors.
            sample_weight: None, one array of weights, or one for each output.
            where: the method used in errors.
        """
        y_true = self._align(y_true, self._form)
        if is_nested(sample_weight):
            sample_weight = self._align(sample_weight, self._form, argument="sample_weight")
        for rule in self.label_rules:
            weights = _target(sample_weight, rule.path) if is_nested(sample_weight) else sample_weight
            check_labels(rule, _target(y_true, rule.path), weights, where)

    def _names(self, y_pred: Any, paths: list[Path]) -> dict[Path, str | None]:
        if isinstance(y_pred, dict) and all(len(path) == 1 for path in paths):
            return {path: str(path[0]) for path in paths}
        known = self.output_names
        if known is not None and len(known) == len(paths):
            return dict(zip(paths, known, strict=True))
        return dict.fromkeys(paths)

    def _shown(self, path: Path, paths: list[Path], name: str) -> str:
        """What errors call an output."""
        shown = self.shown_outputs()
        if shown and len(shown) == len(paths) and path in paths:
            return f"output {shown[paths.index(path)]!r}"
        return f"output {name!r}" if len(paths) > 1 else "the output"

    def _spread(
        self, value: Any, argument: str, y_pred: Any, paths: list[Path], names: dict[Path, str | None]
    ) -> dict[Path, Any]:
        """Which value belongs to which output; a value may also belong to a part that holds several outputs."""
        if not is_nested(value):
            if argument == "loss_weights" and len(paths) > 1:
                self._mismatch(value, argument, y_pred, paths, names)
            return dict.fromkeys(paths, value)
        if isinstance(value, dict):
            by_name = {name: path for path, name in names.items() if name is not None}
            if set(value) <= set(by_name):
                if isinstance(y_pred, dict):
                    return {by_name[name]: item for name, item in value.items()}
                return {path: value[name] for name, path in by_name.items() if name in value}
        elif len(value) == len(paths) and not any(is_nested(item) for item in value):
            return dict(zip(paths, value, strict=True))
        spread: dict[Path, Any] = {}
        if not self._descend(value, y_pred, (), spread):
            self._mismatch(value, argument, y_pred, paths, names)
        return spread

    def _descend(self, value: Any, part: Any, path: Path, spread: dict[Path, Any]) -> bool:
        if not is_nested(value):
            spread[path] = value
            return True
        if isinstance(value, dict):
            if not isinstance(part, dict) or not set(value) <= set(part):
                return False
            return all(self._descend(item, part[key], (*path, key), spread) for key, item in value.items())
        if not isinstance(part, (list, tuple)) or len(value) != len(part):
            return False
        return all(self._descend(item, part[i], (*path, i), spread) for i, item in enumerate(value))

    def _mismatch(self, value: Any, argument: str, y_pred: Any, paths: list[Path], names: dict[Path, Any]) -> None:
        known = [name for name in names.values() if name is not None]
        described = f"outputs named {known}" if len(known) == len(paths) else f"outputs {shape_of(y_pred)}"
        if isinstance(value, dict):
            unknown = sorted(map(str, set(value) - set(known)))
            fix = (
                f"use the names of the outputs as keys; {unknown} are none" if known else "use the keys of the outputs"
            )
        else:
            fix = f"give one entry for each of the {len(paths)} output{'s' if len(paths) > 1 else ''}"
            if len(paths) == 1 and argument == "loss":
                fix += "; to add up several losses, pass a function that does so"
        fail(
            ArgumentError,
            f"`{argument}` does not match the outputs of the model",
            where="compile",
            received=f"{argument}={describe_loss(value)}, {described}",
            fix=fix,
        )

    def _align(self, value: Any, y_pred: Any, argument: str = "y") -> Any:
        """Bring targets (or weights) into the structure of the outputs."""
        if not is_nested(value) and not is_nested(y_pred):
            return value
        if is_nested(value) and same_paths(value, y_pred):
            return value
        paths = leaf_paths(y_pred)
        if isinstance(value, dict):
            names = self._names(y_pred, paths)
            if self.output_names and len(self.output_names) == len(paths):
                names = (
                    names
                    if all(n in value for n in names.values())
                    else dict(zip(paths, self.output_names, strict=True))
                )
            wanted = [path for path in paths if not self._expected or path in self._expected]
            if all(names.get(path) in value for path in wanted):
                return _ByPath({path: value.get(names[path]) for path in paths})
            named = any(name is not None for name in names.values())
        else:
            named = False
        flat = tree.flatten(value) if is_nested(value) else [value]
        for candidates in (paths, self._expected):
            # a dict whose keys are not the names must not be read by position
            if len(flat) == len(candidates) and not named:
                return _ByPath(dict(zip(candidates, flat, strict=True)))
        known = f", outputs named {self.output_names}" if self.output_names else ""
        return fail(
            ArgumentError,
            f"`{argument}` does not have the structure of the model's outputs",
            where="fit",
            received=f"{argument} {shape_of(value)}, outputs {shape_of(y_pred)}{known}",
            fix=f"give {argument} as a list with one array for each output, or a dict by the outputs' names",
        )


class _ByPath(dict):
    """Targets by the path of the output that they belong to."""


def _target(y_true: Any, path: Path) -> Any:
    if isinstance(y_true, _ByPath):
        if path in y_true:
            return y_true[path]
        # a loss over several outputs at once
        return [value for key, value in y_true.items() if key[: len(path)] == path] or None
    return at(y_true, path)


def _term_name(path: Path, output_name: str | None, loss: Any) -> str:
    name = output_name if output_name is not None else getattr(loss, "name", "loss")
    if not path:
        return name
    if isinstance(path[-1], int):
        path = (*path[:-1], name)
    return "/".join(map(str, path))


def describe_loss(value: Any) -> str:
    """A loss argument as a person wrote it.

    >>> describe_loss({"a": "mse"})
    "{'a': 'mse'}"
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {describe_loss(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(describe_loss, value)) + "]"
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)
    return getattr(value, "__name__", None) or type(value).__name__
