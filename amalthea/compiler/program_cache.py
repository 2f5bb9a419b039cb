"""Whole programs on disk: a graph that was compiled once needs no passes, no plan and no code generation again.

An entry holds the layout of a program and the key of its machine code, which is an entry of its own. Its key is a hash
of the graph, the target, the settings and the compiler's sources. Graphs with an attribute that is not plain data are
not kept.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from amalthea.compiler.cache import ObjectCache, folder, sources
from amalthea.compiler.engine import Loaded, load_cached, versions
from amalthea.compiler.layout import Layout, from_bytes, to_bytes
from amalthea.compiler.routine import Routine
from amalthea.compiler.target import Target
from amalthea.compiler.threads import num_threads
from amalthea.core import config
from amalthea.core.graph import Graph
from amalthea.core.node import Constant
from amalthea.core.value import Value

_PLAIN = (bool, int, float, str, type(None), np.generic)


class Entry:
    """The place in the cache of the program for one graph and target.

    Attributes:
        key: None if the program cannot be kept.
        constants: those of the graph, which an entry refers to.
    """

    def __init__(self, graph: Graph, target: Target) -> None:
        self.target = target
        self.constants: list[Constant] = []
        self.key: str | None = None
        try:
            described = self._graph(graph)
        except TypeError:
            return
        settings = config.fast_math(), num_threads() if config.autotune() else 0
        text = repr((sources(), versions(target).hexdigest(), settings, described))
        self.key = hashlib.sha256(text.encode()).hexdigest()

    def load(self) -> tuple[Layout, Loaded | None] | None:
        """The program, if it is in the cache and so is its machine code."""
        parts = ObjectCache(folder()).get(self.key) if self.key else None
        if not parts:
            return None
        layout = from_bytes(parts[1:], self.constants)
        if not layout.names:
            return layout, None
        loaded = load_cached(parts[0].decode(), layout.names, self.target)
        return None if loaded is None else (layout, loaded)

    def store(self, layout: Layout, loaded: Loaded | None, routine: Routine) -> None:
        """Keep a program."""
        parts = to_bytes(layout, routine.constants, self.constants) if self.key else None
        if parts is not None and self.key:
            ObjectCache(folder()).put(self.key, [(loaded.key if loaded else "").encode(), *parts])

    def _graph(self, graph: Graph) -> Any:
        """The graph in numbers and words; TypeError if an attribute is something else."""
        numbers: dict[Value, int] = {value: i for i, value in enumerate(graph.all_inputs)}
        inputs = [(value.spec.shape, str(value.spec.dtype)) for value in graph.all_inputs]

        def number(value: Value) -> Any:
            if value not in numbers:
                numbers[value] = len(numbers)
                if not isinstance(value, Constant):
                    raise TypeError("a value of another graph")
                self.constants.append(value)
                array = np.ascontiguousarray(value.tensor.numpy())
                digest = array.tobytes() if array.nbytes < 64 else hashlib.sha256(array.data).digest()
                return numbers[value], array.shape, str(value.spec.dtype), digest
            return numbers[value]

        nodes = []
        for node in graph.nodes:
            taken = [number(value) for value in node.inputs]
            for value in node.outputs:
                numbers[value] = len(numbers)
            attrs = [(name, self._attribute(value)) for name, value in sorted(node.attrs.items())]
            specs = [(value.spec.shape, str(value.spec.dtype)) for value in node.outputs]
            nodes.append((node.op.name, taken, attrs, specs))
        outputs = [number(value) for value in graph.all_outputs]
        return inputs, nodes, outputs, len(graph.outputs), [place for place, _ in graph.updates]

    def _attribute(self, value: Any) -> Any:
        if isinstance(value, Graph):
            return self._graph(value)
        if isinstance(value, (tuple, list)):
            return [self._attribute(item) for item in value]
        if not isinstance(value, _PLAIN):
            raise TypeError("not plain data")
        return repr(value)
