"""Einstein summation of any number of operands, reduced to sums over one operand and contractions of two."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export
from amalthea.core.spec import UnknownDim
from amalthea.core.tensor import Tensor
from amalthea.ops.arranging import diagonal
from amalthea.ops.contractions import LETTERS, contract
from amalthea.ops.core_ops import cast
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.shaping import moveaxis, reshape, transpose


def _samples() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    r = np.random.default_rng(2)
    table: list[Any] = [
        ("ij,jk->ik", (2, 3), (3, 2)),
        ("ij,jk,kl->il", (2, 3), (3, 2), (2, 2)),
        ("...ij,jk->...ik", (2, 2, 3), (3, 2)),
        ("ii->i", (3, 3)),
        ("ij->j", (2, 3)),
        ("bij,bkj", (2, 2, 3), (2, 2, 3)),
    ]
    return [((subscripts, *(r.normal(size=shape) for shape in shapes)), {}) for subscripts, *shapes in table]


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Tensor:
    """The Einstein sum: products over named axes, summed over the names that the output leaves out.

    Args:
        subscripts: A term of letters for each operand, separated by commas, then `->` and the letters of the output,
            for example "bij,bjk->bik". A letter repeated in a term takes the diagonal; `...` stands for axes that
            broadcast. Without an arrow the output has the letters that stand once, in alphabetical order.
        *operands: One tensor for each term.
        **kwargs: `optimize` is accepted and means nothing: a good order of contractions is always sought.

    Returns:
        A tensor of the common dtype (int32 where all operands are int8).

    Raises:
        ShapeError: If a term does not match its operand's rank, or a letter would have two sizes.
        ArgumentError: If the subscripts cannot be read.

    Example:

    >>> import amalthea as am
    >>> am.ops.einsum("ij,ij->i", [[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 10.0]]).tolist()
    [3.0, 43.0]
    """
    if set(kwargs) - {"optimize"}:
        fail(ArgumentError, "unknown arguments", where="einsum", received=", ".join(sorted(kwargs)))
    return _einsum(list(operands), subscripts="".join(subscripts.split()))


@composite(name="einsum", samples=lambda: [((list(operands),), {"subscripts": s}) for (s, *operands), _ in _samples()])
def _einsum(operands: Sequence[Tensor], subscripts: str) -> Tensor:
    """`ops.einsum` as the graph records it: the operands first, and the subscripts without blanks."""
    shapes = tuple(tuple(x.shape) for x in operands)
    if any(isinstance(dim, UnknownDim) for shape in shapes for dim in shape):
        terms, out = _read.__wrapped__(subscripts, shapes)
        sizes = _sizes(subscripts, terms, shapes)
        path = [(0, 1)] * (len(shapes) - 1)
    else:
        terms, out, sizes, path = _plan(subscripts, shapes)
    if all(x.dtype == "int8" for x in operands):
        operands = [cast(x, "int32") for x in operands]
    work = [
        _without_ones(_diagonal(x, t), "".join(dict.fromkeys(t)), sizes) for x, t in zip(operands, terms, strict=True)
    ]
    for first, second in path:
        (y, term_y), (x, term_x) = work.pop(max(first, second)), work.pop(min(first, second))
        needed = set(out).union(*(term for _, term in work))
        x, term_x = _summed(x, term_x, needed | set(term_y))
        y, term_y = _summed(y, term_y, needed | set(term_x))
        term = "".join(c for c in dict.fromkeys(term_x + term_y) if c in needed)
        if not work:
            term = out
        work.append((contract(x, y, subscripts=f"{term_x},{term_y}->{term}"), term))
    ((x, term),) = work
    x, term = _summed(x, term, set(out))
    return x if term == out else transpose(x, tuple(term.index(c) for c in out))


def _bad(message: str, subscripts: str, shapes: Sequence[Sequence[int]], kind: Any = ShapeError) -> NoReturn:
    received = f"'{subscripts}' with " + (", ".join(str(tuple(shape)) for shape in shapes) or "no operands")
    fail(kind, message, where="einsum", received=received, fix="give each axis of each operand one letter")


@functools.lru_cache(maxsize=1024)
def _plan(
    subscripts: str, shapes: tuple[tuple[int, ...], ...]
) -> tuple[list[str], str, dict[str, int], list[tuple[int, int]]]:
    """The terms without dots, the output, the size of each letter, and the pairs to contract, in order."""
    terms, out = _read(subscripts, shapes)
    sizes = _sizes(subscripts, terms, shapes)
    if len(shapes) <= 2:
        return terms, out, sizes, [(0, 1)] * (len(shapes) - 1)
    stand_ins = [np.broadcast_to(np.float32(0), [sizes[c] for c in term]) for term in terms]
    steps = np.einsum_path(",".join(terms) + "->" + out, *stand_ins, optimize="greedy")[0][1:]
    path: list[tuple[int, int]] = []
    count = len(shapes)
    for step in steps:  # a step may join more than two: then two at a time
        a, b, *more = sorted(step)
        path.append((a, b))
        count -= 1
        for shift, c in enumerate(more):
            path.append((c - 2 - shift, count - 1))
            count -= 1
    return terms, out, sizes, path


@functools.lru_cache(maxsize=1024)
def _read(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[str], str]:
    inputs, arrow, out = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(shapes):
        _bad(f"there are {len(terms)} terms and {len(shapes)} operands", subscripts, shapes, ArgumentError)
    if any(not c.isalpha() or not c.isascii() for c in (inputs + out).replace("...", "").replace(",", "")):
        _bad("only letters, commas, '...' and '->' are allowed", subscripts, shapes, ArgumentError)
    spare = [c for c in LETTERS if c not in subscripts]
    hidden = 0
    for term, shape in zip(terms, shapes, strict=True):
        named = len(term.replace("...", ""))
        if named > len(shape) or (named < len(shape) and "..." not in term):
            _bad(f"term '{term}' does not fit {len(shape)} axes", subscripts, shapes)
        hidden = max(hidden, len(shape) - named) if "..." in term else hidden
    dots = "".join(spare[:hidden])
    if not arrow:
        counts = Counter(inputs.replace("...", "").replace(",", ""))
        out = ("..." if "..." in inputs else "") + "".join(sorted(c for c, n in counts.items() if n == 1))
    full = []
    for term, shape in zip(terms, shapes, strict=True):
        width = len(shape) - len(term.replace("...", ""))
        full.append(term.replace("...", dots[hidden - width :] if width else ""))
    out = out.replace("...", dots)
    if len(set(out)) != len(out) or set(out) - set("".join(full)):
        _bad("each letter of the output must stand in an operand, and once", subscripts, shapes, ArgumentError)
    return full, out


def _sizes(subscripts: str, terms: Sequence[str], shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(term, shape, strict=True):
            known = sizes.get(letter, 1)
            if known == 1 or (isinstance(known, UnknownDim) and size != 1):
                sizes[letter] = size
            elif size not in (1, known) and not isinstance(size, UnknownDim):
                _bad(f"axis '{letter}' is {known} here and {size} there", subscripts, shapes)
    return sizes


def _diagonal(x: Tensor, term: str) -> Tensor:
    """`x` with each repeated letter reduced to one axis, in the order of first appearance."""
    while len(set(term)) != len(term):
        i = next(k for k, c in enumerate(term) if term.count(c) > 1)
        j = term.index(term[i], i + 1)
        if _sizes_differ(x.shape[i], x.shape[j]):
            _bad(f"axes '{term[i]}' of one operand have sizes {x.shape[i]} and {x.shape[j]}", term, [x.shape])
        x = moveaxis(diagonal(x, axis1=i, axis2=j), -1, i)
        term = term[:j] + term[j + 1 :]
    return x


def _sizes_differ(a: int, b: int) -> bool:
    return a != b and not isinstance(a, UnknownDim) and not isinstance(b, UnknownDim)


def _without_ones(x: Tensor, term: str, sizes: dict[str, int]) -> tuple[Tensor, str]:
    """Drop the axes of size 1 that are broadcast against a larger size elsewhere."""
    keep = [k for k, c in enumerate(term) if not (x.shape[k] == 1 and sizes[c] != 1)]
    if len(keep) == len(term):
        return x, term
    return reshape(x, tuple(x.shape[k] for k in keep)), "".join(term[k] for k in keep)


def _summed(x: Tensor, term: str, needed: set[str]) -> tuple[Tensor, str]:
    """Sum over the letters that nothing else needs."""
    axes = tuple(k for k, c in enumerate(term) if c not in needed)
    if not axes:
        return x, term
    return reduce_sum(x, axis=axes), "".join(c for c in term if c in needed)


export(__name__)
