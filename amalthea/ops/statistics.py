"""Order statistics, counts, and reductions that pass over NaN."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, ShapeError, TraceError, fail
from amalthea.core.op import composite, export, nondifferentiable
from amalthea.core.tensor import Tensor, as_tensor, is_symbolic
from amalthea.ops.comparison import isnan
from amalthea.ops.elementary import sqrt
from amalthea.ops.elementwise import add, ceil, floor, multiply, round_half_even, square, subtract
from amalthea.ops.indexing import gather, scatter_update
from amalthea.ops.reductions import (
    Axis,
    all,
    argmax,
    argmin,
    cumprod,
    cumsum,
    max,
    mean,
    min,
    prod,
    sum,
)
from amalthea.ops.samples import integers, values
from amalthea.ops.selection import where
from amalthea.ops.shaping import broadcast_to, expand_dims, moveaxis, reshape, slice_axis, squeeze, transpose
from amalthea.ops.sorting import sort
from amalthea.ops.specs import float_dtype, normal_axes, normal_axis, reduced_shape, show


def _holes() -> list[Any]:
    x = np.array([[1.0, math.nan, 3.0], [2.0, 0.5, math.nan]])
    return [((x,), {}), ((x,), {"axis": 1}), ((x,), {"axis": 0, "keepdims": True}), ((values(2, 3),), {"axis": 0})]


def _filled(x: Tensor, value: Any) -> Tensor:
    """x with a value in place of NaN."""
    return where(isnan(x), as_tensor(value, x.dtype), x) if dtypes.is_floating(x.dtype) else x


def _blank(x: Tensor, axis: Axis, keepdims: bool, out: Tensor) -> Tensor:
    """The result, and NaN where there was nothing but NaN."""
    return where(all(isnan(x), axis, keepdims), as_tensor(math.nan, out.dtype), out) if _may_hold_nan(x) else out


def _may_hold_nan(x: Tensor) -> bool:
    return dtypes.is_floating(x.dtype)


@composite(samples=_holes)
def nansum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum of what is not NaN.

    >>> import amalthea as am
    >>> am.ops.nansum([1.0, float("nan"), 2.0]).item()
    3.0
    """
    return sum(_filled(x, 0), axis, keepdims)


