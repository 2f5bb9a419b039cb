"""`Functional`: a model that is a graph of layers, found by walking back from its outputs to its inputs."""

from __future__ import annotations

import warnings
from typing import Any

from amalthea.core import tree
from amalthea.core.context import eager_scope
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.graph import Graph
from amalthea.core.node import Constant, Node, Slot, fill
from amalthea.core.tensor import KerasTensor, Tensor, alias, as_tensor, symbolic
from amalthea.core.value import Value
from amalthea.models.arrangement import arrange, operation_of
from amalthea.models.functional_config import functional_config
from amalthea.models.model import Model, is_functional_like
from amalthea.nn.calls import calls
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.layers.input_layer import Input, InputLayer
from amalthea.nn.registry import public
from amalthea.nn.signatures import refuse_unknown
from amalthea.nn.tracking import untracked
from amalthea.ops import expand_dims, squeeze


@public("keras.src.models.functional.Functional")
class Functional(Model):
    """A model made of recorded layer calls; `Model(inputs, outputs)` makes one.

    Args:
        inputs: a `KerasTensor` or a list, tuple or dict of them: from `Input`, or any tensors on the way, so that parts
            of a model become models that share its layers.
        outputs: what to compute from them, in any structure.
        name: its name; made up if None.
        trainable: whether its weights are.

    Attributes:
        graph: the `Graph` of layers that the model is. `print(model.graph)` shows it, `expand` opens the layers.
        inputs, outputs: flat lists of the symbolic inputs and outputs.

    Raises:
        ValueError: something given is no symbolic tensor, an output needs another input, or two layers share a name.

    >>> import amalthea as am
    >>> a, b = am.Input((4,), name="a"), am.Input((4,), name="b")
    >>> model = am.Model({"a": a, "b": b}, am.ops.relu(am.layers.Dense(3)(a) + am.layers.Dense(3)(b)))
    >>> [layer.name for layer in model.layers][:2]
    ['a', 'b']
    """

    _first_call = 1  # in configs; see `functional_config.first_call`
    _layers_come_first = True  # weights are filed under `layers/`, in the order of `self.layers`
    _attributes_without_state = frozenset({"graph", "input", "inputs", "layers", "operations", "output", "outputs"})

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        Model.__init__(self, name=name, **kwargs)
        where = f"Model '{self.name}'"
        _check_symbolic(inputs, "inputs", where)
        _check_symbolic(outputs, "outputs", where)
        if isinstance(inputs, dict):
            _warn_about_keys(inputs, where)
        entered = [value.node is not None and isinstance(value.node.op, InputLayer) for value in _values(inputs)]
        if not all(entered):
            with eager_scope():
                inputs, outputs = _with_new_inputs(inputs, outputs, where)
        with untracked():
            self._inputs_struct = tree.map_structure(lambda x: x, inputs)
            self._outputs_struct = tree.map_structure(lambda x: x, outputs)
            self._inputs = tree.flatten(inputs)
            self._outputs = tree.flatten(outputs)
            arrangement = arrange(_values(inputs), _values(outputs), where)
            self._operations = arrangement.operations
            self._depths = arrangement.depths
            self._order = arrangement.nodes
            self._names = _unique_names(arrangement.operations, where)
            structure = tree.pack(outputs, [Slot(i) for i in range(len(self._outputs))])
            self.graph = Graph(self.name, _values(inputs), _values(outputs), structure)
            self._plan = [node for node in arrangement.nodes if not isinstance(node.op, InputLayer)]
            self._plain = [_is_plain(node) for node in self._plan]
        for layer in self.layers:
            self._tracker.track(layer)
        self._convert_input_args = False  # each input is cast to its own dtype
        self._allow_non_tensor_positional_args = True
        self.output_names = [self._name_of(value.node) for value in _values(outputs)]
        self.build(None)
        if trainable is not None:
            self.trainable = trainable

    def build(self, input_shape: Any = None) -> None:
        """The layers were built when they were called on the inputs, so there is nothing to do."""
        self.built = True

    def _lock_state(self) -> None:
        """Layers may be attached to a functional model at any time."""

    # What it is made of

    @property
    def layers(self) -> list[Layer]:
        """Its layers, the input layers first, in the order in which data pass them."""
        return [operation for operation in self._operations if isinstance(operation, Layer)]

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("[Model.layers] is reserved for the model's layers. Fix: use another attribute name.")

    @property
    def operations(self) -> list[Any]:
        """Its layers, and the graph nodes of ops that were called between them."""
        return list(self._operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, flat."""
        return self._inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, flat."""
        return self._outputs

    @property
    def input(self) -> Any:
        """The symbolic inputs, in the structure in which they were given."""
        return self._inputs_struct

    @property
    def output(self) -> Any:
        """The symbolic outputs, in the structure in which they were given."""
        return self._outputs_struct

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or a list of shapes."""
        return _shapes(self._inputs)

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a list of shapes."""
        return _shapes(self._outputs)

    @property
    def input_spec(self) -> Any:
        """An `InputSpec` for each input (the batch axis may have any size)."""
        if getattr(self, "_input_spec", None) is not None:
            return self._input_spec
        if "_inputs_struct" not in self.__dict__:
            return None
        struct = self._inputs_struct
        if isinstance(struct, dict):
            if not all(isinstance(x, KerasTensor) for x in struct.values()):
                return None
            return [_spec(struct[key], key) for key in sorted(struct)]
        return [_spec(x, _input_name(x)) for x in self._inputs]

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        self._input_spec = value

    def _name_of(self, node: Node) -> str:
        return self._names[operation_of(node)]

    # Computing

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """The outputs for these inputs, by calling each layer and op of the graph in turn.

        Args:
            inputs: tensors in the model's input structure, a list in its order, or a dict by input names.
            training: passed to the layers that distinguish training from inference.
            mask: masks of the inputs, in the same structure.
        """
        if kwargs:
            self._check_extra(kwargs)
        tensors = self._standardize_inputs(inputs)
        if mask is not None:
            tensors = [_masked(x, m) for x, m in zip(tensors, tree.flatten(mask), strict=False)]
        extra = {**kwargs, "training": training} if training is not None else kwargs
        outputs = self._run_graph(tensors, lambda op: op, extra)
        return outputs[0] if isinstance(outputs, (list, tuple)) and len(outputs) == 1 else outputs

    def _check_extra(self, kwargs: dict[str, Any]) -> None:
        """Refuse arguments that no layer inside takes."""
        known = {"training": None, "mask": None}
        for node in self._plan:
            if isinstance(node.op, Layer):
                parameters = node.op._facts().signature.parameters
                if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) and not isinstance(node.op, Functional):
                    return
                known |= dict.fromkeys(list(parameters)[1:])
        known.pop("kwargs", None)
        unknown = {name: value for name, value in kwargs.items() if name not in known}
        if unknown:
            refuse_unknown("Model", unknown, known)

    def _run_graph(self, tensors: list[Any], function: Any, extra: dict[str, Any]) -> Any:
        found: dict[Value, Any] = dict(zip(self.graph.inputs, tensors, strict=True))
        inside = calls.frame is not None
        for node, plain in zip(self._plan, self._plain, strict=True):
            if plain and inside:
                found[node.outputs[0]] = function(node.op)(found[node.inputs[0]])
                continue
            arguments = [value.tensor if isinstance(value, Constant) else found[value] for value in node.inputs]
            if isinstance(node.op, Layer):
                result = _call_layer(node, function(node.op), arguments, extra)
            else:
                result = node.call(node.op, arguments)
            found.update(zip(node.outputs, tree.flatten(result), strict=True))
        return fill(self.graph.structure, [_result(value, found) for value in self.graph.outputs])

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """None: masks travel with the tensors, from layer to layer."""
        return None

    def compute_output_spec(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs, which may have other sizes than the model's own."""
        tensors = self._standardize_inputs(inputs)
        if all(
            tuple(x.shape) == tuple(ref.shape) for x, ref in zip(tensors, self._inputs, strict=True) if x is not None
        ):
            outputs = tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype), self._outputs_struct)
        else:
            outputs = self._run_graph(tensors, lambda layer: layer.compute_output_spec, {})
        return outputs[0] if isinstance(outputs, (list, tuple)) and len(outputs) == 1 else outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the outputs for inputs of these shapes (in the model's input structure)."""
        flat = _flat_shapes(input_shape)
        symbols = [KerasTensor(shape, ref.dtype) for shape, ref in zip(flat, self._inputs, strict=True)]
        outputs = self.compute_output_spec(tree.pack(self._inputs_struct, symbols))
        return tree.map_structure(lambda x: tuple(x.shape), outputs)

    def _standardize_inputs(self, inputs: Any) -> list[Any]:
        """The inputs flat, in the model's order, as tensors of the expected dtype and rank."""
        flat = self._match_structure(inputs)
        return [self._standardize_one(x, ref) for x, ref in zip(flat, self._inputs, strict=True)]

    def _match_structure(self, inputs: Any) -> list[Any]:
        struct = self._inputs_struct
        names = [_input_name(x) for x in self._inputs]
        if isinstance(inputs, dict):
            keys = list(struct) if isinstance(struct, dict) else names
            if isinstance(struct, dict) and any(isinstance(value, (dict, list, tuple)) for value in struct.values()):
                return self._match_nested(inputs)
            if set(keys) <= set(inputs):
                return [inputs[key] for key in (sorted(keys) if isinstance(struct, dict) else keys)]
            if set(names) <= set(inputs):
                return [inputs[name] for name in names]
            self._refuse_structure(f"a dict with the keys {list(inputs)}", f"pass a dict with the keys {keys}")
        if isinstance(inputs, (list, tuple)):
            if any(isinstance(item, (list, tuple, dict)) and _has_tensors(item) for item in inputs):
                return self._match_nested(inputs)
            if isinstance(struct, dict) and list(struct) != sorted(struct):
                self._refuse_structure("a list for a dict of inputs", f"pass a dict with the keys {list(struct)}")
            if len(inputs) == len(self._inputs):
                return list(inputs)
            if len(self._inputs) == 1 and not _has_tensors(inputs):
                return [inputs]  # one sample batch written as nested lists of numbers
            self._refuse_structure(f"{len(inputs)} inputs", f"pass {len(self._inputs)}: {names}")
        if len(self._inputs) != 1:
            self._refuse_structure(f"one {type(inputs).__name__}", f"pass {len(self._inputs)} inputs: {names}")
        return [inputs]

    def _match_nested(self, inputs: Any) -> list[Any]:
        try:
            tree.assert_same(_as_tuples(self._inputs_struct), _as_tuples(inputs))
        except (ValueError, TypeError):
            self._refuse_structure(str(_described(inputs)), f"pass {_described(self._inputs_struct)}")
        return tree.flatten(inputs)

    def _refuse_structure(self, received: str, fix: str) -> None:
        fail(
            ArgumentError,
            f"the inputs do not have the structure that the model '{self.name}' was made with",
            where="Model.call",
            received=received,
            fix=fix,
        )

    def _standardize_one(self, x: Any, ref: KerasTensor) -> Any:
        if x is None:
            node = ref._value.node
            if node is not None and not node.op.optional:
                fail(
                    ArgumentError,
                    f"the input '{ref.name}' is not optional",
                    where="Model.call",
                    received="None",
                    fix="pass data for it, or make it with Input(..., optional=True)",
                )
            return None
        tensor = x if isinstance(x, Tensor) and x.dtype == ref.dtype else as_tensor(x, ref.dtype)
        wanted, found = tuple(ref.shape), tuple(tensor.shape)
        if len(found) == len(wanted) + 1 and found[-1] == 1:
            tensor = squeeze(tensor, axis=-1)
        elif len(found) == len(wanted) - 1 and wanted and wanted[-1] == 1:
            tensor = expand_dims(tensor, axis=-1)
        found = tuple(tensor.shape)
        fits = len(found) == len(wanted) and all(
            want is None or got is None or want == got for want, got in zip(wanted[1:], found[1:], strict=True)
        )
        if not fits:
            missing_batch = len(found) == len(wanted) - 1
            fail(
                ShapeError,
                f"the input '{ref.name}' of model '{self.name}' takes tensors of shape {wanted}",
                where="Model.call",
                received=f"shape {tuple(x.shape) if hasattr(x, 'shape') else found}",
                fix="add the batch axis: x[None]"
                if missing_batch
                else f"reshape the data to ({', '.join(['batch', *map(str, wanted[1:])])})",
            )
        mask = getattr(x, "_keras_mask", None)
        if mask is not None and tensor is not x:
            tensor = _masked(tensor, mask)
        return tensor

    # Configs

    def get_config(self) -> dict[str, Any]:
        """The layers, how they are connected, and where data enter and leave; Keras 3 reads the same."""
        if not is_functional_like(type(self)):
            return Model.get_config(self)  # a subclass with an `__init__` of its own
        return functional_config(self)


Model._functional = Functional


def _values(structure: Any) -> list[Value]:
    return [x._value for x in tree.flatten(structure)]


def _result(value: Value, found: dict[Value, Any]) -> Any:
    return value.tensor if isinstance(value, Constant) else found[value]


def _is_plain(node: Node) -> bool:
    """Whether the node is a layer called on one tensor and nothing else, with one tensor as its result."""
    alone = isinstance(node.op, Layer) and type(node.structure) is Slot and node.arguments == ((Slot(0),), {})
    return alone and not isinstance(node.inputs[0], Constant)


def _call_layer(node: Node, layer: Any, tensors: list[Any], extra: dict[str, Any]) -> Any:
    args, kwargs = fill(node.arguments, tensors) if node.arguments is not None else (tuple(tensors), dict(node.attrs))
    for name, value in extra.items():
        if name in kwargs or (calls.frame is None and name in type(node.op)._call_facts.names):
            kwargs[name] = value  # else the layer inherits it from the call of the model
    return layer(*args, **kwargs)


def _masked(tensor: Any, mask: Any) -> Any:
    if tensor is None or mask is None:
        return tensor
    tensor = alias(tensor)
    tensor._keras_mask = mask
    return tensor


def _check_symbolic(structure: Any, name: str, where: str) -> None:
    leaves = tree.flatten(structure)
    wrong = [x for x in leaves if not isinstance(x, KerasTensor)]
    if wrong or not leaves:
        what = f"{wrong[0]!r} (of type {type(wrong[0]).__name__})" if wrong else repr(structure)
        fail(
            ArgumentError,
            f"`{name}` must be symbolic tensors",
            where=where,
            received=what[:200],
            fix="start from Input(...) and pass what layers return when they are called on it",
        )


def _warn_about_keys(inputs: dict[str, Any], where: str) -> None:
    for key, tensor in inputs.items():
        if isinstance(tensor, KerasTensor) and _input_name(tensor) != key:
            warnings.warn(
                f"[{where}] the input under the key '{key}' is named '{_input_name(tensor)}'. "
                f"Fix: name it alike: Input(..., name='{key}').",
                stacklevel=4,
            )


def _unique_names(operations: Any, where: str) -> dict[Any, str]:
    """Layers by their own names, which must differ; ops by theirs, numbered."""
    names: dict[Any, str] = {}
    used: set[str] = set()
    for operation in operations:
        if isinstance(operation, Layer):
            if operation.name in used:
                fail(
                    ArgumentError,
                    f"two layers are named '{operation.name}'",
                    where=where,
                    fix="give each layer its own `name`",
                )
            used.add(operation.name)
            names[operation] = operation.name
    for operation in operations:
        if operation not in names:
            count, name = 0, operation.op.name
            while name in used:
                count += 1
                name = f"{operation.op.name}_{count}"
            used.add(name)
            names[operation] = name
    return names


def _with_new_inputs(inputs: Any, outputs: Any, where: str) -> tuple[Any, Any]:
    """The same graph with an `Input` in place of each tensor that is not one; layers are shared, nodes are new."""
    mapping: dict[Value, Value] = {}
    new_inputs = []
    for x in tree.flatten(inputs):
        node = x._value.node
        if node is None or not isinstance(node.op, InputLayer):
            new = Input(batch_shape=x.shape, dtype=x.dtype)
            mapping[x._value] = new._value
            x = new
        new_inputs.append(x)
    arrangement = arrange(_values(inputs), _values(outputs), where)
    outside = {value.node for value in _values(inputs)}
    for old in arrangement.nodes:
        if old in outside:
            continue
        node = Node(old.op, tuple(mapping.get(value, value) for value in old.inputs), old.attrs, old.arguments)
        node.path, node.structure = old.path, old.structure
        node.outputs = tuple(Value(value.spec, node, value.index, value.trace) for value in old.outputs)
        mapping.update(zip(old.outputs, node.outputs, strict=True))
    new_outputs = [symbolic(mapping.get(x._value, x._value)) for x in tree.flatten(outputs)]
    return tree.pack(inputs, new_inputs), tree.pack(outputs, new_outputs)


def _input_name(tensor: KerasTensor) -> str:
    node = tensor._value.node
    return node.op.name if node is not None else tensor.name


def _spec(x: KerasTensor, name: str) -> InputSpec:
    node = x._value.node
    optional = node is not None and isinstance(node.op, InputLayer) and node.op.optional
    shape = (None, *x.shape[1:]) if x.shape else ()
    return InputSpec(shape=shape, allow_last_axis_squeeze=True, name=name, optional=optional)


def _shapes(tensors: list[KerasTensor]) -> Any:
    shapes = [tuple(x.shape) for x in tensors]
    return shapes[0] if len(shapes) == 1 else shapes


def _flat_shapes(structure: Any) -> list[Any]:
    if isinstance(structure, (list, tuple)) and all(size is None or isinstance(size, int) for size in structure):
        return [tuple(structure)]
    items = [structure[key] for key in sorted(structure)] if isinstance(structure, dict) else structure
    return [shape for item in items for shape in _flat_shapes(item)]


def _as_tuples(structure: Any) -> Any:
    if isinstance(structure, dict):
        return {key: _as_tuples(value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return tuple(_as_tuples(value) for value in structure)
    return structure


def _described(structure: Any) -> Any:
    return tree.map_structure(
        lambda x: x.name if isinstance(x, KerasTensor) else f"shape {getattr(x, 'shape', '?')}", structure
    )


def _has_tensors(structure: Any) -> bool:
    return any(hasattr(leaf, "shape") for leaf in tree.flatten(structure))
