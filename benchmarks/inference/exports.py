"""Files for the runtimes, written by real Keras from the same text and the same weights as ours.

The ONNX file comes from Keras on PyTorch with channels first, which is what the runtimes that read it want; the LiteRT
file from Keras on TensorFlow, whose converter writes it. Both have a fixed batch size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import keras_models
from benchmarks.inference.rows import Inference


def _model(row: Inference, layout: str) -> Any:
    import keras

    keras.config.set_image_data_format(layout)
    model = getattr(keras_models, row.identifier)(keras)
    keras_models.set_initial(model)
    return model


class Onnx:
    """Writes `path`, an ONNX file that takes images with channels first."""

    def __init__(self, row: Inference, path: str) -> None:
        import torch

        model = _model(row, "channels_first").eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        images = torch.zeros((row.batch, 3, row.size, row.size))
        names: dict[str, Any] = {"input_names": ["images"], "output_names": ["logits"]}
        with torch.no_grad():
            model(images)
            torch.onnx.export(model, (images,), path, dynamo=False, **names)


class LiteRt:
    """Writes `path`, a LiteRT file that takes images with channels last."""

    def __init__(self, row: Inference, path: str) -> None:
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        model = _model(row, "channels_last")
        images = tf.TensorSpec((row.batch, row.size, row.size, 3), tf.float32)
        function = tf.function(lambda x: model(x, training=False)).get_concrete_function(images)
        # Given variables instead of constants, the converter of TensorFlow 2.21 writes weights that are NaN.
        frozen = convert_variables_to_constants_v2(function)
        converted = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
        Path(path).write_bytes(converted)
