"""The dtypes of a layer: what its dtype policy means for it."""

from __future__ import annotations

from typing import Any

from amalthea.core import dtypes
from amalthea.nn import dtype_policies


class LayerDTypes:
    """The part of `Layer` that is about dtypes."""

    _dtype_policy: dtype_policies.DTypePolicy
    _path: str | None

    def _policy(self) -> dtype_policies.DTypePolicy:
        policy = self._dtype_policy
        if isinstance(policy, dtype_policies.DTypePolicyMap) and self.__dict__.get("_path"):
            return policy[self._path]  # type: ignore[index]
        return policy

    def _note_dtypes(self) -> None:
        """Keep what each call asks of the policy (a map depends on the path, so it is asked every time)."""
        policy = self._dtype_policy
        mapped = isinstance(policy, dtype_policies.DTypePolicyMap)
        self._fast_dtype = None if mapped else policy.compute_dtype
        self._mixed = mapped or policy.compute_dtype != policy.variable_dtype

    @property
    def dtype_policy(self) -> dtype_policies.DTypePolicy:
        """The layer's dtype policy."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        policy = dtype_policies.get(value)
        if isinstance(self._dtype_policy, dtype_policies.DTypePolicyMap) and self._path:
            if self._path in self._dtype_policy:
                del self._dtype_policy[self._path]
            self._dtype_policy[self._path] = policy
        else:
            self._dtype_policy = policy
        self._note_dtypes()

    @property
    def compute_dtype(self) -> dtypes.DType:
        """The dtype in which the layer computes."""
        return self._fast_dtype or self._policy().compute_dtype

    @property
    def variable_dtype(self) -> dtypes.DType:
        """The dtype of the layer's weights."""
        return self._policy().variable_dtype

    @property
    def dtype(self) -> dtypes.DType:
        """The dtype of the layer's weights."""
        return self.variable_dtype

    @property
    def input_dtype(self) -> dtypes.DType:
        """The dtype to which floating-point inputs are cast."""
        return self.compute_dtype

    @property
    def quantization_mode(self) -> str | None:
        """None: the layer is not quantised."""
        return self._policy().quantization_mode
