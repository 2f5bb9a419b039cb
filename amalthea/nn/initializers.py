"""First values of weights."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.errors import ShapeError
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.nn.naming import to_snake_case
from amalthea.nn.objects import deserialize_keras_object, deserialize_named, public, serialize_keras_object
from amalthea.ops import random
from amalthea.ops.random import SeedGenerator

public("keras.random.SeedGenerator")(SeedGenerator)


@public("keras.Initializer", "keras.initializers.Initializer")
class Initializer:
    """Base class of initializers. A subclass writes `__call__(shape, dtype=None) -> tensor` and `get_config()`.

    >>> class Twos(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return 2 * ops.ones(shape, dtype=dtype)
    >>> Twos()((2, 3)).shape
    (2, 3)
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A tensor of this shape and dtype (None is `floatx()`)."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `__call__`. Fix: write `__call__(self, shape, dtype=None)`."
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> Initializer:
        """A new initializer with the same config."""
        return type(self).from_config(self.get_config())


@public("keras.initializers.Zeros", "keras.initializers.zeros")
class Zeros(Initializer):
    """All zeros.

    >>> float(Zeros()((2,))[0])
    0.0
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Zeros of this shape."""
        return ops.zeros(tuple(shape), dtype=dtypes.standardize(dtype))


@public("keras.initializers.Ones", "keras.initializers.ones")
class Ones(Initializer):
    """All ones.

    >>> float(Ones()((2,))[0])
    1.0
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Ones of this shape."""
        return ops.ones(tuple(shape), dtype=dtypes.standardize(dtype))


@public("keras.initializers.Constant", "keras.initializers.constant")
class Constant(Initializer):
    """One value everywhere (or an array that broadcasts to the shape).

    Args:
        value: a number or an array.

    >>> float(Constant(3.0)((2,))[0])
    3.0
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """The value, of this shape."""
        dtype = dtypes.standardize(dtype)
        return ops.broadcast_to(ops.cast(as_tensor(self.value), dtype), tuple(shape))

    def get_config(self) -> dict[str, Any]:
        """The value."""
        return {"value": serialize_keras_object(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        """The initializer that `get_config` described."""
        return cls(deserialize_keras_object(config["value"]))


@public("keras.initializers.Identity", "keras.initializers.identity", "keras.initializers.IdentityInitializer")
class Identity(Initializer):
    """The identity matrix, times `gain`.

    Args:
        gain: the factor.

    >>> Identity()((2, 2)).shape
    (2, 2)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A matrix of this shape."""
        if len(shape) != 2:
            raise ShapeError(
                f"[Identity] only a matrix can be an identity. Received: shape={tuple(shape)}. "
                "Fix: use this initializer for weights of rank 2 only."
            )
        return self.gain * ops.eye(shape[0], shape[1], dtype=dtypes.standardize(dtype))

    def get_config(self) -> dict[str, Any]:
        """The factor, where it is not Keras' default."""
        return {} if self.gain == 1.0 else {"gain": self.gain}


class RandomInitializer(Initializer):
    """Base class of the random initializers.

    Args:
        seed: whole number: the same values at every call. `SeedGenerator`: other values at every call.
            None: a seed is drawn when the initializer is made, and stays.
    """

    def __init__(self, seed: Any = None) -> None:
        self._init_seed = seed
        if seed is None:
            seed = random.make_default_seed()
        elif isinstance(seed, dict):
            seed = deserialize_keras_object(seed)
        elif isinstance(seed, bool) or not isinstance(seed, (int, np.integer, SeedGenerator)):
            raise ValueError(
                f"[{type(self).__name__}] `seed` must be a whole number, a SeedGenerator or None. "
                f"Received: seed={seed!r}. Fix: for example seed=0."
            )
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        """The seed as it was given."""
        return {"seed": serialize_keras_object(self._init_seed)}


@public("keras.initializers.RandomNormal", "keras.initializers.random_normal")
class RandomNormal(RandomInitializer):
    """Normal values.

    Args:
        mean, stddev: of the distribution.
        seed: see `RandomInitializer`.

    >>> RandomNormal(seed=0)((2, 3)).shape
    (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Random values of this shape."""
        return random.normal(tuple(shape), mean=self.mean, stddev=self.stddev, dtype=dtype, seed=self.seed)

    def get_config(self) -> dict[str, Any]:
        """Seed, mean and standard deviation."""
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


@public("keras.initializers.TruncatedNormal", "keras.initializers.truncated_normal")
class TruncatedNormal(RandomNormal):
    """Normal values, drawn again where they lie more than two standard deviations from the mean.

    Args:
        mean, stddev: of the distribution before it is truncated.
        seed: see `RandomInitializer`.

    >>> TruncatedNormal(seed=0)((2, 3)).shape
    (2, 3)
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Random values of this shape."""
        return random.truncated_normal(tuple(shape), mean=self.mean, stddev=self.stddev, dtype=dtype, seed=self.seed)


@public("keras.initializers.RandomUniform", "keras.initializers.random_uniform")
class RandomUniform(RandomInitializer):
    """Uniform values in `[minval, maxval)`.

    Args:
        minval, maxval: the bounds.
        seed: see `RandomInitializer`.

    >>> RandomUniform(seed=0)((2, 3)).shape
    (2, 3)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Random values of this shape."""
        return random.uniform(tuple(shape), minval=self.minval, maxval=self.maxval, dtype=dtype, seed=self.seed)

    def get_config(self) -> dict[str, Any]:
        """Seed and bounds."""
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


def compute_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """(number of inputs of each output unit, number of output units that each input reaches) of a kernel.

    Kernels of rank 3 and more are read as convolutions: `(*window, inputs, outputs)`.

    >>> compute_fans((3, 3, 16, 32))
    (144, 288)
    """
    shape = tuple(shape)
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return int(shape[0]), int(shape[0])
    window = math.prod(shape[:-2])
    return int(shape[-2] * window), int(shape[-1] * window)


@public("keras.initializers.VarianceScaling", "keras.initializers.variance_scaling")
class VarianceScaling(RandomInitializer):
    """Random values whose variance is `scale / n`, so that signals keep their size through many layers.

    Args:
        scale: the factor, positive.
        mode: what `n` is: `"fan_in"` (inputs of a unit), `"fan_out"` (outputs of an input) or `"fan_avg"` (their mean).
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: see `RandomInitializer`.
        input_axes, output_axes: which axes of the weight count as inputs and outputs; by default the last but one and
            the last, with all axes before them as the window of a convolution.

    >>> VarianceScaling(scale=2.0, mode="fan_in", seed=0)((3, 4)).shape
    (3, 4)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if scale <= 0.0:
            raise ValueError(f"[VarianceScaling] `scale` must be positive. Received: scale={scale}. Fix: e.g. 1.0.")
        modes = ("fan_in", "fan_out", "fan_avg")
        if mode not in modes:
            raise ValueError(f"[VarianceScaling] unknown mode. Received: mode={mode!r}. Fix: one of {modes}.")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        distributions = ("uniform", "truncated_normal", "untruncated_normal")
        if distribution not in distributions:
            raise ValueError(
                f"[VarianceScaling] unknown distribution. Received: distribution={distribution!r}. "
                f"Fix: one of {distributions}."
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Random values of this shape."""
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        count = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[self.mode]
        variance = self.scale / max(1.0, count)
        shape = tuple(shape)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(shape, minval=-limit, maxval=limit, dtype=dtype, seed=self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, stddev=math.sqrt(variance), dtype=dtype, seed=self.seed)
        # A standard normal cut off at two standard deviations has this standard deviation left.
        stddev = math.sqrt(variance) / 0.87962566103423978
        return random.truncated_normal(shape, stddev=stddev, dtype=dtype, seed=self.seed)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _FixedScaling(VarianceScaling):
    """A `VarianceScaling` with scale, mode and distribution decided."""

    _FIXED: tuple[float, str, str]

    def __init__(
        self, seed: Any = None, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
    ) -> None:
        scale, mode, distribution = self._FIXED
        super().__init__(scale, mode, distribution, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        """Seed and axes."""
        return {
            "seed": serialize_keras_object(self._init_seed),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


@public("keras.initializers.GlorotUniform", "keras.initializers.glorot_uniform")
class GlorotUniform(_FixedScaling):
    """Uniform values with variance `2 / (inputs + outputs)`: the default of most kernels.

    Source: Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward neural networks".

    >>> GlorotUniform(seed=0)((3, 4)).shape
    (3, 4)
    """

    _FIXED = (1.0, "fan_avg", "uniform")


@public("keras.initializers.GlorotNormal", "keras.initializers.glorot_normal")
class GlorotNormal(_FixedScaling):
    """Truncated normal values with variance `2 / (inputs + outputs)`. Source: Glorot and Bengio, 2010.

    >>> GlorotNormal(seed=0)((3, 4)).shape
    (3, 4)
    """

    _FIXED = (1.0, "fan_avg", "truncated_normal")


@public("keras.initializers.LecunNormal", "keras.initializers.lecun_normal")
class LecunNormal(_FixedScaling):
    """Truncated normal values with variance `1 / inputs`. Source: Klambauer et al., 2017, arXiv:1706.02515.

    >>> LecunNormal(seed=0)((3, 4)).shape
    (3, 4)
    """

    _FIXED = (1.0, "fan_in", "truncated_normal")


@public("keras.initializers.LecunUniform", "keras.initializers.lecun_uniform")
class LecunUniform(_FixedScaling):
    """Uniform values with variance `1 / inputs`. Source: Klambauer et al., 2017, arXiv:1706.02515.

    >>> LecunUniform(seed=0)((3, 4)).shape
    (3, 4)
    """

    _FIXED = (1.0, "fan_in", "uniform")


@public("keras.initializers.HeNormal", "keras.initializers.he_normal")
class HeNormal(_FixedScaling):
    """Truncated normal values with variance `2 / inputs`, for ReLU networks. Source: He et al., 2015, arXiv:1502.01852.

    >>> HeNormal(seed=0)((3, 4)).shape
    (3, 4)
    """

    _FIXED = (2.0, "fan_in", "truncated_normal")


@public("keras.initializers.HeUniform", "keras.initializers.he_uniform")
class HeUniform(_FixedScaling):
    """Uniform values with variance `2 / inputs`, for ReLU networks. Source: He et al., 2015, arXiv:1502.01852.

    >>> HeUniform(seed=0)((3, 4)).shape
    (3, 4)
    """

    _FIXED = (2.0, "fan_in", "uniform")


@public("keras.initializers.Orthogonal", "keras.initializers.orthogonal", "keras.initializers.OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    Weights of higher rank are treated as matrices of shape `(all other axes, last axis)`.

    Args:
        gain: the factor.
        seed: see `RandomInitializer`.

    Source: Saxe et al., 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".

    >>> Orthogonal(seed=0)((3, 4)).shape
    (3, 4)
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A random orthogonal tensor of this shape."""
        if len(shape) < 2:
            raise ShapeError(
                f"[Orthogonal] the weight must have two axes or more. Received: shape={tuple(shape)}. "
                "Fix: use another initializer for weights of rank 0 and 1."
            )
        dtype = dtypes.standardize(dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        normal = random.normal(tall, dtype="float32" if dtypes.to_numpy(dtype).itemsize < 4 else dtype, seed=self.seed)
        # Initializers run outside any trace, so NumPy may do the factorisation, which has no gradient to keep.
        q, r = np.linalg.qr(normal.numpy())
        q = q * np.sign(np.diag(r))  # makes the distribution uniform over the orthogonal matrices
        if rows < columns:
            q = q.T
        return ops.cast(as_tensor(np.ascontiguousarray(self.gain * q.reshape(tuple(shape)))), dtype)

    def get_config(self) -> dict[str, Any]:
        """Seed and factor."""
        return {**super().get_config(), "gain": self.gain}


_CLASSES = (
    Initializer,
    Constant,
    Identity,
    Ones,
    Zeros,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)
_NAMED: dict[str, Any] = {cls.__name__: cls for cls in _CLASSES}
_NAMED |= {to_snake_case(cls.__name__): cls for cls in _CLASSES}
_NAMED |= {"normal": RandomNormal, "uniform": RandomUniform, "one": Ones, "zero": Zeros}
_NAMED |= {"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal}


@public("keras.initializers.serialize")
def serialize(initializer: Any) -> Any:
    """The config of an initializer.

    >>> serialize(Constant(2.0))["config"]
    {'value': 2.0}
    """
    return serialize_keras_object(initializer)


@public("keras.initializers.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initializer of a config.

    >>> deserialize({"class_name": "Ones", "config": {}})((2,)).tolist()
    [1.0, 1.0]
    """
    return deserialize_named(config, _NAMED, custom_objects)


@public("keras.initializers.get")
def get(identifier: Any) -> Callable[..., Any] | None:
    """An initializer from None, a name (`"he_normal"`), a config, a class, a function `(shape, dtype)`, or an array.

    >>> type(get("he_normal")).__name__
    'HeNormal'
    """
    if identifier is None:
        return None
    if isinstance(identifier, (Tensor, np.ndarray, np.generic)):
        return _from_value(identifier)
    found = deserialize(identifier) if isinstance(identifier, (dict, str)) else identifier
    if inspect.isclass(found):
        found = found()
    if not callable(found):
        raise ValueError(
            f"[initializers.get] there is no such initializer. Received: {identifier!r}. "
            f"Fix: one of {sorted(to_snake_case(cls.__name__) for cls in _CLASSES[1:])}, an object, or a function."
        )
    return found


def _from_value(value: Any) -> Callable[..., Tensor]:
    def initialize(shape: Sequence[int], dtype: Any = None) -> Tensor:
        if tuple(shape) != tuple(value.shape):
            raise ShapeError(
                "[initializers.get] an array used as initializer must have the weight's shape. "
                f"Received: an array of shape {tuple(value.shape)} for a weight of shape {tuple(shape)}. "
                "Fix: reshape the array."
            )
        return ops.cast(as_tensor(value), dtypes.standardize(dtype))

    return initialize
