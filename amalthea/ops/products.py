"""Products of vectors and matrices that are not contractions, distances, window functions, and parts of numbers."""

from __future__ import annotations

import math

from amalthea.core import dtypes
from amalthea.core.errors import ShapeError, fail
from amalthea.core.op import composite, export, nondifferentiable
from amalthea.core.tensor import Tensor
from amalthea.ops.creation import zeros
from amalthea.ops.elementary import cos, sqrt
from amalthea.ops.elementwise import abs, square
from amalthea.ops.reductions import sum
from amalthea.ops.samples import values
from amalthea.ops.selection import where
from amalthea.ops.shaping import broadcast_to, expand_dims, iota, moveaxis, reshape, stack
from amalthea.ops.specs import as_floating, float_dtype, show


@composite(samples=lambda: [((values(2, 3), values(3, 2, seed=1)), {}), ((values(3), values(2, 2, seed=1)), {})])
def kron(x1: Tensor, x2: Tensor) -> Tensor:
    """The Kronecker product: a block for each element of x1, which is that element times x2.

    >>> import amalthea as am
    >>> am.ops.kron([1, 2], [1, 10]).tolist()
    [1, 10, 2, 20]
    """
    ndim = max(x1.ndim, x2.ndim)
    left, right = ((1,) * (ndim - x.ndim) + tuple(x.shape) for x in (x1, x2))
    product = reshape(x1, tuple(d for size in left for d in (size, 1))) * reshape(
        x2, tuple(d for size in right for d in (1, size))
    )
    return reshape(product, tuple(a * b for a, b in zip(left, right, strict=True)))


@composite(
    samples=lambda: [
        ((values(2, 3), values(2, 3, seed=1)), {}),
        ((values(3), values(2, 3, seed=1)), {}),
        ((values(4, 2), values(4, 2, seed=1)), {}),
        ((values(3, 2), values(3, 2, seed=1)), {"axis": 0}),
    ]
)
def cross(x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """The cross product of vectors of 2 or 3 components along an axis; the scalar component for two of 2.

    `axisa`, `axisb` and `axisc` name the axis in x1, x2 and the result; `axis`, if given, stands for all three.

    >>> import amalthea as am
    >>> am.ops.cross([1, 0, 0], [0, 1, 0]).tolist()
    [0, 0, 1]
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = moveaxis(x1, axisa, -1), moveaxis(x2, axisb, -1)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        fail(
            ShapeError,
            "vectors must have 2 or 3 components",
            received=f"x1 of shape {show(x1.shape)}, x2 of shape {show(x2.shape)}",
            fix="name the axis of the components",
        )
    a0, a1, b0, b1 = a[..., 0], a[..., 1], b[..., 0], b[..., 1]
    last = a0 * b1 - a1 * b0
    if a.shape[-1] == b.shape[-1] == 2:
        return last
    a2 = a[..., 2] if a.shape[-1] == 3 else 0 * a0
    b2 = b[..., 2] if b.shape[-1] == 3 else 0 * b0
    return moveaxis(stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, last], axis=-1), -1, axisc)


@composite(
    samples=lambda: [((values(2, 3), values(4, 3, seed=1)), {}), ((values(2, 2, 3), values(2, 4, 3, seed=1)), {})]
)
def cdist(x: Tensor, y: Tensor) -> Tensor:
    """The Euclidean distances between all rows of x, (..., n, d), and all rows of y, (..., m, d): (..., n, m).

    >>> import amalthea as am
    >>> am.ops.cdist([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]]).tolist()
    [[5.0, 1.0]]
    """
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        fail(
            ShapeError,
            "x and y must be matrices (or stacks of them) with rows of the same length",
            received=f"x of shape {show(x.shape)}, y of shape {show(y.shape)}",
            fix="give both a last axis of one size",
        )
    return sqrt(sum(square(expand_dims(as_floating(x), -2) - expand_dims(as_floating(y), -3)), -1))


def bartlett(x: int) -> Tensor:
    """The triangular window of x points, from 0 to 1 and back.

    >>> import amalthea as am
    >>> am.ops.bartlett(5).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    count = int(x)
    if count <= 1:
        return zeros((max(count, 0),)) + 1
    return 1 - abs(iota(count, dtypes.floatx()) * (2 / (count - 1)) - 1)


def _cosines(x: int, *coefficients: float) -> Tensor:
    """sum of (-1)**k coefficients[k] cos(2 pi k i / (x - 1)) at i = 0, ..., x - 1."""
    count = int(x)
    if count <= 1:
        return zeros((max(count, 0),)) + 1
    angle = iota(count, dtypes.floatx()) * (2 * math.pi / (count - 1))
    out = broadcast_to(angle * 0 + coefficients[0], angle.shape)
    for k, coefficient in enumerate(coefficients[1:], 1):
        out = out + (-1) ** k * coefficient * cos(k * angle)
    return out


def hanning(x: int) -> Tensor:
    """The Hann window of x points, (1 - cos) / 2.

    >>> import amalthea as am
    >>> am.ops.hanning(3).numpy().round(6).tolist()
    [0.0, 1.0, 0.0]
    """
    return _cosines(x, 0.5, 0.5)


def hamming(x: int) -> Tensor:
    """The Hamming window of x points, 0.54 - 0.46 cos.

    >>> import amalthea as am
    >>> am.ops.hamming(3).numpy().round(2)
    array([0.08, 1.  , 0.08], dtype=float32)
    """
    return _cosines(x, 0.54, 0.46)


def blackman(x: int) -> Tensor:
    """The Blackman window of x points, 0.42 - 0.5 cos + 0.08 cos of the double angle.

    >>> import amalthea as am
    >>> am.ops.blackman(5).numpy().round(2)[1:4]
    array([0.34, 1.  , 0.34], dtype=float32)
    """
    return _cosines(x, 0.42, 0.5, 0.08)


@composite(samples=lambda: [((values(2, 3),), {})])
def real(x: Tensor) -> Tensor:
    """The real part: x itself, because all dtypes here are real.

    >>> import amalthea as am
    >>> am.ops.real([1.0]).tolist()
    [1.0]
    """
    return x


@composite(gradient=nondifferentiable, samples=lambda: [((values(2, 3),), {})])
def imag(x: Tensor) -> Tensor:
    """The imaginary part: zeros, because all dtypes here are real.

    >>> import amalthea as am
    >>> am.ops.imag([1.0]).tolist()
    [0.0]
    """
    return zeros(x.shape, x.dtype)


@composite(samples=lambda: [((values(2, 3),), {})])
def conjugate(x: Tensor) -> Tensor:
    """The complex conjugate: x itself, because all dtypes here are real.

    >>> import amalthea as am
    >>> am.ops.conjugate([1.0]).tolist()
    [1.0]
    """
    return x


@composite(samples=lambda: [((values(2, 3),), {})])
def conj(x: Tensor) -> Tensor:
    """Another name of `conjugate`.

    >>> import amalthea as am
    >>> am.ops.conj([1.0]).tolist()
    [1.0]
    """
    return conjugate(x)


@composite(gradient=nondifferentiable, samples=lambda: [(([1.0, 0.0, -2.0],), {})])
def angle(x: Tensor) -> Tensor:
    """The angle in the complex plane: 0 for numbers from 0 on, pi for negative ones.

    >>> import amalthea as am
    >>> am.ops.angle([1.0, 0.0]).tolist()
    [0.0, 0.0]
    """
    dtype = float_dtype(x.dtype)
    return where(x < 0, math.pi, 0.0 * x.astype(dtype)).astype(dtype)


export(__name__)
