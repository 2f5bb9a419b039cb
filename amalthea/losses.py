"""Losses under their Keras names: `am.losses`."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.nn.losses import deserialize, get, serialize
from amalthea.nn.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)
from amalthea.nn.losses.hinge import CategoricalHinge, Hinge, SquaredHinge, categorical_hinge, hinge, squared_hinge
from amalthea.nn.losses.loss import Loss, LossFunctionWrapper
from amalthea.nn.losses.probabilistic import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from amalthea.nn.losses.probabilistic import binary_crossentropy as BCE
from amalthea.nn.losses.probabilistic import binary_crossentropy as bce
from amalthea.nn.losses.probabilistic import kl_divergence as KLD
from amalthea.nn.losses.probabilistic import kl_divergence as kld
from amalthea.nn.losses.probabilistic import kl_divergence as kullback_leibler_divergence
from amalthea.nn.losses.regions import Circle, Dice, Tversky, circle, dice, tversky
from amalthea.nn.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from amalthea.nn.losses.regression import log_cosh as logcosh
from amalthea.nn.losses.regression import mean_absolute_error as MAE
from amalthea.nn.losses.regression import mean_absolute_error as mae
from amalthea.nn.losses.regression import mean_absolute_percentage_error as MAPE
from amalthea.nn.losses.regression import mean_absolute_percentage_error as mape
from amalthea.nn.losses.regression import mean_squared_error as MSE
from amalthea.nn.losses.regression import mean_squared_error as mse
from amalthea.nn.losses.regression import mean_squared_logarithmic_error as MSLE
from amalthea.nn.losses.regression import mean_squared_logarithmic_error as msle

__all__ = [
    "BCE",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "bce",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "kld",
    "kullback_leibler_divergence",
    "log_cosh",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
