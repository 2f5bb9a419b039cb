"""Making tensors: constants, ranges, and matrices of simple patterns."""

from __future__ import annotations

import math
from typing import Any

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.op import composite, export, nondifferentiable
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.ops.elementary import exp, log, power
from amalthea.ops.elementwise import abs, sign
from amalthea.ops.samples import values
from amalthea.ops.selection import where
from amalthea.ops.shaping import broadcast_to, concatenate, expand_dims, iota, moveaxis, reshape
from amalthea.ops.specs import broadcast_shapes, count, float_dtype, normal_axis, normal_sizes


@composite(gradient=nondifferentiable, samples=lambda: [(((2, 3),), {}), ((2,), {"dtype": "int32"})])
def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor of zeros, floatx unless `dtype` is given.

    >>> import amalthea as am
    >>> am.ops.zeros((2,)).tolist()
    [0.0, 0.0]
    """
    return broadcast_to(as_tensor(0, dtypes.standardize(dtype)), normal_sizes(shape))


@composite(gradient=nondifferentiable, samples=lambda: [(((2, 3),), {}), ((2,), {"dtype": "int32"})])
def ones(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor of ones, floatx unless `dtype` is given.

    >>> import amalthea as am
    >>> am.ops.ones((2,)).tolist()
    [1.0, 1.0]
    """
    return broadcast_to(as_tensor(1, dtypes.standardize(dtype)), normal_sizes(shape))


