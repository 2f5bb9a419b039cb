"""Optimizers under their Keras names: `am.optimizers`."""

from amalthea.nn.optimizers import *  # noqa: F403
from amalthea.nn.optimizers import __all__ as __all__
from amalthea.optimizers import schedules as schedules  # type: ignore[no-redef]
