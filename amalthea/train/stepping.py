"""One step of training, evaluation or prediction: written as a user would write it, and compiled in the same way."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from amalthea import ops
from amalthea.core import config, dtypes
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tape import GradientTape
from amalthea.data.batches import batch_size_of, unpack_x_y_sample_weight
from amalthea.train.compiling import Compiling
from amalthea.train.many_steps import ManySteps


class Stepping(Compiling):
    """The part of a model that computes steps; see `Trainer`. Override its methods to train in your own way."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on one batch: compute outputs, loss and gradients, update the variables, update the metrics.

        Override it to train in another way; what you write is compiled as this is.

        Args:
            data: one batch as the data set yields it: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

        Returns:
            Dict of results for callbacks and the progress bar.

        >>> import amalthea as am
        >>> class Model(am.Model):
        ...     def train_step(self, data):
        ...         x, y = data
        ...         with am.GradientTape() as tape:
        ...             loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        ...         gradients = tape.gradient(loss, self.trainable_variables)
        ...         self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        ...         return {"loss": loss}
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            y_pred = self._call(x, training=True)
            loss = self._compute_loss(x, y, y_pred, sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss) if self.optimizer is not None else loss
        self._loss_tracker.update_state(loss, sample_weight=batch_size_of(x))
        variables = self.trainable_variables  # type: ignore[attr-defined]
        if variables and self.optimizer is not None:
            gradients = tape.gradient(scaled, variables)
            self.optimizer.apply(gradients, variables)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch: compute outputs and loss, update the metrics.

        Args:
            data: one batch as the data set yields it.

        Returns:
            Dict of results.
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._call(x, training=False)
        loss = self._compute_loss(x, y, y_pred, sample_weight, training=False)
        self._loss_tracker.update_state(loss, sample_weight=batch_size_of(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Compute the outputs for one batch.

        Args:
            data: one batch as the data set yields it; targets are ignored.

        Returns:
            The outputs, in the structure that the model gives them.
        """
        x, _, _ = unpack_x_y_sample_weight(data)
        return self._call(x, training=False)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The loss that is minimised: the losses of `compile`, and those added by layers and regularizers.

        Args:
            x: inputs.
            y: targets.
            y_pred: outputs.
            sample_weight: weights of the samples.
            training: whether this is a step of training.

        Returns:
            A scalar Tensor.

        Raises:
            ValueError: if there is no loss at all, or targets and outputs do not match.
        """
        losses = []
        if self._compile_loss is not None:
            loss = self._compile_loss(y, y_pred, sample_weight)
            if loss is not None:
                losses.append(loss)
        for loss in self.losses:  # type: ignore[attr-defined]
            losses.append(ops.sum(loss if dtypes.is_floating(loss.dtype) else ops.cast(loss, config.floatx())))
        if not losses:
            if self.optimizer is not None and training:
                fail(
                    ArgumentError,
                    "there is no loss to minimise",
                    where="fit",
                    received=f"compile(loss={self.loss!r}), and no layer added a loss",
                    fix='call compile(loss="mse"), or add_loss() in a layer, or override train_step',
                )
            return ops.zeros((), config.floatx())
        total = losses[0]
        for loss in losses[1:]:
            total = total + ops.cast(loss, total.dtype)
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the metrics of `compile` and return the results of all metrics.

        Args:
            x: inputs.
            y: targets.
            y_pred: outputs.
            sample_weight: weights of the samples.

        Returns:
            Dict of results by name.
        """
        if self._compile_metrics is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def make_train_function(self, force: bool = False) -> None:
        """Make `train_function`, which runs `train_step` on a sequence of batches and returns the last results.

        Args:
            force: whether to make it anew where there is one.
        """
        if self.train_function is None or force:
            self.train_function = self._runner(self.train_step)

    def make_test_function(self, force: bool = False) -> None:
        """Make `test_function`, which runs `test_step` on a sequence of batches and returns the last results.

        Args:
            force: whether to make it anew where there is one.
        """
        if self.test_function is None or force:
            self.test_function = self._runner(self.test_step)

    def make_predict_function(self, force: bool = False) -> None:
        """Make `predict_function`, which runs `predict_step` on a sequence of batches and returns the list of outputs.

        Args:
            force: whether to make it anew where there is one.
        """
        if self.predict_function is None or force:
            self.predict_function = self._runner(self.predict_step, each=True)

    def _runner(self, step: Callable[[Any], Any], each: bool = False) -> Callable[[Sequence[Any]], Any]:
        if not self.run_eagerly:
            steps = ManySteps(step, None if self.jit_compile == "auto" else bool(self.jit_compile))
            return steps.each if each else steps

        def run(batches: Sequence[Any]) -> Any:
            results = [step(batch) for batch in batches]
            return results if each else results[-1]

        return run

    def _call(self, x: Any, training: bool) -> Any:
        # A model whose `call` has no such argument still hands `training` down to its layers.
        return self(x, training=training)  # type: ignore[operator]

    def _compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
        # older code overrides compute_loss without the argument `training`
        with self._named_in_errors():
            if "training" in inspect.signature(self.compute_loss).parameters:
                return self.compute_loss(x, y, y_pred, sample_weight, training=training)
            return self.compute_loss(x, y, y_pred, sample_weight)
