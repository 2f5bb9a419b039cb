"""Objects to configs and back, in the JSON form of Keras 3.

A class instance is written as `{"module", "class_name", "config", "registered_name"}`. Reading finds classes and
functions only in our own registry and among the custom objects that the user registered or passed: nothing is imported
because a file says so, and byte code is refused unless `safe_mode=False`.
"""

from __future__ import annotations

import inspect
import types
import warnings
from typing import Any

import numpy as np

from amalthea.core import dtypes
from amalthea.core.tensor import KerasTensor, Tensor, as_tensor
from amalthea.core.variable import Variable
from amalthea.nn import bytecode
from amalthea.nn.registry import (
    CustomObjectScope,
    SafeModeScope,
    custom_object_scope,
    enable_unsafe_deserialization,
    exports,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    in_safe_mode,
    public,
    public_object,
    public_path,
    register_keras_serializable,
    scoped_objects,
    shared_maps,
    sharing_scope,
)

__all__ = [
    "CustomObjectScope",
    "SafeModeScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "deserialize_named",
    "enable_unsafe_deserialization",
    "exports",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "in_safe_mode",
    "public",
    "register_keras_serializable",
    "serialize_keras_object",
    "sharing_scope",
]

_PLAIN = (str, int, float, bool)
_FUNCTION_MODULES = ("activations", "constraints", "initializers", "losses", "metrics", "optimizers", "regularizers")


