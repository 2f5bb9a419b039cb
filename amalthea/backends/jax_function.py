"""A model as a pure JAX function of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amalthea.backends.crossing import Crossing, names_of
from amalthea.backends.jax import BACKEND
from amalthea.core import tree
from amalthea.core.variable import Variable

Parameters = dict[str, Any]


def pure_function(call: Callable[..., Any], variables: Sequence[Variable]) -> tuple[Callable[..., Any], Parameters]:
    """The function `f(parameters, *inputs, training=False)` and the parameters, a dict from paths to arrays.

    It returns the outputs; with `training=True` a pair of the outputs and the parameters with what the call updated
    (moving statistics, states of random numbers). It can be jitted, vectorised over nothing but what its ops allow,
    and differentiated once in reverse with respect to parameters and inputs.
    """
    variables = list(variables)
    names = names_of(variables)
    known: dict[Any, Any] = {}

    def function(parameters: Parameters, *inputs: Any, training: bool = False) -> Any:
        leaves = [jnp.asarray(leaf) for leaf in tree.flatten(list(inputs)) if leaf is not None]
        key = (training, tree.form(list(inputs)), *((x.shape, x.dtype) for x in leaves))
        if key not in known:
            with jax.ensure_compile_time_eval():  # its constants serve other traces too
                crossing = Crossing(lambda *xs: call(*xs, training=training), inputs, variables, BACKEND)
            known[key] = (crossing, _differentiable(crossing, len(variables)))
        crossing, run = known[key]
        outputs, updates = run([parameters[name] for name in names], leaves)
        packed = crossing.pack(outputs)
        if not training:
            return packed
        changed = {names[place]: value for place, value in zip(crossing.updated, updates, strict=True)}
        return packed, {**parameters, **changed}

    return function, {name: jnp.asarray(variable.numpy()) for name, variable in zip(names, variables, strict=True)}


def _differentiable(crossing: Crossing, count: int) -> Callable[..., Any]:
    @jax.custom_vjp
    def run(variables: list[Any], inputs: list[Any]) -> Any:
        outputs, _, updates = crossing.forward(inputs, variables)
        return outputs, updates

    def forward(variables: list[Any], inputs: list[Any]) -> Any:
        outputs, residuals, updates = crossing.forward(inputs, variables)
        return (outputs, updates), (residuals, variables, inputs)

    def backward(kept: Any, gradients: Any) -> Any:
        residuals, variables, inputs = kept
        taken = [g for g, take in zip(gradients[0], crossing.cotangents, strict=True) if take]
        of_inputs, of_variables = crossing.backward(residuals, taken, count)
        return (
            [_or_zero(g, x) for g, x in zip(of_variables, variables, strict=True)],
            [_or_zero(g, x) for g, x in zip(of_inputs, inputs, strict=True)],
        )

    run.defvjp(forward, backward)
    return run


def _or_zero(gradient: Any, x: Any) -> Any:
    if gradient is not None:
        return gradient
    return jnp.zeros_like(x) if jnp.issubdtype(x.dtype, jnp.inexact) else np.zeros(x.shape, jax.dtypes.float0)
