"""Products that sum over axes: one primitive, `contract`, and everything that is written in it."""

from __future__ import annotations

import functools
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from amalthea.core import config, dtypes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.op import composite, export, primitive
from amalthea.core.spec import UnknownDim
from amalthea.core.tensor import Tensor
from amalthea.ops.core_ops import cast
from amalthea.ops.elementary import power, sqrt
from amalthea.ops.elementwise import absolute, maximum, square
from amalthea.ops.reductions import max as reduce_max
from amalthea.ops.reductions import min as reduce_min
from amalthea.ops.reductions import sum as reduce_sum
from amalthea.ops.shaping import reshape
from amalthea.ops.specs import show, tensor_of

LETTERS = string.ascii_letters


@functools.lru_cache
def _plain_product(rank: int) -> dict[str, str]:
    """The attributes of the contraction that multiplies two tensors of this rank with equal batch axes."""
    batch = LETTERS[: rank - 2]
    return {"subscripts": f"{batch}yz,{batch}zw->{batch}yw"} if batch else {"subscripts": "ij,jk->ik"}


@functools.lru_cache(maxsize=4096)
def _split(subscripts: str) -> tuple[str, str, str]:
    """("ij", "jk", "ik") of "ij,jk->ik", checked for what `contract` allows."""
    operands, arrow, out = subscripts.partition("->")
    x, comma, y = operands.partition(",")
    wrong = (
        "two operands and an output are needed, as in 'ij,jk->ik'"
        if not (arrow and comma) or "," in y
        else "a letter is repeated inside an operand"
        if any(len(set(term)) != len(term) for term in (x, y, out))
        else "a letter of the output stands in no operand"
        if set(out) - set(x) - set(y)
        else "a letter is summed that stands in one operand only"
        if (set(x) ^ set(y)) - set(out)
        else None
    )
    if wrong:
        fail(ArgumentError, wrong, where="contract", received=repr(subscripts), fix="use ops.einsum, which allows more")
    return x, y, out


@functools.lru_cache(maxsize=4096)
def _for_x(subscripts: str) -> str:
    x, y, out = _split(subscripts)
    return f"{out},{y}->{x}"


@functools.lru_cache(maxsize=4096)
def _for_y(subscripts: str) -> str:
    x, y, out = _split(subscripts)
    return f"{x},{out}->{y}"


def _contract_samples() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    r = np.random.default_rng(0)
    return [
        ((r.normal(size=(2, 3)), r.normal(size=(3, 4))), {"subscripts": "ij,jk->ik"}),
        ((r.normal(size=(2, 2, 3)), r.normal(size=(4, 3))), {"subscripts": "bij,kj->kbi"}),
        ((r.normal(size=(2, 3, 2)), r.normal(size=(2, 2, 3))), {"subscripts": "bqh,hbk->bqhk"}),
        ((r.normal(size=(3,)), r.normal(size=(3,))), {"subscripts": "i,i->"}),
        ((r.normal(size=(2, 3)), r.normal(size=(3, 2))), {"subscripts": "ij,ji->ij"}),
    ]


@primitive(
    promote="common",
    gradient=(
        lambda g, out, x, y, subscripts: contract(g, y, subscripts=_for_x(subscripts)),
        lambda g, out, x, y, subscripts: contract(x, g, subscripts=_for_y(subscripts)),
    ),
    samples=_contract_samples,
)
def contract(x: Tensor, y: Tensor, subscripts: str) -> Tensor:
    """The sum of products over the letters that the output leaves out: the one contraction backends must know.

    It is `ops.einsum` of two tensors at its plainest: one letter for each axis, none repeated inside an operand, and
    each summed letter stands in both operands. Use `ops.einsum` or `ops.matmul` unless you write ops.

    Args:
        x: A tensor with one axis for each letter of the first term.
        y: A tensor with one axis for each letter of the second term.
        subscripts: For example "bik,bkj->bij".

    Returns:
        A tensor of the common dtype with one axis for each letter after the arrow.

    Raises:
        ShapeError: If a rank does not match its term, or a letter would have two sizes.
        ArgumentError: If the subscripts are not of the plain form.

    Example:

    >>> import amalthea as am
    >>> am.ops.contract([[1.0, 2.0]], [[3.0], [4.0]], "ij,jk->ik").tolist()
    [[11.0]]
    """
    term_x, term_y, out = _split(subscripts)
    sizes: dict[str, int] = {}
    for term, shape in ((term_x, x.shape), (term_y, y.shape)):
        if len(term) != len(shape):
            _fail_shapes("contract", f"'{subscripts}' gives {len(term)} letters to {len(shape)} axes", x, y)
        for letter, size in zip(term, shape, strict=True):
            known = sizes.get(letter)
            if known is None or isinstance(known, UnknownDim):
                sizes[letter] = size
            elif known != size and not isinstance(size, UnknownDim):
                _fail_shapes("contract", f"axis '{letter}' of '{subscripts}' is {known} here and {size} there", x, y)
    return tensor_of(tuple([sizes[letter] for letter in out]), x.dtype)


