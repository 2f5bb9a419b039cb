"""`am.random`: random draws with Keras' names (see `amalthea.ops.random`), which take TensorFlow's arguments too."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.ops.random import (
    SeedGenerator,
    beta,
    binomial,
    dropout,
    gamma,
    randint,
    set_random_seed,
    shuffle,
)
from amalthea.tensorflow_names.random import (
    Generator,
    categorical,
    normal,
    set_seed,
    stateless_categorical,
    stateless_normal,
    stateless_truncated_normal,
    stateless_uniform,
    truncated_normal,
    uniform,
)

__all__ = [
    "Generator",
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "set_random_seed",
    "set_seed",
    "shuffle",
    "stateless_categorical",
    "stateless_normal",
    "stateless_truncated_normal",
    "stateless_uniform",
    "truncated_normal",
    "uniform",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
