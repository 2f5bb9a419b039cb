"""TensorFlow's names against facts taken from TensorFlow 2.21: results, shapes, dtypes and arguments.

`facts.json` has what TensorFlow gave for each expression (of long results the sum and the first elements), and
`signatures.json` its functions' arguments. TensorFlow itself is not needed here.
"""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amalthea as tf

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("facts.json").read_text())
SIGNATURES: dict[str, str] = json.loads(Path(__file__).with_name("signatures.json").read_text())


def values() -> dict[str, Any]:
    """What the expressions compute with."""
    random = np.random.RandomState(0)
    x = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], "float32")
    im = random.rand(2, 7, 8, 3).astype("float32")
    return {
        "tf": tf,
        "np": np,
        "X": x,
        "A": x,
        "B": x[:, ::-1],
        "I": np.array([[3, 1, 2], [6, 5, 4]], "int32"),
        "P": np.abs(x) + 0.5,
        "V": np.array([[1, 2], [3, 4], [5, 6]], "float32"),
        "L": np.array([[0, 1, 0], [0.3, 0.3, 0.4]], "float32"),
        "ids": np.array([0, 2, 0], "int32"),
        "im": im,
        "u8": (im * 255).astype("uint8"),
        "k": random.rand(3, 3, 3, 4).astype("float32"),
        "k1": random.rand(3, 3, 4).astype("float32"),
        "dk": random.rand(3, 3, 3, 2).astype("float32"),
        "pk": random.rand(1, 1, 6, 5).astype("float32"),
        "kt": random.rand(3, 3, 5, 3).astype("float32"),
        "r": random,
    }


def leaves(result: Any) -> list[np.ndarray]:
    if isinstance(result, list | tuple):
        return [array for part in result for array in leaves(part)]
    return [np.asarray(result.numpy() if hasattr(result, "numpy") else result)]


@pytest.mark.parametrize("expression", FACTS)
def test_results_are_those_of_tensorflow(expression: str) -> None:
    found = leaves(eval(expression, values()))
    assert len(found) == len(FACTS[expression])
    for array, fact in zip(found, FACTS[expression], strict=True):
        assert (str(array.dtype), list(array.shape)) == (fact["dtype"], fact["shape"])
        if "values" in fact:
            np.testing.assert_allclose(array.astype(float), np.asarray(fact["values"], float), rtol=2e-5, atol=2e-5)
        else:
            np.testing.assert_allclose(array.ravel()[:5].astype(float), fact["first"], rtol=2e-5, atol=2e-5)
            np.testing.assert_allclose(array.astype(float).sum(), fact["sum"], rtol=2e-5, atol=1e-3)


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_those_of_tensorflow(name: str) -> None:
    function = functools.reduce(getattr, name.split("."), tf)
    assert SIGNATURES[name].replace("'", "") == ", ".join(written(p) for p in parameters(function)).replace("'", "")


def parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def written(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
    return f"{stars}{parameter.name}{default}"


REFUSED: dict[str, Any] = {
    "grad_a": lambda: tf.matmul([[1.0]], [[1.0]], grad_a=True),
    "layout": lambda: tf.zeros((2,), layout="x"),
    "shape_invariants": lambda: tf.while_loop(lambda i: i < 3, lambda i: [i + 1], [0], shape_invariants=[None]),
    "output_shape": lambda: tf.nn.conv2d_transpose(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1)), [1, 7, 7, 1], 2),
    "num_rows": lambda: tf.linalg.diag([1, 2], num_rows=5),
    "preserve_aspect_ratio": lambda: tf.image.resize(np.ones((4, 4, 3)), (2, 2), preserve_aspect_ratio=True),
    "fn_output_signature": lambda: tf.map_fn(lambda x: x, tf.constant([1]), fn_output_signature=tf.float32),
    "direction": lambda: tf.sort([1, 2], direction="UP"),
    "data_format": lambda: tf.nn.conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1)), 1, "SAME", data_format="HW"),
}


