"""Configs: the same JSON as Keras writes, and nothing run or imported because a file says so."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import amalthea as am
from amalthea.nn import objects
from amalthea.nn.objects import deserialize_keras_object, serialize_keras_object
from amalthea.nn.registry import exports, public_path, sharing_scope


def as_json(config):
    return json.loads(json.dumps(config))


VALUES = [
    None,
    True,
    3,
    2.5,
    "text",
    [1, [2, "a"]],
    {"a": 1, "b": {"c": None}},
    b"bytes",
    slice(1, None, 2),
    Ellipsis,
    np.arange(6, dtype="int64").reshape(2, 3),
    np.float32(0.5),
    np.array(7),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_are_written_as_keras_writes_them(value):
    ours = as_json(serialize_keras_object(value))
    assert ours == as_json(keras.saving.serialize_keras_object(value))
    np.testing.assert_equal(deserialize_keras_object(ours), keras.saving.deserialize_keras_object(ours))


def test_tensors_and_symbols_are_written_as_keras_writes_them():
    values = np.array([[1.5, 2.0]], "float32")
    ours = serialize_keras_object(am.ops.convert_to_tensor(values))
    assert ours == keras.saving.serialize_keras_object(keras.ops.convert_to_tensor(values))
    read = deserialize_keras_object(ours)
    assert np.array_equal(read, values) and str(read.dtype) == "float32"
    symbol = deserialize_keras_object(
        {
            "class_name": "__keras_tensor__",
            "config": {"shape": [None, 3], "dtype": "int32", "keras_history": ["a", 0, 1]},
        }
    )
    assert (symbol.shape, symbol.dtype) == ((None, 3), "int32")
    assert symbol._pre_serialization_keras_history == ["a", 0, 1]
    assert serialize_keras_object(am.KerasTensor((None, 3)))["config"]["keras_history"] is None


OBJECTS = [
    ("initializers", name, {})
    for name in (
        *("Zeros", "Ones", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal"),
        *("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Identity"),
    )
] + [
    ("initializers", "Constant", {"value": 3.0}),
    ("initializers", "RandomNormal", {"mean": 1.0, "stddev": 2.0, "seed": 5}),
    ("initializers", "VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "normal", "seed": 1}),
    ("initializers", "HeNormal", {"seed": 3, "input_axes": [0], "output_axes": [1]}),
    ("regularizers", "L1", {"l1": 0.1}),
    ("regularizers", "L2", {"l2": 0.1}),
    ("regularizers", "L1L2", {"l1": 0.1, "l2": 0.2}),
    ("regularizers", "OrthogonalRegularizer", {"factor": 0.1, "mode": "columns"}),
    ("constraints", "MaxNorm", {"max_value": 3, "axis": [0, 1]}),
    ("constraints", "NonNeg", {}),
    ("constraints", "UnitNorm", {"axis": 1}),
    ("constraints", "MinMaxNorm", {"min_value": 0.1, "max_value": 2.0, "rate": 0.5, "axis": 1}),
    ("dtype_policies", "DTypePolicy", {"name": "mixed_bfloat16"}),
    ("dtype_policies", "DTypePolicyMap", {}),
]


@pytest.mark.parametrize(("module", "name", "arguments"), OBJECTS)
def test_objects_are_written_as_keras_writes_them_and_read_back(module, name, arguments):
    ours = getattr(getattr(am, module), name)(**arguments)
    theirs = getattr(getattr(keras, module), name)(**arguments)
    config = as_json(serialize_keras_object(ours))
    assert config == as_json(keras.saving.serialize_keras_object(theirs))
    assert as_json(serialize_keras_object(deserialize_keras_object(config))) == config
    by_module = getattr(am, module).deserialize({"class_name": name, "config": config["config"]})
    assert type(by_module) is type(ours)


@pytest.mark.parametrize("module", ["initializers", "regularizers", "constraints", "activations", "dtype_policies"])
def test_get_takes_what_keras_get_takes(module):
    names = {
        "initializers": ["glorot_uniform", "GlorotUniform", "zeros", "Zeros", "normal", "uniform", "one", "he_normal"],
        "regularizers": ["l1", "L1", "l2", "l1l2", "orthogonal_regularizer"],
        "constraints": ["non_neg", "NonNeg", "max_norm", "unit_norm", "min_max_norm"],
        "activations": ["relu", "swish", "log_softmax", "linear", "exponential"],
        "dtype_policies": ["float32", "mixed_float16", "bfloat16"],
    }[module]
    ours, theirs = getattr(am, module), getattr(keras, module)
    for name in names:
        assert as_json(ours.serialize(ours.get(name))) == as_json(theirs.serialize(theirs.get(name)))
    if module != "dtype_policies":
        with pytest.raises(ValueError, match=r"Received: 'no_such'.*Fix: "):
            ours.get("no_such")
        assert ours.get(None) is (ours.linear if module == "activations" else None)


def test_everything_public_is_found_under_its_name():
    for module in ("layers", "initializers", "regularizers", "constraints", "activations", "dtype_policies"):
        for name, thing in exports(f"keras.{module}").items():
            assert getattr(getattr(am, module), name) is thing
    assert public_path(am.layers.Dense) == "keras.layers.Dense"


def test_objects_written_twice_come_back_as_one():
    shared = am.layers.Dense(2, name="shared")
    with sharing_scope():
        config = as_json(serialize_keras_object([shared, {"again": shared}, am.layers.Dense(2, name="other")]))
    assert "shared_object_id" in config[0]
    with sharing_scope():
        first, second, other = deserialize_keras_object(config)
    assert first is second["again"] and other is not first


@objects.register_keras_serializable("mine")
class Doubled(am.layers.Layer):
    def call(self, x):
        return 2 * x


@objects.register_keras_serializable("mine")
def tripled(x):
    return 3 * x


def halved(x):
    return x / 2


class Plain:
    def __init__(self, n):
        self.n = n

    def get_config(self):
        return {"n": self.n}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_registered_objects_are_found_by_package_and_name():
    config = as_json(serialize_keras_object(Doubled(name="d")))
    assert (config["class_name"], config["registered_name"]) == ("Doubled", "mine>Doubled")
    assert isinstance(deserialize_keras_object(config), Doubled)
    layer = am.layers.Activation(tripled)
    assert layer.get_config()["activation"] == {
        "module": "builtins",
        "class_name": "function",
        "config": "mine>tripled",
        "registered_name": "function",
    }
    assert am.layers.deserialize(am.layers.serialize(layer)).activation is tripled
    assert objects.get_registered_object("mine>tripled") is tripled


def test_objects_that_are_not_registered_must_be_passed():
    config = as_json(serialize_keras_object(Plain(3)))
    with pytest.raises(TypeError, match=r"there is no class 'Plain' here.*Fix: .*register_keras_serializable"):
        deserialize_keras_object(config)
    assert deserialize_keras_object(config, custom_objects={"Plain": Plain}).n == 3
    with objects.custom_object_scope({"Plain": Plain}):
        assert deserialize_keras_object(config).n == 3
    function = as_json(serialize_keras_object(am.layers.Activation(halved)))
    with pytest.raises(TypeError, match="there is no function 'halved' here"):
        deserialize_keras_object(function)
    assert deserialize_keras_object(function, custom_objects={"halved": halved}).activation is halved


def test_nothing_is_imported_because_a_file_names_it():
    for module, name in (("os", "system"), ("subprocess", "Popen"), ("keras.src.layers.core.dense", "Dense")):
        config = {"module": module, "class_name": name, "config": {}, "registered_name": None}
        with pytest.raises(TypeError, match="never imported"):
            deserialize_keras_object(config)
    with pytest.raises(TypeError, match="never imported"):
        deserialize_keras_object(
            {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"}
        )


def test_functions_are_no_classes():
    config = {"module": "keras.saving", "class_name": "serialize_keras_object", "config": {}, "registered_name": None}
    with pytest.raises(ValueError, match="is a function"):
        deserialize_keras_object(config)


def test_byte_code_is_refused_in_safe_mode():
    with pytest.warns(UserWarning, match="byte code"):
        config = as_json(serialize_keras_object(lambda x: x + 1))
    with pytest.raises(ValueError, match="byte code"):
        deserialize_keras_object(config)
    assert deserialize_keras_object(config, safe_mode=False)(1) == 2
    with objects.SafeModeScope(False):
        assert deserialize_keras_object(config)(1) == 2
    with objects.SafeModeScope(True), pytest.raises(ValueError, match="byte code"):
        deserialize_keras_object(config, safe_mode=False)


def test_lambda_layers_are_refused_in_safe_mode():
    layer = am.layers.Lambda(lambda x: x * 2, name="l")
    config = as_json(am.layers.serialize(layer))
    with pytest.raises(ValueError, match="byte code"):
        deserialize_keras_object(config)
    with pytest.raises(ValueError, match="byte code"):
        am.layers.Lambda.from_config(config["config"])
    read = deserialize_keras_object(config, safe_mode=False)
    assert read(np.ones(3)).numpy().sum() == 6
    theirs = keras.saving.deserialize_keras_object(config, safe_mode=False)
    assert float(np.sum(theirs(np.ones(3)))) == 6
    with_default = as_json(am.layers.serialize(am.layers.Lambda(lambda x, n=5: x * n)))
    assert deserialize_keras_object(with_default, safe_mode=False)(np.ones(3)).numpy().sum() == 15
    named = as_json(am.layers.serialize(am.layers.Lambda(tripled)))
    assert deserialize_keras_object(named)(np.ones(3)).numpy().sum() == 9


def test_damaged_byte_code_is_a_clear_error():
    with pytest.raises(ValueError, match="cannot be read"):
        deserialize_keras_object(
            {"class_name": "__lambda__", "config": {"value": ["AAAA", None, None]}}, safe_mode=False
        )


def test_a_config_with_a_compile_or_build_part_is_built():
    layer = am.layers.Dense(2, name="d")
    layer.build((None, 3))
    read = deserialize_keras_object(as_json(serialize_keras_object(layer)))
    assert read.built and read.kernel.shape == (3, 2)


@pytest.mark.parametrize(
    "bad", [object(), {"class_name": "Dense", "config": 3}, {"class_name": "function", "config": 3}]
)
def test_damaged_configs_are_clear_errors(bad):
    with pytest.raises(TypeError, match=r"\[deserialize_keras_object\].*Received: .*Fix: "):
        deserialize_keras_object(bad)


def test_what_has_no_config_cannot_be_written():
    with pytest.raises(TypeError, match=r"cannot write an object of type object.*Fix: "):
        serialize_keras_object(object())
