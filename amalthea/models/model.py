"""`Model`: a layer that can be trained, evaluated, saved and summarised."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from amalthea.core.errors import ArgumentError, UnsupportedError, fail
from amalthea.core.infer import abstract_call
from amalthea.core.tensor import KerasTensor
from amalthea.models.crossing_over import CrossingOver
from amalthea.models.functional_config import functional_from_config
from amalthea.models.summary import print_summary
from amalthea.nn.calls import map_over_shapes
from amalthea.nn.layer import Layer
from amalthea.nn.objects import serialize_keras_object
from amalthea.nn.registry import public
from amalthea.saving import model_files
from amalthea.train.trainer import Trainer


@public("keras.Model", "keras.models.Model")
class Model(CrossingOver, Trainer, Layer):  # type: ignore[override,misc,unused-ignore]
    """A network of layers with training, evaluation, prediction and saving. There are three ways to make one.

    *Functional*: call layers on `Input`s and name what goes in and comes out, `Model(inputs, outputs)`. *Sequential*:
    a list of layers, `Sequential([...])`. *Subclassed*: make layers in `__init__` and use them in `call`.

    Args:
        inputs, outputs: symbolic tensors, or lists, tuples or dicts of them, for a functional model.
        name: its name; made up if None.
        trainable: whether its weights are trained.
        dtype: dtype or dtype policy of a subclassed model.

    >>> import amalthea as am
    >>> x = am.Input((4,))
    >>> model = am.Model(x, am.layers.Dense(2)(am.layers.Dense(3, activation="relu")(x)))
    >>> model.count_params()
    23
    >>> class Net(am.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dense = am.layers.Dense(2)
    ...     def call(self, x, training=False):
    ...         return self.dense(x)
    >>> Net()(am.ops.ones((5, 4))).shape
    (5, 2)
    """

    _functional: Any  # the class `Functional`, which derives from this one and registers itself here

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and has_functional_arguments(args, kwargs):
            cls = Model._functional
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if has_functional_arguments(args, kwargs):
            _make_functional(type(self))
            Model._functional.__init__(self, *args, **kwargs)
            return
        if args:
            fail(
                ArgumentError,
                "a model takes `inputs` and `outputs`, or only arguments by name",
                where=type(self).__name__,
                received=f"{len(args)} positional argument(s): {', '.join(type(a).__name__ for a in args)}",
                fix="Model(inputs, outputs), or Sequential([...]) for a list of layers",
            )
        Layer.__init__(self, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The forward pass. A subclass writes it."""
        fail(
            UnsupportedError,
            "the model has no `call` method",
            where=type(self).__name__,
            fix="write `def call(self, inputs, training=None): ...` in your class",
        )

    def build(self, input_shape: Any) -> None:
        """Make the weights, by running `call` on symbolic inputs of this shape (or structure of shapes).

        Raises:
            ValueError: `call` failed on such inputs.
        """
        if self.built:
            return
        symbols = map_over_shapes(lambda shape: KerasTensor(tuple(shape), self.compute_dtype), input_shape)
        abstract_call(self.call, symbols)

    def _label(self) -> str:
        return f"model '{self.name}'"

    def _has_build(self) -> bool:
        return type(self).build not in (Layer.build, Model.build)  # else the first call builds the layers inside

    # Parts

    @property
    def layers(self) -> list[Layer]:
        """The layers that the model holds directly."""
        return list(self._flatten_layers(include_self=False, recursive=False))

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("[Model.layers] is reserved for the model's layers. Fix: use another attribute name.")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or at this position of `model.layers`.

        Raises:
            ValueError: there is none, or not exactly one of the two is given.
        """
        layers = self.layers
        if (name is None) == (index is None):
            fail(
                ArgumentError,
                "give either the name or the index of a layer",
                where="Model.get_layer",
                received=f"name={name!r}, index={index}",
                fix="for example model.get_layer('dense') or model.get_layer(index=0)",
            )
        if index is not None:
            if not -len(layers) <= index < len(layers):
                fail(
                    ArgumentError,
                    f"the model has {len(layers)} layers",
                    where="Model.get_layer",
                    received=f"index={index}",
                    fix=f"use an index from 0 to {len(layers) - 1}",
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        fail(
            ArgumentError,
            f"the model '{self.name}' has no layer of this name",
            where="Model.get_layer",
            received=repr(name),
            fix=f"use one of {[layer.name for layer in layers]}",
        )

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: tuple[str, str] | list[str] | None = None,
    ) -> None:
        """Print a table of the layers with their output shapes and numbers of parameters.

        Args:
            line_length: width of the table in characters; by default what the terminal allows.
            positions: where the columns end, as fractions of the width.
            print_fn: gets the whole text, instead of the terminal.
            expand_nested: whether the layers of models inside the model are listed too.
            show_trainable: whether a column says which layers are trained.
            layer_range: names (or regular expressions) of the first and last layer to list.

        >>> import amalthea as am
        >>> am.Sequential([am.Input((3,)), am.layers.Dense(2)]).summary(print_fn=lambda text: None)
        """
        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    # Saving

    def save(
        self, filepath: str | os.PathLike, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
    ) -> None:
        """Save architecture, weights and training state to a `.keras` file; see `am.saving.save_model`."""
        model_files.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(
        self, filepath: str | os.PathLike, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Save the weights to a `.weights.h5` file; see `am.saving.save_weights`."""
        model_files.save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: str | os.PathLike, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Load weights from a `.weights.h5` or `.keras` file, all or none; see `am.saving.load_weights`."""
        model_files.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON text, for `am.models.model_from_json`; `kwargs` go to `json.dumps`."""
        return json.dumps(serialize_keras_object(self), **kwargs)

    def __reduce__(self) -> Any:
        """Pickling and copying go through the `.keras` format."""
        return model_files.from_bytes, (model_files.to_bytes(self),)

    def __deepcopy__(self, memo: Any) -> Any:
        copied = model_files.from_bytes(model_files.to_bytes(self))
        memo[id(self)] = copied
        return copied

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Make the weights again as they were made before saving."""
        if not config:
            return
        shapes = config.get("shapes_dict", {"input_shape": config.get("input_shape")})
        if self.built or all(shape is None for shape in shapes.values()):
            return
        try:
            if type(self).build is Model.build:
                symbols = {
                    name.removesuffix("_shape"): map_over_shapes(
                        lambda s: KerasTensor(tuple(s), self.compute_dtype), shape
                    )
                    for name, shape in shapes.items()
                }
                args = (symbols.pop("input"),) if "input" in symbols else ()
                abstract_call(self.call, *args, **symbols)
            else:
                self.build(**shapes)
        except Exception as error:
            warnings.warn(
                f"[Model.build_from_config] the model '{self.name}' could not be built for {shapes}: {error} "
                "Fix: write `get_build_config` and `build_from_config` in your class.",
                stacklevel=2,
            )
            return
        self._build_shapes_dict = shapes
        self.built = True

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """A new model from what `get_config` returned, with new weights."""
        config = dict(config)
        if {"name", "layers", "input_layers", "output_layers"} <= set(config) and is_functional_like(cls):
            return functional_from_config(cls, config, custom_objects)
        try:
            return cls(**config)
        except TypeError as error:
            raise TypeError(
                f"[{cls.__name__}.from_config] the config does not fit the constructor: {error}. "
                f"Received: a config with the keys {sorted(config)}. Fix: let `get_config` return the arguments of "
                "`__init__`, or write a class method `from_config`."
            ) from error

    # State as a dict

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """All variables in nested dicts by their paths: trainable, non-trainable, the optimizer's and the metrics'.

        Args:
            value_format: `"backend_tensor"` for tensors or `"numpy_array"` for NumPy arrays.
        """
        if value_format not in ("backend_tensor", "numpy_array"):
            fail(
                ArgumentError,
                "unknown `value_format`",
                where="Model.get_state_tree",
                received=repr(value_format),
                fix='use "backend_tensor" or "numpy_array"',
            )
        return {
            group: _nested({v.path: v.numpy() if value_format == "numpy_array" else v.value for v in variables})
            for group, variables in self._variable_groups().items()
        }

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Assign the values in a dict of the form that `get_state_tree` returns; unknown paths are an error."""
        groups = self._variable_groups()
        for group, values in state_tree.items():
            if group not in groups:
                fail(
                    ArgumentError,
                    "unknown group of variables",
                    where="Model.set_state_tree",
                    received=repr(group),
                    fix=f"use {sorted(groups)}",
                )
            by_path = {variable.path: variable for variable in groups[group]}
            for path, value in _flat(values):
                if path not in by_path:
                    fail(
                        ArgumentError,
                        f"there is no variable '{path}' among the {group}",
                        where="Model.set_state_tree",
                        fix="use the paths that get_state_tree returns",
                    )
                by_path[path].assign(value)

    def _variable_groups(self) -> dict[str, list[Any]]:
        optimizer = getattr(self, "optimizer", None)
        return {
            "trainable_variables": list(self.trainable_variables),
            "non_trainable_variables": list(self.non_trainable_variables),
            "optimizer_variables": list(optimizer.variables) if optimizer is not None else [],
            "metrics_variables": list(self.metrics_variables),
        }


def has_functional_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a model is made from `inputs` and `outputs`."""
    return len(args) == 2 or (len(args) == 1 and "outputs" in kwargs) or ("inputs" in kwargs and "outputs" in kwargs)


def is_functional_like(cls: type) -> bool:
    """Whether a class is made with `cls(inputs, outputs, name)`, so that a functional config describes it fully."""
    if cls in (Model, Model._functional):
        return True
    spec = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    ours = inspect.signature(Model._functional.__init__).parameters
    kinds = {p.kind for p in spec.values()}
    passes_all_on = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds
    return passes_all_on or _positional(spec) == _positional(ours)


def _positional(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """The names that may be given by position, without `self`."""
    return [p.name for p in parameters.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD][1:]


def _make_functional(cls: type) -> None:
    """Let a user's class whose `__init__` calls `super().__init__(inputs, outputs)` derive from `Functional`."""
    if issubclass(cls, Model._functional):
        return
    for base in cls.__bases__:
        if issubclass(base, Model) and base is not Model:
            _make_functional(base)
    if Model in cls.__bases__:
        cls.__bases__ = tuple(Model._functional if base is Model else base for base in cls.__bases__)


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split("/")
        inner = nested
        for part in parents:
            inner = inner.setdefault(part, {})
        inner[leaf] = value
    return nested


def _flat(nested: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in nested.items():
        path = f"{prefix}/{key}" if prefix else key
        found += _flat(value, path) if isinstance(value, dict) else [(path, value)]
    return found


@public("keras.models.model_from_json")
def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """A new model (with new weights) from the text that `model.to_json()` returned.

    Args:
        json_string: the text.
        custom_objects: `{name: class or function}` for names in it that are not registered.

    Raises:
        SavedFileError: the text is no JSON object.
        TypeError: it names a class that is not known here.

    >>> import amalthea as am
    >>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    >>> am.models.model_from_json(model.to_json()).count_params()
    8
    """
    return model_files.model_from_json(json_string, custom_objects)
