"""Training in TensorFlow without Keras: `tf.function` over its kernels (oneDNN's among them), or compiled by XLA.

The update is TensorFlow's own fused Adam (`ResourceApplyAdam`), the LSTM its fused `BlockLSTMV2`, which XLA does not
know: there it is a loop over the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.initial import initial
from benchmarks.training.rows import ADAM, BINARY, SGD, SQUARES, VOCABULARIES, Training


class Parameters:
    """Variables by name, made when they are first asked for."""

    def __init__(self) -> None:
        self.trained: dict[str, tf.Variable] = {}
        self.moving: dict[str, tf.Variable] = {}

    def __call__(self, name: str, *shape: int) -> tf.Variable:
        return self.have(name, lambda: initial(name, shape))

    def have(self, name: str, value: Callable[[], np.ndarray]) -> tf.Variable:
        place = self.moving if "moving_" in name else self.trained
        if name not in place:
            with tf.init_scope():
                place[name] = tf.Variable(value(), trainable="moving_" not in name)
        return place[name]


def dense(p: Parameters, name: str, x: Any, units: int) -> Any:
    kernel, bias = p(f"{name}/kernel", x.shape[-1], units), p(f"{name}/bias", units)
    if len(x.shape) > 2:
        rows = tf.reshape(x, (-1, x.shape[-1]))
        return tf.reshape(tf.nn.bias_add(tf.matmul(rows, kernel), bias), (*x.shape[:-1], units))
    return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def conv(p: Parameters, name: str, x: Any, size: int, filters: int, strides: int = 1, padding: str = "SAME") -> Any:
    return tf.nn.conv2d(x, p(f"{name}/kernel", size, size, x.shape[-1], filters), strides, padding)


def mlp(p: Parameters, x: Any, width: int) -> Any:
    x = tf.nn.relu(dense(p, "hidden_1", x, width))
    return dense(p, "logits", tf.nn.relu(dense(p, "hidden_2", x, width)), 10)


def cnn(p: Parameters, x: Any) -> Any:
    for name, filters in (("conv_1", 32), ("conv_2", 64), ("conv_3", 64)):
        x = tf.nn.relu(tf.nn.bias_add(conv(p, name, x, 3, filters, padding="VALID"), p(f"{name}/bias", filters)))
        if name != "conv_3":
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    x = tf.reshape(x, (-1, 4 * 4 * 64))
    return dense(p, "logits", tf.nn.relu(dense(p, "hidden", x, 64)), 10)


def resnet(p: Parameters, x: Any) -> Any:
    def normalized(x: Any, name: str, size: int, filters: int, strides: int = 1) -> Any:
        x, name = conv(p, name, x, size, filters, strides), f"{name}_normal"
        mean, variance = p(f"{name}/moving_mean", filters), p(f"{name}/moving_variance", filters)
        scale, offset = p(f"{name}/gamma", filters), p(f"{name}/beta", filters)
        result = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=1e-3, exponential_avg_factor=0.01
        )
        mean.assign(result.batch_mean)
        variance.assign(result.batch_variance)
        return result.y

    x = tf.nn.relu(normalized(x, "stem", 3, 32))
    for i, (filters, strides) in enumerate(((32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1))):
        shortcut = x if x.shape[-1] == filters else normalized(x, f"shortcut_{i}", 1, filters, strides)
        y = tf.nn.relu(normalized(x, f"block_{i}_1", 3, filters, strides))
        x = tf.nn.relu(shortcut + normalized(y, f"block_{i}_2", 3, filters))
    return dense(p, "logits", tf.reduce_mean(x, (1, 2)), 10)


def layer_normal(p: Parameters, name: str, x: Any) -> Any:
    gamma, beta = p(f"{name}/gamma", x.shape[-1]), p(f"{name}/beta", x.shape[-1])
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return (x - mean) * (tf.math.rsqrt(variance + 1e-3) * gamma) + beta


def gpt(p: Parameters, tokens: Any, layers: int = 4, width: int = 256, heads: int = 4, words: int = 512) -> Any:
    batch, context = tokens.shape
    one = width // heads
    hidden = tf.constant(np.triu(np.full((context, context), -1e9, "float32"), 1))
    x = tf.gather(p("tokens/embeddings", words, width), tokens) + p("positions/embeddings", context, width)

    def joined(name: str, part: str) -> np.ndarray:
        """Queries, keys and values come from one product."""
        shape = (width, heads, one) if part == "kernel" else (heads, one)
        parts = [initial(f"{name}/{kind}/{part}", shape) for kind in ("query", "key", "value")]
        return np.concatenate([value.reshape(*value.shape[:-2], width) for value in parts], axis=-1)

    for i in range(layers):
        name = f"attention_{i}"
        kernel = p.have(f"{name}/joined/kernel", lambda name=name: joined(name, "kernel"))
        bias = p.have(f"{name}/joined/bias", lambda name=name: joined(name, "bias"))
        h = tf.reshape(layer_normal(p, f"normal_{i}_1", x), (-1, width))
        h = tf.nn.bias_add(tf.matmul(h, kernel), bias)
        q, k, v = tf.unstack(tf.transpose(tf.reshape(h, (batch, context, 3, heads, one)), (2, 0, 3, 1, 4)))
        scores = tf.nn.softmax(tf.matmul(q * one**-0.5, k, transpose_b=True) + hidden)
        h = tf.reshape(tf.transpose(tf.matmul(scores, v), (0, 2, 1, 3)), (-1, width))
        kernel = tf.reshape(p(f"{name}/attention_output/kernel", heads, one, width), (width, width))
        h = tf.nn.bias_add(tf.matmul(h, kernel), p(f"{name}/attention_output/bias", width))
        x = x + tf.reshape(h, (batch, context, width))
        h = tf.nn.gelu(dense(p, f"wide_{i}", layer_normal(p, f"normal_{i}_2", x), 4 * width), approximate=False)
        x = x + dense(p, f"narrow_{i}", h, width)
    return dense(p, "logits", layer_normal(p, "normal", x), words)


def lstm(p: Parameters, x: Any, units: int = 128, fused: bool = True) -> Any:
    batch, length, inputs = x.shape
    kernel, recurrent = p("lstm_cell/kernel", inputs, 4 * units), p("lstm_cell/recurrent_kernel", units, 4 * units)
    bias = p("lstm_cell/bias", 4 * units)
    zero = tf.zeros((batch, units))
    if fused:
        none = tf.zeros((units,))
        result = tf.raw_ops.BlockLSTMV2(
            seq_len_max=tf.constant(length, tf.int64),
            x=tf.transpose(x, (1, 0, 2)),
            cs_prev=zero,
            h_prev=zero,
            w=tf.concat([kernel, recurrent], 0),
            wci=none,
            wcf=none,
            wco=none,
            b=bias,
        )
        return dense(p, "logits", result.h[-1], 10)
    rows = tf.reshape(tf.transpose(x, (1, 0, 2)), (-1, inputs))
    parts = tf.reshape(tf.nn.bias_add(tf.matmul(rows, kernel), bias), (length, batch, 4 * units))

    def cell(state: tuple[Any, Any], part: Any) -> tuple[Any, Any]:
        h, c = state
        i, f, g, o = tf.split(part + tf.matmul(h, recurrent), 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    h, _ = tf.scan(cell, parts, (zero, zero))
    return dense(p, "logits", h[-1], 10)


def tabular(p: Parameters, categories: Any, numbers: Any) -> Any:
    tables = [p(f"category_{i}/embeddings", n, 16) for i, n in enumerate(VOCABULARIES)]
    parts = [tf.gather(table, column) for table, column in zip(tables, tf.unstack(categories, axis=1), strict=True)]
    x = tf.nn.relu(dense(p, "hidden_1", tf.concat([*parts, numbers], 1), 256))
    return dense(p, "logits", tf.nn.relu(dense(p, "hidden_2", x, 128)), 1)


def tape_loop(p: Parameters, x: Any) -> Any:
    """As fast as eager TensorFlow can be written: nothing but two products, without layers or an optimizer object."""
    return dense(p, "output", tf.tanh(dense(p, "hidden", x, 16)), 1)


class TensorFlow:
    """A row in TensorFlow.

    Args:
        row: which.
        xla: compile by XLA.
    """

    def __init__(self, row: Training, xla: bool = False, samples: int | None = None) -> None:
        self.row = row
        models: dict[str, Callable[..., Any]] = {
            "mlp-small": lambda p, x: mlp(p, x, 128),
            "mlp-large": lambda p, x: mlp(p, x, 2048),
            "cnn": cnn,
            "resnet-small": resnet,
            "gpt-small": gpt,
            "lstm": lambda p, x: lstm(p, x, fused=not xla),
            "tabular": tabular,
            "tape-loop": tape_loop,
        }
        model, self.parameters = models[row.name], Parameters()
        inputs, targets = row.data(samples)
        spans = [slice(start, start + row.batch) for start in range(0, len(targets), row.batch)]
        self.batches = [([tf.constant(x[span]) for x in inputs], tf.constant(targets[span])) for span in spans]
        self.whole = tf.constant(inputs[0]), tf.constant(targets)
        model(self.parameters, *self.batches[0][0])  # makes the variables
        variables = list(self.parameters.trained.values())
        self.moments = [tf.Variable(tf.zeros_like(v)) for v in variables for _ in range(2)]
        self.powers = [tf.Variable(ADAM["beta_1"]), tf.Variable(ADAM["beta_2"])]
        self.state = [*variables, *self.parameters.moving.values(), *self.moments, *self.powers]
        self.first = [v.numpy() for v in self.state]

        def loss_of(inputs: list[Any], y: Any) -> Any:
            logits = model(self.parameters, *inputs)
            if row.loss == SQUARES:
                return tf.reduce_mean((logits - y) ** 2)
            if row.loss == BINARY:
                return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, logits))
            return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))

        def step(inputs: list[Any], y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = loss_of(inputs, y)
            gradients = tape.gradient(loss, variables)
            if row.eager:
                for variable, gradient in zip(variables, gradients, strict=True):
                    variable.assign_sub(SGD["learning_rate"] * gradient)
            else:
                self._adam(variables, gradients)
            return loss

        self.step = step if row.eager else tf.function(step, jit_compile=xla)

    def _adam(self, variables: list[tf.Variable], gradients: list[Any]) -> None:
        for i, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self.moments[2 * i].handle,
                v=self.moments[2 * i + 1].handle,
                beta1_power=self.powers[0],
                beta2_power=self.powers[1],
                lr=ADAM["learning_rate"],
                beta1=ADAM["beta_1"],
                beta2=ADAM["beta_2"],
                epsilon=ADAM["epsilon"],
                grad=tf.convert_to_tensor(gradient),  # an embedding's may come as rows
            )
        for power, name in zip(self.powers, ("beta_1", "beta_2"), strict=True):
            power.assign(power * ADAM[name])

    def restart(self) -> None:
        for variable, value in zip(self.state, self.first, strict=True):
            variable.assign(value)

    def run(self, steps: int) -> Sequence[float]:
        losses = []
        for i in range(steps):
            if self.row.eager:  # as in the example
                x, y = self.whole
                start = i % self.row.steps * self.row.batch
                losses.append(self.step([x[start : start + self.row.batch]], y[start : start + self.row.batch]))
            else:
                losses.append(self.step(*self.batches[i % len(self.batches)]))
        return [float(loss) for loss in losses]

    def weights(self) -> list[np.ndarray]:
        return [v.numpy() for v in self.parameters.trained.values()]
