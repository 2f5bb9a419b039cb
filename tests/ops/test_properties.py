"""Shapes and dtypes made by hypothesis, with zero-sized, scalar and broadcast ones among them.

Shapes are compared with NumPy's own, dtypes with the real Keras' promotion, and the declared spec with what came out.
"""

import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import amalthea.ops as ops
from amalthea.core import dtypes
from amalthea.core.infer import abstract_call
from amalthea.core.op import registry
from amalthea.core.tensor import as_tensor

NAMES = ("bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "bfloat16", "float16", "float32")
ANY_DTYPE = st.sampled_from(NAMES)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
quick = settings(deadline=None, derandomize=True)  # as many examples as tests/conftest.py says for the backend
thorough = settings(quick, max_examples=16 * quick.max_examples)

UNARY = sorted(
    name
    for name, f in registry.items()
    if f.op.kind == "primitive" and f.op.module.endswith((".elementwise", ".elementary")) and f.op.n == 1
)
BINARY = sorted(name for name, f in registry.items() if f.op.kind == "primitive" and f.op.broadcasts and f.op.n == 2)
WITH_INTEGERS = ("left_shift", "right_shift")
WITH_BITS = ("bitwise_and", "bitwise_or", "bitwise_xor")
COMPARING = ("equal", "less", "less_equal")


def array(shape, dtype):
    """Small positive numbers, on which every op is defined."""
    numbers = 1 + np.arange(int(np.prod(shape))).reshape(shape) % 3
    numpy_dtype = dtypes.to_numpy(dtype)
    return (numbers > 1 if dtype == "bool" else numbers / 4 if dtypes.is_floating(dtype) else numbers).astype(
        numpy_dtype
    )


def check_spec(function, *inputs, **attrs):
    tensors = [as_tensor(x) for x in inputs]
    out = function(*tensors, **attrs)
    declared = abstract_call(lambda *a: function(*a, **attrs), *tensors)
    assert (tuple(declared.shape), declared.dtype) == (out.shape, out.dtype)
    return out


def accepts(name, dtype):
    if name in ("negative", "sign", "subtract"):
        return dtype != "bool"
    if name in WITH_INTEGERS:
        return dtypes.is_integer(dtype)
    if name in WITH_BITS:
        return not dtypes.is_floating(dtype)
    return not (name == "round_half_even" and not dtypes.is_floating(dtype))


@pytest.mark.parametrize("name", UNARY)
@quick
@given(shape=SHAPES, dtype=ANY_DTYPE)
def test_unary(name, shape, dtype):
    if not accepts(name, dtype):
        with pytest.raises(TypeError, match=rf"\[{name}\].*Fix:"):
            registry[name](as_tensor(array(shape, dtype)))
        return
    out = check_spec(registry[name], array(shape, dtype))
    assert out.shape == shape
    promotes = registry[name].op.promote == "float"
    assert out.dtype == (keras.backend.result_type(dtype, float) if promotes else dtype)


@pytest.mark.parametrize("name", BINARY)
@quick
@given(
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0), a=ANY_DTYPE, b=ANY_DTYPE
)
def test_binary(name, shapes, a, b):
    common = keras.backend.result_type(a, b)
    if not accepts(name, common) or (name == "power" and common == "bool"):
        return
    out = check_spec(registry[name], array(shapes.input_shapes[0], a), array(shapes.input_shapes[1], b))
    assert out.shape == shapes.result_shape
    if name in COMPARING:
        assert out.dtype == "bool"
    elif registry[name].op.promote == "float":
        assert out.dtype == keras.backend.result_type(a, b, float)
    elif common == "bool" and name in ("mod", "floor_divide"):
        assert out.dtype == "int32"
    else:
        assert ("int32" if out.dtype == "int64" else out.dtype) == common  # Keras on JAX stops at 32 bits


