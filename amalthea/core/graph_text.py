"""How a graph prints: one line a node, like maths, with shapes and dtypes."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from typing import Any

import numpy as np

from amalthea.core.node import Constant, Slot
from amalthea.core.tensor import Tensor
from amalthea.core.value import Value


def _letters() -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)


class _Names:
    """Gives values their names: inputs keep theirs, others are a, b, c, ..."""

    def __init__(self, graph: Any) -> None:
        self.fresh = _letters()
        self.names: dict[Value, str] = {}
        taken = set()
        for i, value in enumerate((*graph.inputs, *graph.captures)):
            wanted = value._name if value._name is not None else f"x{i}"
            taken.add(wanted)
            self.names[value] = wanted
        for variable, value in zip(graph.variables, graph.state_inputs, strict=True):
            name = variable.path.rsplit("/", 1)[-1]
            if name in taken:
                name = variable.path
            while name in taken:
                name += "'"
            taken.add(name)
            self.names[value] = name
        self.taken = taken

    def of(self, value: Value) -> str:
        if isinstance(value, Constant):
            return _constant(value.tensor)
        if value not in self.names:
            self.names[value] = next(letter for letter in self.fresh if letter not in self.taken)
        return self.names[value]


def _constant(tensor: Tensor) -> str:
    array = tensor.numpy()
    if array.size == 1 and array.ndim == 0:
        return f"{array.item():.7g}" if isinstance(array.item(), float) else str(array.item())
    if array.size <= 4:
        return np.array2string(array, separator=",", precision=4).replace("\n", "")
    return f"constant {tensor.dtype!s}[{','.join(map(str, array.shape))}]"


def _attr(value: Any) -> str:
    if hasattr(value, "nodes"):
        return f"<graph {value.name}>"
    if isinstance(value, tuple):
        inside = ", ".join(_attr(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(str(value)) if isinstance(value, str) else repr(value)


def inner_graphs(attrs: Any) -> Iterator[Any]:
    """The graphs among the attributes of a node: bodies of loops, branches."""
    for value in attrs.values() if isinstance(attrs, dict) else attrs:
        if hasattr(value, "nodes"):
            yield value
        elif isinstance(value, tuple):
            yield from inner_graphs(value)


def graph_text(graph: Any, indent: str = "") -> str:
    """The `Graph` as text."""
    names = _Names(graph)
    takes = ", ".join(f"{names.of(v)}: {v.spec}" for v in graph.inputs)
    lines = [f"{indent}graph {graph.name}({takes})"]
    for value in graph.captures:
        lines.append(f"{indent}  uses {names.of(value)}: {value.spec}")
    for variable, value in zip(graph.variables, graph.state_inputs, strict=True):
        lines.append(f"{indent}  state {names.of(value)}: {value.spec}  # {variable.path}")
    rows: list[tuple[str, str, str]] = []
    for node in graph.nodes:
        made = ", ".join(f"{names.of(v)}: {v.spec}" for v in node.outputs)
        static = [f"{k}={_attr(v)}" for k, v in node.attrs.items() if not _has_slot(v)]
        call = f"{node.op.name}({', '.join([*(names.of(v) for v in node.inputs), *static])})"
        rows.append((made, call, " / ".join(node.path)))
    wide = min(max((len(made) for made, _, _ in rows), default=0), 40)
    for (made, call, path), node in zip(rows, graph.nodes, strict=True):
        lines.append(f"{indent}  {made:{wide}} = {call}" + (f"  # {path}" if path else ""))
        for inner in inner_graphs(node.attrs):
            lines.append(graph_text(inner, indent + "    "))
    for i, value in graph.updates:
        lines.append(f"{indent}  {graph.variables[i].path} := {names.of(value)}")
    lines.append(f"{indent}  return {', '.join(names.of(v) for v in graph.outputs)}")
    return "\n".join(lines)


def _has_slot(value: Any) -> bool:
    if type(value) is Slot:
        return True
    if isinstance(value, dict):
        return any(_has_slot(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_has_slot(item) for item in value)
