"""The models in the API of Keras 3. `keras` is the package to use: the real one, or `amalthea`, with the same text.

Every layer has a name, so that `initial` gives each parameter the same first value in every framework.
"""

from __future__ import annotations

from typing import Any

Keras = Any


def mlp_small(keras: Keras) -> Any:
    return mlp(keras, 128, inputs=784)


def mlp_large(keras: Keras) -> Any:
    return mlp(keras, 2048)


def mlp(keras: Keras, width: int, inputs: int = 1024) -> Any:
    dense = keras.layers.Dense
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            dense(width, activation="relu", name="hidden_1"),
            dense(width, activation="relu", name="hidden_2"),
            dense(10, name="logits"),
        ]
    )


def cnn(keras: Keras) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(_image(keras, 32)),
            layers.Conv2D(32, 3, activation="relu", name="conv_1"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", name="conv_2"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", name="conv_3"),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(10, name="logits"),
        ]
    )


def resnet_small(keras: Keras) -> Any:
    inputs = keras.Input(_image(keras, 32))
    x = _normalized(keras, inputs, "stem", 32, 3)
    for i, (filters, strides) in enumerate(((32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1))):
        widen = filters != x.shape[_channels(keras)]
        shortcut = _normalized(keras, x, f"shortcut_{i}", filters, 1, strides, None) if widen else x
        y = _normalized(keras, x, f"block_{i}_1", filters, 3, strides)
        y = _normalized(keras, y, f"block_{i}_2", filters, 3, 1, None)
        x = keras.layers.Activation("relu")(keras.layers.Add()([shortcut, y]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))


def resnet50(keras: Keras, size: int = 224) -> Any:
    """The shape of ResNet-50 (He et al., "Deep Residual Learning for Image Recognition", 2015)."""
    layers = keras.layers
    inputs = keras.Input(_image(keras, size))
    x = _normalized(keras, inputs, "stem", 64, 7, 2)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            name, strides = f"stage_{stage}_{block}", 2 if stage and not block else 1
            shortcut = _normalized(keras, x, f"{name}_0", 4 * filters, 1, strides, None) if not block else x
            y = _normalized(keras, x, f"{name}_1", filters, 1, strides)
            y = _normalized(keras, y, f"{name}_2", filters, 3)
            y = _normalized(keras, y, f"{name}_3", 4 * filters, 1, 1, None)
            x = layers.Activation("relu")(layers.Add()([shortcut, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1000, name="logits")(x))


def mobilenet_v2(keras: Keras) -> Any:
    """The shape of MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018)."""
    layers = keras.layers
    inputs = keras.Input(_image(keras, 224))
    x = _normalized(keras, inputs, "stem", 32, 3, 2, "relu6")
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for stage, (expansion, filters, blocks, first) in enumerate(stages):
        for block in range(blocks):
            name, strides, width = f"stage_{stage}_{block}", 1 if block else first, x.shape[_channels(keras)]
            y = _normalized(keras, x, f"{name}_1", expansion * width, 1, 1, "relu6") if expansion > 1 else x
            y = layers.DepthwiseConv2D(3, strides, "same", use_bias=False, name=f"{name}_depthwise")(y)
            y = layers.BatchNormalization(_channels(keras), name=f"{name}_depthwise_normal")(y)
            y = layers.Activation("relu6")(y)
            y = _normalized(keras, y, f"{name}_2", filters, 1, 1, None)
            x = layers.Add()([x, y]) if strides == 1 and width == filters else y
    x = _normalized(keras, x, "last", 1280, 1, 1, "relu6")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1000, name="logits")(x))


def gpt_small(keras: Keras) -> Any:
    return gpt(keras, layers=4, width=256, heads=4, context=128, vocabulary=512)


def gpt_medium(keras: Keras) -> Any:
    return gpt(keras, layers=12, width=512, heads=8, context=256, vocabulary=512)


