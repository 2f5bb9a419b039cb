"""Dtypes: names, and the promotion lattice against Keras 3."""

import itertools

import numpy as np
import pytest

from amalthea.core import dtypes

NAMES = [name for name in dtypes.ALL if not name.startswith("float8")]


@pytest.mark.parametrize("a, b", list(itertools.combinations_with_replacement([*NAMES, int, float], 2)))
def test_promotion_is_that_of_keras(a, b):
    import keras

    # This backend of Keras narrows 64-bit results to 32 bits; the lattice in between is compared with JAX below.
    ours = dtypes.result_type(a, b)
    assert ours == keras.backend.result_type(a, b) or ours.replace("64", "32") == keras.backend.result_type(a, b)


@pytest.mark.parametrize("a, b", list(itertools.combinations_with_replacement(NAMES, 2)))
def test_promotion_is_that_of_jax(a, b):
    import jax

    with jax.enable_x64(True):
        want = jax.numpy.promote_types(a, b)
    if {a, b} & {"uint64"} and {a, b} & set(dtypes.SIGNED):
        assert dtypes.result_type(a, b) == "float32"  # weak float: Keras' floatx
    else:
        assert dtypes.result_type(a, b) == want.name


def test_promotion_is_associative_and_commutative():
    for a, b in itertools.product(NAMES, NAMES):
        assert dtypes.result_type(a, b) == dtypes.result_type(b, a)


@pytest.mark.parametrize("name", list(dtypes.ALL))
def test_every_dtype_goes_through_numpy_and_back(name):
    assert dtypes.from_numpy(dtypes.to_numpy(name)) == name
    assert dtypes.standardize(dtypes.to_numpy(name)) == name
    assert np.zeros(2, dtypes.to_numpy(name)).dtype.itemsize == dtypes.standardize(name).itemsize


@pytest.mark.parametrize(
    "given, want",
    [
        (None, "float32"),
        (float, "float32"),
        (int, "int32"),
        (bool, "bool"),
        (np.float64, "float64"),
        (np.dtype("int8"), "int8"),
        ("bfloat16", "bfloat16"),
    ],
)
def test_what_names_a_dtype(given, want):
    assert dtypes.standardize(given) == want


def test_an_unknown_dtype_says_what_there_is():
    with pytest.raises(ValueError, match=r"no such data type. Received: 'floaty'.*Fix: use one of bool"):
        dtypes.standardize("floaty")


def test_float8_does_not_promote():
    with pytest.raises(TypeError, match="does not promote implicitly"):
        dtypes.result_type("float8_e5m2", "float32")


def test_what_was_computed_before_floatx_changed_is_forgotten():
    from amalthea import ops
    from amalthea.core.tensor import as_tensor

    counts = as_tensor([1, 2])
    assert (counts * 1.5).dtype == ops.mean(counts).dtype == dtypes.result_type("int32", float) == "float32"
    dtypes.set_floatx("float64")
    try:
        assert (counts * 1.5).dtype == ops.mean(counts).dtype == dtypes.result_type("int32", float) == "float64"
    finally:
        dtypes.set_floatx("float32")
    assert (counts * 1.5).dtype == ops.mean(counts).dtype == "float32"


def test_the_sign_of_zero_survives():
    from amalthea.core.tensor import as_tensor

    one = as_tensor([1.0])
    assert np.signbit((one * 0.0).numpy()).tolist() == [False]
    assert np.signbit((one * -0.0).numpy()).tolist() == [True]


def test_the_sign_of_a_zero_among_the_attributes_survives():
    from amalthea import ops
    from amalthea.core.function import function
    from amalthea.core.tensor import as_tensor

    def padded(value):
        return lambda x: ops.pad(x, ((0, 1),), constant_values=value)

    for call in (lambda f: f, function):
        for value in (0.0, -0.0, 0.0):
            result = call(padded(value))(as_tensor([1.0])).numpy()
            assert np.signbit(result).tolist() == [False, value.hex().startswith("-")]


def test_casts_to_integers_end_at_the_ends_of_the_range_eagerly_and_compiled():
    from amalthea import ops
    from amalthea.core.function import function
    from amalthea.core.tensor import as_tensor

    x = as_tensor(np.array([-1.0, 300.0, np.inf, 3e9, np.nan, -np.inf, 2.0**31], "float32"))
    for dtype in ("int8", "uint8", "int32", "uint32", "int64"):
        info = np.iinfo(dtype)
        want = [min(max(v, info.min), info.max) for v in (-1, 300, info.max, 3_000_000_000)] + [0, info.min]
        for run in (lambda x, dtype=dtype: ops.cast(x, dtype), function(lambda x, dtype=dtype: ops.cast(x, dtype))):
            assert run(x).numpy().tolist()[:6] == want
