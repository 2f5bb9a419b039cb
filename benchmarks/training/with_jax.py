"""Training in JAX as its users write it: pure functions of a dict of parameters, jitted with donated state.

`jit` compiles one step; `scan` one program of many steps, which `lax.scan` runs over the stacked batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.initial import initial
from benchmarks.training.rows import ADAM, BINARY, SGD, SQUARES, VOCABULARIES, Training

Parameters = dict[str, Any]


def dense_parameters(name: str, inputs: int, units: int) -> Parameters:
    return {
        f"{name}/kernel": initial(f"{name}/kernel", (inputs, units)),
        f"{name}/bias": initial(f"{name}/bias", (units,)),
    }


def dense(p: Parameters, name: str, x: Any) -> Any:
    return x @ p[f"{name}/kernel"] + p[f"{name}/bias"]


def conv_parameters(name: str, size: int, inputs: int, filters: int) -> Parameters:
    return {f"{name}/kernel": initial(f"{name}/kernel", (size, size, inputs, filters))}


def conv(p: Parameters, name: str, x: Any, strides: int = 1, padding: str = "SAME") -> Any:
    kernel = p[f"{name}/kernel"]
    return lax.conv_general_dilated(x, kernel, (strides, strides), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def normal_parameters(name: str, width: int) -> Parameters:
    return {f"{name}/{part}": initial(f"{name}/{part}", (width,)) for part in ("gamma", "beta")}


class Mlp:
    def __init__(self, *widths: int) -> None:
        self.widths = widths

    names = ("hidden_1", "hidden_2", "logits")

    def parameters(self) -> Parameters:
        p = {}
        for name, inputs, units in zip(self.names, self.widths[:-1], self.widths[1:], strict=True):
            p |= dense_parameters(name, inputs, units)
        return p

    def __call__(self, p: Parameters, x: Any) -> Any:
        x = jax.nn.relu(dense(p, "hidden_1", x))
        x = jax.nn.relu(dense(p, "hidden_2", x))
        return dense(p, "logits", x)


class Cnn:
    def parameters(self) -> Parameters:
        p = {}
        for name, inputs, filters in (("conv_1", 3, 32), ("conv_2", 32, 64), ("conv_3", 64, 64)):
            p |= conv_parameters(name, 3, inputs, filters) | {f"{name}/bias": initial(f"{name}/bias", (filters,))}
        return p | dense_parameters("hidden", 1024, 64) | dense_parameters("logits", 64, 10)

    def __call__(self, p: Parameters, x: Any) -> Any:
        for name in ("conv_1", "conv_2", "conv_3"):
            x = jax.nn.relu(conv(p, name, x, padding="VALID") + p[f"{name}/bias"])
            if name != "conv_3":
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = jax.nn.relu(dense(p, "hidden", x.reshape(len(x), -1)))
        return dense(p, "logits", x)


class Resnet:
    """Moving statistics are part of the state as in the other frameworks; they need no gradient."""

    blocks = ((32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1))

    def _normalized(self) -> list[tuple[str, int, int, int]]:
        layers, inputs = [("stem", 3, 3, 32)], 32
        for i, (filters, _) in enumerate(self.blocks):
            if filters != inputs:
                layers.append((f"shortcut_{i}", 1, inputs, filters))
            layers += [(f"block_{i}_1", 3, inputs, filters), (f"block_{i}_2", 3, filters, filters)]
            inputs = filters
        return layers

    def parameters(self) -> Parameters:
        p = dense_parameters("logits", 128, 10)
        for name, size, inputs, filters in self._normalized():
            p |= conv_parameters(name, size, inputs, filters) | normal_parameters(f"{name}_normal", filters)
        return p

    def state(self) -> Parameters:
        return moving_parameters([(name, filters) for name, _, _, filters in self._normalized()])

    def __call__(self, p: Parameters, x: Any, moving: Parameters) -> tuple[Any, Parameters]:
        new: Parameters = {}
        normalized = functools.partial(conv_normalized, p, moving, new)
        x = jax.nn.relu(normalized(x, "stem"))
        for i, (filters, strides) in enumerate(self.blocks):
            shortcut = x if x.shape[-1] == filters else normalized(x, f"shortcut_{i}", strides)
            y = jax.nn.relu(normalized(x, f"block_{i}_1", strides))
            x = jax.nn.relu(shortcut + normalized(y, f"block_{i}_2"))
        return dense(p, "logits", jnp.mean(x, (1, 2))), new


class Resnet50:
    def __init__(self, size: int = 224) -> None:
        self.layers, inputs = [("stem", 7, 3, 64, 2)], 64
        self.blocks = []
        for stage, (filters, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            for block in range(count):
                name, strides = f"stage_{stage}_{block}", 2 if stage and not block else 1
                self.blocks.append((name, not block, strides))
                self.layers += [(f"{name}_0", 1, inputs, 4 * filters, strides)] if not block else []
                self.layers += [(f"{name}_1", 1, inputs, filters, strides), (f"{name}_2", 3, filters, filters, 1)]
                self.layers += [(f"{name}_3", 1, filters, 4 * filters, 1)]
                inputs = 4 * filters

    def parameters(self) -> Parameters:
        p = dense_parameters("logits", 2048, 1000)
        for name, size, inputs, filters, _ in self.layers:
            p |= conv_parameters(name, size, inputs, filters) | normal_parameters(f"{name}_normal", filters)
        return p

    def state(self) -> Parameters:
        return moving_parameters([(name, filters) for name, _, _, filters, _ in self.layers])

    def __call__(self, p: Parameters, x: Any, moving: Parameters) -> tuple[Any, Parameters]:
        new: Parameters = {}
        normalized = functools.partial(conv_normalized, p, moving, new)
        x = jax.nn.relu(normalized(x, "stem", 2))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        for name, widen, strides in self.blocks:
            shortcut = normalized(x, f"{name}_0", strides) if widen else x
            y = jax.nn.relu(normalized(x, f"{name}_1", strides))
            y = jax.nn.relu(normalized(y, f"{name}_2"))
            x = jax.nn.relu(shortcut + normalized(y, f"{name}_3"))
        return dense(p, "logits", jnp.mean(x, (1, 2))), new


def moving_parameters(layers: Sequence[tuple[str, int]]) -> Parameters:
    kinds = ("moving_mean", "moving_variance")
    names = [(f"{name}_normal/{kind}", filters) for name, filters in layers for kind in kinds]
    return {name: initial(name, (filters,)) for name, filters in names}


def conv_normalized(p: Parameters, moving: Parameters, new: Parameters, x: Any, name: str, strides: int = 1) -> Any:
    """A convolution and batch normalisation, whose statistics are float32; their new averages go to `new`."""
    x, name = conv(p, name, x, strides), f"{name}_normal"
    exact = x.astype(jnp.float32)
    mean = jnp.mean(exact, (0, 1, 2))
    variance = jnp.mean(jnp.square(exact), (0, 1, 2)) - jnp.square(mean)
    for kind, value in (("moving_mean", mean), ("moving_variance", variance)):
        new[f"{name}/{kind}"] = 0.99 * moving[f"{name}/{kind}"] + 0.01 * lax.stop_gradient(value)
    scale = p[f"{name}/gamma"] * lax.rsqrt(variance + 1e-3)
    return (exact * scale + (p[f"{name}/beta"] - mean * scale)).astype(x.dtype)


class Gpt:
    """A decoder; `tied`: the table of words serves for the logits too."""

    def __init__(
        self,
        layers: int = 4,
        width: int = 256,
        heads: int = 4,
        context: int = 128,
        vocabulary: int = 512,
        tied: bool = False,
    ) -> None:
        self.layers, self.width, self.heads = layers, width, heads
        self.context, self.vocabulary, self.tied = context, vocabulary, tied

    def parameters(self) -> Parameters:
        width = self.width
        p = {
            "tokens": initial("tokens/embeddings", (self.vocabulary, width)),
            "positions": initial("positions/embeddings", (self.context, width)),
        }
        for i in range(self.layers):
            p |= normal_parameters(f"normal_{i}_1", width) | normal_parameters(f"normal_{i}_2", width)
            p |= joined_attention(f"attention_{i}", width, self.heads)
            p |= dense_parameters(f"wide_{i}", width, 4 * width) | dense_parameters(f"narrow_{i}", 4 * width, width)
        p |= normal_parameters("normal", width)
        return p if self.tied else p | dense_parameters("logits", width, self.vocabulary)

    def __call__(self, p: Parameters, tokens: Any) -> Any:
        batch, length = tokens.shape
        split = (batch, length, 3, self.heads, self.width // self.heads)
        x = p["tokens"][tokens] + p["positions"]
        for i in range(self.layers):
            q, k, v = jnp.moveaxis(
                dense(p, f"attention_{i}/joined", self.normal(p, f"normal_{i}_1", x)).reshape(split), 2, 0
            )
            attended = jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(batch, length, self.width)
            x = x + dense(p, f"attention_{i}/attention_output", attended)
            h = dense(p, f"wide_{i}", self.normal(p, f"normal_{i}_2", x))
            x = x + dense(p, f"narrow_{i}", jax.nn.gelu(h, approximate=False))
        x = self.normal(p, "normal", x)
        return x @ p["tokens"].T if self.tied else dense(p, "logits", x)

    @staticmethod
    def normal(p: Parameters, name: str, x: Any) -> Any:
        kind, x = x.dtype, x.astype(jnp.float32)
        mean = jnp.mean(x, -1, keepdims=True)
        variance = jnp.mean(jnp.square(x - mean), -1, keepdims=True)
        return ((x - mean) * lax.rsqrt(variance + 1e-3) * p[f"{name}/gamma"] + p[f"{name}/beta"]).astype(kind)


def joined_attention(name: str, width: int, heads: int) -> Parameters:
    """The parameters of attention with queries, keys and values from one product, which is faster than three."""
    kinds = ("query", "key", "value")
    kernels = [initial(f"{name}/{kind}/kernel", (width, heads, width // heads)).reshape(width, width) for kind in kinds]
    biases = [initial(f"{name}/{kind}/bias", (heads, width // heads)).reshape(width) for kind in kinds]
    output = f"{name}/attention_output"
    return {
        f"{name}/joined/kernel": np.concatenate(kernels, 1),
        f"{name}/joined/bias": np.concatenate(biases),
        f"{output}/kernel": initial(f"{output}/kernel", (heads, width // heads, width)).reshape(width, width),
        f"{output}/bias": initial(f"{output}/bias", (width,)),
    }


class Lstm:
    def parameters(self) -> Parameters:
        shapes = {"kernel": (32, 512), "recurrent_kernel": (128, 512), "bias": (512,)}
        p = {f"lstm_cell/{part}": initial(f"lstm_cell/{part}", shape) for part, shape in shapes.items()}
        return p | dense_parameters("logits", 128, 10)

    def __call__(self, p: Parameters, x: Any) -> Any:
        inputs = jnp.swapaxes(dense(p, "lstm_cell", x), 0, 1)  # one product for all places in the sequence

        def cell(carry: tuple[Any, Any], x: Any) -> tuple[tuple[Any, Any], None]:
            h, c = carry
            i, f, g, o = jnp.split(x + h @ p["lstm_cell/recurrent_kernel"], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((len(x), 128))
        (h, _), _ = lax.scan(cell, (zero, zero), inputs)
        return dense(p, "logits", h)


class Tabular:
    def parameters(self) -> Parameters:
        p = {f"category_{i}": initial(f"category_{i}/embeddings", (n, 16)) for i, n in enumerate(VOCABULARIES)}
        p |= dense_parameters("hidden_1", 26 * 16 + 13, 256) | dense_parameters("hidden_2", 256, 128)
        return p | dense_parameters("logits", 128, 1)

    def __call__(self, p: Parameters, categories: Any, numbers: Any) -> Any:
        parts = [p[f"category_{i}"][categories[:, i]] for i in range(len(VOCABULARIES))]
        x = jax.nn.relu(dense(p, "hidden_1", jnp.concatenate([*parts, numbers], axis=1)))
        return dense(p, "logits", jax.nn.relu(dense(p, "hidden_2", x)))


class TapeLoop:
    def parameters(self) -> Parameters:
        return dense_parameters("hidden", 3, 16) | dense_parameters("output", 16, 1)

    def __call__(self, p: Parameters, x: Any) -> Any:
        return dense(p, "output", jnp.tanh(dense(p, "hidden", x)))


MODELS: dict[str, Callable[..., Any]] = {
    "mlp": lambda width: Mlp(1024, width, width, 10),
    "resnet50": Resnet50,
    "gpt": Gpt,
    "mlp-small": lambda: Mlp(784, 128, 128, 10),
    "mlp-large": lambda: Mlp(1024, 2048, 2048, 10),
    "cnn": Cnn,
    "resnet-small": Resnet,
    "gpt-small": Gpt,
    "lstm": Lstm,
    "tabular": Tabular,
    "tape-loop": TapeLoop,
}


def adam(p: Parameters, m: Parameters, v: Parameters, count: Any, gradients: Parameters) -> tuple[Any, Any, Any]:
    b1, b2 = ADAM["beta_1"], ADAM["beta_2"]
    rate = ADAM["learning_rate"] * jnp.sqrt(1 - b2**count) / (1 - b1**count)
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, gradients)
    p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + ADAM["epsilon"]), p, m, v)
    return p, m, v


class Jax:
    """A row in JAX.

    Args:
        row: which.
        scan: many steps in one program; otherwise one call for each step.
    """

    def __init__(self, row: Training, scan: bool = False, samples: int | None = None) -> None:
        self.row, self.scan = row, scan
        model = MODELS[row.model](**row.sizes)
        self.parameters = model.parameters()
        self.moving = model.state() if hasattr(model, "state") else {}
        inputs, targets = row.data(samples)

        def loss_of(p: Parameters, moving: Parameters, inputs: Any, y: Any) -> tuple[Any, Parameters]:
            if row.policy == "mixed_bfloat16":
                p = {name: x if "_normal/" in name else x.astype(jnp.bfloat16) for name, x in p.items()}
                inputs = [x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x for x in inputs]
            logits, moving = model(p, *inputs, moving) if moving else (model(p, *inputs), moving)
            logits = logits.astype(jnp.float32)
            if row.loss == SQUARES:
                return jnp.mean((logits - y) ** 2), moving
            if row.loss == BINARY:
                return jnp.mean(jax.nn.relu(logits) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits)))), moving
            picked = jnp.take_along_axis(logits, y[..., None], axis=-1)[..., 0]
            return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - picked), moving

        def step(state: Any, batch: Any) -> tuple[Any, Any]:
            p, m, v, moving, count = state
            (loss, moving), gradients = jax.value_and_grad(loss_of, has_aux=True)(p, moving, *batch)
            if row.eager:
                rate = SGD["learning_rate"]
                return (jax.tree.map(lambda p, g: p - rate * g, p, gradients), m, v, moving, count), loss
            p, m, v = adam(p, m, v, count + 1, gradients)
            return (p, m, v, moving, count + 1), loss

        if scan:
            # XLA's loops on the CPU run convolutions a hundred times slower: there four steps are written out.
            self.chunk = 4 if any(len(shape) == 3 for shape, _ in row.inputs) else row.steps
            unroll = self.chunk if self.chunk == 4 else 1
            self.many = jax.jit(lambda state, batches: lax.scan(step, state, batches, unroll=unroll), donate_argnums=0)
            shape = (-1, row.batch)
            stacked = [jnp.asarray(x.reshape(*shape, *x.shape[1:])) for x in inputs]
            whole = stacked, jnp.asarray(targets.reshape(*shape, *targets.shape[1:]))
            self.part = functools.cache(lambda first, count: jax.tree.map(lambda x: x[first : first + count], whole))
        else:
            self.step = step if row.eager else jax.jit(step, donate_argnums=0)
            spans = [slice(start, start + row.batch) for start in range(0, len(targets), row.batch)]
            self.batches = [([jnp.asarray(x[s]) for x in inputs], jnp.asarray(targets[s])) for s in spans]
        self.restart()

    def restart(self) -> None:
        p = {name: jnp.array(value) for name, value in self.parameters.items()}
        zeros = [jax.tree.map(jnp.zeros_like, p) for _ in range(2)]
        moving = {name: jnp.array(value) for name, value in self.moving.items()}
        self.state = jax.block_until_ready((p, *zeros, moving, jnp.float32(0)))

    def run(self, steps: int) -> Sequence[float]:
        losses = []
        if self.scan:
            for start in range(0, steps, self.chunk):
                first = start % self.row.steps
                self.state, some = self.many(self.state, self.part(first, min(self.chunk, steps - start)))
                losses.append(some)
            jax.block_until_ready(self.state)
            return [float(loss) for loss in np.concatenate(losses)]
        for i in range(steps):
            self.state, loss = self.step(self.state, self.batches[i % len(self.batches)])
            losses.append(loss)
        jax.block_until_ready(self.state)
        return [float(loss) for loss in losses]

    def weights(self) -> list[np.ndarray]:
        return [np.asarray(value) for _, value in sorted(self.state[0].items())]
