"""The metrics of a model: lists of metrics for each of its outputs."""

from __future__ import annotations

from typing import Any

from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.nn.metrics import Metric
from amalthea.train.resolve import get_metric
from amalthea.train.structure import Path, at, is_nested, leaf_paths, same_paths, shape_of


class CompileMetrics(Metric):
    """All metrics given to `compile`, updated and read together.

    For a model with one output, `metrics` is a list. With several outputs it has one entry (a metric, a list of metrics
    or None) for each output: in a list in their order, in a dict by their names, or in their structure.

    Args:
        metrics: the `metrics` argument of `compile`.
        weighted_metrics: the `weighted_metrics` argument of `compile`.
        output_names: names of the model's outputs, or None.

    Raises:
        ValueError: if metrics, targets and outputs do not match.
    """

    def __init__(
        self,
        metrics: Any,
        weighted_metrics: Any,
        name: str = "compile_metrics",
        output_names: list[str] | None = None,
    ) -> None:
        super().__init__(name=name)
        for argument, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if value and not isinstance(value, (list, tuple, dict)):
                fail(
                    ArgumentError,
                    f"`{argument}` must be a list, tuple or dict",
                    where="compile",
                    received=f"{argument}={value!r}",
                    fix=f"write {argument}=[{value!r}]",
                )
        self._asked = _Plain((metrics, weighted_metrics))
        self._output_names = list(output_names) if output_names else None
        self._plain = _Plain(())
        self.built = False

    @property
    def metrics(self) -> list[Any]:
        """The single metrics; none before targets and outputs have been seen."""
        if not self.built:
            return []
        unweighted, weighted = self._plain.value
        return [metric for group in (unweighted, weighted) for found in group.values() for metric in found]

    @property
    def variables(self) -> list[Any]:
        """Variables of the single metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Make the metrics of each output.

        Args:
            y_true: targets; only structure and shapes are read.
            y_pred: outputs.
        """
        paths = leaf_paths(y_pred)
        names = self._names(y_pred, paths)
        y_true = _align(y_true, y_pred, paths, names)
        groups = []
        for argument, asked in zip(("metrics", "weighted_metrics"), self._asked.value, strict=True):
            spread = _spread(asked, argument, y_pred, paths, names) if asked else {}
            groups.append(
                {
                    path: [get_metric(one, y_true[path], at(y_pred, path)) for one in entry]
                    for path, entry in spread.items()
                    if entry
                }
            )
        self._plain = _Plain(tuple(groups))
        # the metrics of one output are known by their own names alone
        self._prefixes = _Plain({path: names[path] if len(paths) > 1 else None for path in paths})
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update every metric.

        Args:
            y_true: targets, in the structure of the outputs or with one entry for each.
            y_pred: outputs.
            sample_weight: used by the weighted metrics: None, one array, or one for each output.
        """
        if y_true is None:
            fail(
                ArgumentError,
                "the metrics need targets, and none were given",
                where="fit",
                received="y=None",
                fix="pass y, or yield (x, y) from the data set",
            )
        if not self.built:
            self.build(y_true, y_pred)
        paths = leaf_paths(y_pred)
        names = self._names(y_pred, paths)
        targets = _align(y_true, y_pred, paths, names)
        if is_nested(sample_weight):
            weights = _align(sample_weight, y_pred, paths, names)
        else:
            weights = dict.fromkeys(paths, sample_weight)
        unweighted, weighted = self._plain.value
        for path, found in unweighted.items():
            for metric in found:
                metric.update_state(targets[path], at(y_pred, path))
        for path, found in weighted.items():
            for metric in found:
                metric.update_state(targets[path], at(y_pred, path), weights[path])

    def reset_state(self) -> None:
        """Reset every metric."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        """Results by name: prefixed by the output's where there are several, `weighted_` or numbered on a clash."""
        results: dict[str, Any] = {}
        if not self.built:
            return results
        counts: dict[str, int] = {}
        unweighted, weighted = self._plain.value
        for is_weighted, groups in ((False, unweighted), (True, weighted)):
            for path, found in groups.items():
                prefix = self._prefixes.value[path]
                for metric in found:
                    name = metric.name if prefix is None else f"{prefix}_{metric.name}"
                    if name in counts and is_weighted:
                        name = f"weighted_{metric.name}" if prefix is None else f"{prefix}_weighted_{metric.name}"
                    clash = counts.get(name)
                    counts[name] = 1 if clash is None else clash + 1
                    results[name if clash is None else f"{name}_{clash}"] = metric.result()
        return results

    def _names(self, y_pred: Any, paths: list[Path]) -> dict[Path, str | None]:
        if isinstance(y_pred, dict) and all(len(path) == 1 for path in paths):
            return {path: str(path[0]) for path in paths}
        known = self._output_names
        if known is not None and len(known) == len(paths):
            return dict(zip(paths, known, strict=True))
        return dict.fromkeys(paths)


