"""Learning-rate schedules under their Keras names: `am.optimizers.schedules`."""

from amalthea.nn.optimizers.schedules import *  # noqa: F403
from amalthea.nn.optimizers.schedules import __all__ as __all__
