"""`tf.random`: draws under TensorFlow's names, where those differ from Keras'.

`normal`, `uniform`, `truncated_normal` and `categorical` are both `keras.random` and `tf.random`: they have Keras'
arguments and results, and also take what TensorFlow's take (`name=`, and whole numbers from `uniform`). Two defaults
stay Keras': `categorical` gives int32, not int64, and `gamma` draws the shape it is given.
"""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.ops import random

Shape = Any


def set_seed(seed: int) -> None:
    """Make all random draws that follow repeatable (Python's and NumPy's too).

    >>> import amalthea as tf
    >>> tf.random.set_seed(1)
    >>> first = float(tf.random.normal(()))
    >>> tf.random.set_seed(1)
    >>> first == float(tf.random.normal(()))
    True
    """
    random.set_random_seed(int(seed))


def normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None, name: str | None = None
) -> Tensor:
    """Draws from a normal distribution.

    Args:
        shape: the shape of the result.
        mean: its mean.
        stddev: its standard deviation.
        dtype: a floating dtype; None: `am.config.floatx()`.
        seed: a whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).
        name: has no effect.

    >>> import amalthea as am
    >>> am.random.normal((2, 3), seed=0).shape
    (2, 3)
    """
    return random.normal(_sizes(shape), mean, stddev, dtype, seed)


def truncated_normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None, name: str | None = None
) -> Tensor:
    """Draws from a normal distribution cut off two standard deviations from its mean; arguments as in `normal`.

    >>> import amalthea as am
    >>> bool((abs(am.random.truncated_normal((1000,), seed=0)) <= 2).numpy().all())
    True
    """
    return random.truncated_normal(_sizes(shape), mean, stddev, dtype, seed)


def uniform(
    shape: Shape, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None, name: str | None = None
) -> Tensor:
    """Draws from the uniform distribution on [minval, maxval).

    Args:
        shape: the shape of the result.
        minval: the lower bound, which is included.
        maxval: the upper bound, which is not; None means 1.
        dtype: a floating dtype (None: `am.config.floatx()`), or an integer dtype for whole numbers.
        seed: a whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).
        name: has no effect.

    >>> import amalthea as am
    >>> am.random.uniform((2,), seed=0).tolist()
    [0.4184570908546448, 0.6004990339279175]
    >>> am.random.uniform((3,), 0, 10, dtype="int32", seed=0).shape
    (3,)
    """
    if dtype is not None and dtypes.is_integer(dtypes.standardize(dtype)):
        return random.randint(_sizes(shape), minval, 1 if maxval is None else maxval, dtype, seed)
    return random.uniform(_sizes(shape), minval, 1.0 if maxval is None else maxval, dtype, seed)


def categorical(
    logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None, name: str | None = None
) -> Tensor:
    """Draws classes with the probabilities softmax(logits).

    Args:
        logits: (batch, classes).
        num_samples: how many classes to draw for each row.
        dtype: an integer dtype, "int32" by default.
        seed: a whole number (the same values each time), a SeedGenerator (which moves on), or None (the global one).
        name: has no effect.

    Returns:
        A tensor (batch, num_samples) of class numbers.

    >>> import amalthea as am
    >>> am.random.categorical([[0.0, -100.0, -100.0]], 4, seed=0).tolist()
    [[0, 0, 0, 0]]
    """
    return random.categorical(logits, int(num_samples), "int32" if dtype is None else dtype, seed)


def stateless_uniform(
    shape: Shape, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", name: str | None = None
) -> Tensor:
    """As `uniform`; the seed is two whole numbers, and the same seed gives the same draws.

    >>> import amalthea as tf
    >>> tf.random.stateless_uniform((3,), seed=(1, 2), maxval=10, dtype=tf.int32).shape
    (3,)
    """
    return uniform(shape, minval, maxval, dtype, _one_seed(seed))


def stateless_normal(
    shape: Shape, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: str | None = None
) -> Tensor:
    """As `normal`; the seed is two whole numbers, and the same seed gives the same draws.

    >>> import amalthea as tf
    >>> draws = [float(tf.random.stateless_normal((), seed=(1, 2))) for _ in range(2)]
    >>> draws[0] == draws[1]
    True
    """
    return normal(shape, mean, stddev, dtype, _one_seed(seed))


def stateless_truncated_normal(
    shape: Shape, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: str | None = None
) -> Tensor:
    """As `truncated_normal`; the seed is two whole numbers.

    >>> import amalthea as tf
    >>> tf.random.stateless_truncated_normal((2, 3), seed=(1, 2)).shape
    (2, 3)
    """
    return truncated_normal(shape, mean, stddev, dtype, _one_seed(seed))


def stateless_categorical(
    logits: Any, num_samples: int, seed: Any, dtype: Any = "int64", name: str | None = None
) -> Tensor:
    """As `categorical`; the seed is two whole numbers.

    >>> import amalthea as tf
    >>> tf.random.stateless_categorical([[0.0, -100.0]], 2, seed=(1, 2)).numpy().tolist()
    [[0, 0]]
    """
    return categorical(logits, num_samples, dtype, _one_seed(seed))


class Generator:
    """A source of random numbers with a state of its own, as TensorFlow's `tf.random.Generator`.

    >>> import amalthea as tf
    >>> generator = tf.random.Generator.from_seed(1)
    >>> generator.normal((2,)).shape
    (2,)
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seeds = random.SeedGenerator(seed)

    @classmethod
    def from_seed(cls, seed: int, alg: Any = None) -> Generator:
        """A generator that starts from a seed."""
        return cls(int(seed))

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """A generator that starts anywhere."""
        return cls()

    def normal(self, shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32") -> Tensor:
        """Draws from a normal distribution."""
        return normal(shape, mean, stddev, dtype, self._seeds)

    def truncated_normal(self, shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32") -> Tensor:
        """Draws from a normal distribution cut off two standard deviations from its mean."""
        return truncated_normal(shape, mean, stddev, dtype, self._seeds)

    def uniform(self, shape: Shape, minval: Any = 0, maxval: Any = None, dtype: Any = "float32") -> Tensor:
        """Draws from the uniform distribution on [minval, maxval)."""
        return uniform(shape, minval, maxval, dtype, self._seeds)


def _one_seed(seed: Any) -> int:
    """A seed of two numbers as one."""
    pair = [int(part) for part in ops.reshape(seed, (-1,)).numpy()]
    if len(pair) != 2:
        fail(ArgumentError, "the seed is two whole numbers", where="random.stateless", received=f"seed={seed!r}")
    return ((pair[0] & 0x7FFF) << 16 | (pair[1] & 0xFFFF)) ^ (pair[0] >> 15 ^ pair[1] >> 16) & 0x7FFFFFFF


def _sizes(shape: Any) -> Any:
    """A shape given as a number, a sequence or a tensor."""
    if isinstance(shape, Tensor):
        return tuple(shape.numpy().reshape(-1).tolist())
    if isinstance(shape, list | tuple):
        return tuple(size.item() if isinstance(size, Tensor) else size for size in shape)
    return shape


__all__ = [
    "Generator",
    "categorical",
    "normal",
    "set_seed",
    "stateless_categorical",
    "stateless_normal",
    "stateless_truncated_normal",
    "stateless_uniform",
    "truncated_normal",
    "uniform",
]
