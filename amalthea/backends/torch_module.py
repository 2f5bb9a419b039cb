"""A model as a `torch.nn.Module`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from amalthea.backends.crossing import Crossing, name_of
from amalthea.backends.torch import BACKEND
from amalthea.core import tree
from amalthea.core.variable import Variable


class Module(torch.nn.Module):
    """A model's computation in PyTorch: trainable variables are parameters, the others buffers, by their paths.

    Calling it takes torch tensors in the model's structure of inputs; `train()` and `eval()` say whether layers train.
    Gradients are the model's own; they can be taken once (no second derivatives).

    Args:
        call: computes the outputs, called as `call(*inputs, training=...)`.
        variables: the variables it reads.
    """

    def __init__(self, call: Callable[..., Any], variables: Sequence[Variable]) -> None:
        super().__init__()
        self._call, self._variables = call, list(variables)
        self._crossings: dict[Any, Crossing] = {}
        for variable in self._variables:
            value = BACKEND.to_array(variable.numpy())
            if variable.trainable:
                self.register_parameter(name_of(variable), torch.nn.Parameter(value))
            else:
                self.register_buffer(name_of(variable), value)

    def forward(self, *inputs: Any) -> Any:
        """The outputs, in the model's structure."""
        leaves = [leaf for leaf in tree.flatten(list(inputs)) if leaf is not None]
        key = (self.training, tree.form(list(inputs)), *((tuple(x.shape), x.dtype) for x in leaves))
        crossing = self._crossings.get(key)
        if crossing is None:
            training = self.training
            crossing = self._crossings[key] = Crossing(
                lambda *xs: self._call(*xs, training=training), inputs, self._variables, BACKEND
            )
        values = [getattr(self, name_of(variable)) for variable in self._variables]
        made = _Call.apply(crossing, len(leaves), *leaves, *values)
        count = len(made) - len(crossing.updated)
        with torch.no_grad():
            for place, value in zip(crossing.updated, made[count:], strict=True):
                values[place].copy_(value)
        return crossing.pack(made[:count])


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, crossing: Crossing, count: int, *tensors: Any) -> Any:
        outputs, residuals, updates = crossing.forward(tensors[:count], tensors[count:])
        ctx.crossing, ctx.variables = crossing, len(tensors) - count
        ctx.save_for_backward(*residuals)
        ctx.mark_non_differentiable(*updates)
        return (*outputs, *updates)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, *gradients: Any) -> Any:
        taken = [g for g, take in zip(gradients, ctx.crossing.cotangents, strict=False) if take]
        return (
            None,
            None,
            *(part for some in ctx.crossing.backward(ctx.saved_tensors, taken, ctx.variables) for part in some),
        )


def read_state(module: Any) -> dict[str, Any]:
    """The module's parameters and buffers by name, as NumPy arrays."""
    return {name: BACKEND.to_numpy(value).copy() for name, value in module.state_dict().items()}