def _fail_shapes(where: str, message: str, x: Any, y: Any, fix: str | None = None) -> None:
    shapes = f"x1 {show(x.shape)}, x2 {show(y.shape)}"
    fail(ShapeError, message, where=where, received=shapes, fix=fix or "reshape or transpose one of them")


def _differ(a: int, b: int) -> bool:
    return a != b and not isinstance(a, UnknownDim) and not isinstance(b, UnknownDim)


@functools.lru_cache(maxsize=4096)
def _matmul_plan(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """The subscripts of a matmul of these shapes, and the shapes without the size-1 batch axes that are broadcast."""
    term_x, term_y = ("i" if len(x) > 1 else "") + "j", "j" + ("k" if len(y) > 1 else "")
    shape_x, shape_y, batch = x[-len(term_x) :], y[-len(term_y) :], ""
    batch_x, batch_y = x[: -len(term_x)], y[: -len(term_y)]
    for depth, letter in zip(range(1, max(len(batch_x), len(batch_y)) + 1), reversed(LETTERS), strict=False):
        a = batch_x[-depth] if depth <= len(batch_x) else None
        b = batch_y[-depth] if depth <= len(batch_y) else None
        batch = letter + batch
        if a is not None and (a != 1 or b is None or b == 1):
            term_x, shape_x = letter + term_x, (a, *shape_x)
        if b is not None and (b != 1 or a is None or a == 1):
            term_y, shape_y = letter + term_y, (b, *shape_y)
    out = batch + ("i" if len(x) > 1 else "") + ("k" if len(y) > 1 else "")
    return f"{term_x},{term_y}->{out}", shape_x, shape_y


def _widened(*tensors: Tensor) -> tuple[Tensor, ...]:
    """int8 operands as int32, in which Keras accumulates products of int8."""
    if all(t.dtype == "int8" for t in tensors):
        return tuple(cast(t, "int32") for t in tensors)
    return tensors


def _pair(*shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    r = np.random.default_rng(1)
    return [((r.normal(size=a), r.normal(size=b)), {}) for a, b in shapes]


@composite(
    samples=lambda: _pair(
        ((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 1, 2, 3), (3, 3, 2)), ((2, 2, 3), (3, 2))
    )
)
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """The matrix product of the last two axes, with the axes before them as a batch that broadcasts.

    A rank-1 argument is a row (on the left) or a column (on the right), and its axis does not appear in the result.

    Args:
        x1: A tensor of shape `(..., i, j)` or `(j,)`.
        x2: A tensor of shape `(..., j, k)` or `(j,)`.

    Returns:
        A tensor of shape `(..., i, k)`, of the common dtype (int32 where both are int8).

    Raises:
        ShapeError: If the inner sizes differ, the batch axes do not broadcast, or an argument is a scalar.

    Example:

    >>> import amalthea as am
    >>> am.ops.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0]).tolist()
    [21.0, 43.0]
    """
    shape_x, shape_y = x1.shape, x2.shape
    rank = len(shape_x)
    if rank == len(shape_y) > 1 and shape_x[-1] == shape_y[-2] and shape_x[:-2] == shape_y[:-2] and x1.dtype != "int8":
        usual: Tensor = contract.op.dispatch((x1, x2), _plain_product(rank))  # without binding arguments
        return usual
    if not shape_x or not shape_y:
        _fail_shapes("matmul", "a scalar cannot be an argument", x1, x2, "use x1 * x2")
    if _differ(shape_x[-1], shape_y[-2] if len(shape_y) > 1 else shape_y[0]):
        _fail_shapes(
            "matmul",
            f"the last axis of x1 has size {shape_x[-1]} and the axis of x2 it meets has size "
            f"{shape_y[-2] if len(shape_y) > 1 else shape_y[0]}",
            x1,
            x2,
            "these two sizes must be equal; transpose or reshape an argument",
        )
    if x1.dtype == "int8":
        x1, x2 = _widened(x1, x2)
    for a, b in zip(reversed(shape_x[:-2]), reversed(shape_y[:-2]), strict=False):
        if _differ(a, b) and a != 1 and b != 1:
            _fail_shapes("matmul", f"batch axes of sizes {a} and {b} do not broadcast", x1, x2)
    subscripts, short_x, short_y = _matmul_plan(shape_x, shape_y)
    return contract(
        x1 if short_x == shape_x else reshape(x1, short_x),
        x2 if short_y == shape_y else reshape(x2, short_y),
        subscripts=subscripts,
    )


@composite(
    samples=lambda: _pair(((2, 3), (3, 4)), ((3,), (3,)), ((2, 2, 3), (2, 3, 2)), ((2, 3), ()), ((2, 2, 3), (3,)))
)
def dot(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum of products over the last axis of `x1` and the last but one axis of `x2` (or its only axis).

    Unlike `matmul` it does not pair up batch axes: the result has the other axes of `x1`, then those of `x2`.
    A scalar argument multiplies.

    Args:
        x1: A tensor of shape `(..., j)`.
        x2: A tensor of shape `(..., j, k)` or `(j,)`.

    Returns:
        A tensor of the common dtype.

    Raises:
        ShapeError: If the sizes of the axes that meet differ.

    Example:

    >>> import amalthea as am
    >>> am.ops.dot([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).item()
    32.0
    """
    if not x1.shape or not x2.shape:
        return x1 * x2
    axis = max(len(x2.shape) - 2, 0)
    return _over_axes("dot", x1, x2, (len(x1.shape) - 1,), (axis,))


@composite(samples=lambda: _pair(((3,), (3,)), ((2, 3), (4, 3)), ((2, 3), (3,)), ((2, 3), ())))
def inner(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum of products over the last axes of both; a scalar argument multiplies.

    Args:
        x1: A tensor of shape `(..., j)`.
        x2: A tensor of shape `(..., j)`.

    Returns:
        A tensor with the other axes of `x1`, then those of `x2`.

    Raises:
        ShapeError: If the sizes of the last axes differ.

    Example:

    >>> import amalthea as am
    >>> am.ops.inner([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).tolist()
    [3.0, 7.0]
    """
    if not x1.shape or not x2.shape:
        return x1 * x2
    return _over_axes("inner", x1, x2, (len(x1.shape) - 1,), (len(x2.shape) - 1,))


@composite(samples=lambda: _pair(((3,), (3,)), ((2, 3), (2, 3)), ((), ())))
def vdot(x1: Tensor, x2: Tensor) -> Tensor:
    """The dot product of both arguments flattened to vectors: a scalar.

    Args:
        x1: A tensor of any shape.
        x2: A tensor with as many elements.

    Returns:
        A scalar of the common dtype.

    Raises:
        ShapeError: If the numbers of elements differ.

    Example:

    >>> import amalthea as am
    >>> am.ops.vdot([[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]).item()
    10.0
    """
    if _differ(x1.size, x2.size):
        _fail_shapes("vdot", f"one argument has {x1.size} elements and the other {x2.size}", x1, x2)
    return contract(reshape(x1, (-1,)), reshape(x2, (-1,)), subscripts="i,i->")


@composite(samples=lambda: _pair(((2,), (3,)), ((2, 2), (3,)), ((), (2,))))
def outer(x1: Tensor, x2: Tensor) -> Tensor:
    """All products of an element of `x1` and an element of `x2`, both flattened to vectors.

    Args:
        x1: A tensor with m elements.
        x2: A tensor with n elements.

    Returns:
        A tensor of shape `(m, n)`.

    Example:

    >>> import amalthea as am
    >>> am.ops.outer([1.0, 2.0], [1.0, 10.0]).tolist()
    [[1.0, 10.0], [2.0, 20.0]]
    """
    return reshape(x1, (-1, 1)) * reshape(x2, (1, -1))


@composite(
    samples=lambda: [
        (args, {"axes": axes})
        for args, axes in zip(
            [args for args, _ in _pair(((2, 3, 4), (3, 4, 2)), ((2, 3), (4, 3)), ((2,), (3,)), ((2, 3, 4), (4, 2, 3)))],
            [2, ((1,), (1,)), 0, ((0, 2), (1, 0))],
            strict=True,
        )
    ]
)
def tensordot(x1: Tensor, x2: Tensor, axes: int | Sequence[int | Sequence[int]] = 2) -> Tensor:
    """The sum of products over chosen axes.

    Args:
        x1: A tensor.
        x2: A tensor.
        axes: A number n, for the last n axes of `x1` with the first n of `x2` in order (default 2), or a pair
            (axes of `x1`, axes of `x2`), each a number or a sequence of equally many.

    Returns:
        A tensor with the other axes of `x1`, then those of `x2`.

    Raises:
        ShapeError: If the sizes of two axes that meet differ, or there are not that many axes.

    Example:

    >>> import amalthea as am
    >>> am.ops.tensordot([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]], axes=2).item()
    5.0
    """
    n_x, n_y = len(x1.shape), len(x2.shape)
    if isinstance(axes, int):
        if not 0 <= axes <= min(n_x, n_y):
            _fail_shapes("tensordot", f"axes={axes}, but the ranks are {n_x} and {n_y}", x1, x2, "use fewer axes")
        axes_x, axes_y = tuple(range(n_x - axes, n_x)), tuple(range(axes))
    else:
        axes_x, axes_y = ((side,) if isinstance(side, int) else tuple(side) for side in axes)
        axes_x, axes_y = _canonical_axes(axes_x, n_x), _canonical_axes(axes_y, n_y)
        if len(axes_x) != len(axes_y):
            _fail_shapes("tensordot", f"axes {axes!r} names {len(axes_x)} and {len(axes_y)} axes", x1, x2)
    return _over_axes("tensordot", x1, x2, axes_x, axes_y)


def _canonical_axes(axes: Sequence[int], ndim: int) -> tuple[int, ...]:
    for axis in axes:
        if not -ndim <= axis < ndim:
            fail(ShapeError, f"there is no axis {axis}", where="tensordot", received=f"a tensor of rank {ndim}")
    return tuple(axis % ndim for axis in axes)


def _over_axes(where: str, x: Tensor, y: Tensor, axes_x: Sequence[int], axes_y: Sequence[int]) -> Tensor:
    for a, b in zip(axes_x, axes_y, strict=True):
        if _differ(x.shape[a], y.shape[b]):
            _fail_shapes(where, f"axis {a} of x1 has size {x.shape[a]} and axis {b} of x2 {y.shape[b]}", x, y)
    return contract(x, y, subscripts=_over_axes_subscripts(len(x.shape), len(y.shape), tuple(axes_x), tuple(axes_y)))


@functools.lru_cache(maxsize=1024)
def _over_axes_subscripts(n_x: int, n_y: int, axes_x: tuple[int, ...], axes_y: tuple[int, ...]) -> str:
    term_x, term_y = LETTERS[:n_x], list(LETTERS[n_x : n_x + n_y])
    for a, b in zip(axes_x, axes_y, strict=True):
        term_y[b] = term_x[a]
    summed = {term_x[a] for a in axes_x}
    return f"{term_x},{''.join(term_y)}->" + "".join(c for c in [*term_x, *term_y] if c not in summed)


@composite(
    samples=lambda: [
        ((x,), {"ord": ord, "axis": axis, "keepdims": keepdims})
        for x in [np.array([[1.0, -2.0, 3.5], [0.5, 4.0, -1.5]])]
        for ord, axis, keepdims in [
            (None, None, False),
            (2, 1, True),
            (1, 0, False),
            (3, 1, False),
            (np.inf, 1, False),
            ("fro", (0, 1), False),
            (1, (0, 1), True),
            (-np.inf, (1, 0), False),
        ]
    ]
)
def norm(x: Tensor, ord: int | float | str | None = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors or matrices.

    Args:
        x: A tensor; integers are taken as floats.
        ord: For vectors any number p (the p-norm), infinity, minus infinity or 0 (the number of non-zeros); for
            matrices "fro", 1, -1, infinity or minus infinity. None: the 2-norm of all chosen elements.
        axis: A number for vectors, a pair for matrices, or None: the vector or matrix that `x` is (with `ord=None`
            all elements).
        keepdims: Whether the axes stay, with size 1.

    Returns:
        A floating tensor without those axes (or with size 1 there).

    Raises:
        ArgumentError: If `ord` is not known for that many axes (the spectral norms 2, -2 and "nuc" of a matrix need
            a singular value decomposition).

    Example:

    >>> import amalthea as am
    >>> am.ops.norm([[3.0, 4.0], [6.0, 8.0]], axis=1).tolist()
    [5.0, 10.0]
    """
    x = x if dtypes.is_floating(x.dtype) else cast(x, dtypes.floatx())
    everything = tuple(range(len(x.shape)))
    if axis is None:
        axes = everything
        if ord is not None and len(everything) > 2:
            fail(ArgumentError, f"ord={ord!r} needs an axis", where="norm", received=f"x {x.shape}", fix="pass axis=")
    else:
        axes = tuple(a % len(x.shape) for a in ((axis,) if isinstance(axis, int) else tuple(axis)))
    if ord is None or (ord == 2 and len(axes) == 1) or (ord == "fro" and len(axes) == 2):
        return sqrt(reduce_sum(square(x), axis=axes, keepdims=keepdims))
    if len(axes) == 1 and not isinstance(ord, str):
        return _vector_norm(absolute(x), ord, axes[0], keepdims)
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        inside, outside = axes if ord in (1, -1) else axes[::-1]
        sums = reduce_sum(absolute(x), axis=inside, keepdims=True)
        best = (reduce_max if ord in (1, np.inf) else reduce_min)(sums, axis=outside, keepdims=True)
        return best if keepdims else reshape(best, tuple(d for i, d in enumerate(best.shape) if i not in axes))
    fail(
        ArgumentError,
        f"there is no such norm over {len(axes)} axes",
        where="norm",
        received=f"ord={ord!r}, axis={axis!r}",
        fix="use a number for vectors, 'fro', 1, -1 or an infinity for matrices",
    )


def _vector_norm(magnitude: Tensor, ord: float, axis: int, keepdims: bool) -> Tensor:
    if ord == np.inf:
        return reduce_max(magnitude, axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return reduce_min(magnitude, axis=axis, keepdims=keepdims)
    if ord == 0:
        return reduce_sum(cast(magnitude != 0, magnitude.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return reduce_sum(magnitude, axis=axis, keepdims=keepdims)
    return power(reduce_sum(power(magnitude, ord), axis=axis, keepdims=keepdims), 1.0 / ord)


@composite(
    samples=lambda: [
        ((np.array([[3.0, 4.0], [1.0, -2.0]]),), {}),
        ((np.array([[3.0, 4.0], [1.0, -2.0]]),), {"axis": 0, "order": 1}),
        ((np.array([[3.0, 4.0], [1.0, -2.0]]),), {"axis": 1, "order": 3}),
    ]
)
def normalize(x: Tensor, axis: int | Sequence[int] = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """`x` divided by its norm over an axis, so that the norm becomes 1; zeros stay zeros.

    Args:
        x: A tensor.
        axis: The axis (or axes) to normalise over, the last by default.
        order: Which p-norm, an integer of at least 1 (default 2).
        epsilon: The least norm to divide by; by default `am.config.epsilon()`.

    Returns:
        A floating tensor of the same shape.

    Raises:
        ArgumentError: If `order` is not an integer of at least 1.

    Example:

    >>> import amalthea as am
    >>> am.ops.normalize([[3.0, 4.0]]).numpy().round(4).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    if not isinstance(order, int) or order < 1:
        fail(ArgumentError, "`order` must be an integer of at least 1", where="normalize", received=f"order={order!r}")
    if epsilon is None:
        epsilon = config.epsilon()
    x = x if dtypes.is_floating(x.dtype) else cast(x, dtypes.floatx())
    x = reshape(x, (1,)) if not x.shape else x
    if order == 2:
        # max of the squares, not of the root: the root has no finite gradient at zero
        return x / sqrt(maximum(reduce_sum(square(x), axis=axis, keepdims=True), epsilon * epsilon))
    return x / maximum(norm(x, ord=order, axis=axis, keepdims=True), epsilon)


export(__name__)
