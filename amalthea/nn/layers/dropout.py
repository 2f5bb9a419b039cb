"""Layers that act only in training: dropout and noise."""

from __future__ import annotations

import math
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn import regularizers
from amalthea.nn.arguments import checked_data_format, fraction
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public
from amalthea.ops import random
from amalthea.ops.random import SeedGenerator

__all__ = [
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]


class _Random(Layer):
    """Base of the layers that draw random numbers in training, at a rate or strength of 0 to 1."""

    _strength = "rate"

    rate: float
    stddev: float

    def __init__(self, strength: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        setattr(self, self._strength, fraction(strength, type(self).__name__, self._strength))
        self.seed = seed
        if strength > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The disturbed inputs in training, the inputs otherwise."""
        if training and getattr(self, self._strength) > 0:
            return self._disturbed(inputs)
        return inputs

    def _disturbed(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), self._strength: getattr(self, self._strength), "seed": self.seed}


def _checked_noise_shape(noise_shape: Any, where: str) -> tuple[int | None, ...] | None:
    if noise_shape is None:
        return None
    sizes = tuple(noise_shape) if isinstance(noise_shape, (list, tuple)) else ("?",)
    if not all(size is None or (isinstance(size, int) and size > 0) for size in sizes):
        fail(
            ArgumentError,
            "`noise_shape` must hold a positive whole number or None for each axis of the input",
            where=where,
            received=f"noise_shape={noise_shape!r}",
            fix="for example noise_shape=(None, 1, None)",
        )
    return sizes


def _resolved(noise_shape: tuple[int | None, ...] | None, inputs: Tensor) -> tuple[int, ...]:
    """The noise shape with the input's sizes in place of None."""
    if noise_shape is None:
        return tuple(inputs.shape)
    return tuple([size if given is None else given for given, size in zip(noise_shape, inputs.shape, strict=True)])


@public("keras.layers.Dropout")
class Dropout(_Random):
    """Sets values to 0 at random in training and scales up the rest, so that their sum stays the same on average.

    Args:
        rate: share of values set to 0.
        noise_shape: shape of the random mask, which broadcasts to the input; None for the input's own shape.
        seed: whole number for a repeatable sequence of masks.

    Source: Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    >>> import amalthea as am
    >>> am.layers.Dropout(0.5, seed=0)(am.ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = _checked_noise_shape(noise_shape, "Dropout")

    def _disturbed(self, inputs: Tensor) -> Tensor:
        noise_shape = None if self.noise_shape is None else _resolved(self.noise_shape, inputs)
        return random.dropout(inputs, self.rate, noise_shape=noise_shape, seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "noise_shape": self.noise_shape}


class _SpatialDropout(_Random):
    """Base of the dropouts of whole channels."""

    _axes: int

    def __init__(self, rate: float, seed: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(rate, seed, name=name, dtype=dtype)
        self.data_format = "channels_last"
        self.input_spec = InputSpec(ndim=self._axes + 2)

    def _disturbed(self, inputs: Tensor) -> Tensor:
        channels = 1 if self.data_format == "channels_first" else self._axes + 1
        shape = tuple([size if axis in (0, channels) else 1 for axis, size in enumerate(inputs.shape)])
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {"rate": self.rate, "seed": self.seed, "name": self.name, "dtype": str(self.dtype)}


@public("keras.layers.SpatialDropout1D")
class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole features of sequences `(batch, steps, features)`.

    Args:
        rate: share of features set to 0.
        seed: whole number for a repeatable sequence of masks.

    Source: Tompson et al., 2014, arXiv:1411.4280.

    >>> import amalthea as am
    >>> am.layers.SpatialDropout1D(0.5)(am.ops.ones((2, 3, 4))).shape
    (2, 3, 4)
    """

    _axes = 1


class _ImageDropout(_SpatialDropout):
    """Base of the dropouts whose channels may come first."""

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = checked_data_format(data_format, type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "data_format": self.data_format}


@public("keras.layers.SpatialDropout2D")
class SpatialDropout2D(_ImageDropout):
    """Dropout of whole channels of images.

    Args:
        rate: share of channels set to 0.
        data_format: where the channels are.
        seed: whole number for a repeatable sequence of masks.

    Source: Tompson et al., 2014, arXiv:1411.4280.

    >>> import amalthea as am
    >>> am.layers.SpatialDropout2D(0.5)(am.ops.ones((2, 3, 4, 5))).shape
    (2, 3, 4, 5)
    """

    _axes = 2


@public("keras.layers.SpatialDropout3D")
class SpatialDropout3D(_ImageDropout):
    """Dropout of whole channels of volumes.

    Args:
        rate: share of channels set to 0.
        data_format: where the channels are.
        seed: whole number for a repeatable sequence of masks.

    Source: Tompson et al., 2014, arXiv:1411.4280.

    >>> import amalthea as am
    >>> am.layers.SpatialDropout3D(0.5)(am.ops.ones((2, 3, 4, 5, 6))).shape
    (2, 3, 4, 5, 6)
    """

    _axes = 3


@public("keras.layers.GaussianNoise")
class GaussianNoise(_Random):
    """Adds normal noise in training.

    Args:
        stddev: standard deviation of the noise, 0 to 1.
        seed: whole number for a repeatable sequence.

    >>> import amalthea as am
    >>> am.layers.GaussianNoise(0.1)(am.ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    _strength = "stddev"

    def __init__(self, stddev: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(stddev, seed, **kwargs)

    def _disturbed(self, inputs: Tensor) -> Tensor:
        shape = tuple(inputs.shape)
        return inputs + random.normal(shape, 0.0, self.stddev, dtype=self.compute_dtype, seed=self.seed_generator)


@public("keras.layers.GaussianDropout")
class GaussianDropout(_Random):
    """Multiplies by normal noise of mean 1 and variance `rate / (1 - rate)` in training.

    Args:
        rate: the dropout rate that would disturb as much.
        seed: whole number for a repeatable sequence.

    Source: Srivastava et al., 2014, section 10.

    >>> import amalthea as am
    >>> am.layers.GaussianDropout(0.5)(am.ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    def __init__(self, rate: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)

    def _disturbed(self, inputs: Tensor) -> Tensor:
        if self.rate == 1:
            fail(
                ArgumentError,
                "a rate of 1 would need noise without end",
                where="GaussianDropout",
                received="rate=1",
                fix="use a rate below 1",
            )
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        noise = random.normal(tuple(inputs.shape), 1.0, stddev, dtype=self.compute_dtype, seed=self.seed_generator)
        return inputs * noise


@public("keras.layers.AlphaDropout")
class AlphaDropout(_Random):
    """Dropout that keeps mean and variance, for networks with SELU activations.

    Args:
        rate: share of values replaced.
        noise_shape: shape of the random mask, which broadcasts to the input.
        seed: whole number for a repeatable sequence of masks.

    Source: Klambauer et al., 2017, arXiv:1706.02515.

    >>> import amalthea as am
    >>> am.layers.AlphaDropout(0.5)(am.ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    # Replaced values take the limit of SELU at minus infinity, -alpha * scale.
    _LIMIT = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946

    def __init__(self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = _checked_noise_shape(noise_shape, "AlphaDropout")

    def _disturbed(self, inputs: Tensor) -> Tensor:
        shape = _resolved(self.noise_shape, inputs)
        kept = ops.cast(random.uniform(shape, seed=self.seed_generator) >= self.rate, inputs.dtype)
        factor = ((1 - self.rate) * (1 + self.rate * self._LIMIT**2)) ** -0.5
        offset = -factor * self._LIMIT * self.rate
        return factor * (inputs * kept + self._LIMIT * (1 - kept)) + offset

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "noise_shape": self.noise_shape}


@public("keras.layers.ActivityRegularization")
class ActivityRegularization(Layer):
    """Returns its input and adds `l1 * sum(|x|) + l2 * sum(x**2)`, divided by the batch size, to the loss.

    Args:
        l1, l2: the factors.

    >>> import amalthea as am
    >>> layer = am.layers.ActivityRegularization(l2=1.0)
    >>> _ = layer(am.ops.ones((2, 3)))
    >>> float(layer.losses[0])
    3.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.supports_masking = True
        self.l1 = l1
        self.l2 = l2
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        config = {**super().get_config(), "l1": self.l1, "l2": self.l2}
        config.pop("activity_regularizer", None)
        return config
