"""Functional models to configs and back, in the form of Keras 3: layers with inbound nodes, inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amalthea import ops
from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.node import Constant, Node, Slot
from amalthea.core.tensor import KerasTensor, symbolic
from amalthea.core.value import Value
from amalthea.models.arrangement import operation_of
from amalthea.models.keras_ops import keras_class, op_of_class, split_arguments
from amalthea.nn.layer import Layer
from amalthea.nn.layers.input_layer import InputLayer
from amalthea.nn.objects import deserialize_keras_object, serialize_keras_object


def first_call(operation: Any) -> int:
    """How the ends of a model count the calls of an operation: those of functional models from 1, others from 0."""
    return getattr(operation, "_first_call", 0)


# Writing


def functional_config(model: Any) -> dict[str, Any]:
    """What `Functional.get_config` returns."""
    calls: dict[Any, list[Node]] = {}
    for node in sorted(model._order, key=lambda node: node.order):
        calls.setdefault(operation_of(node), []).append(node)
    places = {node: place for nodes in calls.values() for place, node in enumerate(nodes)}
    names = model._names

    def history(value: Value) -> list[Any]:
        return [names[operation_of(value.node)], places[value.node], value.index]

    def end(tensor: KerasTensor) -> list[Any]:
        name, place, index = history(tensor._value)
        return [name, place + first_call(tensor._value.node.op), index]

    layers = []
    for operation in model.operations:
        entry = serialize_keras_object(operation) if isinstance(operation, Layer) else _op_entry(operation, names)
        entry["name"] = names[operation]
        entry["inbound_nodes"] = [_inbound(node, history) for node in calls[operation] if node.inputs]
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map_structure(end, model._inputs_struct),
        "output_layers": tree.map_structure(end, model._outputs_struct),
    }


def _op_entry(node: Node, names: dict[Any, str]) -> dict[str, Any]:
    module, class_name = keras_class(node.op.name)
    in_config, _ = split_arguments(node.op)
    bound = _bound(node)
    config = {"name": names[node]}
    for name in in_config:
        if name in bound:
            config[name] = serialize_keras_object(_plain(bound[name], node))
    return {"module": module, "class_name": class_name, "config": config, "registered_name": class_name}


def _bound(node: Node) -> dict[str, Any]:
    """The arguments of an op's call by name, with a `Slot` for each tensor."""
    op = node.op
    if op.kind == "composite" and node.arguments is not None:
        return dict(node.arguments[1])
    slots: list[Any] = [Slot(i) for i in range(len(node.inputs))]
    if op.variadic:
        others = len(op.tensors) - 1
        slots = [slots[: len(slots) - others], *slots[len(slots) - others :]]
    return {**dict(zip(op.tensors, slots, strict=True)), **node.attrs}


def _plain(value: Any, node: Node) -> Any:
    """A static argument; constants that are one number become it."""
    if type(value) is Slot:
        taken = node.inputs[value.index]
        if isinstance(taken, Constant):
            return taken.tensor.item() if taken.tensor.ndim == 0 else taken.tensor
    return value


def _index(bound: dict[str, Any]) -> list[Any]:
    """The key of `x[key]` as it was written, with a `Slot` for each tensor in it."""
    tensors = iter(bound["indices"])
    return [
        next(tensors) if part == "tensor" else slice(*part) if isinstance(part, tuple) else part
        for part in bound["key"]
    ]


