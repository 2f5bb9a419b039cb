"""Dtype policies: the dtype in which a layer computes and the dtype in which it keeps its variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from amalthea.core import config, dtypes
from amalthea.core.tensor import Tensor, as_tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import deserialize_keras_object, deserialize_named, public, serialize_keras_object

_MIXED = {"mixed_float16": ("float16", "float32"), "mixed_bfloat16": ("bfloat16", "float32")}


@public("keras.DTypePolicy", "keras.dtype_policies.DTypePolicy", "keras.mixed_precision.Policy")
class DTypePolicy:
    """The compute dtype and the variable dtype of a layer.

    Args:
        name: a dtype such as `"float32"`, which is then used for both, or `"mixed_float16"` / `"mixed_bfloat16"`:
            compute in 16 bits, keep variables in float32. None takes the global policy.

    >>> policy = DTypePolicy("mixed_bfloat16")
    >>> str(policy.compute_dtype), str(policy.variable_dtype)
    ('bfloat16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = dtype_policy().name
        if not isinstance(name, str):
            raise TypeError(
                f"[DTypePolicy] `name` must be a string. Received: name={name!r} (of type {type(name).__name__}). "
                "Fix: for example 'float32' or 'mixed_bfloat16'."
            )
        self._name = str(name)
        if name in _MIXED:
            compute, variable = _MIXED[name]
        else:
            try:
                compute = variable = dtypes.standardize(name)
            except (TypeError, ValueError):
                raise ValueError(
                    f"[DTypePolicy] unknown policy. Received: name={name!r}. "
                    "Fix: use 'mixed_float16', 'mixed_bfloat16', or a dtype such as 'float32'."
                ) from None
        self._compute_dtype = dtypes.standardize(compute)
        self._variable_dtype = dtypes.standardize(variable)

    @property
    def name(self) -> str:
        """The name that made this policy."""
        return self._name

    @property
    def compute_dtype(self) -> dtypes.DType:
        """The dtype to which a layer casts its inputs and variables before it computes."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> dtypes.DType:
        """The dtype of the layer's variables."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """None: this policy does not quantise."""
        return None

    def convert_input(self, x: Any, autocast: bool, dtype: Any) -> Any:
        """`x` as the layer's `call` shall see it.

        Args:
            x: a tensor or array (anything else is returned as it is).
            autocast: whether floating-point inputs are cast to `dtype`.
            dtype: the compute dtype.

        Returns:
            A Tensor for tensors and arrays. Integers and booleans keep their dtype.
        """
        if isinstance(x, Variable) or (not isinstance(x, Tensor) and hasattr(x, "__array__")):
            x = as_tensor(x)
        if isinstance(x, Tensor) and autocast and x.dtype != dtype and dtypes.is_floating(x.dtype):
            from amalthea.ops import cast

            return cast(x, dtype)
        return x

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal policy."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The policy that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and not isinstance(other, DTypePolicyMap) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)


@public("keras.FloatDTypePolicy", "keras.dtype_policies.FloatDTypePolicy")
class FloatDTypePolicy(DTypePolicy):
    """Another name of `DTypePolicy`, kept for older files.

    >>> FloatDTypePolicy("mixed_float16").variable_dtype == "float32"
    True
    """


@public("keras.dtype_policies.DTypePolicyMap")
class DTypePolicyMap(DTypePolicy):
    """Different policies for different layers of a model, by the layers' paths.

    A path is first looked up as it stands, then the keys are tried as regular expressions that must match all of it;
    without a match the default policy holds.

    Args:
        default_policy: policy of all other layers; None is the global policy.
        policy_map: `{path or pattern: policy}`.

    >>> policies = DTypePolicyMap("float32", {"encoder/.*": DTypePolicy("bfloat16")})
    >>> policies["encoder/dense"].name
    'bfloat16'
    """

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise ValueError(
                "[DTypePolicyMap] `default_policy` cannot be a map. Received: a DTypePolicyMap. Fix: pass one policy."
            )
        if policy_map is not None and not isinstance(policy_map, dict):
            raise TypeError(
                f"[DTypePolicyMap] `policy_map` must be a dict. Received: policy_map={policy_map!r}. "
                "Fix: for example {'encoder/.*': DTypePolicy('bfloat16')}."
            )
        self._default_policy_arg = default_policy
        self._policy_map: dict[str, DTypePolicy] = policy_map or {}

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of layers that no key matches."""
        return get(self._default_policy_arg)

    @property
    def name(self) -> str:
        """`map_` and the name of the default policy."""
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self) -> dtypes.DType:
        """The default policy's."""
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> dtypes.DType:
        """The default policy's."""
        return self.default_policy.variable_dtype

    def __getitem__(self, path: str) -> DTypePolicy:
        if path in self._policy_map:
            return self._policy_map[path]
        matching = [pattern for pattern in self._policy_map if re.fullmatch(pattern, path)]
        if len(matching) > 1:
            raise ValueError(
                f"[DTypePolicyMap] the path {path!r} matches several keys. Received: {matching}. "
                "Fix: make the patterns exclude each other, or add the exact path as a key."
            )
        return self._policy_map[matching[0]] if matching else self.default_policy

    def __setitem__(self, path: str, policy: Any) -> None:
        if path in self._policy_map:
            raise ValueError(
                f"[DTypePolicyMap] the key {path!r} is taken. Received: {policy!r}. "
                f"Fix: delete it first: `del policies[{path!r}]`."
            )
        self._policy_map[path] = get(policy)

    def __delitem__(self, path: str) -> None:
        del self._policy_map[path]

    def __contains__(self, path: object) -> bool:
        return path in self._policy_map

    def __len__(self) -> int:
        return len(self._policy_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policy_map)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal map."""
        return {
            "default_policy": self._default_policy_arg,
            "policy_map": serialize_keras_object(self._policy_map),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicyMap:
        """The map that `get_config` described."""
        policies = deserialize_keras_object(config["policy_map"], custom_objects=custom_objects)
        default = config["default_policy"]
        if isinstance(default, dict):
            default = deserialize_keras_object(default, custom_objects=custom_objects)
        return cls(default, policies)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        mapping = [(path, policy.name) for path, policy in self._policy_map.items()]
        return f"<DTypePolicyMap default_policy={self.default_policy.name}, mapping={mapping}>"


_NAMED = {cls.__name__: cls for cls in (DTypePolicy, FloatDTypePolicy, DTypePolicyMap)}
_GLOBAL: list[DTypePolicy | None] = [None]


@public("keras.config.dtype_policy", "keras.mixed_precision.dtype_policy", "keras.mixed_precision.global_policy")
def dtype_policy() -> DTypePolicy:
    """The policy of layers that are made without a `dtype` (initially the policy named by `floatx()`).

    >>> dtype_policy().name
    'float32'
    """
    policy = _GLOBAL[0]
    if policy is None:
        floatx = config.floatx()
        policy = _FLOATX.get(floatx)
        if policy is None:
            policy = _FLOATX[floatx] = DTypePolicy(floatx)
    return policy


_FLOATX: dict[str, DTypePolicy] = {}


@public(
    "keras.config.set_dtype_policy",
    "keras.mixed_precision.set_dtype_policy",
    "keras.mixed_precision.set_global_policy",
)
def set_dtype_policy(policy: Any) -> None:
    """Make `policy` (a name or a `DTypePolicy`) the policy of all layers made from now on without a `dtype`.

    >>> set_dtype_policy("mixed_bfloat16")
    >>> dtype_policy()
    <DTypePolicy "mixed_bfloat16">
    >>> set_dtype_policy("float32")
    """
    if not isinstance(policy, (str, DTypePolicy)):
        raise ValueError(
            "[set_dtype_policy] expected the name of a policy or a DTypePolicy. "
            f"Received: policy={policy!r} (of type {type(policy).__name__}). Fix: for example 'mixed_bfloat16'."
        )
    _GLOBAL[0] = get(policy)


@public("keras.dtype_policies.serialize")
def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """The config of a policy.

    >>> serialize(DTypePolicy("float32"))["config"]
    {'name': 'float32'}
    """
    return serialize_keras_object(dtype_policy)


@public("keras.dtype_policies.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """The policy of a config.

    >>> deserialize({"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}).compute_dtype == "float16"
    True
    """
    return deserialize_named(config, _NAMED, custom_objects)


@public("keras.dtype_policies.get")
def get(identifier: Any) -> DTypePolicy:
    """A policy from None (the global one), a policy, a name, a dtype, or a config.

    >>> get("float16")
    <DTypePolicy "float16">
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    try:
        name = str(dtypes.standardize(identifier))
    except (TypeError, ValueError):
        raise ValueError(
            "[dtype_policies.get] this is neither a dtype nor a policy. "
            f"Received: dtype={identifier!r}. Fix: for example 'float32' or 'mixed_bfloat16'."
        ) from None
    return DTypePolicy(name)
