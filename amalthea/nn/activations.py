"""Activation functions by name: mostly the ops of the same name, with Keras' signatures where these differ."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from amalthea import ops
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.nn.objects import deserialize_named, get_registered_name, public, serialize_keras_object


@public("keras.activations.relu")
def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """The rectifier: `x` above the threshold, a line of slope `negative_slope` below, cut off at `max_value`.

    Args:
        x: a tensor.
        negative_slope: slope below the threshold.
        max_value: largest output, or None.
        threshold: where `x` begins to pass; below it the output is `negative_slope * (x - threshold)`.

    >>> float(relu(ops.array([-2.0]), negative_slope=0.5)[0])
    -1.0
    """
    x = as_tensor(x)
    if threshold == 0 and max_value is None:
        return ops.relu(x) if negative_slope == 0 else ops.leaky_relu(x, negative_slope=negative_slope)
    above = ops.where(x >= threshold if threshold else x > 0, x, ops.zeros_like(x))
    if max_value is not None:
        above = ops.minimum(above, max_value)
    if negative_slope == 0:
        return above
    return above - negative_slope * ops.relu(threshold - x)


@public("keras.activations.gelu")
def gelu(x: Any, approximate: bool = False) -> Tensor:
    """`x * P(X <= x)` for a standard normal X, exactly or by the tanh formula.

    Args:
        x: a tensor.
        approximate: whether to use the tanh formula.

    Source: Hendrycks and Gimpel, 2016, arXiv:1606.08415.

    >>> float(gelu(ops.zeros((1,)))[0])
    0.0
    """
    return ops.gelu(x, approximate=approximate)


@public("keras.activations.exponential")
def exponential(x: Any) -> Tensor:
    """`exp(x)`.

    >>> float(exponential(ops.zeros((1,)))[0])
    1.0
    """
    return ops.exp(x)


@public("keras.activations.mish")
def mish(x: Any) -> Tensor:
    """`x * tanh(softplus(x))`.

    Args:
        x: a tensor.

    Source: Misra, 2019, arXiv:1908.08681.

    >>> float(mish(ops.zeros((1,)))[0])
    0.0
    """
    x = as_tensor(x)
    return x * ops.tanh(ops.softplus(x))


@public("keras.activations.linear")
def linear(x: Any) -> Any:
    """`x` itself: no activation.

    >>> linear(3)
    3
    """
    return x


celu = ops.celu
elu = ops.elu
glu = ops.glu
hard_shrink = ops.hard_shrink
hard_sigmoid = ops.hard_sigmoid
hard_silu = ops.hard_silu
hard_tanh = ops.hard_tanh
leaky_relu = ops.leaky_relu
log_sigmoid = ops.log_sigmoid
log_softmax = ops.log_softmax
relu6 = ops.relu6
selu = ops.selu
sigmoid = ops.sigmoid
silu = ops.silu
soft_shrink = ops.soft_shrink
softmax = ops.softmax
softplus = ops.softplus
softsign = ops.softsign
sparse_plus = ops.sparse_plus
sparse_sigmoid = ops.sparse_sigmoid
sparsemax = ops.sparsemax
squareplus = ops.squareplus
tanh = ops.tanh
tanh_shrink = ops.tanh_shrink
threshold = ops.threshold

_NAMED: dict[str, Callable[..., Any]] = {
    fn.__name__: fn
    for fn in (
        *(celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear),
        *(log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign),
        *(sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink, threshold),
    )
}
for _name, _fn in _NAMED.items():  # those of this file are registered already
    public(f"keras.activations.{_name}")(_fn)
public("keras.activations.swish")(silu)
public("keras.activations.hard_swish")(hard_silu)
swish = silu
hard_swish = hard_silu
_NAMED |= {"swish": silu, "hard_swish": hard_silu}


@public("keras.activations.serialize")
def serialize(activation: Any) -> Any:
    """The name of a built-in activation, or the config of any other.

    >>> serialize(relu)
    'relu'
    """
    if isinstance(activation, types.FunctionType):
        name = get_registered_name(activation)
        if _NAMED.get(name) is activation:
            return name
    return serialize_keras_object(activation)


@public("keras.activations.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The activation of a name or config.

    >>> deserialize("relu") is relu
    True
    """
    return deserialize_named(config, _NAMED, custom_objects)


@public("keras.activations.get")
def get(identifier: Any) -> Callable[..., Any]:
    """An activation from None (no activation), a name (`"relu"`), a config, a layer, or any function of a tensor.

    >>> get("relu") is relu
    True
    """
    if identifier is None:
        return linear
    found = deserialize(identifier) if isinstance(identifier, (dict, str)) else identifier
    if isinstance(found, type):
        fail(
            ArgumentError,
            "an activation is a name, a function or an object, and this is a class",
            where="activations.get",
            received=f"the class {found.__name__}",
            fix=f"make an object of it: {found.__name__}()",
        )
    if not callable(found):
        raise ValueError(
            f"[activations.get] there is no such activation. Received: {identifier!r}. "
            f"Fix: one of {sorted(_NAMED)}, or a function of a tensor."
        )
    return found