def _inbound(node: Node, history: Callable[[Value], list[Any]]) -> dict[str, Any]:
    def written(value: Any) -> Any:
        if type(value) is Slot:
            taken = node.inputs[value.index]
            if isinstance(taken, Constant):
                return serialize_keras_object(_plain(value, node))
            config = {"shape": taken.spec.shape, "dtype": str(taken.spec.dtype), "keras_history": history(taken)}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, dict):
            return {key: written(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [written(item) for item in value]
        return serialize_keras_object(value)

    if isinstance(node.op, Layer):
        args, kwargs = node.arguments or (tuple(Slot(i) for i in range(len(node.inputs))), node.attrs)
        return {"args": written(args), "kwargs": written(kwargs)}
    bound = _bound(node)
    if node.op.name == "get_item":
        return {"args": [written(bound["x"]), [written(part) for part in _index(bound)]], "kwargs": {}}
    _, in_call = split_arguments(node.op)
    return {"args": [written(bound[name]) for name in in_call if name in bound], "kwargs": {}}


# Reading


def _get_item(x: Any, key: Any) -> Any:
    return ops.get_item(x, tuple(key) if isinstance(key, list) else key)


class OpCall:
    """An op between layers, as a file describes it: its function, its name, and its static arguments."""

    def __init__(self, entry: dict[str, Any]) -> None:
        function = op_of_class(str(entry.get("module")), str(entry.get("class_name")))
        if function is None:
            fail(
                ArgumentError,
                f"there is no op {entry.get('class_name')!r} of module {entry.get('module')!r} here",
                where="Model.from_config",
                fix="put the op into a layer of your own, registered with register_keras_serializable",
            )
        config = {key: deserialize_keras_object(value) for key, value in (entry.get("config") or {}).items()}
        self.function, self.name = function, config.pop("name", entry["class_name"])
        in_config, self.in_call = split_arguments(function.op)  # type: ignore[attr-defined]
        if function.op.name == "get_item":  # type: ignore[attr-defined]
            self.function, self.in_call = _get_item, ["x", "key"]
        self.static = {key: value for key, value in config.items() if key in in_config}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(**dict(zip(self.in_call, args, strict=False)), **kwargs, **self.static)


class _History:
    """A tensor that a config names by the layer, call and output that make it."""

    def __init__(self, place: Any) -> None:
        self.name, self.call, self.index = place


class _NotYet(Exception):
    """A tensor whose layer has not been called often enough yet."""


def functional_from_config(cls: type, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The model that a functional config describes, its layers called in the order of their dependencies.

    Raises:
        ValueError: the config names layers that it does not have, or its calls go in a circle.
    """
    layers: dict[str, Any] = {}
    waiting: dict[str, list[Any]] = {}
    entries = config.pop("layers")
    inputs, outputs = config.pop("input_layers"), config.pop("output_layers")
    for entry in entries:
        name = entry["name"]
        if name in layers:
            fail(ArgumentError, f"two layers are named {name!r}", where="Model.from_config", fix="save the model again")
        layers[name] = _created(entry, custom_objects)
        waiting[name] = [_read_arguments(node) for node in entry["inbound_nodes"]]
    made: dict[str, list[list[Value]]] = {name: [] for name in layers}
    for name, layer in layers.items():
        if isinstance(layer, InputLayer):
            made[name].append([layer.output._value])
    while any(waiting.values()):
        progress = False
        for name, calls in waiting.items():
            while calls:
                try:
                    args, kwargs = _filled(calls[0], made)
                except _NotYet:
                    break
                result = layers[name](*args, **kwargs)
                made[name].append([x._value for x in tree.flatten(result) if isinstance(x, KerasTensor)])
                calls.pop(0)
                progress = True
        if not progress:
            stuck = sorted(name for name, calls in waiting.items() if calls)
            fail(
                ArgumentError,
                f"the calls of {stuck} need each other, or tensors that nothing makes",
                where="Model.from_config",
                fix="save the model again",
            )

    def ends(structure: Any) -> Any:
        if isinstance(structure, (list, tuple)) and len(structure) == 3 and isinstance(structure[0], str):
            name, place, index = structure
            shift = first_call(layers.get(name))
            return _find(_History((name, place - shift, index)), made)
        if isinstance(structure, dict):
            return {key: ends(value) for key, value in structure.items()}
        return [ends(value) for value in structure]

    try:
        arguments = {"inputs": ends(inputs), "outputs": ends(outputs)}
    except _NotYet as missing:
        fail(
            ArgumentError, f"nothing makes the tensor {missing}", where="Model.from_config", fix="save the model again"
        )
    name, trainable = config.pop("name", None), config.pop("trainable", None)
    model = cls(**arguments, name=name, trainable=trainable, **config)
    _keep_op_names(model, layers, made)
    return model


def _keep_op_names(model: Any, layers: dict[str, Any], made: dict[str, list[list[Value]]]) -> None:
    """Ops keep the names that they had in the file."""
    for name, operation in layers.items():
        if isinstance(operation, OpCall):
            for values in made[name]:
                node = values[0].node
                if node in model._names:
                    model._names[node] = name


def _created(entry: dict[str, Any], custom_objects: dict[str, Any] | None) -> Any:
    module = str(entry.get("module"))
    if module.startswith("keras.src.ops.") or module == "amalthea.ops":
        return OpCall(entry)
    layer = deserialize_keras_object(entry, custom_objects=custom_objects)
    if not isinstance(layer, Layer):
        fail(
            ArgumentError,
            f"{entry['name']!r} is no layer",
            where="Model.from_config",
            received=f"a {type(layer).__name__}",
            fix="save the model again",
        )
    return layer


def _read_arguments(node: Any) -> tuple[Any, Any]:
    """The arguments of one call, with a `_History` for each tensor of the graph."""
    if isinstance(node, list):  # the form of Keras 2: [[layer, call, output, kwargs], ...]
        tensors = [_History(item[:3]) for item in node]
        kwargs = node[0][3] if node and len(node[0]) == 4 else {}
        return ([tensors[0] if len(tensors) == 1 else tensors], kwargs)
    return _with_histories(node.get("args", [])), _with_histories(node.get("kwargs", {}))


def _with_histories(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__" and value["config"].get("keras_history"):
            return _History(value["config"]["keras_history"])
        if "class_name" in value and "config" in value:
            return deserialize_keras_object(value)
        return {key: _with_histories(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_histories(item) for item in value]
    return value


def _filled(value: Any, made: dict[str, list[list[Value]]]) -> Any:
    if isinstance(value, _History):
        return _find(value, made)
    if isinstance(value, dict):
        return {key: _filled(item, made) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_filled(item, made) for item in value)
    return value


def _find(history: _History, made: dict[str, list[list[Value]]]) -> KerasTensor:
    if history.name not in made:
        fail(
            ArgumentError,
            f"the config refers to a layer {history.name!r} that it does not have",
            where="Model.from_config",
            received=f"layers {sorted(made)}"[:300],
            fix="save the model again",
        )
    calls = made[history.name]
    if not 0 <= history.call < len(calls) or not 0 <= history.index < len(calls[history.call]):
        raise _NotYet(f"[{history.name!r}, {history.call}, {history.index}]")
    return symbolic(calls[history.call][history.index])
