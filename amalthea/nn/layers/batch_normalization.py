"""`BatchNormalization`: mean 0 and variance 1 for each channel over the batch."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core import config, dtypes
from amalthea.core.errors import ArgumentError, ShapeError, UnsupportedError, fail
from amalthea.core.op import registry
from amalthea.core.tensor import Tensor
from amalthea.nn import constraints, initializers, regularizers
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["BatchNormalization"]


@public("keras.layers.BatchNormalization")
class BatchNormalization(Layer):
    """Normalises each channel: by the batch's own mean and variance in training, by their moving averages otherwise.

    A layer with `trainable = False` always uses the moving averages and leaves them as they are.

    Args:
        axis: the axis of the channels.
        momentum: share of the moving averages that stays at each training step.
        epsilon: added to the variance.
        center, scale: whether there is a trained offset (`beta`) and factor (`gamma`).
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: first values.
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: of offset and factor.
        renorm: whether to correct the batch's statistics towards moving ones (Ioffe, 2017, arXiv:1702.03275).
        renorm_clipping: bounds `rmin`, `rmax`, `dmax` of that correction.
        renorm_momentum: momentum of the moving statistics used for it.
        synchronized: statistics over all replicas; not supported.

    `call` takes a `mask` of the input's shape without the last axis; masked positions do not count.

    Source: Ioffe and Szegedy, 2015, arXiv:1502.03167.

    >>> import amalthea as am
    >>> am.layers.BatchNormalization()(am.ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if synchronized:
            fail(
                UnsupportedError,
                "statistics over several replicas are not supported",
                where="BatchNormalization",
                received="synchronized=True",
                fix="leave it False",
            )
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.synchronized = synchronized
        self.renorm = renorm
        self.renorm_clipping = _checked_clipping(renorm_clipping or {}) if renorm else renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.supports_masking = True
        self.gamma: Any = None
        self.beta: Any = None
        self.moving_mean: Any = None
        self.moving_variance: Any = None

    def build(self, input_shape: Any) -> None:
        """Make `gamma`, `beta` and the moving averages, one number per channel."""
        rank = len(input_shape)
        if not -rank <= self.axis < rank:
            fail(
                ShapeError,
                f"there is no axis {self.axis} in the input",
                where="BatchNormalization",
                received=f"input of shape {tuple(input_shape)}",
                fix=f"choose an axis from {-rank} to {rank - 1}",
            )
        shape = (input_shape[self.axis],)
        if self.scale:
            self.gamma = self._channel_weight(
                "gamma", shape, self.gamma_initializer, self.gamma_regularizer, self.gamma_constraint
            )
        if self.center:
            self.beta = self._channel_weight(
                "beta", shape, self.beta_initializer, self.beta_regularizer, self.beta_constraint
            )
        self.moving_mean = self._statistic("moving_mean", shape, self.moving_mean_initializer)
        self.moving_variance = self._statistic("moving_variance", shape, self.moving_variance_initializer)
        if self.renorm:
            variance: Any = self.moving_variance_initializer

            def stddev(shape: Any, dtype: Any = None) -> Tensor:
                return ops.sqrt(variance(shape, dtype=dtype))

            self.moving_stddev = self._statistic("moving_stddev", shape, stddev)
            self.renorm_mean = self._statistic("renorm_mean", shape, self.moving_mean_initializer)
            self.renorm_stddev = self._statistic("renorm_stddev", shape, stddev)
        self.input_spec = InputSpec(ndim=rank, axes={self.axis: input_shape[self.axis]})
        self._reduced = tuple(axis for axis in range(rank) if axis != self.axis % rank)

    def _channel_weight(self, name: str, shape: Any, initializer: Any, regularizer: Any, constraint: Any) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            regularizer=regularizer,
            constraint=constraint,
            autocast=False,
        )

    def _statistic(self, name: str, shape: Any, initializer: Any) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=initializer, trainable=False, autocast=False)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        """The normalised inputs."""
        if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
            fail(
                ShapeError,
                "the mask must have one axis less than the input",
                where="BatchNormalization",
                received=f"input of shape {tuple(inputs.shape)}, mask of shape {tuple(mask.shape)}",
                fix="give one truth value per position",
            )
        # 16-bit floats would overflow in the squares.
        wide = dtypes.result_type(inputs.dtype, "float32")
        inputs = ops.cast(inputs, wide)
        gamma = None if self.gamma is None else ops.cast(self.gamma, wide)
        beta = None if self.beta is None else ops.cast(self.beta, wide)
        moving_mean, moving_variance = ops.cast(self.moving_mean, wide), ops.cast(self.moving_variance, wide)
        if training and self.trainable and mask is None and not self.renorm and (beta is None or gamma is not None):
            outputs, mean, variance = registry["batch_normalization_training"](
                inputs, gamma, beta, axis=self.axis, epsilon=self.epsilon
            )
            self._update_statistics(moving_mean, moving_variance, mean, variance)
            return ops.cast(outputs, self.compute_dtype)
        if training and self.trainable:
            mean, variance = self._moments(inputs, mask)
            if self.renorm:
                gamma, beta = self._corrected(mean, variance, gamma, beta)
                self._update_renorm_statistics(mean, variance)
            else:
                self._update_statistics(moving_mean, moving_variance, mean, variance)
        else:
            mean, variance = moving_mean, moving_variance
        outputs = ops.batch_normalization(
            inputs, mean, variance, axis=self.axis, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)

    def _update_statistics(self, moving_mean: Tensor, moving_variance: Tensor, mean: Tensor, variance: Tensor) -> None:
        keep = self.momentum
        self.moving_mean.assign(moving_mean * keep + mean * (1.0 - keep))
        self.moving_variance.assign(moving_variance * keep + variance * (1.0 - keep))

    def _moments(self, inputs: Tensor, mask: Any) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over all positions that the mask keeps."""
        if mask is None:
            return ops.moments(inputs, axes=self._reduced)
        mask = ops.broadcast_to(ops.expand_dims(ops.cast(mask, "bool"), -1), inputs.shape)
        zeros = ops.zeros_like(inputs)
        count = ops.sum(ops.cast(mask, inputs.dtype), self._reduced, keepdims=True) + config.epsilon()
        mean = ops.sum(ops.where(mask, inputs, zeros), self._reduced, keepdims=True) / count
        difference = ops.where(mask, inputs - mean, zeros)
        variance = ops.sum(ops.square(difference), self._reduced, keepdims=True) / count
        return ops.squeeze(mean, axis=self._reduced), ops.squeeze(variance, axis=self._reduced)

    def _corrected(self, mean: Tensor, variance: Tensor, gamma: Any, beta: Any) -> tuple[Tensor, Tensor]:
        """Factor and offset of batch renormalisation: `(x r + d) gamma + beta`, with r and d held constant."""
        stddev = ops.sqrt(variance + self.epsilon)
        moving = ops.maximum(ops.cast(self.renorm_stddev, mean.dtype), self.epsilon**0.5)
        r = stddev / moving
        d = (mean - ops.cast(self.renorm_mean, mean.dtype)) / moving
        bounds = self.renorm_clipping or {}
        if bounds.get("rmin") is not None:
            r = ops.maximum(r, bounds["rmin"])
        if bounds.get("rmax") is not None:
            r = ops.minimum(r, bounds["rmax"])
        if bounds.get("dmax") is not None:
            d = ops.clip(d, -bounds["dmax"], bounds["dmax"])
        r, d = ops.stop_gradient(r), ops.stop_gradient(d)
        factor, offset = (r, d) if gamma is None else (r * gamma, d * gamma)
        return factor, offset if beta is None else offset + beta

    def _update_renorm_statistics(self, mean: Tensor, variance: Tensor) -> None:
        stddev = ops.sqrt(variance + self.epsilon)

        def moved(variable: Any, value: Tensor, keep: float) -> Tensor:
            return ops.cast(variable, mean.dtype) * keep + value * (1.0 - keep)

        self.renorm_mean.assign(moved(self.renorm_mean, mean, self.renorm_momentum))
        self.renorm_stddev.assign(moved(self.renorm_stddev, stddev, self.renorm_momentum))
        self.moving_mean.assign(moved(self.moving_mean, mean, self.momentum))
        moving_stddev = moved(self.moving_stddev, stddev, self.momentum)
        self.moving_stddev.assign(moving_stddev)
        # Rounding may take the difference below 0.
        self.moving_variance.assign(ops.relu(moving_stddev * moving_stddev - self.epsilon))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
            "synchronized": self.synchronized,
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
        }


def _checked_clipping(bounds: dict[str, float]) -> dict[str, float]:
    rmin, rmax, dmax = bounds.get("rmin"), bounds.get("rmax"), bounds.get("dmax")
    wrong = set(bounds) - {"rmin", "rmax", "dmax"}
    if wrong or (rmin is not None and rmax is not None and rmax < rmin) or (dmax is not None and dmax < 0):
        fail(
            ArgumentError,
            "`renorm_clipping` takes the bounds rmin <= rmax and dmax >= 0",
            where="BatchNormalization",
            received=f"renorm_clipping={bounds}",
            fix="for example {'rmin': 0.3, 'rmax': 3.0, 'dmax': 5.0}",
        )
    return bounds
