"""The neural-network ops under the name that Keras also gives them, `ops.nn`."""

# ruff: noqa: F403
from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.ops.activations import *
from amalthea.ops.attention import *
from amalthea.ops.contractions import normalize as normalize
from amalthea.ops.convolution import *
from amalthea.ops.elementary import sigmoid as sigmoid
from amalthea.ops.encoding import *
from amalthea.ops.losses import *
from amalthea.ops.normalization import *
from amalthea.ops.pooling import *

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
