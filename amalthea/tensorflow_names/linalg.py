"""`tf.linalg`: what there is of linear algebra, under TensorFlow's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.public_face import public_face
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.tensorflow_names.adapting import refuse
from amalthea.tensorflow_names.creation import eye

__all__ = [
    "adjoint",
    "band_part",
    "cross",
    "diag",
    "diag_part",
    "einsum",
    "eye",
    "global_norm",
    "l2_normalize",
    "matmul",
    "matrix_transpose",
    "matvec",
    "norm",
    "normalize",
    "tensor_diag",
    "tensor_diag_part",
    "tensordot",
    "trace",
]


def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    output_type: Any = None,
    grad_a: bool = False,
    grad_b: bool = False,
    name: str | None = None,
) -> Tensor:
    """The product of matrices (of batches of them, in the last two axes).

    Args:
        a: (..., rows, inner), or with `transpose_a` (..., inner, rows).
        b: (..., inner, columns), or with `transpose_b` (..., columns, inner).
        transpose_a, transpose_b, adjoint_a, adjoint_b: swap the last two axes first; adjoint also conjugates.
        a_is_sparse, b_is_sparse: hints without effect.
        output_type: the dtype of the result.
        grad_a, grad_b: not supported.

    >>> import amalthea as tf
    >>> tf.matmul([[1.0, 2.0]], [[3.0, 4.0]], transpose_b=True).numpy().tolist()
    [[11.0]]
    """
    refuse("matmul", grad_a=grad_a, grad_b=grad_b)
    a, b = as_tensor(a), as_tensor(b)
    if min(len(a.shape), len(b.shape)) < 2:
        fail(
            ShapeError,
            "both must have at least two axes",
            where="matmul",
            received=f"a {a.shape}, b {b.shape}",
            fix="use tf.linalg.matvec for a vector, or tf.tensordot",
        )
    a = matrix_transpose(a, conjugate=adjoint_a) if transpose_a or adjoint_a else a
    b = matrix_transpose(b, conjugate=adjoint_b) if transpose_b or adjoint_b else b
    product = ops.matmul(a, b)
    return product if output_type is None else ops.cast(product, output_type)


def matvec(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    adjoint_a: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Tensor:
    """The product of a matrix (..., rows, inner) and a vector (..., inner)."""
    product = matmul(a, ops.expand_dims(b, -1), transpose_a=transpose_a, adjoint_a=adjoint_a)
    return ops.squeeze(product, axis=-1)


def matrix_transpose(a: Any, name: str | None = "matrix_transpose", conjugate: bool = False) -> Tensor:
    """The last two axes swapped."""
    swapped = ops.swapaxes(as_tensor(a), -1, -2)
    return ops.conj(swapped) if conjugate else swapped


def adjoint(matrix: Any, name: str | None = None) -> Tensor:
    """The last two axes swapped, and conjugated."""
    return matrix_transpose(matrix, conjugate=True)


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Sums of products over the named axes of both: a number (the last of a, the first of b), or two lists."""
    if isinstance(axes, Tensor):
        axes = axes.numpy().tolist()
    return ops.tensordot(a, b, axes=axes)


def einsum(equation: str, *inputs: Any, optimize: Any = None, name: str | None = None) -> Tensor:
    """Sums of products, written with letters for axes; `optimize` has no effect.

    >>> import amalthea as tf
    >>> tf.einsum("ij,kj->ik", tf.ones((2, 3)), tf.ones((4, 3))).shape
    (2, 4)
    """
    return ops.einsum(equation, *inputs)


def norm(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool | None = None, name: str | None = None
) -> Tensor:
    """The norm along axes; without axes, of all elements.

    Args:
        tensor: a floating tensor.
        ord: "euclidean" (of a matrix that is Frobenius'), "fro", 1, 2, `float("inf")` or another positive number.
        axis: one axis for the norms of vectors, two for those of matrices, None for all elements as one vector.
        keepdims: keep the axes with size 1.

    >>> import amalthea as tf
    >>> float(tf.norm([[3.0], [4.0]]))
    5.0
    """
    x = as_tensor(tensor)
    kept = bool(keepdims)
    axes = axis if axis is None or isinstance(axis, int) else tuple(int(a) for a in axis)
    if ord in ("euclidean", "fro") or (ord == 2 and (axes is None or isinstance(axes, int))):
        return ops.sqrt(ops.sum(ops.square(ops.absolute(x)), axis=axes, keepdims=kept))
    if not (isinstance(axes, tuple) and len(axes) == 2):
        if isinstance(ord, str) or ord <= 0:
            fail(
                ArgumentError, "unknown norm of vectors", where="norm", received=f"ord={ord!r}", fix="use a number > 0"
            )
        size = ops.absolute(x)
        if ord == float("inf"):
            return ops.max(size, axis=axes, keepdims=kept)
        if ord == 1:
            return ops.sum(size, axis=axes, keepdims=kept)
        return ops.power(ops.sum(ops.power(size, ord), axis=axes, keepdims=kept), 1.0 / ord)
    if ord not in (1, float("inf")):
        fail(
            ArgumentError,
            "this norm of matrices is not supported",
            where="norm",
            received=f"ord={ord!r}, axis={axis!r}",
            fix='use "euclidean", 1 or float("inf")',
        )
    rows, columns = (a % len(x.shape) for a in axes)
    sums = ops.sum(ops.absolute(x), axis=rows if ord == 1 else columns, keepdims=True)
    return ops.max(sums, axis=(rows, columns), keepdims=kept)


