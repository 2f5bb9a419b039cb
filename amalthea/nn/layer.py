"""`Layer`: state and computation in one object; everything that models are made of."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

from amalthea.core import dtypes, tree
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, UnsupportedError, fail
from amalthea.core.tensor import KerasTensor, Tensor
from amalthea.core.variable import Variable
from amalthea.nn import constraints, dtype_policies, initializers, regularizers
from amalthea.nn.arguments import check_settings
from amalthea.nn.autoconfig import LayerConfig
from amalthea.nn.calls import (
    Arguments,
    CallFacts,
    Frame,
    as_shapes,
    calls,
    masks_of,
    shapes_for,
)
from amalthea.nn.input_spec import InputSpec, accepts_quickly, check_inputs
from amalthea.nn.naming import auto_name, checked_name
from amalthea.nn.precision import LayerDTypes
from amalthea.nn.registry import public
from amalthea.nn.signatures import clear_signature, own_parameters, refuse_unknown
from amalthea.nn.state import LayerState
from amalthea.nn.symbolic import LayerSymbols
from amalthea.nn.tracking import Tracker, untracked


def _wrapped_build(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build` with what happens around every build: names of variables, leaving any trace, locking afterwards."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        if self._building:  # super().build(...)
            build(self, *args, **kwargs)
            return
        self._check_initialized()
        self.__dict__["_building"] = True
        names = (*context.names, self.name)
        before = context.enter(
            names=names, layers=(*context.layers, self._label()), trace=None, tapes=(), autocast=None
        )
        try:
            self._path = "/".join(names)
            build(self, *args, **kwargs)
        finally:
            context.restore(before)
            self.__dict__["_building"] = False
        with untracked():
            self._build_shapes_dict = dict(signature.bind(self, *args, **kwargs).arguments)
            self._build_shapes_dict.pop(next(iter(signature.parameters)))
        self.built = True
        self._post_build()
        self._lock_state()

    return wrapper


@public("keras.layers.Layer", "keras.Layer")
class Layer(LayerState, LayerDTypes, LayerConfig, LayerSymbols):
    """A computation with state: an op that owns variables.

    A subclass makes its variables in `build(input_shape)` (or `__init__`) with `add_weight` and computes in
    `call(inputs, ...)`. Layers, lists and dicts of layers, variables, metrics and seed generators that are assigned to
    attributes are found by themselves.

    Args:
        activity_regularizer: penalty on the output, added to the loss (divided by the batch size).
        trainable: whether training changes the variables.
        dtype: dtype or dtype policy: in what the layer computes and keeps its variables. None is the global policy.
        autocast: whether floating-point inputs are cast to the compute dtype.
        name: name, unique in a model; made from the class name when None.
        input_shape, input_dim, batch_size, weights: accepted for code written for older Keras: the shape of one input,
            or its only size; the batch size; arrays that `set_weights` gets after the build.

    `call` may take `training` and `mask`. `training` is, in this order: what was passed, what the calling layer got,
    the default in the signature. `mask` is the mask attached to the input (`x._keras_mask`).

    >>> import amalthea as am
    >>> class Scale(am.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
    ...     def call(self, x):
    ...         return x * self.factor
    >>> Scale()(am.ops.ones((2, 3))).shape
    (2, 3)
    """

    _tracked_as = "layers"
    _called = "layer"  # what errors call it
    _call_facts: CallFacts | None = None
    _building = False
    _initialized = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _wrapped_build(cls.__dict__["build"])  # type: ignore[method-assign]
        if "__init__" in cls.__dict__:
            cls.__init__ = clear_signature(cls.__dict__["__init__"])  # type: ignore[method-assign]
        cls._call_facts = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = object.__new__(cls)
        layer.__dict__.update(_tracker=Tracker(cls.__name__), _init_arguments=(args, kwargs))
        return layer

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self)
        if not isinstance(trainable, bool):
            fail(
                ArgumentError,
                "`trainable` must be True or False",
                where=kind.__name__,
                received=f"trainable={trainable!r} (of type {type(trainable).__name__})",
                fix="pass a bool",
            )
        self._take_legacy_arguments(kwargs)
        self.name = auto_name(kind.__name__) if name is None else checked_name(name, kind.__name__)
        self._trainable = trainable
        self._dtype_policy = dtype_policies.get(dtype)
        self._note_dtypes()
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.autocast = autocast
        self.built = False
        self.supports_jit = True
        self._path: str | None = None
        self._input_spec: Any = None
        self._supports_masking = kind.compute_mask is not Layer.compute_mask
        self._convert_input_args = True
        self._allow_non_tensor_positional_args = False
        self._context_args: tuple[str, ...] = ("training",)
        with untracked():
            self._losses = []
            self._symbolic_calls: list[Any] = []
            self._build_shapes_dict: dict[str, Any] | None = None
        self._initialized = True

    def _take_legacy_arguments(self, kwargs: dict[str, Any]) -> None:
        """Keep `input_shape` and the like for the model and the build; refuse everything else."""
        batch_shape = kwargs.pop("batch_input_shape", None)
        batch_size = kwargs.pop("batch_size", None)
        shape = kwargs.pop("input_shape", None)
        size = kwargs.pop("input_dim", None)
        if size is not None:
            shape = (size,)
        if batch_shape is not None:
            batch_size, shape = batch_shape[0], tuple(batch_shape[1:])
        if shape is not None:
            with untracked():
                self._input_shape_arg = (shape,) if isinstance(shape, int) else tuple(shape)
                self._batch_size_arg = batch_size
        with untracked():
            self._initial_weights = kwargs.pop("weights", None)
        if kwargs:
            known = [p.name for p in own_parameters(type(self).__init__)]
            refuse_unknown(type(self).__name__, kwargs, dict.fromkeys([*known, "name", "dtype", "trainable"]))

    # Attributes

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, self._tracker.track(value))

    def __delattr__(self, name: str) -> None:
        value = self.__dict__.get(name)
        object.__delattr__(self, name)
        if value is not None and not any(value is other for other in self.__dict__.values()):
            self._tracker.remove(value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def _label(self) -> str:
        return f"{self._called} '{self.name}'"

    def _obj_type(self) -> str:
        return "Layer"

    def _check_initialized(self) -> None:
        if not self._initialized:
            raise RuntimeError(
                f"[{type(self).__name__}] the layer was not initialised. Received: an `__init__` that did not call its "
                "parent's. Fix: make `super().__init__(**kwargs)` the first line of your `__init__`."
            )

    @property
    def path(self) -> str | None:
        """The names of the layers around it and its own, "block/dense"; None before it is built."""
        return self._path

    @property
    def input_spec(self) -> Any:
        """What the first argument must look like: an `InputSpec`, a structure of them, or None."""
        return self._input_spec

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        self._input_spec = value

    @property
    def supports_masking(self) -> bool:
        """Whether masks of the input are passed on to the output (by `compute_mask`)."""
        return self._supports_masking

    @supports_masking.setter
    def supports_masking(self, value: bool) -> None:
        self._supports_masking = value

    # State

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a variable that belongs to this layer.

        Args:
            shape: its shape, all sizes known; None is a scalar.
            initializer: first values; by default `"glorot_uniform"` for floating-point dtypes, else `"zeros"`.
            dtype: its dtype; by default the layer's variable dtype.
            trainable: whether training changes it.
            autocast: whether it is read in the layer's compute dtype inside `call`.
            regularizer: penalty on it, added to the loss.
            constraint: projection applied after each update.
            aggregation: how replicas of it are combined in distributed training.
            overwrite_with_gradient: whether the optimizer replaces it by its gradient (for scaling factors).
            name: its name.

        Returns:
            The variable.
        """
        self._check_initialized()
        if isinstance(shape, str):
            fail(
                ArgumentError,
                "the first argument of `add_weight` is the shape",
                where=f"{type(self).__name__}.add_weight",
                received=repr(shape),
                fix=f"add_weight(shape=..., name={shape!r})",
            )
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if any(size is None for size in shape):
            fail(
                ArgumentError,
                f"the shape of weight '{name}' has unknown sizes, so it cannot be made",
                where=f"{type(self).__name__}.add_weight",
                received=f"shape={shape}",
                fix="give the model's input a fixed size on the axes that the weight depends on",
            )
        dtype = self.variable_dtype if dtype is None else dtypes.standardize(dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_floating(dtype) else "zeros"
        at_top = context.names and self._building
        before = context.enter(names=context.names if at_top else (*context.names, self.name))
        try:
            variable = Variable(
                initializers.get(initializer),
                shape=shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        finally:
            context.restore(before)
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        self._track_variable(variable)
        return variable

    def add_variable(self, shape: Any, initializer: Any, **kwargs: Any) -> Variable:
        """Another name of `add_weight`."""
        return self.add_weight(shape=shape, initializer=initializer, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the state that depends on the shape of the input. Called once, before the first `call`.

        A layer without a `build` of its own builds its sublayers by a `call` on symbolic tensors of this shape.
        """
        self._check_initialized()
        self._build_by_calling({"input_shape": input_shape})
        with untracked():
            self._build_shapes_dict = {"input_shape": input_shape}
        self.built = True
        self._lock_state()

    def _build_by_calling(self, shapes: dict[str, Any]) -> None:
        """Build the sublayers by a `call` on symbolic tensors: of the first shape, or of several by argument name."""
        if all(layer.built for layer in self._layers):
            return
        inputs = {key.removesuffix("_shape"): self._symbols(shape) for key, shape in shapes.items()}
        args, kwargs = (tuple(inputs.values()), {}) if len(inputs) == 1 else ((), inputs)
        names = (*context.names, self.name)
        before = context.enter(names=names, layers=(*context.layers, self._label()), trace=None, tapes=())
        try:
            self._path = "/".join(names)
            self._spec_by_calling(*args, **kwargs)
        except Exception as error:
            unbuilt = [layer.name for layer in self._layers if not layer.built]
            raise UnsupportedError(
                f"its sublayers {unbuilt} are not built, and `call` cannot be run on symbolic tensors to build them "
                f"({type(error).__name__}: {error})",
                where=f"{type(self).__name__}.build",
                received=", ".join(f"{key}={shape}" for key, shape in shapes.items()),
                fix="write `build(self, input_shape)`, calling each sublayer's `build`; or call the layer on data",
            ) from error
        finally:
            context.restore(before)

    def _build_at_init(self) -> None:
        """Call the layer built, at the end of `__init__`, if it has no state that depends on the input."""
        if not self._has_build():
            self.built = True
            self._post_build()
            self._lock_state()

    def _has_build(self) -> bool:
        return type(self).build is not Layer.build

    def _post_build(self) -> None:
        """Runs after every build; gives the weights their legacy initial values."""
        if self._initial_weights is not None:
            initial, self._initial_weights = self._initial_weights, None
            self.set_weights(initial)

    def _lock_state(self) -> None:
        self._tracker.lock()

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes with which the layer was built, from which `build_from_config` builds it again."""
        shapes = self._build_shapes_dict
        if shapes is None:
            return None
        return {"input_shape": next(iter(shapes.values()))} if len(shapes) == 1 else {"shapes_dict": shapes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build with the shapes of a `get_build_config`."""
        if config and "input_shape" in config:
            self.build(as_shapes(config["input_shape"]))
        elif config and "shapes_dict" in config:
            shapes = {key: as_shapes(shape) for key, shape in config["shapes_dict"].items()}
            if self._has_build():
                self.build(**shapes)
            else:
                self._build_by_calling(shapes)

    # Calls

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation: written by each subclass, called through `layer(...)`."""
        fail(
            UnsupportedError,
            "the layer has no `call`",
            where=type(self).__name__,
            fix="write `call(self, inputs)`, returning a tensor",
        )

    def _facts(self) -> CallFacts:
        """What the signature of `call` says, looked up once per class."""
        kind = type(self)
        if kind._call_facts is None:
            kind._call_facts = CallFacts(kind.call.__get__(self))
        return kind._call_facts

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._initialized:
            self._check_initialized()
        facts = type(self)._call_facts or self._facts()
        if len(args) == 1 and not kwargs and self.built and facts.simple:
            x = args[0]
            if type(x) is Tensor and self._takes_as_it_is(x):
                return self._run(facts, x, args, {}, None)
        return self._checked_call(facts, args, kwargs)

    def _takes_as_it_is(self, x: Tensor) -> bool:
        """Whether a concrete tensor needs no conversion, check, mask or record, so that `call` may have it at once."""
        dtype = x.dtype
        spec = self._input_spec
        return (
            (dtype is self._fast_dtype or not dtypes.is_floating(dtype) or not self.autocast)
            and (spec is None or (type(spec) is InputSpec and accepts_quickly(spec, x.shape)))
            and getattr(x, "_keras_mask", None) is None
            and context.trace is None
        )

    def _checked_call(self, facts: CallFacts, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        where = type(self).__name__
        given_args, given_kwargs = args, dict(kwargs)
        if self._path is None:
            self._path = "/".join((*context.names, self.name))
        inherited = {key: kwargs[key] for key in self._context_args if kwargs.get(key) is not None}
        kwargs = {key: value for key, value in kwargs.items() if key not in self._context_args or key in facts.names}
        if self._convert_input_args:
            args = tree.map_structure(self._converted, args)
            kwargs = tree.map_structure(self._converted, kwargs)
        before = context.enter(layers=(*context.layers, self._label()))
        try:
            if not self._allow_non_tensor_positional_args:
                self._check_positional(args)
            arguments = Arguments(facts, args, kwargs, where)
            check_settings({**arguments.values, **given_kwargs}, where)
            check_inputs(self._input_spec, arguments.first, where, self._own_variables())
        finally:
            context.restore(before)
        if not self.built and self._has_build():
            self.build(**shapes_for(self.build, arguments.shapes(), arguments, where))
            before = context.enter(layers=(*context.layers, self._label()))
            try:
                check_inputs(self._input_spec, arguments.first, where, self._own_variables())
            finally:
                context.restore(before)
        previous_mask = self._fill_masks(facts, arguments, kwargs)
        leaves = tree.flatten((args, kwargs))
        if self._is_recorded() and any(isinstance(leaf, KerasTensor) for leaf in leaves):
            outputs = self._run(
                facts, arguments.first, args, kwargs, previous_mask, inherited, record_as=(given_args, given_kwargs)
            )
        else:
            outputs = self._run(facts, arguments.first, args, kwargs, previous_mask, inherited)
        if not self.built:  # no `build` of its own: the call has built its sublayers
            shapes = arguments.shapes()
            with untracked():
                self._build_shapes_dict = (
                    shapes if len(shapes) > 1 else {"input_shape": next(iter(shapes.values()), None)}
                )
            self.built = True
            self._post_build()
            self._lock_state()
        return outputs

    def _converted(self, x: Any) -> Any:
        """One argument as `call` sees it: arrays as tensors, floating-point ones in the compute dtype."""
        converted = self._dtype_policy.convert_input(x, self.autocast, self.compute_dtype)
        if converted is not x and getattr(x, "_keras_mask", None) is not None:
            converted._keras_mask = x._keras_mask
        return converted

    def _check_positional(self, args: tuple[Any, ...]) -> None:
        for leaf in tree.flatten(args):
            if leaf is not None and not isinstance(leaf, Tensor):
                fail(
                    ArgumentError,
                    "only tensors and arrays may be passed by position",
                    where=type(self).__name__,
                    received=f"{leaf!r} (of type {type(leaf).__name__})",
                    fix="pass settings by name, e.g. layer(x, training=True), and data as arrays or tensors",
                )

    def _fill_masks(self, facts: CallFacts, arguments: Arguments, kwargs: dict[str, Any]) -> Any:
        """Pass masks attached to tensors as `mask` or `x_mask` arguments; returns the mask of the first argument."""
        values, tensors = arguments.values, arguments.tensors
        if len(tensors) == 1:
            if facts.has_mask and values["mask"] is None:
                (only,) = tensors.values()
                kwargs["mask"] = masks_of(only)
        else:
            for name, tensor in tensors.items():
                mask_name = f"{name}_mask"
                if mask_name in facts.mask_names and values[mask_name] is None:
                    kwargs[mask_name] = masks_of(tensor)
        if kwargs.get("mask") is not None:
            return kwargs["mask"]
        return masks_of(arguments.first)

    def _run(
        self,
        facts: CallFacts,
        first: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        previous_mask: Any,
        inherited: dict[str, Any] | None = None,
        record_as: tuple[Any, Any] | None = None,
    ) -> Any:
        """`call` inside its scopes; then masks and the activity penalty of its outputs."""
        frame = calls.frame
        outermost = frame is None
        if frame is None:
            frame = calls.frame = Frame(self)
            if self._losses or self._layers:
                self._clear_losses()
        values_before = frame.values
        names, layers, autocast = context.names, context.layers, context.autocast
        try:
            if inherited:
                frame.values = {**values_before, **inherited}
            for key in self._context_args:
                if key in facts.names:
                    value = frame.values.get(key)
                    if value is None:
                        value = facts.signature.parameters[key].default if key != "training" else facts.training_default
                    if value is not None:
                        kwargs[key] = value
                        if frame.values.get(key) is None:
                            frame.values = {**frame.values, key: value}
            context.names, context.layers = (*names, self.name), (*layers, self._label())
            if autocast is not None or self._mixed:
                floating = self.autocast and dtypes.is_floating(self.compute_dtype)
                context.autocast = self.compute_dtype if floating else None
            if record_as is None:
                outputs = self.call(*args, **kwargs)
                if outputs is None and first is not None:
                    self._refuse_nothing()
            else:
                outputs = self.compute_output_spec(*args, **kwargs)
                context.names, context.layers, context.autocast = names, layers, autocast
                outputs = self._record(record_as, outputs)
            if self.activity_regularizer is not None and record_as is None:
                self._penalise(outputs)
            if self._supports_masking:
                self._attach_masks(first, outputs, previous_mask)
            elif previous_mask is not None and any(mask is not None for mask in tree.flatten(previous_mask)):
                warnings.warn(
                    f"[{type(self).__name__}] '{self.name}' does not pass masks on: later layers see no mask.",
                    stacklevel=3,
                )
            return outputs
        finally:
            context.names, context.layers, context.autocast = names, layers, autocast
            frame.values = values_before
            if outermost:
                calls.frame = None

    def _penalise(self, outputs: Any) -> None:
        for output in tree.flatten(outputs):
            if isinstance(output, Tensor):
                penalty = self.activity_regularizer(output)
                self.add_loss(penalty / max(output.shape[0], 1) if output.ndim else penalty)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the output, given the input and its mask. By default the same mask."""
        return previous_mask

    def _attach_masks(self, inputs: Any, outputs: Any, previous_mask: Any) -> None:
        if previous_mask is None and type(self).compute_mask is Layer.compute_mask:
            return
        tensors = [x for x in tree.flatten(outputs) if isinstance(x, Tensor)]
        if all(getattr(x, "_keras_mask", None) is not None for x in tensors):
            return
        masks = self.compute_mask(inputs, previous_mask)
        if masks is None:
            return
        for tensor, mask in zip(tensors, tree.flatten(masks), strict=False):
            if mask is not None and getattr(tensor, "_keras_mask", None) is None:
                tensor._keras_mask = mask  # type: ignore[attr-defined]

    def _register_call_context_args(self, *names: str) -> None:
        """Let these arguments be inherited by nested calls, as `training` is."""
        self._context_args = tuple(dict.fromkeys((*self._context_args, *names)))
