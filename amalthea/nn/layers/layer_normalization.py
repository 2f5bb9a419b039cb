"""Normalisations of each example by itself: Layer-, RMS-, Group- and UnitNormalization."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core import dtypes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn import constraints, initializers, regularizers
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["GroupNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"]


def _checked_axis(axis: Any, where: str) -> Any:
    """A whole number as it is, a sequence of them as a list."""
    whole = isinstance(axis, int) and not isinstance(axis, bool)
    several = isinstance(axis, (list, tuple)) and all(isinstance(a, int) for a in axis)
    if not whole and not several:
        fail(
            ArgumentError,
            "`axis` must be a whole number or a list of them",
            where=where,
            received=f"axis={axis!r}",
            fix="for example axis=-1",
        )
    return list(axis) if several else axis


def _check_axis_exists(axis: Any, input_shape: Any, where: str) -> None:
    rank = len(input_shape)
    for one in axis if isinstance(axis, (list, tuple)) else [axis]:
        if not -rank <= one < rank:
            fail(
                ShapeError,
                f"there is no axis {one} in the input",
                where=where,
                received=f"input of shape {tuple(input_shape)}, axis={axis}",
                fix=f"choose axes from {-rank} to {rank - 1}",
            )


class _Affine(Layer):
    """Base of the normalisations with a trained factor (`gamma`) and offset (`beta`)."""

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True
        self.autocast = False
        self.gamma: Any = None
        self.beta: Any = None

    def _add_affine(self, shape: tuple[int, ...], center: bool, scale: bool) -> None:
        if scale:
            self.gamma = self.add_weight(
                name="gamma",
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if center:
            self.beta = self.add_weight(
                name="beta",
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that all of them have."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }


@public("keras.layers.LayerNormalization")
class LayerNormalization(_Affine):
    """Mean 0 and variance 1 along axes of each example, then a trained factor and offset.

    Args:
        axis: the axis or axes that are normalised together.
        epsilon: added to the variance.
        center, scale: whether there is a trained offset (`beta`) and factor (`gamma`).
        beta_initializer, gamma_initializer, ...: of offset and factor.

    Source: Ba et al., 2016, arXiv:1607.06450.

    >>> import amalthea as am
    >>> am.layers.LayerNormalization()(am.ops.ones((2, 3))).shape
    (2, 3)
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        self_scaling = kwargs.pop("rms_scaling", False)  # of older Keras: scale by the variance, without the mean
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )
        self.axis = _checked_axis(axis, "LayerNormalization")
        self.rms_scaling = self_scaling

    def build(self, input_shape: Any) -> None:
        """Make `gamma` and `beta`, of the sizes of the normalised axes."""
        _check_axis_exists(self.axis, input_shape, "LayerNormalization")
        self.axis = sorted(self.axis) if isinstance(self.axis, list) else [self.axis]
        shape = tuple(input_shape[axis] for axis in self.axis)
        self._add_affine(shape, self.center and not self.rms_scaling, self.scale or self.rms_scaling)

    def call(self, inputs: Tensor) -> Tensor:
        """The normalised inputs."""
        outputs = ops.layer_normalization(
            inputs, self.gamma, self.beta, tuple(self.axis), self.epsilon, rms_scaling=self.rms_scaling
        )
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "axis": self.axis, "rms_scaling": self.rms_scaling}


@public("keras.layers.RMSNormalization")
class RMSNormalization(Layer):
    """Divides by the root of the mean square along axes of each example, then multiplies by a trained factor.

    Args:
        axis: the axis or axes that are normalised together.
        epsilon: added to the mean square.

    Source: Zhang and Sennrich, 2019, arXiv:1910.07467.

    >>> import amalthea as am
    >>> am.layers.RMSNormalization()(am.ops.ones((2, 3))).shape
    (2, 3)
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _checked_axis(axis, "RMSNormalization")
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Make the factor, of the sizes of the normalised axes."""
        _check_axis_exists(self.axis, input_shape, "RMSNormalization")
        self.axis = sorted(self.axis) if isinstance(self.axis, list) else [self.axis]
        shape = tuple(input_shape[axis] for axis in self.axis)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")

    def call(self, x: Tensor) -> Tensor:
        """The normalised inputs."""
        return ops.rms_normalization(x, scale=self.scale, axis=tuple(self.axis), epsilon=self.epsilon)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


@public("keras.layers.GroupNormalization")
class GroupNormalization(_Affine):
    """Mean 0 and variance 1 over groups of channels of each example, then a trained factor and offset per channel.

    Args:
        groups: number of groups, which divides the number of channels; -1 for one group per channel.
        axis: the axis of the channels.
        epsilon: added to the variance.
        center, scale: whether there is a trained offset (`beta`) and factor (`gamma`).
        beta_initializer, gamma_initializer, ...: of offset and factor.

    Source: Wu and He, 2018, arXiv:1803.08494.

    >>> import amalthea as am
    >>> am.layers.GroupNormalization(groups=2)(am.ops.ones((2, 5, 4))).shape
    (2, 5, 4)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups <= 0 and groups != -1):
            fail(
                ArgumentError,
                "`groups` must be a positive whole number, or -1 for one group per channel",
                where="GroupNormalization",
                received=f"groups={groups!r}",
                fix="for example groups=8",
            )
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )
        self.groups = groups
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        """Make `gamma` and `beta`, one number per channel."""
        _check_axis_exists(self.axis, input_shape, "GroupNormalization")
        channels = input_shape[self.axis]
        if self.groups == -1:
            self.groups = channels
        if channels is None or channels % self.groups:
            fail(
                ShapeError,
                f"{channels} channels cannot be split into {self.groups} groups of equal size",
                where="GroupNormalization",
                received=f"input of shape {tuple(input_shape)}, groups={self.groups}, axis={self.axis}",
                fix="choose `groups` as a divisor of the number of channels",
            )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        self._add_affine((channels,), self.center, self.scale)

    def call(self, inputs: Tensor) -> Tensor:
        """The normalised inputs."""
        axis, shape = self.axis % inputs.ndim, inputs.shape
        split = (*shape[:axis], self.groups, shape[axis] // self.groups, *shape[axis + 1 :])
        # 16-bit floats would overflow in the squares.
        x = ops.cast(ops.reshape(inputs, split), dtypes.result_type(inputs.dtype, "float32"))
        reduced = tuple(a for a in range(1, len(split)) if a != axis)
        mean, variance = ops.moments(x, axes=reduced, keepdims=True)
        factor = ops.rsqrt(variance + self.epsilon)
        per_channel = tuple(n if a in (axis, axis + 1) else 1 for a, n in enumerate(split))
        if self.gamma is not None:
            factor = factor * ops.cast(ops.reshape(self.gamma, per_channel), x.dtype)
        offset = -mean * factor
        if self.beta is not None:
            offset = offset + ops.cast(ops.reshape(self.beta, per_channel), x.dtype)
        return ops.cast(ops.reshape(x * factor + offset, shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}


@public("keras.layers.UnitNormalization")
class UnitNormalization(Layer):
    """Length 1 (in the Euclidean norm) along axes of each example.

    Args:
        axis: the axis or axes that make up a vector.

    >>> import amalthea as am
    >>> am.layers.UnitNormalization()(am.ops.array([[3.0, 4.0]])).shape
    (1, 2)
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _checked_axis(axis, "UnitNormalization")
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """The normalised inputs."""
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        return ops.normalize(inputs, axis=axis, order=2, epsilon=1e-12)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "axis": self.axis}
