"""Every op, defined once: documentation, shape and dtype rule, gradient or body, and sample calls.

Names, arguments and meaning are those of `keras.ops`. Importing the package also gives tensors their operators and
methods (`methods.py`).
"""

from __future__ import annotations

import difflib
from typing import NoReturn

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


def __dir__() -> list[str]:
    return sorted({*_exported, "image", "linalg", "nn"} & set(globals()))


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(f"module 'amalthea.ops' has no attribute {name!r}")
    near = difflib.get_close_matches(name, __dir__(), 1)
    raise AttributeError(
        f"there is no op {name!r}. Fix: "
        + (f"did you mean am.ops.{near[0]}?" if near else "see dir(am.ops) for the names of all ops."),
        name=name,
    )
