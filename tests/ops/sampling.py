"""The sample calls of every op, with the tensor arguments apart: what the registry-driven suites start from."""

import numpy as np

import amalthea.ops  # noqa: F401
from amalthea.core.op import registry
from amalthea.core.tensor import as_tensor


def sample_calls():
    """(id, function, arguments by name) of every sample of every op."""
    for name, function in sorted(registry.items()):
        for i, (args, kwargs) in enumerate(function.op.samples()):
            yield f"{name}-{i}", function, function.op.bind(tuple(args), dict(kwargs))


def with_tensors(op, bound, convert=as_tensor):
    """The arguments with each tensor argument converted."""
    out = dict(bound)
    for name in op.tensors:
        if name in op.variadic and isinstance(bound[name], (list, tuple)):
            out[name] = [convert(x) for x in bound[name]]
        elif bound[name] is not None:
            out[name] = convert(bound[name])
    return out


def is_input(x):
    """Whether x is an array that gradients are checked for."""
    return isinstance(x, (np.ndarray, np.generic)) and x.dtype == np.float64 and bool(np.isfinite(x).all())


def float_inputs(op, bound):
    """(the float64 arrays among the tensor arguments, a function that puts others in their place)."""
    places = []
    for name in op.tensors:
        if name in op.variadic and isinstance(bound[name], (list, tuple)):
            places.extend((name, i) for i, x in enumerate(bound[name]) if is_input(x))
        elif is_input(bound[name]):
            places.append((name, None))

    def fill(inputs):
        out = {name: list(x) if name in op.variadic and isinstance(x, tuple) else x for name, x in bound.items()}
        for (name, i), x in zip(places, inputs, strict=True):
            if i is None:
                out[name] = x
            else:
                out[name] = [x if k == i else other for k, other in enumerate(out[name])]
        return out

    return [np.array(bound[name] if i is None else bound[name][i]) for name, i in places], fill
