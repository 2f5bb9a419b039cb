"""Losses under their Keras names: `am.losses`."""

from amalthea.nn import losses as _losses
from amalthea.nn.losses import *  # noqa: F403
from amalthea.nn.losses import __all__ as __all__

# The short names, which code written for tf.keras uses.
bce = BCE = _losses.binary_crossentropy
kld = KLD = kullback_leibler_divergence = _losses.kl_divergence
logcosh = _losses.log_cosh
mae = MAE = _losses.mean_absolute_error
mape = MAPE = _losses.mean_absolute_percentage_error
mse = MSE = _losses.mean_squared_error
msle = MSLE = _losses.mean_squared_logarithmic_error
