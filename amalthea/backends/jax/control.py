"""JAX kernels of branches and loops: `lax.switch`, `lax.scan` and `lax.while_loop` around the graphs inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from amalthea.backends.jax.program import traceable
from amalthea.core.graph import Graph


def branch(index: Any, *operands: Any, graphs: tuple[Graph, ...]) -> tuple[Any, ...]:
    """One of the graphs on the operands."""
    return tuple(lax.switch(index.astype(jnp.int32), [traceable(graph) for graph in graphs], operands))


def scan_loop(
    *inputs: Any, body: Graph, carries: int, sequences: int, length: int, reverse: bool, save: bool
) -> tuple[Any, ...]:
    """A loop over the first axis of the sequences."""
    run = traceable(body)
    constants = inputs[carries + sequences :]

    def step(carry: tuple[Any, ...], xs: tuple[Any, ...]) -> Any:
        results = run([*carry, *xs, *constants])
        return tuple(results[:carries]), (tuple(results[carries:]), carry if save else ())

    first, xs = tuple(inputs[:carries]), tuple(inputs[carries : carries + sequences])
    carry, (stacked, saved) = lax.scan(step, first, xs, length=length, reverse=reverse)
    return (*carry, *stacked, *saved)


def loop(*inputs: Any, test: Graph, body: Graph, carries: int) -> tuple[Any, ...]:
    """A loop while the test holds."""
    going, run = traceable(test), traceable(body)
    constants = inputs[carries:]
    return tuple(
        lax.while_loop(
            lambda carry: going([*carry, *constants])[0],
            lambda carry: tuple(run([*carry, *constants])),
            tuple(inputs[:carries]),
        )
    )


KERNELS: dict[str, Callable[..., Any]] = {"branch": branch, "scan_loop": scan_loop, "loop": loop}
