"""`Lambda`: a function as a layer."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.nn import bytecode
from amalthea.nn.calls import map_over_shapes
from amalthea.nn.layer import Layer
from amalthea.nn.objects import deserialize_keras_object, in_safe_mode, public, serialize_keras_object

__all__ = ["Lambda"]


@public("keras.layers.Lambda")
class Lambda(Layer):
    """Wraps a function of tensors as a layer. Variables that the function uses are not tracked: write a `Layer` then.

    A lambda is saved as byte code, which is only read with `safe_mode=False`; a named function that was registered by
    `register_keras_serializable` is saved by its name.

    Args:
        function: the function; its first argument is the input. It may take `training` and `mask`.
        output_shape: shape of the output without the batch axis, or a function of the input's shape; found out by
            itself when None.
        mask: mask of the output, or a function `(inputs, mask)` that gives it.
        arguments: further arguments for the function.

    >>> import amalthea as am
    >>> am.layers.Lambda(lambda x: x ** 2)(am.ops.ones((2, 3))).shape
    (2, 3)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            fail(
                ArgumentError,
                "`function` must be callable",
                where="Lambda",
                received=f"function={function!r} (of type {type(function).__name__})",
                fix="pass a function of a tensor",
            )
        self.arguments = arguments or {}
        self.function = function
        self.supports_masking = mask is not None
        self.mask = mask
        self._output_shape = output_shape
        names = inspect.signature(function).parameters
        self._takes_training = "training" in names
        self._takes_mask = "mask" in names

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """`function(inputs, **arguments)`."""
        options = dict(self.arguments)
        if self._takes_mask:
            options["mask"] = mask
        if self._takes_training:
            options["training"] = training
        return self.function(inputs, **options)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """What `output_shape` says, or else what the function returns for symbolic inputs."""
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        batch = tree.flatten(input_shape)[0]
        return map_over_shapes(lambda shape: (batch, *shape), self._output_shape)

    def compute_output_spec(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """The output for symbolic inputs."""
        if self._output_shape is None:
            return self._spec_by_calling(inputs, mask=mask, training=training)
        return super().compute_output_spec(inputs, mask=mask, training=training)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """What `mask` says."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        """All arguments, the function by name or as byte code."""
        config = {**super().get_config(), "function": _written(self.function)}
        if self._output_shape is not None:
            callable_shape = callable(self._output_shape)
            config["output_shape"] = _written(self._output_shape) if callable_shape else self._output_shape
        if self.mask is not None:
            config["mask"] = _written(self.mask) if callable(self.mask) else serialize_keras_object(self.mask)
        config["arguments"] = serialize_keras_object(self.arguments)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None, safe_mode: bool | None = None
    ) -> Lambda:
        """The layer that `get_config` described; byte code is refused unless `safe_mode=False`."""
        if safe_mode is None:
            safe_mode = in_safe_mode() is not False
        config = dict(config)
        for key in ("function", "output_shape", "mask"):
            if key in config:
                config[key] = _read(config[key], custom_objects, safe_mode)
        if isinstance(config.get("output_shape"), list) and not any(
            isinstance(n, list) for n in config["output_shape"]
        ):
            config["output_shape"] = tuple(config["output_shape"])
        if "arguments" in config:
            config["arguments"] = deserialize_keras_object(config["arguments"], custom_objects=custom_objects)
        return super().from_config(config)


def _written(fn: Callable[..., Any]) -> Any:
    if isinstance(fn, types.FunctionType) and fn.__name__ == "<lambda>":
        code, defaults, closure = bytecode.dump(fn)
        return {"class_name": "__lambda__", "config": {"code": code, "defaults": defaults, "closure": closure}}
    return serialize_keras_object(fn)


def _read(config: Any, custom_objects: dict[str, Any] | None, safe_mode: bool) -> Any:
    if isinstance(config, dict) and config.get("class_name") == "__lambda__":
        if safe_mode:
            raise ValueError(
                "[Lambda] the config carries byte code of a lambda, which could do anything on this computer, so it is "
                "refused. Received: a `Lambda` layer with a `__lambda__` function. Fix: if you wrote the file "
                "yourself, load it with `safe_mode=False`; better, use a named function or a layer of your own."
            )
        inner = config["config"]
        if "code" in inner:
            return bytecode.load((inner["code"], inner["defaults"], inner["closure"]))
        return bytecode.load(inner["value"])
    return deserialize_keras_object(config, custom_objects=custom_objects, safe_mode=safe_mode)
