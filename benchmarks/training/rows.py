"""The rows of the training table: which model, on which data, and how much arithmetic one step is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.training import work
from benchmarks.training.work import Work

ADAM = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-10}
"""Frameworks add epsilon before or after the correction of the second moment; so small, both are the same."""

SGD = {"learning_rate": 0.1}

CLASSES = "sparse categorical cross-entropy from logits"
BINARY = "binary cross-entropy from logits"
SQUARES = "mean squared error"

VOCABULARIES = tuple((10, 30, 100, 300, 1000, 3000)[i % 6] for i in range(26))
"""How many categories each categorical column of `tabular` has."""


@dataclass(frozen=True)
class Training:
    """One row of the training table.

    Attributes:
        name: names the model in the module of each framework, with `_` for `-`.
        shape: for people.
        inputs: for each input of the model, the shape of one sample, and the number of its whole values (0: real).
        classes: labels are whole numbers below it; 0: real numbers.
        batch: samples of one step.
        steps: batches of the data set; after them training begins again with the first.
        loss: one of the constants above.
        laps: how often a turn of the benchmark goes through the data set.
        work: the arithmetic and the memory traffic that a step cannot do without.
        eager: the loop is the user's own, in Python, nothing compiled; plain gradient descent instead of Adam.
        policy: dtype policy; "mixed_bfloat16" keeps variables in float32 and computes in bfloat16.
        sizes: arguments of the model.
    """

    name: str
    shape: str
    inputs: tuple[tuple[tuple[int, ...], int | Sequence[int]], ...]
    classes: int
    batch: int
    steps: int
    loss: str
    work: Work
    targets: tuple[int, ...] = ()
    laps: int = 1
    eager: bool = False
    policy: str = "float32"
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model's name: a row may be a tiny one of its kind."""
        return self.name.removesuffix("-tiny")

    @property
    def identifier(self) -> str:
        return self.model.replace("-", "_")

    def data(self, samples: int | None = None) -> tuple[list[np.ndarray], np.ndarray]:
        """Inputs and targets of the whole data set, made from fixed seeds; the first `samples` rows if given."""
        count = samples or self.batch * self.steps
        inputs = []
        for seed, (shape, limit) in enumerate(self.inputs):
            random = np.random.default_rng(seed)  # one for each array: fewer samples are the first ones of more
            if isinstance(limit, int) and limit == 0:
                inputs.append(random.normal(size=(count, *shape)).astype("float32"))
            else:
                inputs.append(random.integers(0, np.asarray(limit), (count, *shape)).astype("int32"))
        if self.loss == SQUARES:
            return inputs, np.sum(inputs[0], axis=1, keepdims=True)
        labels = np.random.default_rng(len(inputs)).integers(0, self.classes, (count, *self.targets))
        return inputs, labels.astype("float32" if self.loss == BINARY else "int32")


def _rows() -> list[Training]:
    image = (((32, 32, 3), 0),)
    return [
        Training(
            "mlp-small",
            "784-128-128-10, batch 32",
            (((784,), 0),),
            10,
            32,
            512,
            CLASSES,
            work.mlp(32, 784, 128, 128, 10),
        ),
        Training(
            "mlp-large",
            "1024-2048-2048-10, batch 256",
            (((1024,), 0),),
            10,
            256,
            8,
            CLASSES,
            work.mlp(256, 1024, 2048, 2048, 10),
        ),
        Training("cnn", "32x32x3, conv 32-64-64, dense 64, batch 64", image, 10, 64, 16, CLASSES, work.cnn(64)),
        Training("resnet-small", "32x32x3, six blocks 32-64-128, batch 32", image, 10, 32, 4, CLASSES, work.resnet(32)),
        Training(
            "gpt-small",
            "4 layers, width 256, 4 heads, context 128, batch 8",
            (((128,), 512),),
            512,
            8,
            4,
            CLASSES,
            work.gpt(8, layers=4, width=256, context=128, vocabulary=512),
            targets=(128,),
        ),
        Training(
            "lstm",
            "width 128, length 64, batch 64",
            (((64, 32), 0),),
            10,
            64,
            16,
            CLASSES,
            work.lstm(64, 64, 32, 128, 10),
        ),
        Training(
            "tabular",
            "26 embeddings of 16, 13 numbers, 256-128, batch 512",
            (((26,), VOCABULARIES), ((13,), 0)),
            2,
            512,
            32,
            BINARY,
            work.tabular(512, VOCABULARIES, 16, 13, (256, 128, 1)),
            targets=(1,),
        ),
        Training(
            "tape-loop",
            "the eager loop of examples/, 100 rows of 3",
            (((3,), 0),),
            0,
            20,
            5,
            SQUARES,
            work.mlp(20, 3, 16, 1),
            laps=40,
            eager=True,
        ),
    ]


ROWS: dict[str, Training] = {row.name: row for row in _rows()}
"""The rows of the training table by name."""
