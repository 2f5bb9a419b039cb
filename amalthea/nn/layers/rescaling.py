"""Layers that bring data to a common scale: Rescaling and Normalization."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from amalthea import ops
from amalthea.core import config
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.nn.layer import Layer
from amalthea.nn.objects import deserialize_keras_object, serialize_keras_object
from amalthea.nn.registry import public
from amalthea.nn.tracking import untracked

__all__ = ["Normalization", "Rescaling"]


@public("keras.layers.Rescaling")
class Rescaling(Layer):
    """`inputs * scale + offset`, in training and elsewhere.

    Args:
        scale: the factor, a number or one per channel: `1 / 255` brings bytes to 0..1.
        offset: what is added.

    >>> import amalthea as am
    >>> float(am.layers.Rescaling(1 / 255)(am.ops.array([255.0]))[0])
    1.0
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with untracked():
            self.scale = scale
            self.offset = offset
        self.supports_masking = True
        self._allow_non_tensor_positional_args = True

    def call(self, inputs: Any) -> Tensor:
        """The rescaled inputs."""
        dtype = self.compute_dtype
        scale, offset = as_tensor(self.scale, dtype), as_tensor(self.offset, dtype)
        if scale.ndim and config.image_data_format() == "channels_first":
            scale = ops.reshape(scale, (*scale.shape, *(1,) * (3 - scale.ndim)))
        return ops.cast(as_tensor(inputs), dtype) * scale + offset

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "scale": serialize_keras_object(self.scale),
            "offset": serialize_keras_object(self.offset),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Rescaling:
        """The layer that `get_config` described."""
        numbers = {key: deserialize_keras_object(config[key], custom_objects) for key in ("scale", "offset")}
        return super().from_config({**config, **numbers})


