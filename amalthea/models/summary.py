"""The table that `model.summary()` prints."""

from __future__ import annotations

import itertools
import math
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.node import Node
from amalthea.nn.calls import map_over_shapes

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print the summary of `model`; the arguments are those of `Model.summary`."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    functional = hasattr(model, "operations")
    branching = functional and not _is_chain(model)
    operations = model.operations if functional else model.layers
    header = ["Layer (type)", "Output Shape", "Param #"]
    justify: list[Any] = ["left", "left", "right"]
    ends, length = [0.45, 0.80, 1.0], 88
    if branching:
        header.append("Connected to")
        justify.append("left")
        ends, length = [0.3, 0.56, 0.74, 1.0], 108
    ends = list(positions or ends)
    if show_trainable:
        header.append("Trainable")
        justify.append("center")
        ends, length = [*(end * 0.9 for end in ends), 1.0], length + 12
    line_length = line_length or min(length, shutil.get_terminal_size().columns - 4)
    starts = [0, *(int(end * line_length) for end in ends)]
    widths = [end - start for start, end in itertools.pairwise(starts)]
    if len(widths) < len(header) or min(widths) < 4:
        fail(
            ArgumentError,
            "the columns of the summary would be too narrow",
            where="Model.summary",
            received=f"line_length={line_length}, positions={positions}",
            fix="widen the terminal or pass a larger line_length",
        )
    columns = [
        Column(name, justify=side, width=width) for name, side, width in zip(header, justify, widths, strict=False)
    ]
    table = Table(*columns, width=line_length, show_lines=True)
    for operation in _in_range(operations, layer_range, model):
        for row in _rows(operation, model, branching, expand_nested, show_trainable, 0):
            table.add_row(*row)

    plain = {"force_terminal": False, "color_system": None} if print_fn else {}
    console = Console(highlight=False, **plain)  # type: ignore[arg-type]
    if print_fn:
        console.begin_capture()
    console.print(f'[bold]Model: "{escape(model.name)}"[/]')
    console.print(table)
    for label, count, size in _totals(model):
        console.print(f"[bold] {label} params: [/][color(34)]{count:,}[/] ({size})")
    if print_fn:
        print_fn(console.end_capture())


def _rows(operation: Any, model: Any, branching: bool, nested: bool, trainable: bool, level: int) -> list[list[str]]:
    from rich.markup import escape

    prefix = "   " * level + "└ " if level else ""
    if isinstance(operation, Node):
        name, kind = model._names[operation], keras_style(operation.op.name)
    else:
        name, kind = operation.name, type(operation).__name__
    row = [f"{escape(prefix + name)} ([color(33)]{escape(kind)}[/])", _output_shape(operation), _parameters(operation)]
    if branching:
        row.append(escape(_connections(operation, model)))
    if trainable:
        weights = getattr(operation, "weights", [])
        row.append("[bold]-[/]" if not weights else "[color(34)]Y[/]" if operation.trainable else "[color(9)]N[/]")
    rows = [row]
    if nested:
        for inner in getattr(operation, "layers", ()):
            rows += _rows(inner, model, branching, nested, trainable, level + 1)
    return rows


def keras_style(op_name: str) -> str:
    """`expand_dims` -> `ExpandDims`, as ops are shown beside layers."""
    return "".join(part[:1].upper() + part[1:] for part in op_name.split("_"))


def _output_shape(operation: Any) -> str:
    shapes: Any
    if isinstance(operation, Node):
        shapes = [value.spec.shape for value in operation.outputs]
    elif operation._symbolic_calls:
        shapes = tree.flatten(tree.map_structure(lambda x: _Shape(x.shape), operation._symbolic_calls[-1][1]))
        shapes = [item.shape for item in shapes]
    elif operation._build_shapes_dict:
        try:
            found: list[Any] = []
            map_over_shapes(found.append, operation.compute_output_shape(**operation._build_shapes_dict))
            shapes = found
        except Exception:  # a layer that cannot say
            return "?"
    else:
        return "?"
    texts = ["(" + ", ".join(f"[color({45 if d is None else 34})]{d}[/]" for d in shape) + ")" for shape in shapes]
    return texts[0] if len(texts) == 1 else f"\\[{', '.join(texts)}]"


