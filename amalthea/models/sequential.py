"""`Sequential`: a stack of layers, each taking the output of the one before."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from amalthea.core.context import eager_scope
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.graph import Graph
from amalthea.core.tensor import KerasTensor
from amalthea.models.functional import Functional
from amalthea.models.model import Model
from amalthea.nn.calls import is_shape
from amalthea.nn.layer import Layer
from amalthea.nn.layers.input_layer import InputLayer
from amalthea.nn.objects import deserialize_keras_object, serialize_keras_object
from amalthea.nn.registry import public
from amalthea.nn.signatures import refuse_unknown
from amalthea.nn.tracking import untracked


@public("keras.Sequential", "keras.models.Sequential")
class Sequential(Model):
    """A stack of layers. With an `Input` (or `input_shape=` of the first layer) it is built at once, else when it is
    first called or trained.

    Args:
        layers: the layers, in order; more can be added with `add`.
        trainable: whether the weights are trained.
        name: its name; made up if None.

    Raises:
        ValueError: something is no layer, or two layers share a name.

    >>> import amalthea as am
    >>> model = am.Sequential([am.layers.Dense(8, activation="relu"), am.layers.Dense(2)])
    >>> model.built
    False
    >>> model(am.ops.ones((5, 3))).shape
    (5, 2)
    >>> model.count_params()
    50
    """

    _layers_come_first = True
    _attributes_without_state = frozenset(
        {"graph", "input", "inputs", "layers", "operations", "output", "outputs", "_functional", "_stack"}
    )

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        loose = [arg for arg in args if isinstance(arg, (Layer, KerasTensor))]
        if loose and cls is Sequential:
            fail(
                ArgumentError,
                "the layers must be given as one list",
                where="Sequential",
                received=", ".join(type(arg).__name__ for arg in args),
                fix=f"Sequential([{', '.join(f'{type(layer).__name__}(...)' for layer in loose)}])",
            )
        return super().__new__(cls, *args, **kwargs)

    def __init__(
        self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(trainable=trainable, name=name, **kwargs)
        self._reset()
        with untracked():
            self._stack: list[Layer] = []
        for layer in layers or ():
            self.add(layer, rebuild=False)
        if layers:
            self._maybe_rebuild()

    def _reset(self) -> None:
        with untracked():
            self._functional: Functional | None = None
        self.built = False

    def _lock_state(self) -> None:
        """Layers may be added and removed at any time."""

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer (or an `Input`, at the start) on top of the stack.

        Args:
            layer: a layer that takes one tensor and gives one.
            rebuild: whether to build the model anew at once, where its input shape is known.
        """
        if not self._stack and getattr(layer, "_input_shape_arg", None) is not None:
            batch_size = getattr(layer, "_batch_size_arg", None)
            self.add(InputLayer(shape=layer._input_shape_arg, batch_size=batch_size), rebuild=False)
        if isinstance(layer, KerasTensor) and layer._value.node is not None:
            layer = layer._value.node.op
        where = f"Sequential '{self.name}'"
        if not isinstance(layer, Layer):
            fail(
                ArgumentError,
                "only layers can be added",
                where=where,
                received=f"{layer!r} (of type {type(layer).__name__})"[:200],
                fix="pass a layer object, such as layers.Dense(10), or Input(shape=...) as the first",
            )
        if any(layer.name == other.name and layer is not other for other in self._stack):
            fail(
                ArgumentError,
                f"there is a layer named '{layer.name}' already",
                where=where,
                fix="give each layer its own `name`",
            )
        if isinstance(layer, InputLayer) and self._stack:
            fail(
                ArgumentError,
                "an input can only stand at the start",
                where=where,
                received=f"Input{layer.batch_shape} after {len(self._stack)} layers",
                fix="pass the Input as the first item",
            )
        self._tracker.track(layer)
        self._stack.append(layer)
        self._reset()
        if rebuild:
            self._maybe_rebuild()

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the top layer off the stack and return it."""
        if not self.layers:
            fail(ArgumentError, "there is no layer to take off", where=f"Sequential '{self.name}'", fix="add one first")
        layer = self._stack.pop()
        if not any(layer is other for other in self._stack):
            self._tracker.remove(layer)
        self._reset()
        if rebuild:
            self._maybe_rebuild()
        return layer

    def _maybe_rebuild(self) -> None:
        self._reset()
        first = self._stack[0] if self._stack else None
        if isinstance(first, InputLayer) and len(self._stack) > 1:
            self.build(first.batch_shape)
        elif isinstance(first, (Functional, Sequential)) and first.built and len(self._stack) > 1:
            shape = first.input_shape
            if is_shape(shape):
                self.build(shape)

    def build(self, input_shape: Any = None) -> None:
        """Build the layers one after the other, for an input of this shape (batch axis included).

        Raises:
            ValueError: there are no layers, or the shape contradicts the model's `Input`.
        """
        where = f"Sequential '{self.name}'"
        if input_shape is None and self._stack and isinstance(self._stack[0], InputLayer):
            input_shape = self._stack[0].batch_shape
        if not is_shape(input_shape):
            return  # several inputs: the layers are built when they are called
        shape = tuple(input_shape)
        if not self._stack:
            fail(ArgumentError, "it has no layers, so it cannot be built", where=where, fix="call add(layer) first")
        first = self._stack[0]
        if isinstance(first, InputLayer):
            if first.batch_shape != shape:
                fail(
                    ArgumentError,
                    f"it was made for inputs of shape {first.batch_shape}",
                    where=where,
                    received=f"input_shape={shape}",
                    fix="build it with that shape, or change its Input",
                )
        else:
            first = InputLayer(batch_shape=shape, dtype=first.compute_dtype)
            self._stack.insert(0, first)
        with eager_scope():
            x = first.output
            for layer in self._stack[1:]:
                try:
                    x = layer(x)
                except NotImplementedError:
                    return  # it cannot say its output's shape, so layers are simply called one after the other
                except TypeError:
                    _check_signature(layer, where)
                    raise
            with untracked():
                self._functional = Functional(first.output, x, name=self.name)
        self._order_tracked_layers()
        self.built = True

    def _order_tracked_layers(self) -> None:
        """Weights are listed in the order of the stack, whatever order layers were added and removed in."""
        store = self._tracker.stores["layers"]
        ours = [layer for layer in self._stack if any(layer is held for held in store)]
        store[:] = [*ours, *(held for held in store if not any(held is layer for layer in ours))]

    def _shown_outputs(self) -> list[str] | None:
        names: list[str] | None = getattr(self, "output_names", None)
        return names or ([self.layers[-1].name] if self.layers else None)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """The output of the last layer.

        Args:
            inputs: a tensor, or a structure of tensors if the first layer takes one.
            training: passed to the layers that distinguish training from inference.
            mask: mask of the input.
        """
        if self._functional is not None:
            return self._functional.call(inputs, training=training, mask=mask, **kwargs)
        if kwargs:
            known = dict.fromkeys(name for layer in self.layers for name in inspect.signature(layer.call).parameters)
            unknown = {name: value for name, value in kwargs.items() if name not in known}
            if unknown:
                refuse_unknown("Model", unknown, dict.fromkeys(["training", "mask", *list(known)[1:]]))
        for layer in self.layers:
            names = inspect.signature(layer.call).parameters
            extra = {key: value for key, value in {**kwargs, "training": training}.items() if key in names}
            if "mask" in names and mask is not None:
                extra["mask"] = mask
            inputs = layer(inputs, **{key: value for key, value in extra.items() if value is not None})
            mask = None  # from here on, masks travel with the tensors
        return inputs

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """None: masks travel with the tensors, from layer to layer."""
        return None

    def compute_output_spec(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """The symbolic output for symbolic inputs."""
        if self._functional is not None:
            return self._functional.compute_output_spec(inputs, training=training, mask=mask, **kwargs)
        for layer in self.layers:
            inputs = layer.compute_output_spec(inputs)
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for an input of this shape."""
        if self._functional is not None:
            return self._functional.compute_output_shape(input_shape)
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    # What it is made of

    @property
    def layers(self) -> list[Layer]:
        """The layers that were added, without the `Input`."""
        stack = self.__dict__.get("_stack", [])
        return stack[1:] if stack and isinstance(stack[0], InputLayer) else list(stack)

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("[Sequential.layers] cannot be set. Fix: use `add()` and `pop()`.")

    def _built_part(self, what: str) -> Functional:
        if self._functional is None:
            raise AttributeError(
                f"[Sequential '{self.name}'] it has no {what} yet, because it is not built. "
                "Fix: add an Input first, or call it on data."
            )
        return self._functional

    @property
    def graph(self) -> Graph:
        """The `Graph` of layers that the model is, once it is built."""
        return self._built_part("graph").graph

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic input, in a list."""
        return self._built_part("inputs").inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic output, in a list."""
        return self._built_part("outputs").outputs

    @property
    def input(self) -> Any:
        """The symbolic input."""
        return self._built_part("input").input

    @property
    def output(self) -> Any:
        """The symbolic output."""
        return self._built_part("output").output

    @property
    def input_shape(self) -> Any:
        """The shape of the input."""
        return self._built_part("input shape").input_shape

    @property
    def output_shape(self) -> Any:
        """The shape of the output."""
        return self._built_part("output shape").output_shape

    @property
    def input_dtype(self) -> Any:
        """The dtype to which inputs are cast."""
        if self._stack and isinstance(self._stack[0], InputLayer):
            return self._stack[0].dtype
        return super().input_dtype

    # Configs

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and layers; Keras 3 reads the same."""
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": serialize_keras_object(self.dtype_policy),
            "layers": [serialize_keras_object(layer) for layer in self._stack],
        }
        if self._functional is not None:
            config["build_input_shape"] = self._stack[0].batch_shape  # type: ignore[attr-defined]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """A new model from what `get_config` returned, with new weights."""
        if not {"name", "layers"} <= set(config):
            fail(
                ArgumentError,
                "the config needs the keys 'name' and 'layers'",
                where="Sequential.from_config",
                received=f"the keys {sorted(config)}",
                fix="pass what `get_config` returned",
            )
        model = cls(name=config["name"])
        for layer_config in config["layers"]:
            model.add(deserialize_keras_object(layer_config, custom_objects=custom_objects), rebuild=False)
        if model._stack:
            model._maybe_rebuild()
        shape = config.get("build_input_shape")
        if model._functional is None and isinstance(shape, (list, tuple)):
            model.build(tuple(shape))
        if config.get("trainable") is False:
            model.trainable = False
        return model


def _check_signature(layer: Layer, where: str) -> None:
    """An error that says so if the layer cannot be called on one tensor."""
    parameters = inspect.signature(layer.call).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p.name for p in positional if p.default is p.empty]
    if positional and len(needed) <= 1:
        return
    fail(
        ArgumentError,
        f"the `call` of a layer in a stack takes one tensor, and that of '{layer.name}' does not",
        where=where,
        received=f"{type(layer).__name__}.call({', '.join(p.name for p in positional)})",
        fix="use the functional API: Model(inputs, outputs)",
    )
