"""The neural-network ops under the name that Keras also gives them, `ops.nn`."""

# ruff: noqa: F403
from amalthea.ops.activations import *
from amalthea.ops.attention import *
from amalthea.ops.contractions import normalize as normalize
from amalthea.ops.convolution import *
from amalthea.ops.elementary import sigmoid as sigmoid
from amalthea.ops.encoding import *
from amalthea.ops.losses import *
from amalthea.ops.normalization import *
from amalthea.ops.pooling import *
