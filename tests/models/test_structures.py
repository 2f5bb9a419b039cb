"""Structures of inputs and outputs that go through a functional model."""

from __future__ import annotations

import numpy as np

import amalthea as am


def test_outputs_in_a_dict_keep_their_keys_whatever_the_order():
    x = am.Input((4,))
    model = am.Model(x, {"q": am.layers.Dense(1)(x), "p": am.layers.Dense(2)(x)})
    for outputs in (model(am.ops.ones((3, 4))), model(am.KerasTensor((3, 4))), am.function(model)(am.ops.ones((3, 4)))):
        assert {key: tuple(value.shape) for key, value in outputs.items()} == {"q": (3, 1), "p": (3, 2)}


def test_a_model_takes_a_numpy_array_and_a_list_of_them():
    x, y = am.Input((4,)), am.Input((4,))
    assert am.Model(x, am.layers.Dense(1)(x))(np.ones((3, 4), "float32")).shape == (3, 1)
    both = am.Model([x, y], am.layers.Add()([x, y]))
    assert both([np.ones((3, 4), "float32"), np.ones((3, 4), "float32")]).shape == (3, 4)
