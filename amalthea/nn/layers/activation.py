"""Activation functions as layers."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn import activations, constraints, initializers, regularizers
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.registry import public

__all__ = ["ELU", "Activation", "LeakyReLU", "PReLU", "ReLU"]


def _not_negative(value: Any, where: str, name: str) -> Any:
    if value is None or value < 0:
        fail(
            ArgumentError,
            f"`{name}` must be a number that is not negative",
            where=where,
            received=f"{name}={value!r}",
            fix=f"for example {name}=0.1",
        )
    return value


@public("keras.layers.Activation")
class Activation(Layer):
    """Applies an activation function.

    Args:
        activation: a name such as `"relu"`, or a function of a tensor.

    >>> import amalthea as am
    >>> float(am.layers.Activation("relu")(am.ops.array([-1.0]))[0])
    0.0
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.activation = activations.get(activation)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """`activation(inputs)`."""
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


@public("keras.layers.ReLU")
class ReLU(Layer):
    """The rectifier: `x` above the threshold, a line below, cut off at `max_value`.

    Args:
        max_value: largest output, or None.
        negative_slope: slope below the threshold.
        threshold: where `x` begins to pass.

    >>> import amalthea as am
    >>> float(am.layers.ReLU(max_value=6.0)(am.ops.array([9.0]))[0])
    6.0
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _not_negative(max_value, "ReLU", "max_value")
        self.negative_slope = _not_negative(negative_slope, "ReLU", "negative_slope")
        self.threshold = _not_negative(threshold, "ReLU", "threshold")
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """The rectified inputs."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


@public("keras.layers.LeakyReLU")
class LeakyReLU(Layer):
    """`x` where it is positive, `negative_slope * x` where it is not.

    Args:
        negative_slope: the slope (`alpha` in older Keras).

    >>> import amalthea as am
    >>> float(am.layers.LeakyReLU(0.5)(am.ops.array([-2.0]))[0])
    -1.0
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = _not_negative(negative_slope, "LeakyReLU", "negative_slope")
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """The rectified inputs."""
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


@public("keras.layers.PReLU")
class PReLU(Layer):
    """`x` where it is positive, `alpha * x` where it is not, with a trained `alpha` for each position.

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of `alpha`.
        shared_axes: axes along which one `alpha` serves all, such as `[1, 2]` for one per channel of an image.

    Source: He et al., 2015, arXiv:1502.01852.

    >>> import amalthea as am
    >>> am.layers.PReLU(shared_axes=[1])(am.ops.ones((2, 3, 4))).shape
    (2, 3, 4)
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if shared_axes is not None:
            shared_axes = list(shared_axes) if isinstance(shared_axes, (list, tuple)) else [shared_axes]
        self.shared_axes = shared_axes

    def build(self, input_shape: Any) -> None:
        """Make `alpha`, of the input's shape without the batch axis, with size 1 on the shared axes."""
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            name="alpha",
            shape=tuple(shape),
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        fixed = [axis for axis in range(1, len(input_shape)) if self.shared_axes and axis not in self.shared_axes]
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis] for axis in fixed})

    def call(self, inputs: Tensor) -> Tensor:
        """The rectified inputs."""
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }


@public("keras.layers.ELU")
class ELU(Layer):
    """`x` where it is positive, `alpha * (exp(x) - 1)` where it is not.

    Args:
        alpha: the factor.

    Source: Clevert et al., 2016, arXiv:1511.07289.

    >>> import amalthea as am
    >>> float(am.layers.ELU()(am.ops.array([2.0]))[0])
    2.0
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor) -> Tensor:
        """The activated inputs."""
        return activations.elu(inputs, alpha=self.alpha)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {**super().get_config(), "alpha": self.alpha}
