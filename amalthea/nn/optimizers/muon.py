"""Muon."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.core.variable import Variable
from amalthea.nn.objects import public
from amalthea.nn.optimizers.optimizer import Optimizer


@public("keras.optimizers.Muon")
class Muon(Optimizer):
    """Momentum whose step on a matrix is made orthogonal; Adam for everything else (Jordan et al., 2024).

    Matrices are variables of rank 2 that are no embeddings. `zeropower_via_newtonschulz5` brings all singular values of
    their momentum near 1 by a polynomial, in matrix products alone.

    Args:
        learning_rate: a number, a schedule, or a function that gives a number.
        adam_beta_1: `beta_1` of Adam.
        adam_beta_2: `beta_2` of Adam.
        adam_weight_decay: weight decay where Adam is used.
        epsilon: `epsilon` of Adam.
        weight_decay: weight decay of the matrices.
        exclude_layers: pieces of variable paths (regular expressions) where Adam is used as well.
        exclude_embeddings: whether Adam is used for variables with "embedding" in their path.
        muon_a: first coefficient of the polynomial.
        muon_b: second one.
        muon_c: third one.
        adam_lr_ratio: Adam's learning rate, relative to `learning_rate`.
        momentum: how much of the momentum stays at each step.
        ns_steps: how often the polynomial is applied.
        nesterov: whether the step looks ahead along the momentum.
        rms_rate: steps are scaled by this times the root of the longer side (arXiv:2502.16982); None leaves them.

    The other arguments are those of `Optimizer`.

    Example:
    >>> import amalthea as am
    >>> w = am.Variable([[1.0, 2.0], [3.0, 4.0]])
    >>> am.optimizers.Muon(learning_rate=0.1).apply([[[1.0, 0.0], [0.0, 1.0]]], [w])
    >>> bool(w[0, 0] < 1.0)
    True
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: list[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = exclude_layers or []
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def _should_use_adamw(self, variable: Variable) -> bool:
        if len(variable.shape) != 2 or (self.exclude_embeddings and "embedding" in variable.path.lower()):
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def build(self, var_list: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self.momentums: list[Any] = []
        self.adam_velocities: list[Any] = []
        for variable in var_list:
            skip = self._overwrite_variable_with_gradient(variable)
            self.momentums.append(None if skip else self.add_variable_from_reference(variable, name="momentum"))
            adam = not skip and self._should_use_adamw(variable)
            self.adam_velocities.append(self.add_variable_from_reference(variable, name="velocity") if adam else None)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        momentum, velocity = self.momentums[index], self.adam_velocities[index]
        rate = self._rate(learning_rate, variable.dtype)
        if velocity is not None:
            self._adam_step(gradient, variable, rate * self.adam_lr_ratio, momentum, velocity)
            return
        momentum.assign_add(gradient + momentum * (self.momentum - 1))
        direction = gradient + self.momentum * momentum if self.nesterov else momentum.value
        variable.assign_sub(self.lr_adjust(rate * self.zeropower_via_newtonschulz5(direction, self.ns_steps)))

    def _adam_step(
        self, gradient: Tensor, variable: Variable, rate: Tensor, momentum: Variable, velocity: Variable
    ) -> None:
        step = self._local_step(variable.dtype)
        momentum.assign_add((gradient - momentum) * (1 - self.adam_beta_1))
        velocity.assign_add((ops.square(gradient) - velocity) * (1 - self.adam_beta_2))
        rate = rate * ops.sqrt(1 - ops.power(self.adam_beta_2, step)) / (1 - ops.power(self.adam_beta_1, step))
        variable.assign_sub(momentum * rate / (ops.sqrt(velocity) + self.epsilon))

    def transpose_last_axis(self, X: Tensor) -> Tensor:
        """`X` with its last two axes swapped."""
        return ops.swapaxes(X, -1, -2)

    def lr_adjust(self, x: Tensor) -> Tensor:
        """A step on a matrix, scaled so that its elements are about as large as Adam's."""
        return x if self.rms_rate is None else x * (max(x.shape[0], x.shape[1]) ** 0.5 * self.rms_rate)

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        """The matrix with about the same singular vectors and all singular values near 1.

        Args:
            x: a matrix.
            steps: how often `a X + b (X X^T) X + c (X X^T)^2 X` is applied.
        """
        tall = x.shape[-2] > x.shape[-1]
        if tall:
            x = self.transpose_last_axis(x)
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(steps):
            square = ops.matmul(x, self.transpose_last_axis(x))
            factor = self.muon_b * square + self.muon_c * ops.matmul(square, square)
            x = self.muon_a * x + ops.matmul(factor, x)
        return self.transpose_last_axis(x) if tall else x

    def _apply_weight_decay(self, variables: Iterable[Variable]) -> None:
        for variable in variables:
            decay = self.adam_weight_decay if self._should_use_adamw(variable) else self.weight_decay
            if decay is not None and self._use_weight_decay(variable):
                self._decay(variable, decay)

    def get_config(self) -> dict[str, Any]:
        names = (
            "adam_beta_1",
            "adam_beta_2",
            "adam_weight_decay",
            "epsilon",
            "exclude_layers",
            "exclude_embeddings",
            "muon_a",
            "muon_b",
            "muon_c",
            "adam_lr_ratio",
            "momentum",
            "ns_steps",
            "nesterov",
            "rms_rate",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