@public("keras.layers.Normalization")
class Normalization(Layer):
    """Subtracts the mean and divides by the standard deviation, which are given or found by `adapt(data)`.

    Args:
        axis: axes that keep means of their own: -1 for one per feature, None for one of all values.
        mean, variance: the statistics, if they are known.
        invert: whether to undo the normalisation instead.

    >>> import amalthea as am
    >>> import numpy as np
    >>> layer = am.layers.Normalization()
    >>> layer.adapt(np.array([[0.0], [2.0]], "float32"))
    >>> layer(np.array([[2.0]], "float32")).numpy().tolist()
    [[1.0]]
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None) or np.shape(mean) != np.shape(variance):
            fail(
                ArgumentError,
                "`mean` and `variance` must be given together, in the same shape",
                where="Normalization",
                received=f"mean={mean!r}, variance={variance!r}",
                fix="give both, or neither and call `adapt(data)`",
            )
        if mean is not None and np.ndim(mean) > len(self.axis):
            fail(
                ShapeError,
                f"`mean` has more axes than the {len(self.axis)} that keep statistics of their own",
                where="Normalization",
                received=f"mean of shape {np.shape(mean)}, axis={self.axis}",
                fix="give a number, or name more axes",
            )
        with untracked():
            self.input_mean = mean
            self.input_variance = variance
        self.invert = invert
        self.supports_masking = True
        self._build_input_shape: Any = None
        self.mean: Any = None
        self.variance: Any = None

    def build(self, input_shape: Any) -> None:
        """Make the variables `mean`, `variance` and `count` (the last for Keras' files), unless they were given."""
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            fail(
                ShapeError,
                f"the input has no axis {self.axis}",
                where="Normalization",
                received=f"input of shape {tuple(input_shape)}",
                fix=f"choose axes from {-rank} to {rank - 1}",
            )
        kept = tuple(sorted(axis % rank for axis in self.axis))
        if any(input_shape[axis] is None for axis in kept):
            fail(
                ShapeError,
                "the axes that keep statistics of their own must have known sizes",
                where="Normalization",
                received=f"input of shape {tuple(input_shape)}, axis={self.axis}",
                fix="give the model's input fixed sizes there",
            )
        self._build_input_shape = tuple(input_shape)
        self._kept = kept
        self._reduced = tuple(axis for axis in range(rank) if axis not in kept)
        self._broadcast_shape = tuple(size if axis in kept else 1 for axis, size in enumerate(input_shape))
        if self.input_mean is None:
            shape = tuple(input_shape[axis] for axis in kept)
            self.adapt_mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
            self.adapt_variance = self.add_weight(name="variance", shape=shape, initializer="ones", trainable=False)
            self.count = self.add_weight(name="count", shape=(), dtype="int32", initializer="zeros", trainable=False)
            self.finalize_state()
        else:
            self.mean = self._spread(self.input_mean)
            self.variance = self._spread(self.input_variance)

    def _spread(self, value: Any) -> Tensor:
        """Given statistics in a shape that broadcasts to the input: their axes are the last ones that are kept."""
        value = as_tensor(np.asarray(value))
        shape = [1] * len(self._broadcast_shape)
        for place in range(1, value.ndim + 1):
            shape[self._kept[-place]] = value.shape[-place]
        value = ops.broadcast_to(ops.reshape(value, tuple(shape)), self._broadcast_shape)
        return ops.cast(value, self.compute_dtype)

    def adapt(self, data: Any) -> None:
        """Set mean and variance to those of `data`: an array, or an iterable of batches."""
        if isinstance(data, (np.ndarray, Tensor)):
            batches: Iterable[Any] = [data]
        elif hasattr(data, "__iter__"):
            batches = data
        else:
            fail(
                ArgumentError,
                "`adapt` takes an array or an iterable of batches",
                where="Normalization",
                received=f"data of type {type(data).__name__}",
                fix="pass a NumPy array",
            )
        if self.input_mean is not None:
            fail(
                ArgumentError,
                "mean and variance were given, so there is nothing to adapt",
                where="Normalization",
                fix="make the layer without `mean` and `variance`",
            )
        count, mean, variance = 0, np.zeros(()), np.zeros(())
        for batch in _first_parts(batches):
            if not self.built:
                self.build(batch.shape)
            self._check_batch(batch.shape)
            size = math.prod(batch.shape[axis] for axis in self._reduced)
            values = np.asarray(batch, "float64")
            new_mean, new_variance = values.mean(axis=self._reduced), values.var(axis=self._reduced)
            count += size
            share = size / count
            # Chan et al., 1983: the variance of two sets together from the means and variances of each.
            total = mean * (1 - share) + new_mean * share
            variance = (variance + (mean - total) ** 2) * (1 - share) + (new_variance + (new_mean - total) ** 2) * share
            mean = total
        if not count:
            fail(
                ArgumentError,
                "there are no data",
                where="Normalization",
                received="an iterable without batches, or batches without examples",
                fix="pass at least one example",
            )
        self.adapt_mean.assign(mean.astype("float32"))
        self.adapt_variance.assign(variance.astype("float32"))
        self.finalize_state()

    def _check_batch(self, shape: Any) -> None:
        built = self._build_input_shape
        if len(shape) != len(built) or any(shape[axis] != built[axis] for axis in self._kept):
            fail(
                ShapeError,
                "the data do not have the shape for which the layer was built",
                where="Normalization",
                received=f"data of shape {tuple(shape)}, built for {built}",
                fix="adapt a new layer",
            )

    def finalize_state(self) -> None:
        """Work out the broadcast statistics again, after the variables have changed."""
        if self.input_mean is None and self._build_input_shape is not None:
            self.mean = ops.cast(ops.reshape(self.adapt_mean, self._broadcast_shape), self.compute_dtype)
            self.variance = ops.cast(ops.reshape(self.adapt_variance, self._broadcast_shape), self.compute_dtype)

    def call(self, inputs: Tensor) -> Tensor:
        """The normalised inputs (or, with `invert`, the inputs brought back to their old scale)."""
        inputs = ops.cast(as_tensor(inputs), self.compute_dtype)
        if self.input_mean is None:
            mean = ops.cast(ops.reshape(self.adapt_mean, self._broadcast_shape), self.compute_dtype)
            variance = ops.cast(ops.reshape(self.adapt_variance, self._broadcast_shape), self.compute_dtype)
        else:
            mean, variance = self.mean, self.variance
        stddev = ops.maximum(ops.sqrt(variance), config.epsilon())
        return mean + inputs * stddev if self.invert else (inputs - mean) / stddev

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return tuple(input_shape)

    def load_own_variables(self, store: Any) -> None:
        """Read the statistics from a file."""
        super().load_own_variables(store)
        self.finalize_state()

    def get_build_config(self) -> dict[str, Any] | None:
        """The shape for which the layer was built."""
        return None if self._build_input_shape is None else {"input_shape": self._build_input_shape}

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "invert": self.invert,
            "mean": np.array(self.input_mean).tolist(),
            "variance": np.array(self.input_variance).tolist(),
        }


def _first_parts(batches: Iterable[Any]) -> Iterable[np.ndarray]:
    """Each batch as an array: of (inputs, targets) pairs the inputs."""
    for batch in itertools.chain(batches):
        first = batch[0] if isinstance(batch, tuple) else batch
        yield np.asarray(first)
