"""`EinsumDense`: a linear map along any axes, written as an Einstein sum."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from amalthea import ops
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn import activations, constraints, initializers, regularizers
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.layers.dense import refuse_variants
from amalthea.nn.registry import public

__all__ = ["EinsumDense"]


class _Shapes(NamedTuple):
    kernel: tuple[Any, ...]
    bias: tuple[Any, ...] | None
    output: tuple[Any, ...]
    input_axes: list[int]
    output_axes: list[int]


@public("keras.layers.EinsumDense")
class EinsumDense(Layer):
    """`activation(einsum(equation, inputs, kernel) + bias)`.

    Args:
        equation: such as `"abc,cd->abd"`; `...` stands for axes that are carried along, at the left end of input and
            output, or at the right end of both.
        output_shape: shape of the output without its first axis (and without the axes of a `...`); None for sizes that
            come from the input.
        activation: a name, a function, or None.
        bias_axes: letters of the output's axes that the bias has, such as `"d"`; None for no bias.
        kernel_initializer, bias_initializer, ...: as in `Dense`.

    >>> import amalthea as am
    >>> layer = am.layers.EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d")
    >>> layer(am.ops.ones((2, 5, 3))).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse_variants("EinsumDense", lora_rank, quantization_config)
        self.equation = equation
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        """Make the kernel and the bias in the shapes that the equation asks for."""
        shapes = self._shapes(tuple(input_shape))
        self.input_spec = InputSpec(ndim=len(input_shape))
        initializer: Any = self.kernel_initializer
        scaled = isinstance(initializer, initializers.VarianceScaling)
        if scaled and (initializer.input_axes is None or initializer.output_axes is None):
            axes = {"seed": initializer.seed, "input_axes": shapes.input_axes, "output_axes": shapes.output_axes}
            initializer = type(initializer).from_config({**initializer.get_config(), **axes})
        self.kernel = self.add_weight(
            name="kernel",
            shape=shapes.kernel,
            initializer=initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if shapes.bias is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=shapes.bias,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _shapes(self, input_shape: tuple[Any, ...]) -> _Shapes:
        """Shapes of the weights and of the output for one input shape."""
        match = re.fullmatch(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?", self.equation)
        left, right = match is not None and match[1], match is not None and match[3]
        if match is None or (left and right) or match[1] != match[5] or match[3] != match[7]:
            fail(
                ArgumentError,
                "the equation has none of the forms X,Y->Z or ...X,Y->...Z or X...,Y->Z...",
                where="EinsumDense",
                received=f"equation={self.equation!r}",
                fix='for example "abc,cd->abd"',
            )
        given, kernel, made = match[2], match[4], match[6]
        carried = len(input_shape) - len(given)
        if carried < 0 or (carried and not left and not right):
            fail(
                ShapeError,
                f"the equation {self.equation!r} is for inputs of rank {len(given)}",
                where="EinsumDense",
                received=f"input of shape {input_shape}",
                fix="change the equation, or reshape the input",
            )
        output: list[Any] = [input_shape[0], *self.partial_output_shape]
        if left and carried:
            output[1:1] = input_shape[1:carried]
        elif carried:
            output.extend(input_shape[len(given) :])
        shift = carried if left else 0
        if shift + len(made) + (carried if right else 0) != len(output):
            fail(
                ArgumentError,
                f"`output_shape` must give the sizes of all axes of {made!r} but the first one",
                where="EinsumDense",
                received=f"output_shape={self.partial_output_shape} for equation={self.equation!r}",
                fix="give one size, or None, per letter",
            )
        from_input = {letter: input_shape[i + shift] for i, letter in enumerate(given)}
        for place, letter in enumerate(made, start=shift):
            if output[place] is None:
                output[place] = from_input.get(letter)
        from_output = {letter: output[i + shift] for i, letter in enumerate(made)}
        for letter, size in from_input.items():
            if from_output.get(letter) is not None and from_output[letter] != size:
                fail(
                    ShapeError,
                    f"axis {letter!r} has size {size} in the input and {from_output[letter]} in `output_shape`",
                    where="EinsumDense",
                    received=f"input of shape {input_shape}, output_shape={self.partial_output_shape}",
                    fix="give None there, or the input's size",
                )
        for letter in made:
            if letter not in given and letter not in kernel:
                fail(
                    ArgumentError,
                    f"axis {letter!r} of the output is neither in the input nor in the kernel",
                    where="EinsumDense",
                    received=f"equation={self.equation!r}",
                    fix="add it to the kernel's letters",
                )
        shape, input_axes, output_axes = [], [], []
        for position, letter in enumerate(kernel):
            if letter in from_output:
                shape.append(from_output[letter])
                output_axes.append(position)
            elif letter in from_input:
                shape.append(from_input[letter])
                input_axes.append(position)
            else:
                fail(
                    ArgumentError,
                    f"axis {letter!r} of the kernel is neither in the input nor in the output",
                    where="EinsumDense",
                    received=f"equation={self.equation!r}",
                    fix="take it out, or add it to the output",
                )
        return _Shapes(tuple(shape), self._bias_shape(made, from_output), tuple(output), input_axes, output_axes)

    def _bias_shape(self, made: str, sizes: dict[str, Any]) -> tuple[Any, ...] | None:
        if self.bias_axes is None:
            return None
        unknown = [letter for letter in self.bias_axes if letter not in made]
        if unknown:
            fail(
                ArgumentError,
                f"the bias cannot have the axes {unknown}, which the output {made!r} has not",
                where="EinsumDense",
                received=f"bias_axes={self.bias_axes!r}, equation={self.equation!r}",
                fix="use letters of the output",
            )
        first = min(made.index(letter) for letter in self.bias_axes)
        return tuple(sizes[letter] if letter in self.bias_axes else 1 for letter in made[first:])

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """The map of `inputs`."""
        outputs = ops.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        if self.activation is not activations.linear:
            outputs = self.activation(outputs)
        return outputs

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape that the equation gives."""
        return self._shapes(tuple(input_shape)).output

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "output_shape": self.partial_output_shape,
            "equation": self.equation,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "quantization_config": None,
        }