@public("keras.saving.serialize_keras_object", "keras.utils.serialize_keras_object")
def serialize_keras_object(obj: Any) -> Any:
    """The config of an object: plain JSON values, from which `deserialize_keras_object` makes an equal object.

    Args:
        obj: a layer, model, optimizer, loss, metric, initializer, ..., a named function, a number, string, tensor,
            NumPy array, or lists, tuples and dicts of such.

    Returns:
        JSON-ready data. Raises TypeError for objects without `get_config()`.

    >>> import amalthea as am
    >>> serialize_keras_object(am.initializers.Zeros())["class_name"]
    'Zeros'
    """
    if obj is None or type(obj) in _PLAIN:
        return obj
    if isinstance(obj, (list, tuple)):
        items = [serialize_keras_object(item) for item in obj]
        return tuple(items) if isinstance(obj, tuple) else items
    if isinstance(obj, dict):
        return serialize_dict(obj)
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        parts = {key: serialize_keras_object(getattr(obj, key)) for key in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": parts}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, KerasTensor):
        history = getattr(obj, "_keras_history", None)
        if history:
            history = [history[0].name, *history[1:]]
        config = {"shape": obj.shape, "dtype": str(obj.dtype), "keras_history": history}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(obj, (Tensor, Variable)):
        return {"class_name": "__tensor__", "config": {"value": obj.numpy().tolist(), "dtype": str(obj.dtype)}}
    if isinstance(obj, np.ndarray) and obj.ndim > 0:
        config = {"value": obj.tolist(), "dtype": str(dtypes.standardize(obj.dtype))}
        return {"class_name": "__numpy__", "config": config}
    if isinstance(obj, (np.generic, np.ndarray)):
        return obj.item()
    if isinstance(obj, str):  # dtypes and other subclasses of str
        return str.__str__(obj)
    if isinstance(obj, (bool, int, float)):
        return obj
    if isinstance(obj, types.FunctionType) and obj.__name__ == "<lambda>":
        warnings.warn(
            "A lambda is being written as byte code, which only loads with `safe_mode=False` and the same version of "
            "Python. Use a named function, registered with `register_keras_serializable`, instead.",
            stacklevel=2,
        )
        return {"class_name": "__lambda__", "config": {"value": bytecode.dump(obj)}}
    return _serialize_instance(obj)


def serialize_dict(values: dict[str, Any]) -> dict[str, Any]:
    """The dict with each value serialised."""
    return {key: serialize_keras_object(value) for key, value in values.items()}


def _serialize_instance(obj: Any) -> dict[str, Any]:
    if isinstance(obj, (types.FunctionType, types.BuiltinFunctionType)):
        name = get_registered_name(obj)
        config: dict[str, Any] = {
            "module": "builtins",
            "class_name": "function",
            "config": name,
            "registered_name": "function",
        }
        return _note_written(obj, config)
    if hasattr(obj, "get_config") and not isinstance(obj, type):
        inner = obj.get_config()
        if not isinstance(inner, dict):
            raise TypeError(
                f"[serialize_keras_object] `get_config()` must return a dict. Received: {inner!r} from {obj!r}. "
                "Fix: return the arguments of `__init__` as a dict."
            )
        inner_config: Any = serialize_dict(inner)
    elif hasattr(obj, "__name__"):
        inner_config = get_registered_name(obj)
    else:
        raise TypeError(
            f"[serialize_keras_object] cannot write an object of type {type(obj).__name__}. Received: {obj!r}. "
            "Fix: give its class a `get_config()` method that returns the arguments of `__init__`."
        )
    cls = type(obj)
    path = public_path(cls)
    if path is not None:
        module, _, class_name = path.rpartition(".")
        registered = class_name if module.startswith("keras.src.") else None  # as Keras does for what is not public
        config = {"module": module, "class_name": class_name, "config": inner_config, "registered_name": registered}
    else:
        config = {
            "module": cls.__module__,
            "class_name": cls.__name__,
            "config": inner_config,
            "registered_name": get_registered_name(cls),
        }
    for method, key in (("get_build_config", "build_config"), ("get_compile_config", "compile_config")):
        if hasattr(obj, method):
            extra = getattr(obj, method)()
            if extra is not None:
                config[key] = serialize_dict(extra)
    return _note_written(obj, config)


def _note_written(obj: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Mark the second and later writings of one object as shared, so that it comes back as one."""
    if config["module"] == "__main__":
        config["module"] = None
    maps = shared_maps()
    if maps is not None:
        written = maps[0]
        if id(obj) in written:
            written[id(obj)]["shared_object_id"] = config["shared_object_id"] = id(obj)
        else:
            written[id(obj)] = config
    return config


@public("keras.saving.deserialize_keras_object", "keras.utils.deserialize_keras_object")
def deserialize_keras_object(
    config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """The object that a config describes; the other way round of `serialize_keras_object`.

    Args:
        config: what `serialize_keras_object` returned, perhaps read from JSON.
        custom_objects: `{name: class or function}` for names that are not registered.
        safe_mode: refuse byte code (lambdas). Turn it off only for files that you wrote yourself.

    Returns:
        The object. Raises TypeError for unknown classes and functions, ValueError for byte code in safe mode.

    >>> zeros = {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None}
    >>> type(deserialize_keras_object(zeros)).__name__
    'Zeros'
    """
    module_objects = kwargs.pop("module_objects", None)
    if kwargs:
        raise TypeError(f"deserialize_keras_object() got unexpected arguments: {sorted(kwargs)}")
    scoped_safe_mode = in_safe_mode()
    if scoped_safe_mode is not None:
        safe_mode = scoped_safe_mode
    custom = {**(custom_objects or {}), **scoped_objects(), **get_custom_objects()}
    if module_objects is not None and not isinstance(config, (list, tuple)):
        return deserialize_named(config, module_objects, custom, safe_mode)
    return _read(config, custom, safe_mode)


def deserialize_named(
    config: Any, named: dict[str, Any], custom_objects: dict[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """Read a config that may name an object of one module in short: `"relu"`, `{"class_name": "zeros", "config": {}}`.

    Args:
        config: a full config, a dict with only `class_name` and `config`, or a bare name.
        named: `{name: class or function}` of the module.
        custom_objects: further names.
        safe_mode: as for `deserialize_keras_object`.

    Returns:
        An instance of the class that is named, or the function; the config itself if it names nothing.
    """
    custom = {**(custom_objects or {}), **scoped_objects(), **get_custom_objects()}
    if config is None:
        return None
    if isinstance(config, str):
        found = custom.get(config, named.get(config))
        if found is None:
            return config
        return _instance(found, {}, custom, safe_mode) if isinstance(found, type) else found
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(
            "[deserialize] this is not the config of an object. "
            f"Received: {config!r}. Fix: pass a dict with `class_name` and `config`, or a name."
        )
    class_name, inner = config["class_name"], config.get("config")
    known = any(name in custom for name in (class_name, config.get("registered_name"), inner) if isinstance(name, str))
    if class_name == "function" and isinstance(inner, str) and not known and inner in named:
        return named[inner]
    if not known and class_name in named:
        found = named[class_name]
        return _instance(found, inner or {}, custom, safe_mode) if isinstance(found, type) else found
    return _read({"config": {}, **config}, custom, safe_mode)


def _read(config: Any, custom: dict[str, Any], safe_mode: bool) -> Any:
    if config is None:
        return None
    if isinstance(config, str) and custom.get(config) is not None:
        return custom[config]
    if isinstance(config, _PLAIN):
        return config
    if isinstance(config, (list, tuple)):
        return [_read(item, custom, safe_mode) for item in config]
    if not isinstance(config, dict):
        raise TypeError(
            "[deserialize_keras_object] a config holds only dicts, lists, strings, numbers and None. "
            f"Received: {config!r} (of type {type(config).__name__}). Fix: pass what `serialize_keras_object` returned."
        )
    if "class_name" not in config or "config" not in config:
        return {key: _read(value, custom, safe_mode) for key, value in config.items()}
    class_name, inner = config["class_name"], config["config"]
    if inner is None:
        inner = {}
    if class_name in _SPECIAL:
        return _SPECIAL[class_name](inner, custom, safe_mode)
    if class_name == "function":
        if not isinstance(inner, str):
            raise TypeError(
                "[deserialize_keras_object] the config of a function is its name. "
                f"Received: {inner!r}. Fix: give the function's name, registered by `register_keras_serializable`."
            )
        return _find_function(inner, config, custom)
    if not isinstance(inner, dict):
        raise TypeError(
            f"[deserialize_keras_object] the config of class {class_name!r} must be a dict. Received: {inner!r}. "
            "Fix: pass what its `get_config()` returned."
        )
    shared_id, maps = config.get("shared_object_id"), shared_maps()
    if shared_id is not None and maps is not None and shared_id in maps[1]:
        return maps[1][shared_id]
    cls = _find_class(class_name, config, custom)
    if isinstance(cls, types.FunctionType):
        return cls
    instance = _instance(cls, inner, custom, safe_mode)
    with CustomObjectScope(custom), SafeModeScope(safe_mode):
        build_config = config.get("build_config")
        if build_config and not instance.built:
            instance.build_from_config(build_config)
            instance.built = True
        compile_config = config.get("compile_config")
        if compile_config:
            instance.compile_from_config(compile_config)
            instance.compiled = True
    if shared_id is not None and maps is not None:
        maps[1][shared_id] = instance
    return instance


def _instance(cls: Any, config: dict[str, Any], custom: dict[str, Any], safe_mode: bool) -> Any:
    """`cls.from_config(config)`, with the custom objects and the safe mode in force inside it."""
    if not hasattr(cls, "from_config"):
        if isinstance(cls, type) and not config:
            return cls()
        raise TypeError(
            f"[deserialize_keras_object] class {getattr(cls, '__name__', cls)!r} has no `from_config()`. "
            f"Received: config={config!r}. Fix: add a class method `from_config(cls, config)` to it."
        )
    with CustomObjectScope(custom), SafeModeScope(safe_mode):
        return cls.from_config(config)


def _find_class(name: str, config: dict[str, Any], custom: dict[str, Any]) -> Any:
    registered = config.get("registered_name") or name
    module = config.get("module")
    found = get_registered_object(registered, custom_objects=custom)
    if found is None and module:
        found = public_object(f"{module}.{name}")
        if inspect.isfunction(found):
            raise ValueError(
                f"[deserialize_keras_object] {module}.{name} is a function, not a class that a file may name. "
                f"Received: {_shown(config)}. Fix: a config may hold layers, losses, metrics and the like only."
            )
    if found is None:
        raise TypeError(
            f"[deserialize_keras_object] there is no class {name!r} here"
            f"{f' (of module {module})' if module else ''}: classes are never imported because a file names them. "
            f"Received: {_shown(config)}. Fix: decorate your class with `register_keras_serializable` and import it "
            f"before loading, or pass custom_objects={{{registered!r}: TheClass}}."
        )
    return found


def _find_function(name: str, config: dict[str, Any], custom: dict[str, Any]) -> Any:
    found = get_registered_object(name, custom_objects=custom)
    module = config.get("module")
    if found is None and module and module.startswith("keras."):
        parent = module.removeprefix("keras.")
        if parent in (*_FUNCTION_MODULES, "ops", "layers"):
            found = public_object(f"{module}.{name}")
    if found is None and module == "builtins":
        for parent in _FUNCTION_MODULES:
            found = public_object(f"keras.{parent}.{name}")
            if found is not None:
                break
        else:
            if ">" not in name:  # files of Keras 3.6 and older name custom functions without the package
                found = next((obj for key, obj in custom.items() if key.endswith(f">{name}")), None)
    if found is None:
        raise TypeError(
            f"[deserialize_keras_object] there is no function {name!r} here: functions are never imported because a "
            f"file names them. Received: {_shown(config)}. Fix: decorate your function with "
            f"`register_keras_serializable` and import it before loading, or pass custom_objects={{{name!r}: ...}}."
        )
    return found


def _shown(config: Any) -> str:
    text = repr(config)
    return text if len(text) <= 300 else text[:300] + " ..."


def _read_lambda(inner: Any, custom: dict[str, Any], safe_mode: bool) -> Any:
    if safe_mode:
        raise ValueError(
            "[deserialize_keras_object] the config carries byte code of a lambda, which could do anything on this "
            "computer, so it is refused. Received: a `__lambda__` config. Fix: if you wrote the file yourself, load it "
            "with `safe_mode=False` or call `config.enable_unsafe_deserialization()`; better, use a named function."
        )
    return bytecode.load(inner["value"])


class SavedTensor(KerasTensor):
    """A symbolic tensor read from a config: it knows by (layer name, call number, output number) who made it."""

    __slots__ = ("_pre_serialization_keras_history",)

    _pre_serialization_keras_history: Any


def _read_keras_tensor(inner: Any, custom: dict[str, Any], safe_mode: bool) -> KerasTensor:
    tensor = SavedTensor(tuple(inner["shape"]), dtype=inner["dtype"])
    tensor._pre_serialization_keras_history = inner.get("keras_history")
    return tensor


def _read_slice(inner: Any, custom: dict[str, Any], safe_mode: bool) -> slice:
    return slice(*(_read(inner[key], custom, safe_mode) for key in ("start", "stop", "step")))


_SPECIAL: dict[str, Any] = {
    "__keras_tensor__": _read_keras_tensor,
    "__tensor__": lambda inner, custom, safe_mode: as_tensor(
        np.array(inner["value"], dtype=dtypes.to_numpy(dtypes.standardize(inner["dtype"])))
    ),
    "__numpy__": lambda inner, custom, safe_mode: np.array(
        inner["value"], dtype=dtypes.to_numpy(dtypes.standardize(inner["dtype"]))
    ),
    "__bytes__": lambda inner, custom, safe_mode: inner["value"].encode("utf-8"),
    "__ellipsis__": lambda inner, custom, safe_mode: Ellipsis,
    "__slice__": _read_slice,
    "__lambda__": _read_lambda,
}
