"""Random draws with Keras' names; see `amalthea.ops.random`."""

from amalthea.ops.random import SeedGenerator as SeedGenerator
from amalthea.ops.random import beta as beta
from amalthea.ops.random import binomial as binomial
from amalthea.ops.random import categorical as categorical
from amalthea.ops.random import dropout as dropout
from amalthea.ops.random import gamma as gamma
from amalthea.ops.random import normal as normal
from amalthea.ops.random import randint as randint
from amalthea.ops.random import set_random_seed as set_random_seed
from amalthea.ops.random import shuffle as shuffle
from amalthea.ops.random import truncated_normal as truncated_normal
from amalthea.ops.random import uniform as uniform
