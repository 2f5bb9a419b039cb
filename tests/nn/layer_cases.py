"""Cases of the layers that map, activate, reshape, merge, disturb and normalise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.nn.layer_harness import Case, normal

MATRIX, SEQUENCE, IMAGE, VOLUME = normal(4, 6), normal(3, 5, 4), normal(2, 6, 5, 4), normal(2, 4, 3, 5, 2)
TOKENS = np.array([[1, 4, 0], [2, 0, 0]], "int32")
TWO = [normal(3, 4), normal(3, 4, seed=1)]
THREE = [normal(3, 5, 4), normal(3, 5, 4, seed=1), normal(3, 5, 4, seed=2)]
MASK = np.array([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], "bool")


def case(name: str, make: Callable[[Any], Any], inputs: Any, **options: Any) -> Case:
    return Case(name, make, inputs, **options)


MAPS = [
    case("Dense", lambda k: k.Dense(3), MATRIX),
    case("Dense/relu", lambda k: k.Dense(3, activation="relu", use_bias=False), SEQUENCE),
    case(
        "Dense/penalties",
        lambda k: k.Dense(
            3,
            "tanh",
            kernel_initializer="he_normal",
            kernel_regularizer="l2",
            bias_regularizer="l1",
            activity_regularizer="l1l2",
            kernel_constraint="max_norm",
            bias_constraint="non_neg",
        ),
        MATRIX,
    ),
    case("Dense/frozen", lambda k: k.Dense(3, trainable=False), MATRIX),
    case("EinsumDense", lambda k: k.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"), SEQUENCE),
    case("EinsumDense/heads", lambda k: k.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), SEQUENCE),
    case("EinsumDense/middle bias", lambda k: k.EinsumDense("abc,cd->abd", (5, 3), bias_axes="b"), SEQUENCE),
    case("EinsumDense/left", lambda k: k.EinsumDense("...x,xy->...y", 3, activation="relu", bias_axes="y"), IMAGE),
    case("EinsumDense/right", lambda k: k.EinsumDense("ab...,bc->ac...", 3), IMAGE),
    case("Embedding", lambda k: k.Embedding(5, 3), TOKENS),
    case("Embedding/masked", lambda k: k.Embedding(5, 3, mask_zero=True, embeddings_regularizer="l2"), TOKENS),
    case("Identity", lambda k: k.Identity(), SEQUENCE),
]

ACTIVATIONS = [
    *[
        case(f"Activation/{name}", lambda k, name=name: k.Activation(name), 2 * MATRIX)
        for name in (
            *("relu", "leaky_relu", "relu6", "softmax", "celu", "elu", "selu", "softplus", "softsign", "squareplus"),
            *("soft_shrink", "sparse_plus", "silu", "gelu", "glu", "tanh", "tanh_shrink", "sigmoid", "exponential"),
            *("hard_sigmoid", "hard_silu", "hard_tanh", "hard_shrink", "linear", "mish", "log_softmax", "log_sigmoid"),
            *("sparse_sigmoid", "swish", "hard_swish"),
        )
    ],
    case("ReLU", lambda k: k.ReLU(), MATRIX),
    case("ReLU/all", lambda k: k.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.3), MATRIX),
    case("ReLU/six", lambda k: k.ReLU(max_value=6), 8 * MATRIX),
    case("ReLU/leaky", lambda k: k.ReLU(negative_slope=0.2), MATRIX),
    case("ReLU/threshold", lambda k: k.ReLU(threshold=0.5), MATRIX),
    case("LeakyReLU", lambda k: k.LeakyReLU(0.1), MATRIX),
    case("PReLU", lambda k: k.PReLU("normal"), SEQUENCE),
    case("PReLU/shared", lambda k: k.PReLU("normal", "l2", "non_neg", shared_axes=[1, 2]), IMAGE),
    case("ELU", lambda k: k.ELU(0.7), MATRIX),
    case("Softmax", lambda k: k.Softmax(), MATRIX),
    case("Softmax/axes", lambda k: k.Softmax(axis=[1, 2]), SEQUENCE),
    case("Softmax/mask", lambda k: k.Softmax(axis=1), MASK * 1.0 + normal(3, 5), call={"mask": MASK}),
]

FIRST = {"data_format": "channels_first"}
SHAPES = [
    case("Flatten", lambda k: k.Flatten(), IMAGE),
    case("Flatten/first", lambda k: k.Flatten("channels_first"), IMAGE),
    case("Flatten/vector", lambda k: k.Flatten(), normal(4)),
    case("Reshape", lambda k: k.Reshape((2, 10)), SEQUENCE),
    case("Reshape/-1", lambda k: k.Reshape((-1, 2)), SEQUENCE),
    case("Permute", lambda k: k.Permute((3, 1, 2)), IMAGE),
    case("RepeatVector", lambda k: k.RepeatVector(3), MATRIX),
    case("Cropping1D", lambda k: k.Cropping1D((1, 2)), SEQUENCE),
    case("Cropping2D", lambda k: k.Cropping2D(((1, 0), (0, 2))), IMAGE),
    case("Cropping2D/first", lambda k: k.Cropping2D(1, **FIRST), IMAGE),
    case("Cropping3D", lambda k: k.Cropping3D(((1, 0), (0, 1), (2, 1))), VOLUME),
    case("ZeroPadding1D", lambda k: k.ZeroPadding1D(2), SEQUENCE),
    case("ZeroPadding1D/first", lambda k: k.ZeroPadding1D((1, 0), **FIRST), SEQUENCE),
    case("ZeroPadding2D", lambda k: k.ZeroPadding2D(((1, 0), (2, 1))), IMAGE),
    case("ZeroPadding2D/first", lambda k: k.ZeroPadding2D((1, 2), **FIRST), IMAGE),
    case("ZeroPadding3D", lambda k: k.ZeroPadding3D((1, 0, 2)), VOLUME),
    case("UpSampling1D", lambda k: k.UpSampling1D(3), SEQUENCE),
    case("UpSampling2D", lambda k: k.UpSampling2D((2, 3)), IMAGE),
    case("UpSampling2D/bilinear", lambda k: k.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    case("UpSampling2D/bicubic first", lambda k: k.UpSampling2D(2, interpolation="bicubic", **FIRST), IMAGE),
    case("UpSampling3D", lambda k: k.UpSampling3D((1, 2, 2)), VOLUME),
]

MERGES = [
    *[
        case(name, lambda k, name=name: getattr(k, name)(), THREE)
        for name in ("Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    ],
    *[
        case(f"{name}/broadcast", lambda k, name=name: getattr(k, name)(), [normal(3, 5, 4), normal(3, 4, seed=1)])
        for name in ("Add", "Subtract", "Multiply", "Maximum")
    ],
    case("Concatenate/axis", lambda k: k.Concatenate(axis=1), [normal(2, 3, 4), normal(2, 5, 4)]),
    case("Dot", lambda k: k.Dot(axes=1), TWO),
    case("Dot/cosine", lambda k: k.Dot(axes=-1, normalize=True), TWO),
    case("Dot/axes", lambda k: k.Dot(axes=(1, 2)), [normal(2, 3, 5), normal(2, 4, 3)]),
    case("Dot/ranks", lambda k: k.Dot(axes=(3, 1)), [normal(2, 3, 5, 4), normal(2, 4, 6)]),
    case("Dot/matrix", lambda k: k.Dot(axes=(2, 1)), [normal(2, 3, 5), normal(2, 5)]),
]

NOISE = [
    case("Dropout", lambda k: k.Dropout(0.5, seed=3), MATRIX, random=True),
    case("Dropout/none", lambda k: k.Dropout(0.0), MATRIX),
    case("Dropout/shape", lambda k: k.Dropout(0.5, noise_shape=(None, 1)), MATRIX, random=True),
    case("SpatialDropout1D", lambda k: k.SpatialDropout1D(0.5), SEQUENCE, random=True),
    case("SpatialDropout2D", lambda k: k.SpatialDropout2D(0.5), IMAGE, random=True),
    case("SpatialDropout3D", lambda k: k.SpatialDropout3D(0.5), VOLUME, random=True),
    case("GaussianNoise", lambda k: k.GaussianNoise(0.5), MATRIX, random=True),
    case("GaussianDropout", lambda k: k.GaussianDropout(0.5), MATRIX, random=True),
    case("AlphaDropout", lambda k: k.AlphaDropout(0.5), MATRIX, random=True),
    case("ActivityRegularization", lambda k: k.ActivityRegularization(l1=0.1, l2=0.2), MATRIX),
    case("Masking", lambda k: k.Masking(), np.round(SEQUENCE[..., :1]) * np.ones(4, "float32"), differentiable=False),
]

NORMS = [
    case("Rescaling", lambda k: k.Rescaling(1 / 255, offset=-1), MATRIX),
    case("Rescaling/channels", lambda k: k.Rescaling([0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]), SEQUENCE),
    case("Rescaling/bytes", lambda k: k.Rescaling(1 / 255), np.arange(12, dtype="uint8").reshape(3, 4)),
    case("Normalization", lambda k: k.Normalization(), MATRIX),
    case("Normalization/given", lambda k: k.Normalization(axis=1, mean=1.5, variance=2.0), MATRIX),
    case(
        "Normalization/inverse",
        lambda k: k.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 4.0], invert=True),
        SEQUENCE,
    ),
    case("Normalization/all", lambda k: k.Normalization(axis=None), MATRIX),
    case("BatchNormalization", lambda k: k.BatchNormalization(), MATRIX),
    case("BatchNormalization/image", lambda k: k.BatchNormalization(momentum=0.8, epsilon=1e-2), IMAGE),
    case("BatchNormalization/axis", lambda k: k.BatchNormalization(axis=1, scale=False), IMAGE),
    case("BatchNormalization/bare", lambda k: k.BatchNormalization(center=False, scale=False), MATRIX),
    case("BatchNormalization/mask", lambda k: k.BatchNormalization(), SEQUENCE, call={"mask": MASK}),
    case("BatchNormalization/frozen", lambda k: k.BatchNormalization(trainable=False), MATRIX),
    case(
        "BatchNormalization/renorm",
        lambda k: k.BatchNormalization(renorm=True, renorm_clipping={"rmin": 0.3, "rmax": 3.0, "dmax": 5.0}),
        MATRIX,
    ),
    case("LayerNormalization", lambda k: k.LayerNormalization(), SEQUENCE),
    case("LayerNormalization/axes", lambda k: k.LayerNormalization(axis=[1, 2], epsilon=1e-5), SEQUENCE),
    case("LayerNormalization/axis", lambda k: k.LayerNormalization(axis=1, center=False), SEQUENCE),
    case("LayerNormalization/bare", lambda k: k.LayerNormalization(center=False, scale=False), MATRIX),
    case("RMSNormalization", lambda k: k.RMSNormalization(), SEQUENCE),
    case("RMSNormalization/axes", lambda k: k.RMSNormalization(axis=[1, 2]), SEQUENCE),
    case("GroupNormalization", lambda k: k.GroupNormalization(groups=2), IMAGE),
    case("GroupNormalization/instance", lambda k: k.GroupNormalization(groups=-1, scale=False), IMAGE),
    case("GroupNormalization/axis", lambda k: k.GroupNormalization(groups=3, axis=1), IMAGE),
    case("UnitNormalization", lambda k: k.UnitNormalization(), SEQUENCE),
    case("UnitNormalization/axes", lambda k: k.UnitNormalization(axis=[1, 2]), SEQUENCE),
]

LAYER_CASES = [*MAPS, *ACTIVATIONS, *SHAPES, *MERGES, *NOISE, *NORMS]