@pytest.mark.parametrize("argument", REFUSED)
def test_arguments_that_cannot_be_honoured_are_errors(argument: str) -> None:
    with pytest.raises((ValueError, TypeError), match=argument):
        REFUSED[argument]()


CHECKS: dict[str, Any] = {
    "assert_equal": lambda d: d.assert_equal(1, 2),
    "assert_greater": lambda d: d.assert_greater([1, 3], [1, 2]),
    "assert_less_equal": lambda d: d.assert_less_equal(2, 1),
    "assert_none_equal": lambda d: d.assert_none_equal([1], [1]),
    "assert_positive": lambda d: d.assert_positive([0]),
    "assert_non_negative": lambda d: d.assert_non_negative([-1]),
    "assert_near": lambda d: d.assert_near(1.0, 1.1),
    "check_numerics": lambda d: d.check_numerics([float("nan")], "a loss"),
    "Assert": lambda d: d.Assert(False, [1]),
    "assert_rank": lambda d: d.assert_rank([1], 2),
    "assert_rank_at_least": lambda d: d.assert_rank_at_least(1, 1),
    "assert_scalar": lambda d: d.assert_scalar([1]),
    "assert_shapes": lambda d: d.assert_shapes([(np.ones((2, 3)), ("n", "n"))]),
    "assert_type": lambda d: d.assert_type(1, "float32"),
    "assert_integer": lambda d: d.assert_integer(1.0),
}


@pytest.mark.parametrize("name", CHECKS)
def test_checks_raise(name: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"\[debugging.{name}\]"):
        CHECKS[name](tf.debugging)


def test_values_are_not_known_in_traced_code() -> None:
    for act in (tf.print, tf.where, lambda x: tf.boolean_mask(x, x > 0), tf.unique, tf.debugging.assert_positive):
        with pytest.raises(TypeError, match="not known while"):
            tf.function(act)(tf.constant([1.0, 2.0]))


def test_sizes_made_with_ops_are_known_in_traced_code() -> None:
    class Repeated(tf.keras.layers.Layer):
        def call(self, x: Any) -> Any:
            sizes = tf.concat([tf.expand_dims(tf.shape(x)[0], -1), tf.constant([1])], axis=0)
            return tf.tile(tf.reshape(tf.range(2), (1, 2)), sizes)

    assert Repeated()(tf.keras.Input((3,))).shape == (None, 2)
    assert tf.function(Repeated())(tf.ones((5, 3))).shape == (5, 2)


def test_random_takes_tensorflows_arguments() -> None:
    drawn = tf.random.uniform((50,), minval=0, maxval=3, dtype=tf.int32, seed=1, name="n").numpy()
    assert drawn.dtype == "int32" and set(drawn) == {0, 1, 2}
    tf.random.set_seed(3)
    first = tf.random.normal(shape=[2], mean=1.0, name="n").numpy()
    tf.random.set_seed(3)
    np.testing.assert_array_equal(tf.random.normal([2], 1.0).numpy(), first)
    generator = tf.random.Generator.from_seed(1)
    assert not np.array_equal(generator.normal([3]).numpy(), generator.normal([3]).numpy())
    one, two = (tf.random.stateless_uniform([2], seed=[1, s]).numpy() for s in (2, 3))
    assert not np.array_equal(one, two)


def test_a_module_finds_its_variables() -> None:
    class Block(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="block")
            self.scale = tf.Variable(initial_value=tf.ones((2,)), trainable=False)
            self.parts = [tf.keras.layers.Dense(2), {"w": tf.Variable(1.0)}]

        @tf.function
        def __call__(self, x: Any) -> Any:
            return self.parts[0](x) * self.scale

    block = Block()
    assert block(tf.ones((1, 3))).shape == (1, 2)
    assert (len(block.variables), len(block.trainable_variables), len(block.non_trainable_variables)) == (4, 3, 1)
    assert block.name == "block" and block.submodules == (block.parts[0],)
    with pytest.raises(ValueError, match="not both"):
        tf.Variable(1.0, initial_value=2.0)