@pytest.mark.parametrize("number", [2, 0.5])
@quick
@given(shape=SHAPES, dtype=ANY_DTYPE)
def test_python_numbers_are_weak(number, shape, dtype):
    out = check_spec(lambda x: x + number, array(shape, dtype))
    assert out.shape == shape and out.dtype == keras.backend.result_type(dtype, type(number))


def axes_of(ndim):
    one = st.integers(-ndim, ndim - 1) if ndim else st.none()
    several = st.lists(st.integers(0, ndim - 1), unique=True).map(tuple) if ndim else st.just(())
    return st.none() | one | several


REDUCTIONS = ("sum", "prod", "max", "min", "mean", "var", "any", "all", "logsumexp")


@pytest.mark.parametrize("name", REDUCTIONS)
@quick
@given(data=st.data(), shape=SHAPES, dtype=ANY_DTYPE, keepdims=st.booleans())
def test_reductions(name, data, shape, dtype, keepdims):
    axis = data.draw(axes_of(len(shape)))
    x = array(shape, dtype)
    reference = np.sum(np.zeros(shape), axis=axis, keepdims=keepdims)
    reduced = [shape[i] for i in (range(len(shape)) if axis is None else np.atleast_1d(np.asarray(axis, int)))]
    if 0 in reduced and name in ("max", "min"):
        with pytest.raises(ValueError, match=rf"\[{name}\].*no elements"):
            registry[name](x, axis=axis, keepdims=keepdims)
        return
    if 0 in reduced and name in ("mean", "var"):
        return  # 0 / 0: NaN here as in NumPy, a division by a Python zero
    out = check_spec(registry[name], x, axis=axis, keepdims=keepdims)
    assert out.shape == reference.shape
    expected = keras.ops.__dict__[name](keras.KerasTensor(shape, dtype), axis=axis, keepdims=keepdims).dtype
    if name != "logsumexp":
        assert out.dtype == expected
    if dtype == "float32" and name != "logsumexp":
        np.testing.assert_allclose(out.numpy(), getattr(np, name)(x, axis=axis, keepdims=keepdims), rtol=1e-5)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@quick
@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3), dtype=ANY_DTYPE)
def test_index_reductions(name, data, shape, dtype):
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1)) if shape else None
    x = array(shape, dtype)
    out = check_spec(registry[name], x, axis=axis)
    assert out.dtype == "int32"
    np.testing.assert_array_equal(out.numpy(), getattr(np, name)(x.astype("float64"), axis=axis))


@quick
@given(data=st.data(), shape=SHAPES, dtype=ANY_DTYPE)
def test_cumulative(data, shape, dtype):
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1)) if shape else None
    x = array(shape, dtype)
    for name in ("cumsum", "cumprod"):
        out = check_spec(registry[name], x, axis=axis)
        reference = getattr(np, name)(x.astype("float64"), axis=axis)
        assert out.shape == reference.shape
        assert out.dtype == ("int32" if dtype == "bool" else dtype)
        if dtype not in ("bfloat16", "uint8", "int8", "uint16", "int16", "float16"):  # few digits, or overflow
            np.testing.assert_allclose(out.numpy().astype("float64"), reference, rtol=5e-3)