@composite(samples=_holes)
def nanprod(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product of what is not NaN.

    >>> import amalthea as am
    >>> am.ops.nanprod([2.0, float("nan"), 3.0]).item()
    6.0
    """
    return prod(_filled(x, 1), axis, keepdims)


@composite(samples=_holes)
def nanmax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The greatest of what is not NaN; NaN where there is nothing else.

    >>> import amalthea as am
    >>> am.ops.nanmax([1.0, float("nan"), 2.0]).item()
    2.0
    """
    return _blank(x, axis, keepdims, max(_filled(x, -math.inf) if _may_hold_nan(x) else x, axis, keepdims))


@composite(samples=_holes)
def nanmin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The least of what is not NaN; NaN where there is nothing else.

    >>> import amalthea as am
    >>> am.ops.nanmin([1.0, float("nan"), 2.0]).item()
    1.0
    """
    return _blank(x, axis, keepdims, min(_filled(x, math.inf) if _may_hold_nan(x) else x, axis, keepdims))


@composite(samples=_holes)
def nanmean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean of what is not NaN; NaN where there is nothing else.

    >>> import amalthea as am
    >>> am.ops.nanmean([1.0, float("nan"), 2.0]).item()
    1.5
    """
    dtype = float_dtype(x.dtype)
    known = sum((~isnan(x)).astype(dtype), axis, keepdims)
    return (nansum(x, axis, keepdims) / known).astype(dtype)


@composite(samples=_holes)
def nanvar(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean squared distance from the mean, of what is not NaN.

    >>> import amalthea as am
    >>> am.ops.nanvar([1.0, float("nan"), 3.0]).item()
    1.0
    """
    return nanmean(square(x - nanmean(x, axis, keepdims=True)), axis, keepdims)


@composite(samples=lambda: _holes()[:2])
def nanstd(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The standard deviation of what is not NaN.

    >>> import amalthea as am
    >>> am.ops.nanstd([1.0, float("nan"), 3.0]).item()
    1.0
    """
    return sqrt(nanvar(x, axis, keepdims))


@composite(gradient=nondifferentiable, samples=_holes)
def nanargmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The int32 index of the greatest of what is not NaN; -1 where there is nothing else.

    >>> import amalthea as am
    >>> am.ops.nanargmax([float("nan"), 1.0, 2.0]).item()
    2
    """
    if not _may_hold_nan(x):
        return argmax(x, axis, keepdims)
    return where(all(isnan(x), axis, keepdims), -1, argmax(_filled(x, -math.inf), axis, keepdims))


@composite(gradient=nondifferentiable, samples=_holes)
def nanargmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The int32 index of the least of what is not NaN; -1 where there is nothing else.

    >>> import amalthea as am
    >>> am.ops.nanargmin([float("nan"), 1.0, 2.0]).item()
    1
    """
    if not _may_hold_nan(x):
        return argmin(x, axis, keepdims)
    return where(all(isnan(x), axis, keepdims), -1, argmin(_filled(x, math.inf), axis, keepdims))


@composite(samples=lambda: [(_holes()[0][0], {}), (_holes()[0][0], {"axis": 1})])
def nancumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running sum, in which NaN counts as 0.

    >>> import amalthea as am
    >>> am.ops.nancumsum([1.0, float("nan"), 2.0]).tolist()
    [1.0, 1.0, 3.0]
    """
    return cumsum(_filled(x, 0), axis, dtype)


@composite(samples=lambda: [(_holes()[0][0], {}), (_holes()[0][0], {"axis": 1})])
def nancumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The running product, in which NaN counts as 1.

    >>> import amalthea as am
    >>> am.ops.nancumprod([2.0, float("nan"), 3.0]).tolist()
    [2.0, 2.0, 6.0]
    """
    return cumprod(_filled(x, 1), axis, dtype)


@composite(
    samples=lambda: [
        (([1.0, math.nan, math.inf, -math.inf],), {}),
        (([1.0, math.nan, math.inf, -math.inf],), {"nan": 9.0, "posinf": 2.0, "neginf": -3.0}),
        ((integers(3),), {}),
    ]
)
def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """x with numbers in place of NaN and the infinities: by default 0 and the ends of the dtype's range.

    >>> import amalthea as am
    >>> am.ops.nan_to_num([1.0, float("nan")]).tolist()
    [1.0, 0.0]
    """
    if not dtypes.is_floating(x.dtype):
        return x
    limits = dtypes.float_limits(x.dtype)
    high = limits.high if posinf is None else posinf
    low = limits.low if neginf is None else neginf
    x = where(isnan(x), as_tensor(nan, x.dtype), x)
    x = where(x == math.inf, as_tensor(high, x.dtype), x)
    return where(x == -math.inf, as_tensor(low, x.dtype), x)


_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _between(ordered: Tensor, place: Tensor, method: str) -> Tensor:
    """Elements of a vector or rows of a matrix (sorted along axis 0) at fractional places, along a new first axis."""
    if method not in _METHODS:
        fail(
            ArgumentError,
            "there is no such method",
            received=f"method={method!r}",
            fix=f"use one of {', '.join(_METHODS)}",
        )
    below, above = floor(place), ceil(place)
    if method == "nearest":
        return gather(ordered, round_half_even(place).astype("int32"), 0)
    low = gather(ordered, below.astype("int32"), 0)
    high = gather(ordered, above.astype("int32"), 0)
    if method == "lower":
        return low
    if method == "higher":
        return high
    share = place - below if method == "linear" else where(place == below, 0, 0.5).astype(place.dtype)
    share = reshape(share, (*share.shape, *(1,) * (ordered.ndim - 1))).astype(ordered.dtype)
    return low * (1 - share) + high * share


def _flat_axes(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """x with the axes made one, in front of the others."""
    rest = [i for i in range(x.ndim) if i not in axes]
    moved = transpose(x, (*axes, *rest))
    return reshape(moved, (math.prod(x.shape[i] for i in axes), *(x.shape[i] for i in rest)))


def _quantile_samples() -> list[Any]:
    x = values(3, 4)
    return [
        ((x, 0.3), {}),
        ((x, [0.25, 0.5]), {"axis": 1}),
        ((x, 0.4), {"axis": 0, "keepdims": True, "method": "lower"}),
        ((x, 0.4), {"axis": (0, 1), "method": "midpoint"}),
    ]


@composite(samples=_quantile_samples)
def quantile(x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The value below which a share q (in [0, 1]) of the elements lies, over an axis, several axes, or all of them.

    `q` is a scalar or a vector, whose axis comes first in the result. Between two elements `method` says what to
    take: "linear", "lower", "higher", "midpoint" or "nearest". NaN if there is a NaN.

    >>> import amalthea as am
    >>> am.ops.quantile([1.0, 2.0, 3.0, 4.0], 0.5).item()
    2.5
    """
    dtype = float_dtype(x.dtype)
    axes = normal_axes(axis, x.ndim)
    ordered = sort(_flat_axes(x.astype(dtype), axes), 0)
    size = ordered.shape[0]
    if size == 0:
        fail(ShapeError, "there are no elements", received=f"x of shape {show(x.shape)}", fix="check for empty input")
    wide = dtypes.result_type(dtype, "float32")
    out = _between(ordered, q.astype(wide) * (size - 1), method)
    last = gather(ordered, as_tensor(size - 1, "int32"), 0)  # NaN sorts last
    out = where(isnan(last), last, out)
    return reshape(out, (*q.shape, *reduced_shape(x.shape, axes, keepdims)))


@composite(
    samples=lambda: [
        ((values(3, 4), 30.0), {}),
        ((values(3, 4), [25, 50]), {"axis": 1}),
        ((values(4), 40), {"method": "nearest"}),
    ]
)
def percentile(x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`quantile` with q in percent.

    >>> import amalthea as am
    >>> am.ops.percentile([1.0, 2.0, 3.0, 4.0], 50).item()
    2.5
    """
    return quantile(x, q.astype(dtypes.result_type(float_dtype(x.dtype), "float32")) / 100, axis, method, keepdims)


@composite(
    samples=lambda: [
        ((values(3, 4),), {}),
        ((values(3, 4),), {"axis": 1}),
        ((values(3, 4),), {"axis": 0, "keepdims": True}),
    ]
)
def median(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle element, or the mean of the two in the middle, over an axis, several axes, or all of them.

    >>> import amalthea as am
    >>> am.ops.median([3.0, 1.0, 2.0]).item()
    2.0
    """
    return quantile(x, as_tensor(0.5), axis, "midpoint", keepdims)


@composite(samples=lambda: [(_holes()[0][0] + (0.3,), {}), (_holes()[0][0] + ([0.25, 0.5],), {"axis": 1})])
def nanquantile(x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`quantile` of what is not NaN; NaN where there is nothing else.

    >>> import amalthea as am
    >>> am.ops.nanquantile([1.0, float("nan"), 3.0], 0.5).item()
    2.0
    """
    dtype = float_dtype(x.dtype)
    axes = normal_axes(axis, x.ndim)
    ordered = sort(_flat_axes(x.astype(dtype), axes), 0)  # NaN sorts last
    lead, rest = ordered.shape[0], ordered.shape[1:]
    columns = math.prod(rest)
    matrix = reshape(ordered, (lead, columns))
    known = sum((~isnan(matrix)).astype("int32"), 0)
    wide = dtypes.result_type(dtype, "float32")
    # One place for each share and column; each column is a stretch of the flattened transpose.
    place = reshape(q.astype(wide), (-1, 1)) * (where(known == 0, 1, known) - 1).astype(wide)
    starts = cumsum(broadcast_to(as_tensor(lead, "int32"), (columns,))) - lead
    out = _between(reshape(transpose(matrix), (-1,)), place + starts.astype(wide), method)
    return reshape(out, (*q.shape, *reduced_shape(x.shape, axes, keepdims)))


@composite(samples=lambda: [(_holes()[0][0] + (30.0,), {}), (_holes()[0][0] + ([25, 50],), {"axis": 1})])
def nanpercentile(x: Tensor, q: Tensor, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """`percentile` of what is not NaN; NaN where there is nothing else.

    >>> import amalthea as am
    >>> am.ops.nanpercentile([1.0, float("nan"), 3.0], 50).item()
    2.0
    """
    return nanquantile(x, q.astype(dtypes.result_type(float_dtype(x.dtype), "float32")) / 100, axis, method, keepdims)


@composite(samples=lambda: [(_holes()[0][0], {}), (_holes()[0][0], {"axis": 1})])
def nanmedian(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`median` of what is not NaN; NaN where there is nothing else.

    >>> import amalthea as am
    >>> am.ops.nanmedian([3.0, float("nan"), 1.0]).item()
    2.0
    """
    return nanquantile(x, as_tensor(0.5), axis, "midpoint", keepdims)


@composite(samples=lambda: [((values(2, 4),), {}), ((values(4, 2),), {"n": 2, "axis": 0})])
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours along an axis, taken n times.

    >>> import amalthea as am
    >>> am.ops.diff([1, 4, 9]).tolist()
    [3, 5]
    """
    axis = normal_axis(axis, a.ndim)
    for _ in range(n):
        size = a.shape[axis]
        later, earlier = (
            slice_axis(a, axis, builtins.min(1, size), size),
            slice_axis(a, axis, 0, builtins.max(size - 1, 0)),
        )
        a = later ^ earlier if a.dtype == "bool" else subtract(later, earlier)
    return a


@composite(
    samples=lambda: [
        ((values(2, 4),), {}),
        ((values(2, 4),), {"dx": 0.5, "axis": 0}),
        ((values(2, 4), [0.0, 1.0, 3.0, 4.0]), {}),
    ]
)
def trapezoid(y: Tensor, x: Tensor | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral of y along an axis by the trapezoidal rule, at the points x or at points dx apart.

    >>> import amalthea as am
    >>> am.ops.trapezoid([1.0, 2.0, 3.0]).item()
    4.0
    """
    y = moveaxis(y.astype(float_dtype(y.dtype)), axis, -1)
    gaps: Any = dx
    if x is not None:
        gaps = diff(x if x.ndim == 1 else moveaxis(x, axis, -1)).astype(y.dtype)
    return sum(multiply(add(y[..., 1:], y[..., :-1]), gaps), -1) / 2


def _known(name: str, x: Any) -> np.ndarray:
    tensor = as_tensor(x)
    if is_symbolic(tensor):
        fail(
            TraceError,
            "the shape of its result depends on values that are not known yet",
            where=name,
            received=f"a symbolic tensor of shape {tensor.shape}",
            fix="call it outside the traced function, or give it a size where it takes one",
        )
    return tensor.numpy()


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each of 0, 1, 2, ... occurs in a vector of non-negative integers (or in each row of a matrix).

    With weights, their sums. The result has `minlength` columns at least. Sparse results are not supported. The
    values must be known when it is called.

    >>> import amalthea as am
    >>> am.ops.bincount([1, 1, 3]).tolist()
    [0, 2, 0, 1]
    """
    if sparse:
        fail(ArgumentError, "sparse results are not supported", where="bincount", fix="leave sparse out")
    known = _known("bincount", x)
    if known.dtype.kind not in "iub" or known.ndim not in (1, 2) or (known.size and int(known.min()) < 0):
        fail(
            ArgumentError,
            "x must be a vector or matrix of non-negative integers",
            where="bincount",
            received=f"{known.dtype} of shape {known.shape}",
            fix="shift or cast the values first",
        )
    length = builtins.max(minlength, int(known.max()) + 1 if known.size else 0)
    counted = as_tensor(1, "int32") if weights is None else as_tensor(weights)
    rows = reshape(as_tensor(known.astype(np.int32)), (-1, known.shape[-1]))
    lines = np.broadcast_to(np.arange(rows.shape[0], dtype=np.int32)[:, None], rows.shape)
    places = np.stack([lines, np.asarray(rows.numpy())], axis=-1)
    base = broadcast_to(as_tensor(0, counted.dtype), (rows.shape[0], length))
    out = scatter_update(
        base,
        places,
        broadcast_to(reshape(counted, (-1, known.shape[-1])) if counted.ndim else counted, rows.shape),
        "add",
    )
    return squeeze(out, 0) if known.ndim == 1 else out


def histogram(x: Any, bins: Any = 10, range: Any = None) -> tuple[Tensor, Tensor]:
    """(counts, edges), both floating: how many elements fall into each of some bins, the last one closed.

    `bins` is their number or their edges; `range` is (lowest edge, highest edge), by default those of x. The values
    must be known when it is called.

    >>> import amalthea as am
    >>> am.ops.histogram([0.0, 1.0, 1.0, 2.0], bins=2)[0].tolist()
    [1.0, 3.0]
    """
    known = _known("histogram", x)
    if range is None and np.ndim(bins) == 0 and not np.isfinite(known.astype(np.float64)).all():
        fail(
            ArgumentError,
            "the bins cannot reach from the least to the greatest element where these are not finite",
            where="histogram",
            received="elements that are infinite or NaN, range=None",
            fix="pass range=(lowest edge, highest edge), or the edges as bins",
        )
    counts, edges = np.histogram(known.astype(np.float64), bins=bins, range=range)
    dtype = dtypes.to_numpy(float_dtype(dtypes.from_numpy(known.dtype)))
    return as_tensor(counts.astype(dtype)), as_tensor(edges.astype(dtype))


def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The distinct elements, ascending, of the flattened tensor, or its distinct slices along an axis.

    Also, where asked for, in this order: the int32 index of the first of each, for each element the index of its
    value, and how often each occurs. `size` cuts or, with `fill_value` (the least element by default), fills the
    result to that length. They are sorted whether asked or not. The values must be known when it is called.

    >>> import amalthea as am
    >>> am.ops.unique([3, 1, 3]).tolist()
    [1, 3]
    """
    known = _known("unique", x)
    found, index, inverse, counts = np.unique(
        known, return_index=True, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    line = 0 if axis is None else normal_axis(axis, known.ndim)
    if size is not None:
        have = found.shape[line]
        keep = np.arange(builtins.min(size, have))
        found, index, counts = np.take(found, keep, axis=line), index[keep], counts[keep]
        if have < size:
            extra = list(found.shape)
            extra[line] = size - have
            filler = np.take(found, [0], axis=line) if fill_value is None else np.asarray(fill_value, found.dtype)
            found = np.concatenate([found, np.broadcast_to(filler, extra)], axis=line)
            index = np.concatenate([index, np.full(size - have, index[0])])
            counts = np.concatenate([counts, np.zeros(size - have, counts.dtype)])
    extras = [
        as_tensor(part.astype(np.int32))
        for wanted, part in ((return_index, index), (return_inverse, inverse), (return_counts, counts))
        if wanted
    ]
    return (as_tensor(found), *extras) if extras else as_tensor(found)


@composite(gradient=nondifferentiable, samples=lambda: [(([5, 0, 3], (2, 3)), {}), (([[1, -1]], (2, 3)), {})])
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """For flat indices into a tensor of a shape, the index along each of its axes.

    >>> import amalthea as am
    >>> [i.tolist() for i in am.ops.unravel_index([5, 2], (2, 3))]
    [[1, 0], [2, 2]]
    """
    sizes = tuple(int(d) for d in shape)
    places: list[Tensor] = []
    rest = where(indices < 0, indices + math.prod(sizes), indices).astype(indices.dtype)
    for size in reversed(sizes):
        places.append(rest % size)
        rest = rest // size
    return tuple(reversed(places))


@composite(samples=lambda: [((values(3, 5),), {})])
def corrcoef(x: Tensor) -> Tensor:
    """The matrix of correlation coefficients between the rows of a matrix, which are variables.

    >>> import amalthea as am
    >>> am.ops.corrcoef([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]).numpy().round(3).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    x = x.astype(float_dtype(x.dtype))
    rows = x if x.ndim == 2 else reshape(x, (1, -1))
    centred = rows - mean(rows, 1, keepdims=True)
    products = sum(expand_dims(centred, 1) * expand_dims(centred, 0), -1)
    scale = sqrt(sum(square(centred), 1))
    out = products / (expand_dims(scale, 1) * expand_dims(scale, 0))
    return out if x.ndim == 2 else reshape(out, ())


export(__name__)
