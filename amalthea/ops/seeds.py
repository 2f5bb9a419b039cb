"""Where random keys come from: whole numbers, generators with a state, and the global generator."""

from __future__ import annotations

import itertools
import random as python_random
from typing import Any

import numpy as np

from amalthea.core.context import name_scope
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Operand, Tensor, as_tensor
from amalthea.core.variable import Variable

_WORD = 0xFFFFFFFF
_numbers = itertools.count()
_global: list[SeedGenerator] = []


def _key(seed: int) -> np.ndarray:
    return np.array([seed & _WORD, (seed >> 32) & _WORD], np.uint32)


class SeedGenerator:
    """A sequence of random keys: each draw that is given the generator as its `seed` takes the next.

    Args:
        seed: Where the sequence starts, a whole number; None: a random one. The first key is the one that the number
            itself would give as a `seed`.
        name: Its name.

    Attributes:
        state: The variable that holds the next key, uint32 `(2,)`. Inside `am.function` it is state of the graph, so a
            compiled step draws anew each time it runs.

    Raises:
        ArgumentError: If `seed` is not a whole number.

    Example:

    >>> import amalthea as am
    >>> generator = am.random.SeedGenerator(7)
    >>> a, b = am.random.uniform((2,), seed=generator), am.random.uniform((2,), seed=generator)
    >>> bool((a == am.random.uniform((2,), seed=7)).numpy().all()), bool((a == b).numpy().any())
    (True, False)
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if set(kwargs) - {"backend"}:
            fail(ArgumentError, "unknown arguments", where="SeedGenerator", received=", ".join(sorted(kwargs)))
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
            _bad_seed("SeedGenerator", seed)
        number = next(_numbers)
        self.name = name or ("seed_generator" if number == 0 else f"seed_generator_{number}")
        self._initial_seed = None if seed is None else int(seed)
        with name_scope(self.name):
            self.state = Variable(
                _key(make_default_seed() if seed is None else int(seed)),
                dtype="uint32",
                trainable=False,
                name="seed_generator_state",
            )

    def next(self, ordered: bool = True) -> Tensor:
        """The next key, uint32 `(2,)`; the state moves on. (`ordered` is Keras' and changes nothing here.)"""
        key: Tensor = self.state.value
        self.state.assign(key + as_tensor(np.array([0, 1], np.uint32)))
        return key

    def get_config(self) -> dict[str, Any]:
        """The arguments to make it again: the initial seed and the name."""
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """A generator from what `get_config` returned."""
        return cls(**config)


def _bad_seed(where: str, seed: Any) -> None:
    fail(
        ArgumentError,
        "a seed must be a whole number, a SeedGenerator or None",
        where=where,
        received=f"seed={seed!r}",
        fix="pass seed=0, for example",
    )


def make_default_seed() -> int:
    """A seed from Python's own generator, which `set_random_seed` makes repeatable."""
    return python_random.randint(1, int(1e9))


def global_seed_generator() -> SeedGenerator:
    """The generator that draws without a seed use."""
    if not _global:
        _global.append(SeedGenerator(name="global_seed_generator"))
    return _global[0]


def set_random_seed(seed: int) -> None:
    """Make a program repeatable: seeds draws without a seed, layers made from now on, `random` and `numpy.random`.

    Args:
        seed: A whole number.

    Raises:
        ArgumentError: If it is not one.

    Example:

    >>> import amalthea as am
    >>> am.random.set_random_seed(0)
    >>> a = am.random.normal((3,))
    >>> am.random.set_random_seed(0)
    >>> bool((a == am.random.normal((3,))).numpy().all())
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        _bad_seed("set_random_seed", seed)
    generator = global_seed_generator()  # made before Python's generator is seeded, because making it draws from that
    python_random.seed(int(seed))
    np.random.seed(int(seed) & _WORD)
    generator.state.assign(_key(int(seed)))


def draw_seed(seed: Any) -> Tensor:
    """The key, uint32 `(2,)`, for a seed: a whole number, a SeedGenerator (which moves on), a key, or None."""
    if seed is None:
        return global_seed_generator().next()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return as_tensor(_key(int(seed)))
    if isinstance(seed, (Operand, np.ndarray)) and tuple(seed.shape) == (2,):
        return as_tensor(seed, "uint32")
    _bad_seed("random", seed)
    raise AssertionError