@quick
@given(data=st.data(), shape=SHAPES, dtype=ANY_DTYPE)
def test_shaping(data, shape, dtype):
    x = array(shape, dtype)
    order = data.draw(st.permutations(range(len(shape))))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1)) if shape else None
    lead = data.draw(st.lists(st.integers(0, 2), max_size=2))
    calls = [
        (lambda t: ops.transpose(t, order), lambda a: a.transpose(order)),
        (lambda t: ops.reshape(t, (-1,) if x.size else (0,)), np.ravel),
        (lambda t: ops.broadcast_to(t, (*lead, *shape)), lambda a: np.broadcast_to(a, (*lead, *shape))),
        (ops.squeeze, np.squeeze),
        (lambda t: ops.tile(t, (2, 1)), lambda a: np.tile(a, (2, 1))),
        (lambda t: ops.pad(t, 1), lambda a: np.pad(a.astype("float64"), 1)),
        (lambda t: ops.repeat(t, 2), lambda a: np.repeat(a, 2)),
        (lambda t: ops.roll(t, 1), lambda a: np.roll(a, 1)),
    ]
    if axis is not None:
        calls += [
            (lambda t: ops.flip(t, axis), lambda a: np.flip(a, axis)),
            (lambda t: ops.roll(t, 2, axis), lambda a: np.roll(a, 2, axis)),
            (lambda t: ops.repeat(t, 3, axis), lambda a: np.repeat(a, 3, axis)),
            (lambda t: ops.concatenate([t, t], axis), lambda a: np.concatenate([a, a], axis)),
            (lambda t: ops.stack([t, t], axis), lambda a: np.stack([a, a], axis)),
            (lambda t: ops.sort(t, axis), lambda a: np.sort(a.astype("float64"), axis)),
            (lambda t: ops.moveaxis(t, axis, 0), lambda a: np.moveaxis(a, axis, 0)),
            (lambda t: ops.expand_dims(t, axis), lambda a: np.expand_dims(a, axis)),
        ]
    for ours, theirs in calls:
        out, reference = check_spec(ours, x), theirs(x)
        assert out.shape == reference.shape and out.dtype == dtype
        np.testing.assert_array_equal(out.numpy().astype("float64"), reference.astype("float64"))


@st.composite
def keys(draw, shape):
    """A key for x[...]: ints, slices, None, Ellipsis, index arrays and masks, fitting the shape."""
    parts, axis, arrays = [], 0, draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    for _ in range(draw(st.integers(0, len(shape) + 1))):
        size = shape[axis] if axis < len(shape) else None
        kinds = (
            ["none"] + (["slice", "slice"] if size is not None else []) + (["int", "array", "array"] if size else [])
        )
        kind = draw(st.sampled_from(kinds))
        if kind == "none":
            parts.append(None)
            continue
        axis += 1
        if kind == "slice":
            step = draw(st.sampled_from([None, 1, 2, -1, -2]))
            bound = st.none() | st.integers(-size - 1, size + 1)
            parts.append(slice(draw(bound), draw(bound), step))
        elif kind == "int":
            parts.append(draw(st.integers(-size, size - 1)))
        else:
            parts.append(draw(hnp.arrays(np.int64, arrays, elements=st.integers(-size, size - 1))))
    if draw(st.booleans()):
        # parts after the Ellipsis meet other axes, so they are kept only where all axes are alike
        place = draw(st.integers(0, len(parts)))
        parts = [*parts[:place], Ellipsis, *(parts[place:] if len(set(shape)) == 1 else [])]
    return tuple(parts)


@thorough
@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
def test_indexing(data, shape):
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    key = data.draw(keys(shape))
    expected = x[key]
    out = as_tensor(x)[key]
    assert out.shape == expected.shape
    np.testing.assert_array_equal(out.numpy(), expected)


@quick
@given(shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4), data=st.data())
def test_boolean_masks(shape, data):
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    mask = data.draw(hnp.arrays(bool, shape[: data.draw(st.integers(1, len(shape)))]))
    np.testing.assert_array_equal(as_tensor(x)[mask].numpy(), x[mask])


@quick
@given(shape=SHAPES, source=ANY_DTYPE, target=ANY_DTYPE)
def test_cast(shape, source, target):
    out = check_spec(lambda x: ops.cast(x, target), array(shape, source))
    assert out.shape == shape and out.dtype == target


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_sums_do_not_stall(dtype):
    ones = np.ones(4096, getattr(ml_dtypes, dtype, dtype))
    assert ops.sum(ones).item() == 4096 and ops.mean(ones).item() == 1
    assert ops.scatter(np.zeros((4096, 1), "int32"), ones, (1,)).numpy()[0] == 4096
