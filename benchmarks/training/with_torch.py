"""Training in PyTorch: modules, fused Adam, images with channels last; eagerly, or compiled by `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.initial import initial
from benchmarks.training.rows import ADAM, BINARY, SGD, SQUARES, VOCABULARIES, Training


def tensor(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(initial(name, shape))


def set_to(parameter: torch.Tensor, value: torch.Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(value.reshape(parameter.shape))


def dense(name: str, inputs: int, units: int) -> nn.Linear:
    layer = nn.Linear(inputs, units)
    set_to(layer.weight, tensor(f"{name}/kernel", inputs, units).T)
    set_to(layer.bias, tensor(f"{name}/bias", units))
    return layer


def conv(name: str, size: int, inputs: int, filters: int, **options: Any) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, filters, size, **options)
    set_to(layer.weight, tensor(f"{name}/kernel", size, size, inputs, filters).permute(3, 2, 0, 1))
    if layer.bias is not None:
        set_to(layer.bias, tensor(f"{name}/bias", filters))
    return layer


def embedding(name: str, size: int, width: int) -> nn.Embedding:
    layer = nn.Embedding(size, width)
    set_to(layer.weight, tensor(f"{name}/embeddings", size, width))
    return layer


class Mlp(nn.Sequential):
    def __init__(self, width: int, inputs: int = 1024) -> None:
        hidden = [dense("hidden_1", inputs, width), nn.ReLU(), dense("hidden_2", width, width), nn.ReLU()]
        super().__init__(*hidden, dense("logits", width, 10))


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_1, self.conv_2 = conv("conv_1", 3, 3, 32), conv("conv_2", 3, 32, 64)
        self.conv_3 = conv("conv_3", 3, 64, 64)
        self.hidden, self.logits = dense("hidden", 1024, 64), dense("logits", 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.conv_1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv_2(x)), 2)
        x = functional.relu(self.conv_3(x))
        x = x.permute(0, 2, 3, 1).flatten(1)  # memory has channels last already: a view
        return self.logits(functional.relu(self.hidden(x)))


class Normalized(nn.Module):
    """Convolution and batch normalisation. At stride 2 an even size is padded at its end alone, as Keras does."""

    def __init__(self, name: str, size: int, inputs: int, filters: int, strides: int = 1) -> None:
        super().__init__()
        before = (size - strides) // 2
        self.uneven = (before, size - strides - before) * 2 if strides == 2 and size > 1 else None
        padding = 0 if self.uneven else size // 2
        self.conv = conv(name, size, inputs, filters, stride=strides, padding=padding, bias=False)
        self.normal = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
        pairs = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        for theirs, ours in pairs.items():
            set_to(getattr(self.normal, theirs), tensor(f"{name}_normal/{ours}", filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.normal(self.conv(functional.pad(x, self.uneven) if self.uneven else x))


class Block(nn.Module):
    def __init__(self, i: int, inputs: int, filters: int, strides: int) -> None:
        super().__init__()
        widen = inputs != filters
        self.shortcut = Normalized(f"shortcut_{i}", 1, inputs, filters, strides) if widen else nn.Identity()
        self.first = Normalized(f"block_{i}_1", 3, inputs, filters, strides)
        self.second = Normalized(f"block_{i}_2", 3, filters, filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.shortcut(x) + self.second(functional.relu(self.first(x))))


class Resnet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Normalized("stem", 3, 3, 32)
        widths = ((32, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1))
        self.blocks = nn.Sequential(*(Block(i, *block) for i, block in enumerate(widths)))
        self.logits = dense("logits", 128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(self.blocks(functional.relu(self.stem(x))).mean((2, 3)))


class Bottleneck(nn.Module):
    def __init__(self, name: str, inputs: int, filters: int, strides: int, widen: bool) -> None:
        super().__init__()
        self.shortcut = Normalized(f"{name}_0", 1, inputs, 4 * filters, strides) if widen else nn.Identity()
        self.first = Normalized(f"{name}_1", 1, inputs, filters, strides)
        self.second = Normalized(f"{name}_2", 3, filters, filters)
        self.third = Normalized(f"{name}_3", 1, filters, 4 * filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.second(functional.relu(self.first(x))))
        return functional.relu(self.shortcut(x) + self.third(y))


class Resnet50(nn.Module):
    """Padded as Keras pads: at stride 2 an even size gets one more at its end than at its beginning."""

    def __init__(self, size: int = 224) -> None:
        super().__init__()
        self.stem = Normalized("stem", 7, 3, 64, 2)
        blocks, inputs = [], 64
        for stage, (filters, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            for block in range(count):
                strides = 2 if stage and not block else 1
                blocks.append(Bottleneck(f"stage_{stage}_{block}", inputs, filters, strides, not block))
                inputs = 4 * filters
        self.blocks = nn.Sequential(*blocks)
        self.logits = dense("logits", 2048, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem(x))
        x = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1)), 3, 2)  # zeros are below all that relu gives
        return self.logits(self.blocks(x).mean((2, 3)))


def layer_normal(name: str, width: int) -> nn.LayerNorm:
    layer = nn.LayerNorm(width, eps=1e-3)
    set_to(layer.weight, tensor(f"{name}/gamma", width))
    set_to(layer.bias, tensor(f"{name}/beta", width))
    return layer


class Attention(nn.Module):
    """Causal self-attention; queries, keys and values come from one product."""

    def __init__(self, name: str, width: int, heads: int) -> None:
        super().__init__()
        self.heads, one = heads, width // heads
        self.joined, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        kinds = ("query", "key", "value")
        kernels = [tensor(f"{name}/{kind}/kernel", width, heads, one).reshape(width, width) for kind in kinds]
        biases = [tensor(f"{name}/{kind}/bias", heads, one).reshape(width) for kind in kinds]
        set_to(self.joined.weight, torch.cat(kernels, 1).T)
        set_to(self.joined.bias, torch.cat(biases))
        kernel = tensor(f"{name}/attention_output/kernel", heads, one, width)
        set_to(self.output.weight, kernel.reshape(width, width).T)
        set_to(self.output.bias, tensor(f"{name}/attention_output/bias", width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.joined(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(attended.transpose(1, 2).reshape(batch, length, width))


class Layer(nn.Module):
    def __init__(self, i: int, width: int, heads: int) -> None:
        super().__init__()
        self.normal_1, self.normal_2 = layer_normal(f"normal_{i}_1", width), layer_normal(f"normal_{i}_2", width)
        self.attention = Attention(f"attention_{i}", width, heads)
        self.wide, self.narrow = dense(f"wide_{i}", width, 4 * width), dense(f"narrow_{i}", 4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.normal_1(x))
        return x + self.narrow(functional.gelu(self.wide(self.normal_2(x))))


class Gpt(nn.Module):
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
        super().__init__()
        self.tokens = embedding("tokens", vocabulary, width)
        self.positions = nn.Parameter(tensor("positions/embeddings", context, width))
        self.layers = nn.Sequential(*(Layer(i, width, heads) for i in range(layers)))
        self.normal = layer_normal("normal", width)
        if tied:
            self.logits = nn.Linear(width, vocabulary, bias=False)
            self.logits.weight = self.tokens.weight
        else:
            self.logits = dense("logits", width, vocabulary)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(self.normal(self.layers(self.tokens(x) + self.positions)))


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.logits = nn.LSTM(32, 128, batch_first=True), dense("logits", 128, 10)
        set_to(self.lstm.weight_ih_l0, tensor("lstm_cell/kernel", 32, 512).T)
        set_to(self.lstm.weight_hh_l0, tensor("lstm_cell/recurrent_kernel", 128, 512).T)
        set_to(self.lstm.bias_ih_l0, tensor("lstm_cell/bias", 512))
        set_to(self.lstm.bias_hh_l0, torch.zeros(512))
        self.lstm.bias_hh_l0.requires_grad_(False)  # the same number twice: only one of the two is trained

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(self.lstm(x)[0][:, -1])


class Tabular(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.categories = nn.ModuleList(embedding(f"category_{i}", n, 16) for i, n in enumerate(VOCABULARIES))
        self.hidden_1, self.hidden_2 = dense("hidden_1", 26 * 16 + 13, 256), dense("hidden_2", 256, 128)
        self.logits = dense("logits", 128, 1)

    def forward(self, categories: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        parts = [table(column) for table, column in zip(self.categories, categories.unbind(1), strict=True)]
        x = functional.relu(self.hidden_1(torch.cat([*parts, numbers], 1)))
        return self.logits(functional.relu(self.hidden_2(x)))


class TapeLoop(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(dense("hidden", 3, 16), nn.Tanh(), dense("output", 16, 1))


MODELS: dict[str, Callable[..., nn.Module]] = {
    "mlp": Mlp,
    "resnet50": Resnet50,
    "gpt": Gpt,
    "mlp-small": lambda: Mlp(128, 784),
    "mlp-large": lambda: Mlp(2048),
    "cnn": Cnn,
    "resnet-small": Resnet,
    "gpt-small": Gpt,
    "lstm": Lstm,
    "tabular": Tabular,
    "tape-loop": TapeLoop,
}


class Torch:
    """A row in PyTorch.

    Args:
        row: which.
        compiled: forward pass and loss go through `torch.compile`, and with them their gradients.
    """

    def __init__(self, row: Training, compiled: bool = False, samples: int | None = None) -> None:
        self.row = row
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = MODELS[row.model](**row.sizes).to(device)
        images = any(isinstance(module, nn.Conv2d) for module in self.model.modules())
        if images:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.state = [*self.model.parameters(), *self.model.buffers()]
        self.first = [value.detach().clone() for value in self.state]
        inputs, targets = row.data(samples)
        tensors = [torch.from_numpy(x).to(device) for x in inputs]
        if images:
            tensors = [x.permute(0, 3, 1, 2) for x in tensors]
        labels = torch.from_numpy(targets if targets.dtype == "float32" else targets.astype("int64")).to(device)
        spans = [slice(start, start + row.batch) for start in range(0, len(targets), row.batch)]
        self.batches = [([x[span] for x in tensors], labels[span]) for span in spans]
        self.whole = tensors[0], labels
        model = self.model

        def loss_of(inputs: list[torch.Tensor], y: torch.Tensor) -> torch.Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=row.policy == "mixed_bfloat16"):
                logits = model(*inputs)
            logits = logits.float()
            if row.loss == SQUARES:
                return ((logits - y) ** 2).mean()
            if row.loss == BINARY:
                return functional.binary_cross_entropy_with_logits(logits, y)
            return functional.cross_entropy(logits.flatten(0, -2), y.flatten())

        self.loss_of: Callable[..., torch.Tensor] = torch.compile(loss_of) if compiled else loss_of
        self.restart()

    def restart(self) -> None:
        for value, first in zip(self.state, self.first, strict=True):
            set_to(value, first)
        self.optimizer: Any
        if self.row.eager:
            self.optimizer = torch.optim.SGD(self.trained, SGD["learning_rate"])
        else:
            betas = ADAM["beta_1"], ADAM["beta_2"]
            options: dict[str, Any] = {"betas": betas, "eps": ADAM["epsilon"], "fused": True}
            self.optimizer = torch.optim.Adam(self.trained, ADAM["learning_rate"], **options)

    def run(self, steps: int) -> Sequence[float]:
        losses = []
        for i in range(steps):
            if self.row.eager:  # as in the example
                x, y = self.whole
                start = i % self.row.steps * self.row.batch
                batch = [x[start : start + self.row.batch]], y[start : start + self.row.batch]
            else:
                batch = self.batches[i % len(self.batches)]
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss_of(*batch)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return [float(loss) for loss in losses]

    def weights(self) -> list[np.ndarray]:
        return [parameter.detach().cpu().numpy().copy() for parameter in self.trained]
