"""`Trainer`: `fit`, `evaluate`, `predict` and their single-batch forms, mixed into every model."""

from __future__ import annotations

from typing import Any

import numpy as np

from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import KerasTensor
from amalthea.data.adapters import check_count, get_adapter
from amalthea.data.arrays import ArrayAdapter, convert, train_validation_split
from amalthea.data.batches import to_batch, unpack_x_y_sample_weight
from amalthea.data.iterables import KeptBatches
from amalthea.data.protocol import DataAdapter
from amalthea.data.weights import check_class_weight, check_weights_are_numbers
from amalthea.nn.signatures import named, own_parameters, refuse_unknown
from amalthea.train.callbacks.callback_list import CallbackList
from amalthea.train.callbacks.logs import pythonify_logs
from amalthea.train.compile_loss import describe_loss
from amalthea.train.compile_metrics import CompileMetrics
from amalthea.train.loop import Epochs, Execution, Interrupts
from amalthea.train.progress import check_verbose
from amalthea.train.stepping import Stepping

VALIDATION = "fit(validation_data=...)"
"""What errors call the evaluation inside `fit`."""


class Trainer(Stepping):
    """What makes a model trainable: `compile`, `fit`, `evaluate`, `predict`, and the steps they run.

    The step (`train_step`, ours or the user's) is traced once for each shape of batch into a graph in which variables
    are state, compiled, and fed batch after batch. With `run_eagerly=True` it runs op by op.

    Ctrl-C ends `fit` between two steps with `KeyboardInterrupt`; the model keeps what it has learned. A second Ctrl-C
    does not wait for the step.
    """

    stop_evaluating = False
    stop_predicting = False

    @named("fit")
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | list[int] = 1,
    ) -> Any:
        """Train the model.

        Args:
            x: inputs: arrays of shape (samples, ...) or a nested structure of them, a `PyDataset`, a generator, or any
                iterable of batches `(x,)`, `(x, y)` or `(x, y, sample_weight)`, such as a torch DataLoader.
            y: targets, for arrays only.
            batch_size: samples a step, for arrays only; None gives 32.
            epochs: the epoch to train to, counted from 1.
            verbose: 0 is silent; 1 (`"auto"`) shows a bar on a terminal and one line an epoch elsewhere; 2 shows one
                line an epoch.
            callbacks: list of `Callback`s.
            validation_split: share of the arrays, taken from their end before shuffling, to evaluate on.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or a data set to evaluate on after each epoch.
            shuffle: whether to visit samples in a new order each epoch; `"batch"` shuffles inside each batch only.
            class_weight: dict from class index to weight.
            sample_weight: array of weights of the samples, shape (samples,) or one that broadcasts with the losses.
            initial_epoch: number of epochs already done.
            steps_per_epoch: number of steps an epoch; None is one pass over the data.
            validation_steps: number of batches to evaluate; None is all. Of a generator it is always the first ones,
                which are kept, so that the results of epochs can be compared.
            validation_batch_size: samples a batch of validation; None is `batch_size`.
            validation_freq: evaluate after every so many epochs, or after the epochs in a list (counted from 1).

        Returns:
            A `History`; `history.history` is a dict from names to lists of one value an epoch.

        Raises:
            ValueError: if the model is not compiled, or data and arguments do not fit together.

        >>> import amalthea as am, numpy as np
        >>> model = am.Sequential([am.layers.Input((2,)), am.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> sorted(model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=2, verbose=0).history)
        ['loss']
        """
        self._assert_compile_called("fit")
        check_verbose(verbose, "fit")
        _check_epochs(epochs, initial_epoch, validation_freq)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = train_validation_split(x, y, sample_weight, validation_split)
        adapter = get_adapter(x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight, "fit")
        _check_endless(adapter, steps_per_epoch, epochs - initial_epoch, "fit", "steps_per_epoch")
        data = Epochs(adapter, steps_per_epoch, Execution(self.steps_per_execution))
        held_out = None
        if validation_data is not None:
            held_out = self._validation(
                validation_data,
                batch_size if validation_batch_size is None else validation_batch_size,
                validation_steps,
                epochs - initial_epoch,
            )
        self._prepare(adapter, "fit")
        if held_out is not None:
            self._check_all_labels(held_out.adapter, VALIDATION)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=epochs,
                steps=data.num_batches,
                model=self,
            )
        self._pace(data, callbacks, "train")
        if held_out is not None:
            self._pace(held_out, callbacks, "test")
        self.make_train_function()
        self.stop_training = False
        self._initial_epoch = None
        results: dict[str, Any] = {}
        try:
            with Interrupts() as interrupts:
                callbacks.on_train_begin()
                first = self._initial_epoch if self._initial_epoch is not None else initial_epoch
                for epoch in range(first, epochs):
                    results = self._fit_epoch(epoch, data, held_out, validation_freq, callbacks, interrupts)
                    if self.stop_training:
                        break
            self._finalize_weights(epochs)
        except BaseException:
            callbacks.abort()
            self._finalize_weights(epochs)
            raise
        finally:
            data.close()
            if held_out is not None:
                held_out.close()
        callbacks.on_train_end(results)
        return self.history  # type: ignore[attr-defined]

    def _fit_epoch(
        self,
        epoch: int,
        data: Epochs,
        held_out: Epochs | None,
        freq: Any,
        callbacks: CallbackList,
        interrupts: Interrupts,
    ) -> dict[str, Any]:
        self.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        logs: Any = None
        look = not isinstance(data.adapter, ArrayAdapter)
        for begin, end, batches in data.epoch():
            if look:
                for batch in batches:
                    self._check_labels(batch, "fit")
            callbacks.on_train_batch_begin(begin)
            with interrupts.step():
                logs = self.train_function(batches)
            callbacks.on_train_batch_end(end, _checked(logs, "train_step"))
            if self.stop_training:
                break
        if logs is None:
            # a generator that the epochs before used up; the warning was given by `data`
            self.stop_training = True
            return {}
        results = pythonify_logs(self._latest(logs))
        if held_out is not None and _is_due(epoch, freq):
            validation = self._evaluate(held_out, callbacks, VALIDATION)
            results.update({f"val_{name}": value for name, value in validation.items()})
        callbacks.on_epoch_end(epoch, results)
        return results

    @named("evaluate")
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Compute the loss and the metrics over some data.

        Args:
            x: inputs, or a data set, as in `fit`.
            y: targets.
            batch_size: samples a batch; None gives 32.
            verbose: as in `fit`.
            sample_weight: weights of the samples.
            steps: number of batches; None is all.
            callbacks: list of `Callback`s.
            return_dict: whether to return a dict instead of a list.

        Returns:
            The loss as a float, a list of the loss and the metrics, or with `return_dict` a dict of them by name.

        Raises:
            ValueError: if the model is not compiled, or data and arguments do not fit together.
        """
        self._assert_compile_called("evaluate")
        check_verbose(verbose, "evaluate")
        if kwargs:
            refuse_unknown("evaluate", kwargs, [p.name for p in own_parameters(Trainer.evaluate)])
        adapter = get_adapter(x, y, sample_weight, batch_size, steps, where="evaluate")
        _check_endless(adapter, steps, 1, "evaluate", "steps")
        data = Epochs(adapter, steps, Execution(self.steps_per_execution))
        self._prepare(adapter, "evaluate")
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=data.num_batches, model=self
            )
        self._pace(data, callbacks, "test")
        try:
            results = self._evaluate(data, callbacks)
        except BaseException:
            callbacks.abort()
            raise
        finally:
            data.close()
        return results if return_dict else self._in_order(results)

    def _evaluate(self, data: Epochs, callbacks: CallbackList, where: str = "evaluate") -> dict[str, Any]:
        self.make_test_function()
        self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        logs: Any = None
        data.rewind()
        look = not isinstance(data.adapter, ArrayAdapter)
        for begin, end, batches in data.epoch():
            if look:
                for batch in batches:
                    self._check_labels(batch, where)
            callbacks.on_test_batch_begin(begin)
            logs = self.test_function(batches)
            callbacks.on_test_batch_end(end, _checked(logs, "test_step"))
            if self.stop_evaluating:
                break
        results = pythonify_logs(self._latest(logs)) if logs is not None else {}
        callbacks.on_test_end(results)
        return results

    @named("predict")
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Compute outputs for some data, batch by batch.

        Args:
            x: inputs, or a data set, as in `fit`; targets in it are ignored.
            batch_size: samples a batch; None gives 32.
            verbose: as in `fit`.
            steps: number of batches; None is all.
            callbacks: list of `Callback`s.

        Returns:
            NumPy array of shape (samples, ...), or a structure of them where the model has several outputs.

        >>> import amalthea as am, numpy as np
        >>> model = am.Sequential([am.layers.Input((2,)), am.layers.Dense(3)])
        >>> model.predict(np.ones((5, 2)), verbose=0).shape
        (5, 3)
        """
        check_verbose(verbose, "predict")
        adapter = get_adapter(x, None, None, batch_size, steps, where="predict")
        _check_endless(adapter, steps, 1, "predict", "steps")
        data = Epochs(adapter, steps, Execution(self.steps_per_execution))
        self.make_predict_function()
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=data.num_batches, model=self
            )
        self._pace(data, callbacks, "predict")
        parts: list[Any] = []
        self.stop_predicting = False
        try:
            adapter.first()  # an empty data set is refused before anything is shown
            callbacks.on_predict_begin()
            for begin, end, batches in data.epoch():
                callbacks.on_predict_batch_begin(begin)
                outputs = self.predict_function(batches)
                parts.extend(tree.map_structure(np.asarray, one) for one in outputs)
                callbacks.on_predict_batch_end(end, {"outputs": parts[-1]})
                if self.stop_predicting:
                    break
            callbacks.on_predict_end()
        except BaseException:
            callbacks.abort()
            raise
        finally:
            data.close()
        return tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Train on one batch.

        Args:
            x: inputs: array of shape (samples, ...) or a structure of them.
            y: targets.
            sample_weight: weights of the samples.
            class_weight: dict from class index to weight.
            return_dict: whether to return a dict instead of a list.

        Returns:
            The loss as a float, a list of the loss and the metrics of this batch, or a dict of them by name.
        """
        self._assert_compile_called("train_on_batch")
        batch = self._one_batch(x, y, sample_weight, class_weight, "train_on_batch")
        self.make_train_function()
        return self._run_one(self.train_function, batch, "train_step", return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Compute the loss and the metrics of one batch.

        Args:
            x: inputs: array of shape (samples, ...) or a structure of them.
            y: targets.
            sample_weight: weights of the samples.
            return_dict: whether to return a dict instead of a list.

        Returns:
            The loss as a float, a list of the loss and the metrics of this batch, or a dict of them by name.
        """
        self._assert_compile_called("test_on_batch")
        batch = self._one_batch(x, y, sample_weight, None, "test_on_batch")
        self.make_test_function()
        return self._run_one(self.test_function, batch, "test_step", return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Compute the outputs for one batch.

        Args:
            x: inputs: array of shape (samples, ...) or a structure of them.

        Returns:
            NumPy array, or a structure of them where the model has several outputs.
        """
        self.make_predict_function()
        batch = to_batch((convert(x, "x", "predict_on_batch"),), "predict_on_batch")
        return tree.map_structure(np.asarray, self.predict_function([batch])[0])

    def _one_batch(self, x: Any, y: Any, sample_weight: Any, class_weight: Any, where: str) -> Any:
        if class_weight is not None:
            class_weight = check_class_weight(class_weight, where)
        adapter = ArrayAdapter(x, y, sample_weight, None, 1, False, class_weight, where)
        self._prepare(adapter, where)
        return to_batch(adapter.first(), where)

    def _run_one(self, run: Any, batch: Any, step: str, return_dict: bool) -> Any:
        self.reset_metrics()
        logs = pythonify_logs(_checked(run([batch]), step))
        return logs if return_dict else self._in_order(logs)

    def _prepare(self, adapter: DataAdapter, where: str) -> None:
        """Build whatever is not built yet from the shapes of the first batch, and look at the targets."""
        custom = type(self).train_step is not Stepping.train_step
        loss, metrics = self._compile_loss, self._compile_metrics
        unbuilt = not self.built or any(part is not None and not part.built for part in (loss, metrics))  # type: ignore[attr-defined]
        if unbuilt:
            try:
                self._build_from(adapter.first(), where)
            except Exception:
                # A step of the user's own may call the model in its own way; then it is built when that step is traced.
                if not custom:
                    raise
        if self.optimizer is not None and not self.optimizer.built and self.built and not custom:  # type: ignore[attr-defined]
            self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]
        if not custom:
            self._check_all_labels(adapter, where)

    def _build_from(self, batch: Any, where: str) -> None:
        # A model made of symbolic tensors knows its outputs for any batch size without being called again.
        known = self.built and getattr(self, "inputs", None) is not None  # type: ignore[attr-defined]

        def symbol(leaf: Any) -> Any:
            if leaf is None:
                return None
            return KerasTensor((None, *leaf.shape[1:]) if known and leaf.shape else leaf.shape, leaf.dtype)

        symbols = tree.map_structure(symbol, to_batch(batch, where))
        x, y, _ = unpack_x_y_sample_weight(symbols)
        y_pred = self._call(x, training=False)
        for part in (self._compile_loss, self._compile_metrics):
            # without targets the loss itself says what is missing, at the first step
            if part is not None and not part.built and y is not None:
                part.build(y, y_pred)

    def _is_custom(self) -> bool:
        """Whether the user's own code decides what becomes of targets."""
        kind = type(self)
        return (
            kind.train_step is not Stepping.train_step
            or kind.test_step is not Stepping.test_step
            or kind.compute_loss is not Stepping.compute_loss
        )

    def _refuse_missing_targets(self, where: str) -> None:
        fixes = {
            "fit": "pass y, or yield (x, y) from the data set; a model without targets needs no loss in compile",
            "evaluate": "pass y, or yield (x, y) from the data set; for outputs alone use predict(x)",
            VALIDATION: "pass validation_data=(x, y), or a data set that yields (x, y)",
        }
        fail(
            ArgumentError,
            "the loss needs targets, and none were given",
            where=where,
            received=f"y=None, loss={describe_loss(self.loss)}",
            fix=fixes.get(where, "pass y"),
        )

    def _check_all_labels(self, adapter: DataAdapter, where: str) -> None:
        if isinstance(adapter, ArrayAdapter):
            self._check_labels(adapter.data, where)

    def _check_labels(self, batch: Any, where: str) -> None:
        loss = self._compile_loss
        if loss is None or self._is_custom():
            return
        _, y, sample_weight = unpack_x_y_sample_weight(batch)
        with self._named_in_errors():
            if y is None:
                self._refuse_missing_targets(where)
            loss.check_labels(y, sample_weight, where)
            check_weights_are_numbers(sample_weight, where)

    def _validation(self, given: Any, batch_size: int | None, steps: int | None, epochs: int) -> Epochs:
        where = VALIDATION
        x, y, sample_weight = (
            unpack_x_y_sample_weight(given) if isinstance(given, (tuple, list)) else (given, None, None)
        )
        for name, value in (("validation_batch_size", batch_size), ("validation_steps", steps)):
            check_count(name, value, "fit")
        adapter = get_adapter(x, y, sample_weight, batch_size, steps, where=where)
        _check_endless(adapter, steps, epochs, where, "validation_steps")
        if steps is not None and not adapter.restarts:
            adapter = KeptBatches(adapter, steps)
        return Epochs(adapter, steps, Execution(self.steps_per_execution))

    def _pace(self, data: Epochs, callbacks: CallbackList, phase: str) -> None:
        """Let executions have as many steps as fit between two drawings of the progress bar, where that is not seen.

        That is so for arrays in memory, unless a callback looks at each batch or `compile` said how many.
        """
        alone = self.run_eagerly or self.steps_per_execution != 1 or not isinstance(data.adapter, ArrayAdapter)
        if not alone and not callbacks.looks_at_each_batch(phase):
            data.execution = Execution("auto")

    def _finalize_weights(self, epochs: int) -> None:
        if epochs > 0 and self.optimizer is not None and self.optimizer.built:
            self.optimizer.finalize_variable_values(self.trainable_variables)  # type: ignore[attr-defined]

    def _latest(self, logs: dict[str, Any]) -> dict[str, Any]:
        """The metrics' results, where the step returned results of the same names; else what the step returned."""
        if type(self).train_step is Stepping.train_step and type(self).test_step is Stepping.test_step:
            return logs
        results = self.get_metrics_result()
        return results if set(results) == set(logs) else logs

    def _in_order(self, results: dict[str, Any]) -> Any:
        names: list[str] = []
        for metric in self.metrics:
            names += [m.name for m in metric.metrics] if isinstance(metric, CompileMetrics) else [metric.name]
        values = [results[name] for name in names if name in results]
        values += [results[name] for name in sorted(results) if name not in names]
        return values[0] if len(values) == 1 else values


def _checked(logs: Any, step: str) -> dict[str, Any]:
    if logs is None:
        return {}
    if not isinstance(logs, dict):
        fail(
            ArgumentError,
            f"{step} must return a dict of results",
            where="fit",
            received=f"{type(logs).__name__}",
            fix='return {"loss": loss}, or self.compute_metrics(x, y, y_pred, sample_weight)',
        )
    return logs


def _check_epochs(epochs: Any, initial_epoch: Any, freq: Any) -> None:
    for name, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            fail(
                ArgumentError,
                f"`{name}` must be a whole number of at least 0",
                where="fit",
                received=f"{name}={value!r}",
                fix=f"write for example {name}=10" if name == "epochs" else "leave it out to begin with epoch 0",
            )
    if isinstance(freq, bool) or not (
        (isinstance(freq, int) and freq > 0) or isinstance(freq, (list, tuple, set, range))
    ):
        fail(
            ArgumentError,
            "`validation_freq` must be a whole number of at least 1, or a list of epochs",
            where="fit",
            received=f"validation_freq={freq!r}",
            fix="2 evaluates after every second epoch, [1, 10] after the first and the tenth",
        )


def _is_due(epoch: int, freq: Any) -> bool:
    return (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq


def _check_endless(adapter: DataAdapter, steps: int | None, passes: int, where: str, argument: str) -> None:
    if steps is not None:
        return
    if adapter.infinite:
        fail(
            ArgumentError,
            f"the data never ends, so `{argument}` must say where to stop",
            where=where,
            received=f"{adapter.kind} without a length, {argument}=None",
            fix=f"pass {argument}=100, say",
        )
    if not adapter.restarts and passes > 1:
        fail(
            ArgumentError,
            f"{adapter.kind} can be gone through once only, and {passes} epochs were asked for",
            where=where,
            received=f"{adapter.kind}, {argument}=None",
            fix=f"pass {argument}=, so that an epoch takes so many batches of it; or pass a PyDataset or an iterable "
            "that can begin anew",
        )
