"""`Embedding`: a table of vectors, looked up by whole numbers."""

from __future__ import annotations

from typing import Any

from amalthea import ops
from amalthea.core.tensor import Tensor
from amalthea.nn import constraints, initializers, regularizers
from amalthea.nn.arguments import whole_number
from amalthea.nn.layer import Layer
from amalthea.nn.layers.dense import refuse_variants
from amalthea.nn.registry import public
from amalthea.ops.whole_numbers import as_whole_numbers

__all__ = ["Embedding"]


@public("keras.layers.Embedding")
class Embedding(Layer):
    """Replaces each whole number by its row of a trained table.

    Args:
        input_dim: number of rows: largest number plus one.
        output_dim: length of each row.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: of the table.
        mask_zero: whether 0 is padding, masked in the layers that follow.
        weights: first values of the table, `(input_dim, output_dim)`.

    Input: whole numbers of any shape; output: that shape and an axis of size `output_dim`.

    >>> import amalthea as am
    >>> am.layers.Embedding(10, 4)(am.ops.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # of older Keras, where it had a use
        super().__init__(**kwargs)
        refuse_variants("Embedding", lora_rank, quantization_config)
        self.input_dim = whole_number(input_dim, "Embedding", "input_dim")
        self.output_dim = whole_number(output_dim, "Embedding", "output_dim")
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape: Any = None) -> None:
        """Make the table `(input_dim, output_dim)`."""
        if self.built:
            return
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, inputs: Tensor) -> Tensor:
        """The rows of the table that `inputs` names."""
        inputs = as_whole_numbers(inputs, "inputs", "Embedding")
        return ops.cast(ops.take(self.embeddings, inputs, axis=0), self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where the number is not 0, if `mask_zero`."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The input's shape and an axis of size `output_dim`."""
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        """All arguments."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "embeddings_constraint": constraints.serialize(self.embeddings_constraint),
            "mask_zero": self.mask_zero,
            "quantization_config": None,
        }
