"""Every op, defined once: documentation, shape and dtype rule, gradient or body, and sample calls.

Names, arguments and meaning are those of `keras.ops`. Importing the package also gives tensors their operators and
methods (`methods.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.core.registry import exported as _exported
from amalthea.ops import image as image
from amalthea.ops import linalg as linalg
from amalthea.ops import methods as methods
from amalthea.ops import nn as nn
from amalthea.ops.activations import *
from amalthea.ops.arranging import *
from amalthea.ops.attention import *
from amalthea.ops.bitwise import *
from amalthea.ops.branches import *
from amalthea.ops.comparison import *
from amalthea.ops.contractions import *
from amalthea.ops.convolution import *
from amalthea.ops.core_ops import *
from amalthea.ops.creation import *
from amalthea.ops.einsum import *
from amalthea.ops.elementary import *
from amalthea.ops.elementwise import *
from amalthea.ops.encoding import *
from amalthea.ops.getitem import *
from amalthea.ops.indexing import *
from amalthea.ops.loops import *
from amalthea.ops.losses import *
from amalthea.ops.normalization import *
from amalthea.ops.pooling import *
from amalthea.ops.products import *
from amalthea.ops.random_bits import *
from amalthea.ops.reductions import *
from amalthea.ops.scanning import *
from amalthea.ops.segments import *
from amalthea.ops.selection import *
from amalthea.ops.shaping import *
from amalthea.ops.sorting import *
from amalthea.ops.statistics import *

if not TYPE_CHECKING:
    __all__ = sorted({*_exported, "image", "linalg", "nn"} & set(globals()))
    __getattr__, __dir__ = public_face(__name__)