def gpt(keras: Keras, layers: int, width: int, heads: int, context: int, vocabulary: int, tied: bool = False) -> Any:
    """A decoder with normalisation before each part (Radford et al., 2019); `tied`: one table for words in and out."""

    class Words(keras.layers.Layer):
        """A trained vector for each word, and how well a vector fits each of them."""

        def build(self, shape: Any) -> None:
            if not self.built:
                self.table = self.add_weight(shape=(vocabulary, width), name="embeddings", initializer="normal")

        def call(self, x: Any, fits: bool = False) -> Any:
            table = keras.ops.cast(self.table, self.compute_dtype)
            return keras.ops.matmul(x, keras.ops.transpose(table)) if fits else keras.ops.take(table, x, axis=0)

    class Positions(keras.layers.Layer):
        """Adds one trained vector for each place in the sequence."""

        def build(self, shape: Any) -> None:
            self.table = self.add_weight(shape=(context, width), name="embeddings", initializer="normal")

        def call(self, x: Any) -> Any:
            return x + self.table

    inputs = keras.Input((context,), dtype="int32")
    words = Words(name="tokens") if tied else keras.layers.Embedding(vocabulary, width, name="tokens")
    x = words(inputs)
    x = Positions(name="positions")(x)
    for i in range(layers):
        h = keras.layers.LayerNormalization(name=f"normal_{i}_1")(x)
        attend = keras.layers.MultiHeadAttention(heads, width // heads, name=f"attention_{i}")
        x = keras.layers.Add()([x, attend(h, h, use_causal_mask=True)])
        h = keras.layers.LayerNormalization(name=f"normal_{i}_2")(x)
        h = keras.layers.Dense(4 * width, activation="gelu", name=f"wide_{i}")(h)
        x = keras.layers.Add()([x, keras.layers.Dense(width, name=f"narrow_{i}")(h)])
    x = keras.layers.LayerNormalization(name="normal")(x)
    return keras.Model(inputs, words(x, fits=True) if tied else keras.layers.Dense(vocabulary, name="logits")(x))


def lstm(keras: Keras) -> Any:
    return keras.Sequential(
        [keras.Input((64, 32)), keras.layers.LSTM(128, name="lstm"), keras.layers.Dense(10, name="logits")]
    )


def tabular(keras: Keras) -> Any:
    from benchmarks.training.rows import VOCABULARIES

    categories, numbers = keras.Input((len(VOCABULARIES),), dtype="int32"), keras.Input((13,))
    parts = [
        keras.layers.Embedding(size, 16, name=f"category_{i}")(categories[:, i]) for i, size in enumerate(VOCABULARIES)
    ]
    x = keras.layers.Concatenate()([*parts, numbers])
    x = keras.layers.Dense(256, activation="relu", name="hidden_1")(x)
    x = keras.layers.Dense(128, activation="relu", name="hidden_2")(x)
    return keras.Model([categories, numbers], keras.layers.Dense(1, name="logits")(x))


def tape_loop(keras: Keras) -> Any:
    """The model of examples/tape_loop_in_fifteen_lines.py."""
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(16, activation="tanh", name="hidden"),
            keras.layers.Dense(1, name="output"),
        ]
    )


def set_initial(model: Any) -> None:
    """Give every parameter of a model its first value."""
    from benchmarks.initial import initial

    for layer in model.layers:
        for variable in layer.weights:
            name = layer.name + variable.path.rpartition(layer.name)[2]
            variable.assign(initial(name, tuple(variable.shape)))


def _normalized(
    keras: Keras, x: Any, name: str, filters: int, size: int, strides: int = 1, activation: str | None = "relu"
) -> Any:
    """A convolution without bias, batch normalisation, and an activation."""
    x = keras.layers.Conv2D(filters, size, strides, "same", use_bias=False, name=name)(x)
    x = keras.layers.BatchNormalization(_channels(keras), name=f"{name}_normal")(x)
    return keras.layers.Activation(activation)(x) if activation else x


def _channels(keras: Keras) -> int:
    """The axis of channels: PyTorch and the ONNX runtimes want them first."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1


def _image(keras: Keras, size: int) -> tuple[int, int, int]:
    return (3, size, size) if _channels(keras) == 1 else (size, size, 3)
