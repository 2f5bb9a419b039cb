"""Configs of layers: their arguments as plain data, made by hand (`get_config`) or from the call of `__init__`."""

from __future__ import annotations

import inspect
from typing import Any

from amalthea.core import tree
from amalthea.core.errors import UnsupportedError, fail
from amalthea.nn import dtype_policies, regularizers

_EXAMPLE = (
    "write `get_config`, with one entry for each argument of `__init__`: "
    "`def get_config(self): return {**super().get_config(), 'units': self.units}`"
)


class LayerConfig:
    """The part of `Layer` that is about its config."""

    name: str
    trainable: bool
    dtype_policy: dtype_policies.DTypePolicy
    activity_regularizer: Any
    _init_arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, as plain data.

        A subclass extends it: `return {**super().get_config(), "units": self.units}`. For one that does not, the
        arguments that its `__init__` was called with are used, if they are strings, numbers, None or lists of such.
        """
        config: dict[str, Any] = {"name": self.name}
        automatic = type(self).get_config is LayerConfig.get_config
        if automatic:
            config |= captured_config(self, *self._init_arguments)
        config |= {"trainable": self.trainable, "dtype": dtype_policies.serialize(self.dtype_policy)}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if automatic:
            accepted = accepted_names(type(self))
            config = {key: value for key, value in config.items() if accepted is None or key in accepted}
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer that `get_config` described (without its weights)."""
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            policy = dtype_policies.deserialize(config["dtype"])
            config["dtype"] = policy if isinstance(policy, dtype_policies.DTypePolicyMap) else policy.name
        try:
            return cls(**config)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"[{cls.__name__}.from_config] the class cannot be made from this config: {error} "
                f"Received: config={config!r}. Fix: `get_config` must return what `__init__` takes."
            ) from error


def accepted_names(cls: type) -> set[str] | None:
    """The argument names of `__init__`; None if it takes any (`**kwargs`)."""
    parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters}


def captured_config(obj: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `type(obj)(*args, **kwargs)` by name, defaults included, without `name`.

    Raises UnsupportedError for arguments that cannot be written to a file as they are.
    """
    cls = type(obj)
    signature = inspect.signature(cls.__init__)
    parameters = list(signature.parameters.values())[1:]
    if any(p.kind is inspect.Parameter.POSITIONAL_ONLY for p in parameters):
        _refuse(cls, "`__init__` has positional-only arguments")
    bound = signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    config = dict(bound.arguments)
    config.pop(next(iter(signature.parameters)))
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            config |= config.pop(parameter.name)
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL and config.pop(parameter.name):
            _refuse(cls, "`__init__` was called with `*args`")
    for key in ("name", "trainable", "dtype", "activity_regularizer"):
        config.pop(key, None)
    for key, value in config.items():
        for leaf in tree.flatten(value):
            if not isinstance(leaf, (str, int, float, bool, type(None))):
                _refuse(cls, f"the argument `{key}` holds a {type(leaf).__name__}")
    return config


def _refuse(cls: type, why: str) -> None:
    fail(UnsupportedError, f"the config cannot be made automatically, because {why}", where=cls.__name__, fix=_EXAMPLE)
