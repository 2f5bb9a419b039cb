"""From a loop kernel to the functions that run it, one or two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from amalthea.compiler.kernel_code import KernelCode
from amalthea.compiler.loop_code import Base, Parameter
from amalthea.compiler.loop_columns import ColumnFunction
from amalthea.compiler.loop_parts import PartsFunction
from amalthea.compiler.loop_rows import EachFunction, RowFunction
from amalthea.compiler.loop_transposes import TransposeFunction
from amalthea.compiler.loops import LoopKernel
from amalthea.compiler.reductions import accumulator
from amalthea.core.value import Value


@dataclass
class LoopCode:
    """The functions of a kernel in order, each with its parameters, and the bytes of its scratch buffers.

    `in_place` has the values that are stored in the memory of another, which is the parameter for both.
    """

    codes: list[tuple[KernelCode, list[Parameter]]] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)
    in_place: dict[Value, Value] = field(default_factory=dict)


def generate_loops(
    kernel: LoopKernel, stored: set[Value], base: Base, replaced: Mapping[Value, Value] | None = None
) -> LoopCode:
    """The functions of a kernel. A reduction that is cut into parts has two: the parts, and what comes of them.

    Args:
        kernel: what to compute.
        stored: the values that are in memory.
        base: the value whose memory a stored value lives in (a reshape lives in its input's).
        replaced: for values the value whose memory they may take; `in_place` of the result has those that do.
    """
    made = LoopCode()
    if not kernel.reduces:
        turned = TransposeFunction(kernel, stored, base)
        each = turned if turned.pays else EachFunction(kernel, stored, base, replaced)
        made.codes.append((each.run(), each.parameters))
        made.in_place = each.in_place
        return made
    function = ColumnFunction(kernel, stored, base) if kernel.columns else RowFunction(kernel, stored, base)
    made.codes.append((function.run(), function.parameters))
    if function.parts > 1:
        places = function.parts * prod(kernel.kept)
        made.scratch = [places * accumulator(root.value.spec.dtype).itemsize for root in function.sums]
        rest = PartsFunction(kernel, stored, base)
        made.codes.append((rest.run(), rest.parameters))
    return made
