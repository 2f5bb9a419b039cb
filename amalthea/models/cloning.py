"""`clone_model`: the same architecture with new layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.node import Constant, fill
from amalthea.core.tensor import KerasTensor
from amalthea.core.value import Value
from amalthea.models.functional import Functional
from amalthea.models.sequential import Sequential
from amalthea.nn.layer import Layer
from amalthea.nn.layers.input_layer import Input, InputLayer
from amalthea.nn.objects import deserialize_keras_object, serialize_keras_object
from amalthea.nn.registry import public


@public("keras.models.clone_model")
def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Any:
    """A model of the same architecture with layers of its own, and so with new weights.

    Args:
        model: a functional or Sequential model; others are remade from their config.
        input_tensors: symbolic tensors to build the copy on; by default new `Input`s.
        clone_function: makes the copy of a layer; by default from its config.
        call_function: calls a copied layer, `(layer, *args, **kwargs) -> outputs`; functional models only.
        recursive: whether models inside the model are cloned layer by layer too.

    Returns:
        The new model.

    Raises:
        ValueError: an argument does not go with this kind of model.

    >>> import amalthea as am
    >>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    >>> copy = am.models.clone_model(model)
    >>> copy.layers[0] is model.layers[0]
    False
    """
    cache = kwargs.pop("cache", {})
    if kwargs:
        fail(ArgumentError, f"unknown arguments {sorted(kwargs)}", where="clone_model", fix="leave them out")
    if isinstance(model, Sequential):
        if call_function is not None:
            fail(
                ArgumentError,
                "a Sequential model does not call layers when it is made, so `call_function` has nothing to do",
                where="clone_model",
                fix="use it with functional models",
            )
        return _clone_sequential(model, _cloner(clone_function, None, recursive, cache), input_tensors)
    if isinstance(model, Functional):
        return _clone_functional(
            model, _cloner(clone_function, call_function, recursive, cache), call_function, input_tensors
        )
    if clone_function is not None or input_tensors is not None or call_function is not None:
        fail(
            ArgumentError,
            "a subclassed model is cloned as a whole, from its config",
            where="clone_model",
            received=type(model).__name__,
            fix="pass the model alone",
        )
    return deserialize_keras_object(serialize_keras_object(model), {type(model).__name__: type(model)})


def _cloner(
    clone_function: Callable[[Layer], Layer] | None,
    call_function: Callable[..., Any] | None,
    recursive: bool,
    cache: dict[int, Layer],
) -> Callable[[Layer], Layer]:
    """Copies each layer once, so that shared layers stay shared."""

    def clone(layer: Layer) -> Layer:
        if id(layer) not in cache:
            if recursive and isinstance(layer, (Sequential, Functional)):
                inner_call = call_function if isinstance(layer, Functional) else None
                cache[id(layer)] = clone_model(
                    layer, clone_function=clone_function, call_function=inner_call, recursive=True, cache=cache
                )
            elif clone_function is not None:
                cache[id(layer)] = clone_function(layer)
            else:
                cache[id(layer)] = type(layer).from_config(layer.get_config())
        return cache[id(layer)]

    return clone


def _clone_sequential(model: Sequential, clone: Callable[[Layer], Layer], input_tensors: Any) -> Sequential:
    layers: list[Any] = [clone(layer) for layer in model.layers]
    first = model._stack[0] if model._stack else None
    if input_tensors is not None:
        given = tree.flatten(input_tensors)
        if len(given) != 1 or not isinstance(given[0], KerasTensor):
            fail(
                ArgumentError,
                "a Sequential model has one input, so `input_tensors` must be one symbolic tensor",
                where="clone_model",
                received=repr(input_tensors)[:200],
                fix="pass Input(shape=...)",
            )
        layers.insert(
            0, InputLayer(batch_shape=given[0].shape, dtype=given[0].dtype, name=getattr(first, "name", None))
        )
    elif isinstance(first, InputLayer):
        layers.insert(0, _new_input(first))
    return type(model)(layers, name=model.name, trainable=model.trainable)


def _new_input(layer: InputLayer) -> KerasTensor:
    return Input(batch_shape=layer.batch_shape, dtype=layer.dtype, name=layer.name, optional=layer.optional)


def _clone_functional(
    model: Functional,
    clone: Callable[[Layer], Layer],
    call_function: Callable[..., Any] | None,
    input_tensors: Any,
) -> Functional:
    call = call_function or (lambda layer, *args, **kwargs: layer(*args, **kwargs))
    if input_tensors is None:
        inputs = [_new_input(x._value.node.op) for x in model.inputs]
    else:
        inputs = tree.flatten(input_tensors)
        if len(inputs) != len(model.inputs) or not all(isinstance(x, KerasTensor) for x in inputs):
            fail(
                ArgumentError,
                f"the model has {len(model.inputs)} inputs, so `input_tensors` must be as many symbolic tensors",
                where="clone_model",
                received=repr(input_tensors)[:200],
                fix="pass one Input(...) for each",
            )
    found: dict[Value, Any] = {old._value: new for old, new in zip(model.inputs, inputs, strict=True)}
    for node in model._plan:
        tensors = [value.tensor if isinstance(value, Constant) else found[value] for value in node.inputs]
        if isinstance(node.op, Layer):
            args, kwargs = fill(node.arguments, tensors)
            result = call(clone(node.op), *args, **kwargs)
        else:
            result = node.call(node.op, tensors)
        found.update(zip(node.outputs, tree.flatten(result), strict=True))
    outputs = [found[x._value] for x in model.outputs]
    return type(model)(
        tree.pack(model._inputs_struct, inputs), tree.pack(model._outputs_struct, outputs), name=model.name
    )
