"""`am.initializers`, with Keras' names; see `amalthea/nn/initializers.py`."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.nn.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
    deserialize,
    get,
    serialize,
)
from amalthea.nn.initializers import Constant as constant
from amalthea.nn.initializers import GlorotNormal as glorot_normal
from amalthea.nn.initializers import GlorotUniform as glorot_uniform
from amalthea.nn.initializers import HeNormal as he_normal
from amalthea.nn.initializers import HeUniform as he_uniform
from amalthea.nn.initializers import Identity as IdentityInitializer
from amalthea.nn.initializers import Identity as identity
from amalthea.nn.initializers import LecunNormal as lecun_normal
from amalthea.nn.initializers import LecunUniform as lecun_uniform
from amalthea.nn.initializers import Ones as ones
from amalthea.nn.initializers import Orthogonal as OrthogonalInitializer
from amalthea.nn.initializers import Orthogonal as orthogonal
from amalthea.nn.initializers import RandomNormal as random_normal
from amalthea.nn.initializers import RandomUniform as random_uniform
from amalthea.nn.initializers import TruncatedNormal as truncated_normal
from amalthea.nn.initializers import VarianceScaling as variance_scaling
from amalthea.nn.initializers import Zeros as zeros

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
