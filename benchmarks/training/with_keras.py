"""Training with the API of Keras: Amalthea itself (the bare compiled step, and `fit`), and real Keras (`fit`)."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import keras_models
from benchmarks.training.rows import ADAM, BINARY, CLASSES, SGD, Training


class _Model:
    """A model with its optimizer, that can begin again."""

    def __init__(self, keras: Any, row: Training) -> None:
        self.keras, self.row = keras, row
        keras.config.set_dtype_policy(row.policy)
        self.model = getattr(keras_models, row.identifier)(keras, **row.sizes)
        keras_models.set_initial(self.model)
        self.optimizer = keras.optimizers.SGD(**SGD) if row.eager else keras.optimizers.Adam(**ADAM)
        self.optimizer.build(self.model.trainable_variables)
        self.loss = {
            CLASSES: lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            BINARY: lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        }.get(row.loss, keras.losses.MeanSquaredError)()
        self.first = [np.array(v) for v in self._state()]

    def _state(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]

    def restart(self) -> None:
        for variable, value in zip(self._state(), self.first, strict=True):
            variable.assign(value)

    def weights(self) -> list[np.ndarray]:
        return [np.array(v) for v in self.model.trainable_variables]


class Step(_Model):
    """Amalthea: one compiled function that takes a batch and updates the model; for an eager row, the bare tape."""

    def __init__(
        self, row: Training, samples: int | None = None, dtype: str = "float32", jit_compile: bool | None = None
    ) -> None:
        import amalthea as am

        am.config.set_floatx(dtype)
        super().__init__(am, row)
        inputs, targets = row.data(samples)
        self.batches = []
        tensor = am.ops.convert_to_tensor
        for start in range(0, len(targets), row.batch):
            span = slice(start, start + row.batch)
            self.batches.append(([tensor(x[span]) for x in inputs], tensor(targets[span])))
        self.whole = [tensor(x) for x in inputs], tensor(targets)
        model, optimizer, loss_of = self.model, self.optimizer, self.loss

        def step(x: list[Any], y: Any) -> Any:
            with am.GradientTape() as tape:
                if row.eager:  # as in the example
                    loss = am.ops.mean((model(x[0]) - y) ** 2)
                else:
                    loss = loss_of(y, model(x if len(x) > 1 else x[0], training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        self.step: Callable[..., Any] = step if row.eager else am.function(step, jit_compile=jit_compile)

    def run(self, steps: int) -> Sequence[float]:
        losses = []
        if self.row.eager:
            (x,), y = self.whole
            for i in range(steps):
                start = i % self.row.steps * self.row.batch
                losses.append(self.step([x[start : start + self.row.batch]], y[start : start + self.row.batch]))
        else:
            for i in range(steps):
                losses.append(self.step(*self.batches[i % len(self.batches)]))
        return [float(loss) for loss in losses]


class Fit(_Model):
    """`fit` on arrays in memory, silently and in order: one call trains the whole data set, as often as asked.

    Both are given the faster of their ways of compiling where the engine has several, and real Keras that of one or
    several steps in each call of the program on TensorFlow, where it can matter; a trial decides. `chosen` says which.
    """

    def __init__(self, row: Training, package: str, samples: int | None = None, trials: bool = True) -> None:
        keras = importlib.import_module(package)
        super().__init__(keras, row)
        self.inputs, self.targets = row.data(samples)
        ways: list[dict[str, Any]] = [{}]
        engine = (keras.config.backend(), package) if trials else None
        if engine == ("tensorflow", "keras"):
            many = min(row.steps, 32)
            ways = [{"jit_compile": jit, "steps_per_execution": count} for jit in (False, True) for count in {1, many}]
        elif engine in (("tensorflow", "amalthea"), ("torch", "amalthea"), ("torch", "keras")):
            ways = [{"jit_compile": jit} for jit in (False, True)]
        seconds = []
        for way in ways if len(ways) > 1 else ():
            self._compile(way)
            try:
                self._fit(row.steps)
            except Exception:  # a compiler of the engine's that cannot take the model
                seconds.append(float("inf"))
                continue
            start = time.perf_counter()
            self._fit(row.steps)
            seconds.append(time.perf_counter() - start)
        best = ways[seconds.index(min(seconds))] if seconds else ways[0]
        self.chosen = ", ".join(f"{name}={value}" for name, value in best.items())
        self._compile(best)

    def _compile(self, way: dict[str, Any]) -> None:
        self.model.compile(optimizer=self.optimizer, loss=self.loss, **way)

    def _fit(self, steps: int) -> list[float]:
        rows, epochs = len(self.targets), 1
        if steps < self.row.steps:
            rows = steps * self.row.batch
        else:
            epochs = steps // self.row.steps
        x = [part[:rows] for part in self.inputs]
        history = self.model.fit(
            x if len(x) > 1 else x[0],
            self.targets[:rows],
            batch_size=self.row.batch,
            epochs=epochs,
            shuffle=False,
            verbose=0,
        )
        return [float(loss) for loss in history.history["loss"]]

    def run(self, steps: int) -> Sequence[float]:
        return self._fit(steps)

    def epoch(self) -> None:
        """One epoch on all data, the last batch smaller than the others if need be."""
        x = self.inputs if len(self.inputs) > 1 else self.inputs[0]
        self.model.fit(x, self.targets, batch_size=self.row.batch, shuffle=False, verbose=0)
