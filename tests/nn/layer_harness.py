"""One layer, ours and the real Keras', made by the same words and compared in every respect.

A `Case` says how to make the layer and what to call it on. The checks below take a case; the tests drive them by the
tables in `layer_cases*.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras

import amalthea as am
from amalthea.core import tree
from amalthea.nn.dtype_policies import set_dtype_policy
from amalthea.nn.objects import deserialize_keras_object, serialize_keras_object

RTOL, ATOL = 1e-4, 2e-5


class Case(NamedTuple):
    """How to make a layer (from a module of layers, ours or Keras') and what to call it on."""

    name: str
    make: Callable[[Any], Any]
    inputs: Any  # one array, a list of arrays that are passed as one list, or a tuple of arrays, passed one by one
    call: dict[str, Any] = {}
    random: bool = False  # whether training draws random numbers, so that outputs cannot be compared
    differentiable: bool = True  # with respect to the inputs

    def __repr__(self) -> str:
        return self.name

    @property
    def arrays(self) -> list[np.ndarray]:
        """The inputs as a plain list."""
        return list(self.inputs) if isinstance(self.inputs, (list, tuple)) else [self.inputs]

    def given(self, values: Any) -> tuple[Any, ...]:
        """The positional arguments of a call with these values in place of the arrays."""
        if isinstance(self.inputs, tuple):
            return tuple(values)
        return (list(values) if isinstance(self.inputs, list) else values[0],)

    def run(self, layer: Any, **options: Any) -> Any:
        """The layer called on the inputs."""
        return layer(*self.given(self.arrays), **{**self.call, **options})


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def leaves(result: Any) -> list[np.ndarray]:
    """The arrays of a result, in order."""
    return [np.asarray(x) for x in tree.flatten(result) if x is not None]


def assert_close(ours: Any, theirs: Any, what: str, rtol: float = RTOL, atol: float = ATOL) -> None:
    """The same number of arrays, of the same shapes and nearly the same values."""
    a, b = leaves(ours), leaves(theirs)
    assert len(a) == len(b), what
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape, what
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol, err_msg=what)


def pair(case: Case) -> tuple[Any, Any]:
    """(ours, theirs), both called once and given the same weights."""
    ours, theirs = case.make(am.layers), case.make(keras.layers)
    case.run(ours), case.run(theirs)
    theirs_weights = theirs.weights
    assert [w.name for w in ours.weights] == [w.name for w in theirs_weights]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs_weights]
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs_weights]
    assert [str(w.dtype) for w in ours.weights] == [str(w.dtype) for w in theirs_weights]
    values = []
    for seed, weight in enumerate(theirs_weights):
        value = normal(*weight.shape, seed=seed + 1) * 0.5
        if "variance" in weight.name or "stddev" in weight.name:
            value = np.abs(value) + 0.5
        values.append(
            value.astype(str(weight.dtype)) if str(weight.dtype) != "int32" else np.zeros(weight.shape, "int32")
        )
    ours.set_weights(values)
    theirs.set_weights(values)
    if hasattr(theirs, "finalize_state"):
        theirs.finalize_state()
    return ours, theirs


def check_outputs(case: Case) -> None:
    """The same outputs, masks, losses and updated weights, in inference and in training."""
    ours, theirs = pair(case)
    takes_training = "training" in type(ours).call.__code__.co_varnames
    for training in (False, True):
        if training and case.random:
            continue
        options = {"training": training} if takes_training else {}
        a, b = case.run(ours, **options), case.run(theirs, **options)
        assert_close(a, b, f"{case}: output, training={training}")
        assert [str(x.dtype) for x in tree.flatten(a)] == [str(x.dtype) for x in tree.flatten(b)]
        assert_close(
            [getattr(x, "_keras_mask", None) for x in tree.flatten(a)],
            [getattr(x, "_keras_mask", None) for x in tree.flatten(b)],
            f"{case}: mask",
        )
        assert_close(ours.losses, theirs.losses, f"{case}: losses, training={training}")
        assert_close(
            [w.numpy() for w in ours.weights], [np.asarray(w) for w in theirs.weights], f"{case}: weights after"
        )


def check_gradients(case: Case) -> None:
    """The same gradients of a random projection of the output, for weights and floating-point inputs."""
    ours, theirs = pair(case)
    options = dict(case.call)
    if not case.random and "training" in type(ours).call.__code__.co_varnames:
        options["training"] = True
    arrays = case.arrays
    floating = case.differentiable and all(x.dtype.kind == "f" for x in arrays)
    trainable = [v.value for v in theirs.trainable_variables]
    if not trainable and not floating:
        return

    def projection(outputs: Any) -> list[np.ndarray]:
        return [normal(*np.shape(y), seed=9 + i) for i, y in enumerate(tree.flatten(outputs))]

    def loss_of_theirs(weights: Any, inputs: Any) -> Any:
        rest = [v.value for v in theirs.non_trainable_variables]
        outputs, _ = theirs.stateless_call(weights, rest, *case.given(inputs), **options)
        return sum((y * p).sum() for y, p in zip(tree.flatten(outputs), projection(outputs), strict=True))

    jax_inputs = [jax.numpy.asarray(x) for x in arrays]
    expected = jax.jit(jax.grad(loss_of_theirs, argnums=(0, 1) if floating else (0,)))(trainable, jax_inputs)

    tensors = [am.ops.convert_to_tensor(x) for x in arrays]
    with am.GradientTape() as tape:
        for x in tensors if floating else ():
            tape.watch(x)
        outputs = ours(*case.given(tensors), **options)
        flat = tree.flatten(outputs)
        loss = sum((am.ops.sum(y * p) for y, p in zip(flat, projection(outputs), strict=True)), 0.0)
    sources = [ours.trainable_variables, tensors] if floating else [ours.trainable_variables]
    found = tape.gradient(loss, sources, unconnected_gradients="zero")
    assert_close(found, expected, f"{case}: gradients", atol=1e-4)


