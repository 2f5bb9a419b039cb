"""Eager calls that a backend compiles as a whole still look at values where op by op they do."""

import numpy as np
import pytest

from amalthea import ops
from amalthea.core.errors import ArgumentError

MANY = 20_000  # so many that the native backend compiles the call


def test_class_numbers_with_fractions_are_refused_among_many():
    labels, scores = np.zeros(MANY, "float32"), np.full((MANY, 2), 0.5, "float32")
    assert ops.sparse_categorical_crossentropy(labels, scores).shape == (MANY,)
    labels[-1] = 0.5
    with pytest.raises(ArgumentError, match="whole numbers"):
        ops.sparse_categorical_crossentropy(labels, scores)


def test_segments_are_counted_among_many():
    ids = np.arange(MANY, dtype="int32") % 7
    np.testing.assert_array_equal(ops.segment_sum(np.ones(MANY, "float32"), ids), np.bincount(ids))


@pytest.mark.parametrize(
    "call",
    [
        lambda i: ops.take(np.ones((3, MANY), "float32"), i, axis=0),
        lambda i: ops.take_along_axis(np.ones((3, MANY), "float32"), i[:, None], axis=0),
        lambda i: ops.flat_index([i, i], (3, 3)),
    ],
    ids=["take", "take_along_axis", "flat_index"],
)
def test_indices_out_of_range_are_refused(call):
    call(ops.convert_to_tensor(np.full(MANY, 2, "int32")[:1]))
    with pytest.raises(ArgumentError, match="out of range"):
        call(ops.convert_to_tensor(np.full(MANY, 5, "int32")[:1]))


def test_negative_powers_of_integers_are_refused():
    assert ops.power([2, 3], [1, 2]).tolist() == [2, 9]
    with pytest.raises((ArgumentError, ValueError), match="negative integer powers"):
        ops.power([2, 3], [1, -2])


def test_calls_that_differ_in_how_arguments_are_given_are_told_apart():
    x = ops.convert_to_tensor(np.arange(6, dtype="float32").reshape(2, 3))
    assert ops.mean(x, 0).shape == (3,) and ops.mean(x, axis=1).shape == (2,)
    assert ops.mean(x, axis=0, keepdims=True).shape == (1, 3) and ops.mean(x, keepdims=True).shape == (1, 1)
    assert ops.stack([x, x]).shape == (2, 2, 3) and ops.stack((x, x, x), axis=-1).shape == (2, 3, 3)
