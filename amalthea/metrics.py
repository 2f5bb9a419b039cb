"""Metrics under their Keras names: `am.metrics`."""

from amalthea.nn.metrics import *  # noqa: F403
from amalthea.nn.metrics import __all__ as __all__
