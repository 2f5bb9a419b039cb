"""What initializers, regularizers, constraints, activations and dtype policies compute."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import amalthea as am
from amalthea.nn import dtype_policies
from amalthea.nn.initializers import compute_fans

W = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("L1", {"l1": 0.3}),
        ("L2", {"l2": 0.3}),
        ("L1L2", {"l1": 0.1, "l2": 0.2}),
        ("L1L2", {}),
        ("OrthogonalRegularizer", {"factor": 0.3}),
        ("OrthogonalRegularizer", {"factor": 0.3, "mode": "columns"}),
    ],
)
def test_regularizers(name, arguments):
    ours = getattr(am.regularizers, name)(**arguments)(am.ops.convert_to_tensor(W))
    theirs = getattr(keras.regularizers, name)(**arguments)(keras.ops.convert_to_tensor(W))
    assert ours.shape == () and float(ours) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MaxNorm", {"max_value": 1.5}),
        ("MaxNorm", {"max_value": 1.5, "axis": [0, 1]}),
        ("NonNeg", {}),
        ("UnitNorm", {"axis": 1}),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.5}),
    ],
)
def test_constraints(name, arguments):
    ours = getattr(am.constraints, name)(**arguments)(W)
    np.testing.assert_allclose(ours, getattr(keras.constraints, name)(**arguments)(W), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "mean", "deviation"),
    [
        ("RandomNormal", {"mean": 1.0, "stddev": 0.5}, 1.0, 0.5),
        ("TruncatedNormal", {"stddev": 0.5}, 0.0, 0.5 * 0.8796),
        ("RandomUniform", {"minval": 0.0, "maxval": 1.0}, 0.5, 12**-0.5),
        ("GlorotUniform", {}, 0.0, (2 / 500) ** 0.5),
        ("GlorotNormal", {}, 0.0, (2 / 500) ** 0.5),
        ("HeNormal", {}, 0.0, (2 / 300) ** 0.5),
        ("HeUniform", {}, 0.0, (2 / 300) ** 0.5),
        ("LecunNormal", {}, 0.0, (1 / 300) ** 0.5),
        ("LecunUniform", {}, 0.0, (1 / 300) ** 0.5),
        (
            "VarianceScaling",
            {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"},
            0.0,
            (3 / 200) ** 0.5,
        ),
    ],
)
def test_random_initializers_have_their_mean_and_deviation(name, arguments, mean, deviation):
    initializer = getattr(am.initializers, name)(seed=1, **arguments)
    values = initializer((300, 200)).numpy()
    assert values.mean() == pytest.approx(mean, abs=0.01 * max(1.0, deviation))
    assert values.std() == pytest.approx(deviation, rel=0.02)
    assert np.array_equal(values, initializer((300, 200)))  # one seed, the same values
    assert str(initializer((2, 2), dtype="float16").dtype) == "float16"
    if "normal" in name.lower() and name not in ("RandomNormal",):
        assert abs(values).max() <= 2.001 * deviation / 0.8796


def test_seed_generators_give_new_values_each_time():
    initializer = am.initializers.RandomNormal(seed=am.random.SeedGenerator(3))
    assert not np.array_equal(initializer((4,)), initializer((4,)))
    assert not np.array_equal(am.initializers.RandomNormal()((4,)), am.initializers.RandomNormal()((4,)))


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 3, 4)])
def test_orthogonal_matrices_are_orthogonal(shape):
    q = am.initializers.Orthogonal(gain=2.0, seed=0)(shape).numpy().reshape(-1, shape[-1])
    small = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


def test_constant_initializers():
    assert am.initializers.Zeros()((2,)).numpy().tolist() == [0, 0]
    assert am.initializers.Ones()((2,), dtype="int32").numpy().tolist() == [1, 1]
    assert am.initializers.Constant([1.0, 2.0])((3, 2)).numpy().tolist() == [[1, 2]] * 3
    np.testing.assert_array_equal(am.initializers.Identity(2.0)((2, 3)), 2 * np.eye(2, 3))
    assert am.initializers.get(W)((5, 4)).shape == (5, 4)
    layer = am.layers.Dense(2, kernel_initializer=lambda shape, dtype=None: am.ops.ones(shape, dtype=dtype))
    assert layer(np.ones((1, 3), "float32")).numpy().tolist() == [[3.0, 3.0]]


@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (3, 4, 5), (2, 3, 4, 5)])
def test_fans(shape):
    from keras.src.initializers.random_initializers import compute_fans as theirs

    assert compute_fans(shape) == theirs(shape)


@pytest.mark.parametrize("options", [{}, {"negative_slope": 0.1}, {"max_value": 0.5}, {"threshold": 0.3}])
def test_relu_options(options):
    for extra in ({}, {"negative_slope": 0.2}, {"max_value": 1.0}):
        np.testing.assert_allclose(
            am.activations.relu(W, **options | extra),
            keras.activations.relu(W, **options | extra),
            rtol=1e-6,
            atol=1e-7,
        )


def test_dtype_policies_say_their_dtypes():
    for name in ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"):
        ours, theirs = am.dtype_policies.DTypePolicy(name), keras.dtype_policies.DTypePolicy(name)
        assert (str(ours.compute_dtype), str(ours.variable_dtype)) == (theirs.compute_dtype, theirs.variable_dtype)
        assert ours == am.dtype_policies.get(name) and repr(ours) == repr(theirs)
    assert am.dtype_policies.get(np.float16).name == "float16"
    assert am.dtype_policies.DTypePolicy("float32") != am.dtype_policies.DTypePolicy("float16")


def test_the_global_policy_is_that_of_new_layers():
    dtype_policies.set_dtype_policy("mixed_bfloat16")
    try:
        assert am.layers.Dense(1).compute_dtype == "bfloat16"
        assert am.layers.Dense(1, dtype="float32").compute_dtype == "float32"
    finally:
        dtype_policies.set_dtype_policy("float32")


def test_policy_maps_match_paths():
    policies = am.dtype_policies.DTypePolicyMap("float32", {"a/.*": am.dtype_policies.DTypePolicy("float16")})
    assert policies["a/b"].name == "float16" and policies["c"].name == "float32"
    policies["c"] = "bfloat16"
    assert policies["c"].name == "bfloat16" and len(policies) == 2 and "c" in policies
    assert (
        policies.get_config()
        == keras.dtype_policies.DTypePolicyMap(
            "float32",
            {"a/.*": keras.dtype_policies.DTypePolicy("float16"), "c": keras.dtype_policies.DTypePolicy("bfloat16")},
        ).get_config()
    )
    policies["a/b.*"] = "float64"
    with pytest.raises(ValueError, match="matches several keys"):
        policies["a/bc"]
