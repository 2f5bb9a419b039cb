"""Models as objects of other frameworks, in one call each, and their weights back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amalthea.core.backend import named
from amalthea.core.errors import ArgumentError, fail


class CrossingOver:
    """The part of a model that other frameworks take; see `Model`."""

    def to_torch(self) -> Any:
        """The model as a `torch.nn.Module` with a copy of its weights.

        Trainable variables are parameters and the others buffers, named by their paths, so torch's own optimizers train
        it; `module.train()` and `module.eval()` say how layers like Dropout behave. `am.from_torch_state` copies the
        weights back. Inputs are tensors of the shapes that the model takes; gradients are the model's own.

        Raises:
            ValueError: if the model is not built, or two of its variables have the same path.
            ImportError: if PyTorch is not installed.

        >>> import torch
        >>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
        >>> model.to_torch()(torch.ones(4, 3)).shape
        torch.Size([4, 2])
        """
        self._assert_ready("torch")
        from amalthea.backends.torch_module import Module

        return Module(self, self.variables)  # type: ignore[arg-type,attr-defined]

    def to_jax(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The model as a pure function of its parameters, for `jax.jit`, `jax.grad` and optax.

        JAX is switched to 64-bit types (`jax_enable_x64`) for the whole process, as Amalthea's dtypes need them.

        Returns:
            `(function, parameters)`. `function(parameters, *inputs, training=False)` gives the outputs, with
            `training=True` a pair of the outputs and the parameters with what the call updated (moving statistics,
            states of random numbers). `parameters` is a dict from the variables' paths to `jax.Array`s.

        Raises:
            ValueError: if the model is not built, or two of its variables have the same path.
            ImportError: if JAX is not installed.

        >>> import jax
        >>> function, parameters = am.Sequential([am.Input((3,)), am.layers.Dense(2)]).to_jax()
        >>> jax.jit(function)(parameters, np.ones((4, 3), "float32")).shape
        (4, 2)
        """
        self._assert_ready("jax")
        from amalthea.backends.jax_function import pure_function

        return pure_function(self, self.variables)  # type: ignore[arg-type,attr-defined]

    def to_tensorflow(self) -> Any:
        """The model as a `tf.Module` with a copy of its weights as `tf.Variable`s.

        `module(*inputs, training=False)` works under `tf.function` and `tf.GradientTape`.

        Raises:
            ValueError: if the model is not built.
            ImportError: if TensorFlow is not installed.

        >>> module = am.Sequential([am.Input((3,)), am.layers.Dense(2)]).to_tensorflow()
        >>> tuple(module(np.ones((4, 3), "float32")).shape)
        (4, 2)
        """
        self._assert_ready("tensorflow")
        from amalthea.backends.tensorflow_module import Module

        return Module(self, self.variables)  # type: ignore[arg-type,attr-defined]

    def _assert_ready(self, engine: str) -> None:
        """Raise what `to_...` says that it raises."""
        if not self.built:  # type: ignore[attr-defined]
            fail(
                ArgumentError,
                "the model has no weights yet",
                where=f"to_{engine}",
                received=f"model {self.name!r}, not built",  # type: ignore[attr-defined]
                fix="call the model on a batch, or give it an Input, before",
            )
        named(engine)


def from_torch_state(model: Any, module: Any) -> None:
    """Copy the weights of a module that `model.to_torch()` made back into the model.

    Args:
        model: the model.
        module: the `torch.nn.Module`, trained in the meantime.

    Raises:
        ValueError: if the module is another model's: names or shapes differ. Nothing is changed then.

    >>> model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
    >>> module = model.to_torch()
    >>> am.from_torch_state(model, module)
    """
    from amalthea.backends.crossing import names_of
    from amalthea.backends.torch_module import read_state

    values = read_state(module)
    names = dict(zip(names_of(model.variables), model.variables, strict=True))
    wrong = sorted({*names} ^ {*values}) or [n for n, v in names.items() if tuple(v.shape) != values[n].shape]
    if wrong:
        fail(
            ArgumentError,
            "the module does not hold this model's weights",
            where="from_torch_state",
            received=f"differences in {wrong[:3]}",
            fix="pass the module that model.to_torch() returned",
        )
    for name, variable in names.items():
        variable.assign(values[name])