def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None) -> tuple[Tensor, Tensor]:
    """The tensor over its norm, and the norm."""
    size = norm(tensor, ord=ord, axis=axis, keepdims=True)
    return ops.true_divide(tensor, size), size


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None, dim: Any = None) -> Tensor:
    """The tensor over the root of its sum of squares along axes, which counts as at least `epsilon`.

    >>> import amalthea as tf
    >>> tf.math.l2_normalize([3.0, 4.0]).numpy().round(2).astype(str).tolist()
    ['0.6', '0.8']
    """
    axis = dim if axis is None else axis
    axis = tuple(axis) if isinstance(axis, list) else axis
    total = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, epsilon)))


def global_norm(t_list: Sequence[Any], name: str | None = None) -> Tensor:
    """The norm of all elements of all tensors; None among them counts as nothing.

    >>> import amalthea as tf
    >>> float(tf.linalg.global_norm([[3.0], None, [4.0]]))
    5.0
    """
    squares = [ops.sum(ops.square(t)) for t in t_list if t is not None]
    return ops.sqrt(sum(squares[1:], squares[0])) if squares else ops.zeros(())


def trace(x: Any, name: str | None = None) -> Tensor:
    """The sum of the diagonal of a matrix (of each of a batch of them)."""
    return ops.trace(x, axis1=-2, axis2=-1)


def cross(a: Any, b: Any, name: str | None = None) -> Tensor:
    """The vector product of vectors of three numbers."""
    return ops.cross(a, b)


def diag(
    diagonal: Any,
    name: str | None = "diag",
    k: int = 0,
    num_rows: int = -1,
    num_cols: int = -1,
    padding_value: Any = 0,
    align: str = "RIGHT_LEFT",
) -> Tensor:
    """Matrices with the last axis as their diagonal, the main one or the k-th above it.

    >>> import amalthea as tf
    >>> tf.linalg.diag([1, 2]).numpy().tolist()
    [[1, 0], [0, 2]]
    """
    for argument, value in (("num_rows", num_rows), ("num_cols", num_cols)):
        given: dict[str, Any] = {argument: None if value == -1 else value}
        refuse("linalg.diag", **given)
    diagonal = as_tensor(diagonal)
    n = diagonal.shape[-1]
    on_it = ops.eye(n + abs(k), k=k, dtype="bool")
    before = [(0, 0)] * (len(diagonal.shape) - 1)
    spread = ops.expand_dims(ops.pad(diagonal, (*before, (max(-k, 0), max(k, 0)))), -1)
    return ops.where(on_it, spread, ops.cast(padding_value, diagonal.dtype))


def diag_part(
    input: Any, name: str | None = "diag_part", k: int = 0, padding_value: Any = 0, align: str = "RIGHT_LEFT"
) -> Tensor:
    """The diagonals of matrices: the main ones or the k-th above."""
    return ops.diagonal(input, offset=k, axis1=-2, axis2=-1)


def tensor_diag(diagonal: Any, name: str | None = None) -> Tensor:
    """The matrix with this vector as its diagonal."""
    if len(as_tensor(diagonal).shape) != 1:
        fail(ShapeError, "the diagonal must be a vector", where="linalg.tensor_diag", fix="use tf.linalg.diag")
    return diag(diagonal)


def tensor_diag_part(input: Any, name: str | None = None) -> Tensor:
    """The diagonal of a matrix, as a vector."""
    return ops.diagonal(input)


def band_part(input: Any, num_lower: int, num_upper: int, name: str | None = None) -> Tensor:
    """Matrices with zeros but for so many diagonals below and above the main one; -1 keeps all on that side.

    >>> import amalthea as tf
    >>> tf.linalg.band_part(tf.ones((2, 2)), -1, 0).numpy().tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    x = as_tensor(input)
    rows, columns = ops.arange(x.shape[-2]), ops.arange(x.shape[-1])
    above = ops.expand_dims(columns, 0) - ops.expand_dims(rows, 1)
    lower, upper = int(num_lower), int(num_upper)
    kept = ops.logical_and(
        ops.greater_equal(above, -lower if lower >= 0 else -x.shape[-2]),
        ops.less_equal(above, upper if upper >= 0 else x.shape[-1]),
    )
    return ops.where(kept, x, ops.zeros_like(x))


if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
