"""Losses under their Keras names: `am.losses`."""

from amalthea.nn.losses import *  # noqa: F403
from amalthea.nn.losses import __all__ as __all__
