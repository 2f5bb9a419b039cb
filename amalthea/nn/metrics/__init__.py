"""Metrics, and finding one by its name."""

from __future__ import annotations

from typing import Any

from amalthea.nn.identifiers import resolve
from amalthea.nn.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from amalthea.nn.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from amalthea.nn.metrics.correlation import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    concordance_correlation,
    pearson_correlation,
)
from amalthea.nn.metrics.curves import (
    AUC,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from amalthea.nn.metrics.decisions import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from amalthea.nn.metrics.f_score import F1Score, FBetaScore
from amalthea.nn.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from amalthea.nn.metrics.means import Mean, MeanMetricWrapper, Sum
from amalthea.nn.metrics.metric import Metric
from amalthea.nn.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from amalthea.nn.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
)
from amalthea.nn.naming import to_snake_case
from amalthea.nn.objects import public, serialize_keras_object

CLASSES = (
    AUC,
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    BinaryIoU,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    F1Score,
    FBetaScore,
    FalseNegatives,
    FalsePositives,
    Hinge,
    IoU,
    KLDivergence,
    LogCoshError,
    Mean,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanIoU,
    MeanMetricWrapper,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Metric,
    OneHotIoU,
    OneHotMeanIoU,
    PearsonCorrelation,
    Poisson,
    Precision,
    PrecisionAtRecall,
    R2Score,
    Recall,
    RecallAtPrecision,
    RootMeanSquaredError,
    SensitivityAtSpecificity,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SpecificityAtSensitivity,
    SquaredHinge,
    Sum,
    TopKCategoricalAccuracy,
    TrueNegatives,
    TruePositives,
)
FUNCTIONS = (
    binary_accuracy,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_accuracy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    concordance_correlation,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    pearson_correlation,
    poisson,
    sparse_categorical_accuracy,
    sparse_categorical_crossentropy,
    sparse_top_k_categorical_accuracy,
    squared_hinge,
    top_k_categorical_accuracy,
)
SHORT = {
    "bce": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
# In Keras a name stands for the class, also where a function has it.
BY_NAME: dict[str, Any] = {
    **{f.__name__: f for f in FUNCTIONS},
    **{to_snake_case(c.__name__): c for c in CLASSES},
    **{c.__name__: c for c in CLASSES},
    **SHORT,
    **{name.upper(): c for name, c in SHORT.items()},
}


@public("keras.metrics.serialize")
def serialize(metric: Any) -> Any:
    """The config of a metric, as plain data that `deserialize` and Keras read.

    Args:
        metric: a `Metric` or a metric function.

    Example:
    >>> import amalthea as am
    >>> am.metrics.serialize(am.metrics.Mean())["class_name"]
    'Mean'
    """
    return serialize_keras_object(metric)


@public("keras.metrics.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The metric that a config (or a name) describes.

    Args:
        config: config of a metric, or the name of one.
        custom_objects: classes and functions of your own, by name.

    Raises:
        ValueError: there is no such metric.

    Example:
    >>> import amalthea as am
    >>> am.metrics.deserialize(am.metrics.serialize(am.metrics.Mean(name="m"))).name
    'm'
    """
    return resolve("metric", config, BY_NAME, "metrics", custom_objects)


@public("keras.metrics.get")
def get(identifier: Any) -> Any:
    """The metric meant by a name, a config, a class, a function or a metric.

    Args:
        identifier: `"mse"`, `"mean_squared_error"` or `"MeanSquaredError"` (an instance of the class is made), a config
            dict, anything callable, or None.

    Returns:
        A `Metric` or a function; None for None.

    Raises:
        ValueError: nothing has this name; the message lists near ones.

    Example:
    >>> import amalthea as am
    >>> am.metrics.get("mse").name
    'mean_squared_error'
    """
    found = resolve("metric", identifier, BY_NAME, "metrics")
    return found() if isinstance(found, type) else found


__all__ = ["deserialize", "get", "serialize", *(c.__name__ for c in CLASSES), *(f.__name__ for f in FUNCTIONS)]