def written(layer: Any, module: Any) -> Any:
    """The layer's config as it stands in a file."""
    return json.loads(json.dumps(module(layer)))


def without_ids(config: Any) -> Any:
    """A config without the ids of shared objects, which are addresses."""
    if isinstance(config, dict):
        return {key: without_ids(value) for key, value in config.items() if key != "shared_object_id"}
    return [without_ids(item) for item in config] if isinstance(config, list) else config


def check_config(case: Case) -> None:
    """The same config as Keras writes, before and after the build; each side reads the other's."""
    for built in (False, True):
        keras.backend.clear_session(free_memory=False)  # inner layers are named by counting
        am.utils.clear_session()
        ours, theirs = case.make(am.layers), case.make(keras.layers)
        theirs.name = ours.name
        if built:
            case.run(ours), case.run(theirs)
        ours_written = written(ours, serialize_keras_object)
        theirs_written = written(theirs, keras.saving.serialize_keras_object)
        assert without_ids(ours_written) == without_ids(theirs_written), f"{case}: config, built={built}"
        read = deserialize_keras_object(theirs_written)
        assert type(read) is type(ours)
        assert without_ids(written(read, serialize_keras_object)) == without_ids(theirs_written)
        read_there = keras.saving.deserialize_keras_object(ours_written)
        assert json.dumps(read_there.get_config()) == json.dumps(theirs.get_config())


def check_shapes(case: Case) -> None:
    """What the layer says of its output's shape is what comes out, with a known batch size and without."""
    ours = case.make(am.layers)
    outputs = case.run(ours)
    shapes = [tuple(x.shape) for x in case.arrays]
    made = [tuple(x.shape) for x in tree.flatten(outputs)]
    for layer in (ours, case.make(am.layers)):
        if case.call.get("return_attention_scores"):
            continue  # only the symbolic call knows of these
        said = flat_shapes(layer.compute_output_shape(*case.given(shapes)))
        assert said == made
    batch = shapes[0][0] if any(isinstance(value, np.ndarray) for value in case.call.values()) else None
    symbols = [am.KerasTensor((batch, *x.shape[1:]), str(x.dtype)) for x in case.arrays]
    for layer in (ours, case.make(am.layers)):
        symbolic = layer(*case.given(symbols), **case.call)
        assert [x.shape for x in tree.flatten(symbolic)] == [(batch, *shape[1:]) for shape in made]
        assert [x.dtype for x in tree.flatten(symbolic)] == [x.dtype for x in tree.flatten(outputs)]


def flat_shapes(shapes: Any) -> list[tuple[Any, ...]]:
    """The shapes in a structure of shapes."""
    if all(size is None or isinstance(size, int) for size in shapes):
        return [tuple(shapes)]
    return [shape for part in shapes for shape in flat_shapes(part)]


def check_mixed_precision(case: Case) -> None:
    """Under `mixed_bfloat16` the weights stay float32, and outputs are as near as 8 bits of mantissa allow."""
    exact = case.make(am.layers)
    expected = case.run(exact)
    set_dtype_policy("mixed_bfloat16")
    try:
        ours = case.make(am.layers)
        ours.build_from_config(exact.get_build_config() or {})
        if not ours.built:
            case.run(ours)
        ours.set_weights(exact.get_weights())
        outputs = case.run(ours)
    finally:
        set_dtype_policy("float32")
    if ours.dtype_policy.name != "mixed_bfloat16":
        return  # the case asks for a dtype of its own
    assert {str(w.dtype) for w in ours.weights} <= {"float32", "int32"}
    for x, y in zip(tree.flatten(outputs), tree.flatten(expected), strict=True):
        if str(y.dtype) == "float32":
            assert str(x.dtype) == "bfloat16"
            scale = np.abs(y.numpy()).max() + 1e-3
            assert np.abs(np.asarray(x, "float32") - y.numpy()).max() < 0.05 * scale, f"{case}: bfloat16 output"


def check_traced(case: Case) -> None:
    """The same inside `am.function` as outside."""
    ours = case.make(am.layers)
    eager = case.run(ours)
    traced = am.function(lambda *inputs: ours(*case.given(inputs), **case.call))
    inputs = [am.ops.convert_to_tensor(x) for x in case.arrays]
    assert_close(traced(*inputs), eager, f"{case}: traced", rtol=1e-5, atol=1e-6)
