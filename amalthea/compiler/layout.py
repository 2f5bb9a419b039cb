"""What running a compiled routine needs to know of it: sizes, places and order, without its graph and its code.

Small and plain, so that it can be kept on disk beside the machine code.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from amalthea.compiler.index_checks import IndexCheck
from amalthea.compiler.linking import Stretch
from amalthea.compiler.routine import Routine
from amalthea.core import dtypes
from amalthea.core.node import Constant
from amalthea.core.spec import TensorSpec
from amalthea.core.value import Value


@dataclass(frozen=True)
class Place:
    """Where a value lives: ("input", i), ("constant", i), ("output", i) or ("arena", offset); its shape and dtype."""

    kind: str
    at: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Native:
    """A call of a native function: on all threads if it is `shared`, else on the caller's alone."""

    name: str
    shared: bool


@dataclass(frozen=True)
class Fallback:
    """A call of a NumPy kernel."""

    op: str
    attrs: dict[str, Any]
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]


@dataclass
class Layout:
    """What `Execution` needs.

    Attributes:
        inputs: how many there are.
        outputs: (shape, dtype) of each.
        in_place: for outputs (by place) the input whose memory they take.
        arena: bytes of memory that values between steps need.
        constants: arrays that the code reads.
        checks: of indices, in the order of their faults.
        stretches: native functions, and what falls back, in order.
    """

    inputs: int
    outputs: list[tuple[tuple[int, ...], str]]
    in_place: dict[int, int]
    arena: int
    constants: list[np.ndarray]
    checks: list[IndexCheck]
    stretches: list[Native | Fallback] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The native functions."""
        return [step.name for step in self.stretches if isinstance(step, Native)]

    @property
    def fallbacks(self) -> list[str]:
        """The primitives that run as NumPy kernels, in order."""
        return [step.op for step in self.stretches if isinstance(step, Fallback)]


def layout_of(routine: Routine, stretches: Sequence[Stretch]) -> Layout:
    """The layout of a routine that runs in these stretches."""
    made = Layout(
        len(routine.inputs),
        [(value.spec.sizes, str(value.spec.dtype)) for value in routine.outputs],
        routine.in_place,
        routine.arena_size,
        [np.ascontiguousarray(value.tensor.numpy()) for value in routine.constants],
        routine.checks,
    )
    for stretch in stretches:
        node = None if stretch.name else routine.steps[stretch.steps[0]].node
        if node is None:
            made.stretches.append(Native(stretch.name, stretch.shared))
        else:
            inputs, outputs = (tuple(_place(routine, v) for v in values) for values in (node.inputs, node.outputs))
            made.stretches.append(Fallback(node.op.name, node.attrs, inputs, outputs))
    return made


def _place(routine: Routine, value: Value) -> Place:
    kind, at = routine.places[routine.base(value)]
    return Place(kind, at, value.spec.sizes, str(value.spec.dtype))


# -- on disk -----------------------------------------------------------------------------------------------------------


def to_bytes(layout: Layout, constants: Sequence[Constant], known: Sequence[Constant]) -> list[bytes] | None:
    """The layout as a description and arrays; None if it cannot be written down (a graph among the attributes).

    Args:
        layout: the layout.
        constants: the values of its constants.
        known: values that the reader has too, which are left out.
    """
    numbers = {id(value): i for i, value in enumerate(known)}
    arrays, references = [], []
    for value, array in zip(constants, layout.constants, strict=True):
        references.append(numbers.get(id(value), [list(array.shape), str(value.spec.dtype)]))
        if id(value) not in numbers:
            arrays.append(array.tobytes())
    steps: list[Any] = []
    for step in layout.stretches:
        if isinstance(step, Fallback) and not _is_plain(step.attrs):
            return None
        steps.append(asdict(step) | ({"attrs": repr(step.attrs)} if isinstance(step, Fallback) else {}))
    described = {
        "inputs": layout.inputs,
        "outputs": layout.outputs,
        "in_place": list(layout.in_place.items()),
        "arena": layout.arena,
        "constants": references,
        "checks": [
            [check.indices.spec.sizes, str(check.indices.spec.dtype), check.sizes, check.op, check.axis]
            for check in layout.checks
        ],
        "steps": steps,
    }
    return [json.dumps(described).encode(), *arrays]


def from_bytes(parts: Sequence[bytes], known: Sequence[Constant]) -> Layout:
    """The layout that `to_bytes` wrote."""
    described = json.loads(parts[0])
    arrays = iter(parts[1:])
    constants = []
    for reference in described["constants"]:
        if isinstance(reference, int):
            constants.append(np.ascontiguousarray(known[reference].tensor.numpy()))
        else:
            shape, dtype = reference
            constants.append(np.frombuffer(next(arrays), dtypes.to_numpy(dtype)).reshape(shape))
    checks = [
        IndexCheck(Value(TensorSpec(shape, dtype)), tuple(sizes), op, axis)
        for shape, dtype, sizes, op, axis in described["checks"]
    ]
    return Layout(
        described["inputs"],
        [(tuple(shape), dtype) for shape, dtype in described["outputs"]],
        dict(described["in_place"]),
        described["arena"],
        constants,
        checks,
        [_fallback(step) if "op" in step else Native(**step) for step in described["steps"]],
    )


def _fallback(step: dict[str, Any]) -> Fallback:
    inputs, outputs = (
        tuple(Place(p["kind"], p["at"], tuple(p["shape"]), p["dtype"]) for p in step[side])
        for side in ("inputs", "outputs")
    )
    return Fallback(step["op"], ast.literal_eval(step["attrs"]), inputs, outputs)


def _is_plain(attrs: dict[str, Any]) -> bool:
    try:
        return bool(ast.literal_eval(repr(attrs)) == attrs)
    except (ValueError, SyntaxError):
        return False
