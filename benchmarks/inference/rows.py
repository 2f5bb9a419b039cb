"""The rows of the inference table: a network at a batch size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Inference:
    """One row of the inference table.

    Attributes:
        network: names the model in `keras_models`, with `_` for `-`.
        size: of its square images, three channels.
        batch: how many images at once.
        steps: forward passes of one turn.
    """

    network: str
    size: int
    batch: int
    steps: int

    @property
    def name(self) -> str:
        return f"{self.network}@{self.batch}"

    @property
    def identifier(self) -> str:
        return self.network.replace("-", "_")

    def data(self) -> np.ndarray:
        """The images, channels last: the first ones are the same for all batch sizes."""
        return np.random.default_rng(5).normal(size=(self.batch, self.size, self.size, 3)).astype("float32")


ROWS: dict[str, Inference] = {
    row.name: row
    for row in (
        Inference("cnn", 32, 1, 400),
        Inference("cnn", 32, 32, 40),
        Inference("resnet-small", 32, 1, 40),
        Inference("resnet-small", 32, 32, 4),
        Inference("resnet50", 224, 1, 4),
        Inference("resnet50", 224, 32, 1),
        Inference("mobilenet-v2", 224, 1, 10),
        Inference("mobilenet-v2", 224, 32, 1),
    )
}
"""The rows of the inference table by name."""