class _Plain:
    """Holds a structure of metrics without having it tracked as the state of this metric."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _as_list(entry: Any) -> list[Any]:
    if entry is None:
        return []
    return list(entry) if isinstance(entry, (list, tuple)) else [entry]


def _spread(asked: Any, argument: str, y_pred: Any, paths: list[Path], names: dict[Path, Any]) -> dict[Path, list]:
    if len(paths) == 1:
        return {paths[0]: [one for one in tree.flatten(asked) if one is not None]}
    if isinstance(asked, dict):
        by_name = {name: path for path, name in names.items() if name is not None}
        if set(asked) <= set(by_name):
            # in the order of the outputs, whatever the order of the dict
            return {path: _as_list(asked[name]) for name, path in by_name.items() if name in asked}
    elif all(len(path) == 1 for path in paths) and len(asked) == len(paths):
        return {path: _as_list(entry) for path, entry in zip(paths, asked, strict=True)}
    spread: dict[Path, list] = {}
    if _descend(asked, y_pred, (), spread):
        return spread
    known = [name for name in names.values() if name is not None]
    described = f"outputs named {known}" if len(known) == len(paths) else f"outputs {shape_of(y_pred)}"
    return fail(
        ArgumentError,
        f"`{argument}` does not match the outputs of the model",
        where="compile",
        received=f"{argument}={asked!r}, {described}",
        fix=f"give one entry (a metric or a list of metrics) for each of the {len(paths)} outputs",
    )


def _descend(asked: Any, part: Any, path: Path, spread: dict[Path, list]) -> bool:
    if not is_nested(part):
        if isinstance(asked, dict):
            return False
        spread[path] = _as_list(asked)
        return True
    if asked is None:
        return True
    if isinstance(part, dict):
        if not isinstance(asked, dict) or not set(asked) <= set(part):
            return False
        return all(_descend(asked[key], part[key], (*path, key), spread) for key in sorted(asked))
    if not isinstance(asked, (list, tuple)) or len(asked) != len(part):
        return False
    return all(_descend(item, part[i], (*path, i), spread) for i, item in enumerate(asked))


def _align(value: Any, y_pred: Any, paths: list[Path], names: dict[Path, Any]) -> dict[Path, Any]:
    """Targets (or weights) by the path of their output; outputs without one get None."""
    if not is_nested(value):
        if len(paths) == 1:
            return {paths[0]: value}
    elif same_paths(value, y_pred):
        return {path: at(value, path) for path in paths}
    elif isinstance(value, dict) and all(name in names.values() for name in value):
        return {path: value.get(names[path]) for path in paths}
    elif len(tree.flatten(value)) == len(paths):
        return dict(zip(paths, tree.flatten(value), strict=True))
    return fail(
        ArgumentError,
        "the metrics' targets do not have the structure of the model's outputs",
        where="fit",
        received=f"targets {shape_of(value)}, outputs {shape_of(y_pred)}",
        fix="give the targets as a list with one array for each output, or a dict by the outputs' names",
    )