@composite(gradient=nondifferentiable, samples=lambda: [(((2, 0),), {})])
def empty(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor whose values are not to be relied on (they are zeros), floatx unless `dtype` is given.

    >>> import amalthea as am
    >>> am.ops.empty((2, 3)).shape
    (2, 3)
    """
    return zeros(shape, dtype)


@composite(
    samples=lambda: [(((2, 3), 1.5), {}), (((2, 3), values(3)), {"dtype": "float64"}), ((2, 7), {"dtype": "int32"})]
)
def full(shape: Any, fill_value: Tensor, dtype: Any = None) -> Tensor:
    """A tensor filled with a value (or with a tensor that broadcasts to the shape), floatx unless `dtype` is given.

    >>> import amalthea as am
    >>> am.ops.full((2,), 7.0).tolist()
    [7.0, 7.0]
    """
    return broadcast_to(fill_value.astype(dtypes.standardize(dtype)), normal_sizes(shape))


@composite(gradient=nondifferentiable, samples=lambda: [((values(2, 3),), {}), ((values(2),), {"dtype": "int32"})])
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of the shape of x, in its dtype unless another is given.

    >>> import amalthea as am
    >>> am.ops.zeros_like([1.0, 2.0]).tolist()
    [0.0, 0.0]
    """
    return zeros(x.shape, x.dtype if dtype is None else dtype)


@composite(gradient=nondifferentiable, samples=lambda: [((values(2, 3),), {}), ((values(2),), {"dtype": "int32"})])
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones of the shape of x, in its dtype unless another is given.

    >>> import amalthea as am
    >>> am.ops.ones_like([1.0, 2.0]).tolist()
    [1.0, 1.0]
    """
    return ones(x.shape, x.dtype if dtype is None else dtype)


@composite(gradient=nondifferentiable, samples=lambda: [((values(2, 0),), {})])
def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Values that are not to be relied on (zeros), of the shape of x, in its dtype unless another is given.

    >>> import amalthea as am
    >>> am.ops.empty_like([[1.0, 2.0]]).shape
    (1, 2)
    """
    return zeros_like(x, dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """A value, of the shape of x, in its dtype unless another is given.

    >>> import amalthea as am
    >>> am.ops.full_like([1.0, 2.0], 5).tolist()
    [5.0, 5.0]
    """
    return _full_like(x, fill_value, dtype)


@composite(name="full_like", samples=lambda: [((values(2, 3), 2), {}), ((values(2), 2.5), {"dtype": "int32"})])
def _full_like(x: Tensor, fill_value: Tensor, dtype: Any = None) -> Tensor:
    """A value, of the shape of x."""
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """start, start + step, ... below stop (from 0 to start, if start stands alone); int32 for ints, else floatx.

    The bounds must be known when the op is called.

    >>> import amalthea as am
    >>> am.ops.arange(3).tolist(), am.ops.arange(1, 2, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])
    """
    if start is None:
        fail(ArgumentError, "the range has no bound", where="arange", received="None", fix="pass a number: arange(3)")
    given = [b for b in (start, stop, step) if b is not None]
    if dtype is None:
        kinds: list[Any] = [b.dtype if hasattr(b, "dtype") else type(b) for b in given]
        dtype = dtypes.result_type(*kinds)
    first, last, by = (None if b is None else b.item() if hasattr(b, "item") else b for b in (start, stop, step))
    return _arange(
        *((0, first) if last is None else (first, last)), 1 if by is None else by, str(dtypes.standardize(dtype))
    )


@composite(
    name="arange", gradient=nondifferentiable, samples=lambda: [((1, 7, 2, "int32"), {}), ((0, 1, 0.25, "float32"), {})]
)
def _arange(start: Any, stop: Any, step: Any, dtype: Any) -> Tensor:
    """start, start + step, ... below stop."""
    if step == 0:
        fail(ArgumentError, "the step must not be 0", received=f"step={step}", fix="use a step other than 0")
    steps = iota(max(0, math.ceil((stop - start) / step)), _wide(dtype))
    if step != 1:
        steps = steps * as_tensor(step, steps.dtype)
    if start != 0:
        steps = steps + as_tensor(start, steps.dtype)
    return steps.astype(dtype)


def _wide(dtype: Any) -> dtypes.DType:
    """The dtype that a range is computed in before it is cast: at least 32 bits."""
    return dtypes.result_type(dtype, "float32" if dtypes.is_floating(dtype) else "int32")


def _ends(start: Tensor, stop: Tensor, dtype: Any) -> tuple[Any, Tensor, Tensor]:
    wide = float_dtype(start.dtype, stop.dtype)
    shape = broadcast_shapes(start.shape, stop.shape, names=("start", "stop"))
    return (
        wide if dtype is None else dtypes.standardize(dtype),
        broadcast_to(start.astype(wide), shape),
        broadcast_to(stop.astype(wide), shape),
    )


def _spaced(start: Tensor, stop: Tensor, num: int, endpoint: bool) -> Tensor:
    """num numbers from start to stop along a new first axis."""
    gaps = num - 1 if endpoint else num
    fraction = reshape(iota(num, start.dtype) / max(gaps, 1), (num, *(1,) * start.ndim))
    out = start * (1 - fraction) + stop * fraction
    if endpoint and num > 1:  # the last one exactly
        out = concatenate([out[:-1], expand_dims(stop, 0)])
    return out


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` evenly spaced numbers from start to stop, which is the last of them with `endpoint`.

    `axis` is where their axis goes if start or stop are tensors. With `retstep` also the distance between them.

    >>> import amalthea as am
    >>> am.ops.linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    out = _linspace(start, stop, num, endpoint, dtype, axis)
    if not retstep:
        return out
    gaps = num - 1 if endpoint else num
    return out, (as_tensor(stop) - as_tensor(start)) / (gaps if gaps else math.nan)


@composite(
    name="linspace",
    samples=lambda: [
        ((values(), values(seed=1) + 1), {"num": 5}),
        ((values(2), 3.0), {"num": 4, "endpoint": False, "axis": -1}),
    ],
)
def _linspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    """`num` evenly spaced numbers from start to stop."""
    wanted, start, stop = _ends(start, stop, dtype)
    num = count(num, "num")
    out = _spaced(start, stop, num, endpoint)
    if dtypes.is_integer(wanted):
        from amalthea.ops.elementwise import floor

        out = floor(out)
    return moveaxis(out.astype(wanted), 0, axis)


@composite(samples=lambda: [((0.0, 2.0), {"num": 5}), ((values(2), 1.0), {"num": 3, "base": 2})])
def logspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """base**start, ..., base**stop with evenly spaced exponents, `num` of them.

    >>> import amalthea as am
    >>> am.ops.logspace(0.0, 2.0, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    wanted, start, stop = _ends(start, stop, dtype)
    num = count(num, "num")
    out = power(as_tensor(base, start.dtype), _spaced(start, stop, num, endpoint))
    return moveaxis(out.astype(wanted), 0, axis)


@composite(samples=lambda: [((1.0, 8.0), {"num": 4}), ((-1.0, -100.0), {"num": 3})])
def geomspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    """`num` numbers from start to stop, each a constant multiple of the one before.

    >>> import amalthea as am
    >>> am.ops.geomspace(1.0, 4.0, 3).numpy().round(5).tolist()
    [1.0, 2.0, 4.0]
    """
    wanted, start, stop = _ends(start, stop, dtype)
    num = count(num, "num")
    out = sign(start) * exp(_spaced(log(abs(start)), log(abs(stop)), num, endpoint))
    if num:
        out = concatenate([expand_dims(start, 0), out[1:]])
    if endpoint and num > 1:
        out = concatenate([out[:-1], expand_dims(stop, 0)])
    return moveaxis(out.astype(wanted), 0, axis)


def _triangle(rows: int, columns: int, k: int) -> Tensor:
    """Whether each place of a matrix is on the k-th diagonal or below it."""
    return reshape(iota(rows), (rows, 1)) + k >= reshape(iota(columns), (1, columns))


@composite(gradient=nondifferentiable, samples=lambda: [((3,), {}), ((2,), {"M": 4, "k": 1, "dtype": "int32"})])
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """An N x M matrix (square without M) with ones on the k-th diagonal, floatx unless `dtype` is given.

    >>> import amalthea as am
    >>> am.ops.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    N, columns = count(N, "N"), count(N, "N") if M is None else count(M, "M")
    on = reshape(iota(N), (N, 1)) + k == reshape(iota(columns), (1, columns))
    return on.astype(dtypes.standardize(dtype))


@composite(gradient=nondifferentiable, samples=lambda: [((3,), {})])
def identity(n: int, dtype: Any = None) -> Tensor:
    """The n x n identity matrix, floatx unless `dtype` is given.

    >>> import amalthea as am
    >>> am.ops.identity(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return eye(count(n, "n"), dtype=dtype)


@composite(gradient=nondifferentiable, samples=lambda: [((3,), {}), ((2,), {"M": 4, "k": 1})])
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """An N x M matrix with ones on the k-th diagonal and below it, floatx unless `dtype` is given.

    >>> import amalthea as am
    >>> am.ops.tri(2).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    N = count(N, "N")
    return _triangle(N, N if M is None else count(M, "M"), k).astype(dtypes.standardize(dtype))


@composite(samples=lambda: [((values(3, 3),), {}), ((values(2, 3, 4),), {"k": 1})])
def tril(x: Tensor, k: int = 0) -> Tensor:
    """The matrices on the last two axes with zeros above the k-th diagonal.

    >>> import amalthea as am
    >>> am.ops.tril([[1, 2], [3, 4]]).tolist()
    [[1, 0], [3, 4]]
    """
    return where(_triangle(*_sides(x), k), x, as_tensor(0, x.dtype))


@composite(samples=lambda: [((values(3, 3),), {}), ((values(2, 3, 4),), {"k": 1})])
def triu(x: Tensor, k: int = 0) -> Tensor:
    """The matrices on the last two axes with zeros below the k-th diagonal.

    >>> import amalthea as am
    >>> am.ops.triu([[1, 2], [3, 4]]).tolist()
    [[1, 2], [0, 4]]
    """
    return where(_triangle(*_sides(x), k - 1), as_tensor(0, x.dtype), x)


def _sides(x: Tensor) -> tuple[int, int]:
    normal_axis(-2, x.ndim)
    return x.shape[-2], x.shape[-1]


def meshgrid(*x: Any, indexing: str = "xy") -> list[Tensor]:
    """For coordinate vectors, tensors that hold the coordinates at every point of their grid.

    `indexing` is "xy" (the first vector runs along axis 1) or "ij" (along axis 0).

    >>> import amalthea as am
    >>> [g.tolist() for g in am.ops.meshgrid([1, 2], [3, 4])]
    [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    """
    if indexing not in ("xy", "ij"):
        fail(
            ArgumentError,
            "there is no such indexing",
            where="meshgrid",
            received=f"indexing={indexing!r}",
            fix="use 'xy' or 'ij'",
        )
    vectors = [reshape(t, (-1,)) for t in map(as_tensor, x)]
    axes = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        axes[:2] = 1, 0
    shape = [0] * len(vectors)
    for axis, vector in zip(axes, vectors, strict=True):
        shape[axis] = vector.shape[0]
    return [
        broadcast_to(reshape(v, tuple(-1 if i == axis else 1 for i in range(len(vectors)))), tuple(shape))
        for axis, v in zip(axes, vectors, strict=True)
    ]


@composite(samples=lambda: [((values(3),), {}), ((values(3),), {"N": 2, "increasing": True})])
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix: columns of falling powers of x, `N` of them (as many as x has elements without it).

    >>> import amalthea as am
    >>> am.ops.vander([2, 3]).tolist()
    [[2, 1], [3, 1]]
    """
    exponents = iota(x.shape[0] if N is None else count(N, "N"), "int32")
    powers = power(reshape(x, (x.shape[0], 1)), exponents.astype(x.dtype))
    return powers if increasing else powers[:, ::-1]


export(__name__)