class _Shape:
    """A shape as one leaf of a structure."""

    def __init__(self, shape: Any) -> None:
        self.shape = tuple(shape)


def _parameters(operation: Any) -> str:
    if isinstance(operation, Node):
        return "[color(34)]0[/]"
    if not operation.built:
        return "[color(34)]0[/] (unbuilt)"
    return f"[color(34)]{operation.count_params():,}[/]"


def _connections(operation: Any, model: Any) -> str:
    """`dense[0][0], ...`: layer, call and output of each tensor that goes in."""
    nodes = [node for node in model._order if node is operation or node.op is operation]
    parts = []
    for node in nodes:
        for value in node.inputs:
            if value.node is None:
                continue
            origin = value.node if value.node in model._names else value.node.op
            if origin in model._names:
                calls = [other for other in model._order if other.op is value.node.op]
                calls.sort(key=lambda other: other.order)
                place = calls.index(value.node) if not isinstance(origin, Node) else 0
                parts.append(f"{model._names[origin]}[{place}][{value.index}]")
    return ", ".join(parts) or "-"


def _is_chain(model: Any) -> bool:
    """Whether every layer is called once and takes the output of the one before."""
    depths = list(model._depths.values())
    operations = [node.op for node in model._order if not isinstance(node.op, type(None))]
    layers = [op for op in operations if getattr(op, "kind", "") == "layer"]
    return (
        len(depths) == len(set(depths))
        and len(layers) == len({id(layer) for layer in layers})
        and all(len([v for v in node.inputs if v.node is not None]) <= 1 for node in model._order)
    )


def _in_range(operations: Sequence[Any], layer_range: Sequence[str] | None, model: Any) -> Sequence[Any]:
    if layer_range is None:
        return operations
    names = [model._names[o] if isinstance(o, Node) else o.name for o in operations]
    if len(layer_range) != 2 or not all(isinstance(name, str) for name in layer_range):
        fail(
            ArgumentError,
            "`layer_range` is a pair of layer names",
            where="Model.summary",
            received=repr(layer_range),
            fix="for example layer_range=['conv_1', 'dense']",
        )
    found = [[i for i, name in enumerate(names) if re.match(pattern, name)] for pattern in layer_range]
    if not all(found):
        fail(
            ArgumentError,
            "`layer_range` names layers that the model does not have",
            where="Model.summary",
            received=repr(layer_range),
            fix=f"use two of {names}",
        )
    first, last = found
    if min(first) > max(last):
        first, last = last, first
    return operations[min(first) : max(last) + 1]


def _totals(model: Any) -> list[tuple[str, int, str]]:
    trainable, fixed = model.trainable_weights, model.non_trainable_weights
    optimizer = getattr(model, "optimizer", None)
    extra = list(optimizer.variables) if model.compiled and optimizer is not None and optimizer.built else []
    rows = [("Total", [*trainable, *fixed, *extra]), ("Trainable", trainable), ("Non-trainable", fixed)]
    if extra:
        rows.append(("Optimizer", extra))
    return [(label, count_scalars(variables), readable_size(variables)) for label, variables in rows]


def count_scalars(variables: Iterable[Any]) -> int:
    """The number of elements in all variables."""
    return sum(math.prod(variable.shape) for variable in variables)


def readable_size(variables: Iterable[Any]) -> str:
    """The memory that the variables take: "1.25 KB"."""
    unique = {id(variable): variable for variable in variables}.values()
    size: float = sum(math.prod(v.shape) * dtypes.to_numpy(v.dtype).itemsize for v in unique)
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} {_UNITS[-1]}"
