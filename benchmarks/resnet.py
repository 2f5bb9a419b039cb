"""A network of the size and shape of ResNet-50 (He et al., "Deep Residual Learning", 2015), and its training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import amalthea as am

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))


def make_resnet50(image_size: int, classes: int = 1000) -> am.Model:
    """50 layers deep: a stem, sixteen bottleneck blocks in four stages, and a classifier."""
    layers = am.layers

    def normalized(x: Any, filters: int, size: int, strides: int = 1, activation: str | None = "relu") -> Any:
        x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.Activation(activation)(x) if activation else x

    def bottleneck(x: Any, filters: int, strides: int, widen: bool) -> Any:
        shortcut = normalized(x, 4 * filters, 1, strides, activation=None) if widen else x
        x = normalized(x, filters, 1, strides)
        x = normalized(x, filters, 3)
        x = normalized(x, 4 * filters, 1, activation=None)
        return layers.Activation("relu")(layers.Add()([shortcut, x]))

    inputs = am.Input((image_size, image_size, 3))
    x = normalized(inputs, 64, 7, strides=2)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for stage, (filters, blocks) in enumerate(STAGES):
        for block in range(blocks):
            x = bottleneck(x, filters, strides=2 if stage and not block else 1, widen=not block)
    x = layers.GlobalAveragePooling2D()(x)
    return am.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def make_training_step(image_size: int, batch_size: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A training step with momentum, and the specs of its images and labels; all variables exist already."""
    model = make_resnet50(image_size)
    optimizer = am.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    loss_of = am.losses.SparseCategoricalCrossentropy()

    def step(images: am.Tensor, labels: am.Tensor) -> am.Tensor:
        with am.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    images = am.TensorSpec((batch_size, image_size, image_size, 3), "float32")
    return step, (images, am.TensorSpec((batch_size,), "int32"))
