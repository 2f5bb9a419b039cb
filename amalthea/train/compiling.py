"""`compile` and what it leaves in a model: optimizer, losses, metrics, and the settings of training."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

from amalthea.core.errors import AmaltheaError, ArgumentError, fail
from amalthea.nn import metrics as metrics_module
from amalthea.nn import objects, optimizers
from amalthea.nn.signatures import named
from amalthea.nn.tracking import untracked
from amalthea.train.compile_loss import CompileLoss
from amalthea.train.compile_metrics import CompileMetrics
from amalthea.train.resolve import check_names


class Compiling:
    """The part of a model that knows how it is trained; see `Trainer`."""

    compiled = False
    optimizer: Any = None
    loss: Any = None
    run_eagerly = False
    jit_compile: bool | str = "auto"
    stop_training = False
    steps_per_execution: int | str = 1
    train_function: Any = None
    test_function: Any = None
    predict_function: Any = None
    _compile_loss: CompileLoss | None = None
    _compile_metrics: CompileMetrics | None = None
    _loss_tracker: Any = None
    _compile_arguments: dict[str, Any] | None = None
    _initial_epoch: int | None = None

    @named("compile")
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | str = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained and judged.

        Args:
            optimizer: name or object of an optimizer.
            loss: name, function of `(y_true, y_pred)` or `Loss`; for several outputs a list in their order, a dict by
                their names, or their structure. `"crossentropy"` chooses binary, sparse or categorical by shapes.
            loss_weights: what each output's loss is multiplied by in the total: a list or dict like `loss`.
            metrics: list of names, functions or `Metric`s; for several outputs a list or dict with one entry for each.
                `"accuracy"` chooses the binary, sparse or categorical one by shapes.
            weighted_metrics: the same, for metrics that are weighted by `sample_weight` and `class_weight`.
            run_eagerly: whether steps run op by op instead of as one compiled program; slow, good for debugging.
            steps_per_execution: number of steps between two calls of the callbacks, or `"auto"` to let it grow while
                steps are short.
            jit_compile: whether the backend also uses a compiler that is slow to start: `torch.compile` on torch, XLA
                on tensorflow. `"auto"` is the backend's own choice; native and jax always compile.
            auto_scale_loss: whether the optimizer scales the loss under the dtype policy `"mixed_float16"`.

        Raises:
            ValueError: for names that do not exist and arguments of a wrong kind.

        >>> import amalthea as am
        >>> model = am.Sequential([am.layers.Input((3,)), am.layers.Dense(1)])
        >>> model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        """
        if isinstance(steps_per_execution, bool) or not (
            steps_per_execution == "auto" or (isinstance(steps_per_execution, int) and steps_per_execution >= 1)
        ):
            fail(
                ArgumentError,
                '`steps_per_execution` must be a whole number of at least 1, or "auto"',
                where="compile",
                received=f"steps_per_execution={steps_per_execution!r}",
                fix="leave it out for 1",
            )
        check_names(loss, "loss")
        check_names(metrics, "metrics")
        check_names(weighted_metrics, "weighted_metrics")
        if jit_compile not in (True, False, "auto"):
            fail(
                ArgumentError,
                '`jit_compile` must be True, False or "auto"',
                where="compile",
                received=f"jit_compile={jit_compile!r}",
                fix="leave it out for the backend's own choice",
            )
        if jit_compile is True and run_eagerly:
            warnings.warn("run_eagerly=True turns compilation off, jit_compile=True has no effect", stacklevel=2)
        output_names = getattr(self, "output_names", None)
        with untracked():
            chosen = optimizers.get(optimizer)
            if auto_scale_loss and chosen is not None and self.dtype_policy.name == "mixed_float16":  # type: ignore[attr-defined]
                chosen = _with_loss_scaling(chosen)
            self.optimizer = chosen
            self.loss = loss
            self._compile_loss = (
                None if loss is None else CompileLoss(loss, loss_weights, output_names, self._shown_outputs)
            )
            self._compile_metrics = None
            if metrics is not None or weighted_metrics is not None:
                self._compile_metrics = CompileMetrics(metrics, weighted_metrics, output_names=output_names)
            self._loss_tracker = metrics_module.Mean(name="loss")
            self.run_eagerly = bool(run_eagerly)
            self.jit_compile = False if run_eagerly else jit_compile
            self.steps_per_execution = steps_per_execution
            self.stop_training = False
            self.train_function = self.test_function = self.predict_function = None
            self._compile_arguments = {
                "optimizer": optimizer if isinstance(optimizer, str) else chosen,
                "loss": loss,
                "loss_weights": loss_weights,
                "metrics": metrics,
                "weighted_metrics": weighted_metrics,
                "run_eagerly": run_eagerly,
                "steps_per_execution": steps_per_execution,
                "jit_compile": self.jit_compile in (True, "auto"),
            }
            self.compiled = True

    def _shown_outputs(self) -> list[str] | None:
        """The names by which errors call the outputs, where these have names."""
        return getattr(self, "output_names", None)

    def _label(self) -> str:
        raise NotImplementedError

    @contextlib.contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        """Errors about losses and targets, which are raised outside the model's call, name the model too."""
        try:
            yield
        except AmaltheaError as error:
            error.layers = error.layers or (self._label(),)
            raise

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile` in a form that can be written to a file; empty if the model is not compiled.

        >>> import amalthea as am
        >>> model = am.Sequential([am.layers.Input((3,)), am.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.get_compile_config()["loss"]
        'mse'
        """
        if not self.compiled or self._compile_arguments is None:
            return {}
        arguments = {**self._compile_arguments, "optimizer": self.optimizer}
        return {name: objects.serialize_keras_object(value) for name, value in arguments.items()}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model as `get_compile_config` describes.

        Args:
            config: what `get_compile_config` returned.
        """
        if not config:
            return
        if type(self).compile is not Compiling.compile and (
            type(self).get_compile_config is Compiling.get_compile_config
        ):
            warnings.warn(
                f"{type(self).__name__} has a compile() of its own, so the loaded model was not compiled. Define "
                "get_compile_config() and compile_from_config(config) too, or call compile() after loading",
                stacklevel=2,
            )
            return
        arguments = {name: objects.deserialize_keras_object(value) for name, value in config.items()}
        if arguments.get("jit_compile"):  # as Keras does, a config says True where "auto" was given too
            arguments["jit_compile"] = "auto"
        accepted = inspect.signature(self.compile).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
            arguments = {name: value for name, value in arguments.items() if name in accepted}
        self.compile(**arguments)
        if self.optimizer is not None and self.built:  # type: ignore[attr-defined]
            self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    @property
    def metrics(self) -> list[Any]:
        """All metrics: the mean loss, those of `compile`, the single losses of several outputs, and the layers' own."""
        found = list(self._compiled_metrics())
        found.extend(self._metrics)  # type: ignore[attr-defined]
        for layer in self._flatten_layers(include_self=False):  # type: ignore[attr-defined]
            if not isinstance(layer, Compiling):
                found.extend(layer._metrics)
        return found

    def _compiled_metrics(self) -> list[Any]:
        if not self.compiled:
            return []
        found = [self._loss_tracker]
        if self._compile_metrics is not None:
            found.append(self._compile_metrics)
        if self._compile_loss is not None:
            found.extend(self._compile_loss.metrics)
        return found

    @property
    def metrics_names(self) -> list[str]:
        """Names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Set every metric back to its beginning."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Results of all metrics by name; metrics with several results give several entries."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            if isinstance(result, dict):
                results.update(result)
            else:
                results[metric.name] = result
        return results

    def _assert_compile_called(self, where: str) -> None:
        if not self.compiled:
            fail(
                ArgumentError,
                f"the model must be compiled before {where}() is called",
                where=where,
                received=f"model {getattr(self, 'name', None)!r}, not compiled",
                fix='call model.compile(optimizer="adam", loss=...) first',
            )


def _with_loss_scaling(optimizer: Any) -> Any:
    scaled = getattr(optimizers, "LossScaleOptimizer", None)
    if scaled is None or isinstance(optimizer, scaled):
        return optimizer
    return scaled(optimizer, name="loss_scale_optimizer")
