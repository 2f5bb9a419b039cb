"""Metrics under their Keras names: `am.metrics`."""

from amalthea.nn import losses as _losses
from amalthea.nn.metrics import *  # noqa: F403
from amalthea.nn.metrics import __all__ as __all__

# The short names, which code written for tf.keras uses.
kld = KLD = kullback_leibler_divergence = _losses.kl_divergence
logcosh = _losses.log_cosh
mae = MAE = _losses.mean_absolute_error
mape = MAPE = _losses.mean_absolute_percentage_error
mse = MSE = _losses.mean_squared_error
msle = MSLE = _losses.mean_squared_logarithmic_error
