"""A model as a `torch.nn.Module`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from amalthea.backends.crossing import Crossing, names_of
from amalthea.backends.torch import BACKEND
from amalthea.core import tree
from amalthea.core.variable import Variable


class Module(torch.nn.Module):
    """A model's computation in PyTorch: trainable variables are parameters, the others buffers, by their paths.

    Calling it takes tensors of torch's or arrays of NumPy's in the model's structure of inputs; `train()` and `eval()`
    say whether layers train.
    Gradients are the model's own; they can be taken once (no second derivatives).

    Args:
        call: computes the outputs, called as `call(*inputs, training=...)`.
        variables: the variables it reads.
    """

    def __init__(self, call: Callable[..., Any], variables: Sequence[Variable]) -> None:
        super().__init__()
        self._source = _Source(call, variables)
        for name, variable in zip(self._source.names, self._source.variables, strict=True):
            value = BACKEND.to_array(variable.numpy())
            if variable.trainable:
                self.register_parameter(name, torch.nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def forward(self, *inputs: Any) -> Any:
        """The outputs, in the model's structure."""
        values = [getattr(self, name) for name in self._source.names]
        inputs = tuple(tree.map_structure(lambda leaf: _tensor(leaf, values), list(inputs)))
        leaves = [leaf for leaf in tree.flatten(list(inputs)) if leaf is not None]
        device = BACKEND.device_of((*values, *leaves)[0])
        with BACKEND.on(device):
            crossing = self._source.crossing(inputs, leaves, (self.training, device))
        given = [v.clone() if i in crossing.updated else v for i, v in enumerate(values)]  # the backward pass needs it
        made = _Call.apply(crossing, device, len(leaves), *leaves, *given)
        count = len(made) - len(crossing.updated)
        with torch.no_grad():
            for place, value in zip(crossing.updated, made[count:], strict=True):
                values[place].copy_(value)
        return crossing.pack(made[:count])


def _tensor(leaf: Any, values: Sequence[Any]) -> Any:
    """An input as a tensor: arrays of NumPy go to the device of the variables' values."""
    if leaf is None or isinstance(leaf, torch.Tensor):
        return leaf
    made = BACKEND.to_array(leaf)
    return made.to(values[0].device) if values else made


class _Source:
    """The model behind a module. Copies of the module, for averages of weights say, share it: it only computes."""

    def __init__(self, call: Callable[..., Any], variables: Sequence[Variable]) -> None:
        self.call, self.variables = call, list(variables)
        self.names = names_of(self.variables)
        self._crossings: dict[Any, Crossing] = {}

    def __deepcopy__(self, memo: Any) -> _Source:
        return self

    def crossing(self, inputs: Sequence[Any], leaves: Sequence[Any], manner: tuple[bool, str]) -> Crossing:
        """The programs for inputs of this form, and for (training or not, a device)."""
        training = manner[0]
        key = (manner, tree.form(list(inputs)), *((tuple(x.shape), x.dtype) for x in leaves))
        found = self._crossings.get(key)
        if found is None:
            found = self._crossings[key] = Crossing(
                lambda *xs: self.call(*xs, training=training), inputs, self.variables, BACKEND
            )
        return found


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, crossing: Crossing, device: str, count: int, *tensors: Any) -> Any:
        with BACKEND.on(device):
            outputs, residuals, updates = crossing.forward(tensors[:count], tensors[count:])
        ctx.crossing, ctx.device, ctx.variables = crossing, device, len(tensors) - count
        ctx.save_for_backward(*residuals)
        ctx.mark_non_differentiable(*updates)
        return (*outputs, *updates)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, *gradients: Any) -> Any:
        taken = [g for g, take in zip(gradients, ctx.crossing.cotangents, strict=False) if take]
        with BACKEND.on(ctx.device):
            found = ctx.crossing.backward(ctx.saved_tensors, taken, ctx.variables)
        return None, None, None, *(part for some in found for part in some)


def read_state(module: Any) -> dict[str, Any]:
    """The module's parameters and buffers by name, as NumPy arrays."""
    return {name: BACKEND.to_numpy(value).copy() for name, value in module.state_dict().items()}
