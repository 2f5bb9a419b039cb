"""The base class: building, calling, tracking, masks, losses, dtypes, configs, symbolic calls."""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest

import amalthea as am
from amalthea.nn.dtype_policies import DTypePolicy, DTypePolicyMap
from amalthea.nn.layer import Layer

ONES = np.ones((2, 3), "float32")


class Scale(Layer):
    """One weight per feature."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


class Tell(Layer):
    """Returns what `training` it got."""

    def call(self, x, training=None):
        self.seen = training
        return x


class Outer(Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)


# Building


def test_a_layer_is_built_by_its_first_call():
    layer = Scale(name="s")
    assert not layer.built and layer.path is None and layer.weights == []
    layer(ONES)
    assert layer.built and layer.path == "s" and layer.factor.path == "s/factor"
    assert layer.get_build_config() == {"input_shape": (2, 3)}


def test_build_gets_the_shapes_of_several_arguments_by_name():
    class Pair(Layer):
        def build(self, x_shape, y_shape):
            self.shapes = (x_shape, y_shape)

        def call(self, x, y=None, scale=1.0):
            return x if y is None else x + y * scale

    layer = Pair()
    assert layer(ONES, y=2 * ONES, scale=3.0).numpy().tolist() == (7 * ONES).tolist()
    assert layer.shapes == ((2, 3), (2, 3))
    assert layer.get_build_config() == {"shapes_dict": {"x_shape": (2, 3), "y_shape": (2, 3)}}


def test_build_gets_nested_shapes():
    class Both(Layer):
        def build(self, input_shape):
            self.shapes = input_shape

        def call(self, inputs):
            return inputs["a"] + inputs["b"][0]

    layer = Both()
    layer({"a": ONES, "b": [ONES[:1]]})
    assert layer.shapes == {"a": (2, 3), "b": [(1, 3)]}


def test_weights_of_nested_layers_have_paths():
    layer = Outer(Outer(Scale(name="s"), name="middle"), name="outer")
    layer(ONES)
    assert [w.path for w in layer.weights] == ["outer/middle/s/factor"]
    assert layer.built and layer.inner.built


def test_build_of_a_parent_class_is_not_a_build_of_its_own():
    class Child(Scale):
        def build(self, input_shape):
            super().build(input_shape)
            assert not self.built
            self.offset = self.add_weight(shape=(input_shape[-1],), name="offset")

    layer = Child(name="child")
    layer.build((None, 3))
    assert [w.path for w in layer.weights] == ["child/factor", "child/offset"]


def test_a_layer_builds_inside_a_traced_function():
    layer = Outer(am.layers.Dense(4))
    traced = am.function(lambda x: layer(x))
    y = traced(am.ops.ones((2, 3)))
    assert np.allclose(y, layer(ONES), atol=1e-6)
    assert all(type(w.value) is am.Tensor for w in layer.weights)


class Stack(Layer):
    """Two layers and no `build` of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = am.layers.Dense(4)
        self.second = Outer(am.layers.Dense(2, name="inner"), name="second")

    def call(self, x, y=None):
        return self.second(self.first(x if y is None else x + y))


def test_a_layer_without_build_builds_its_sublayers_by_a_symbolic_call():
    layer = Stack(name="stack")
    layer.build((None, 3))
    assert layer.built and layer.path == "stack"
    assert [w.path for w in layer.weights][2:] == ["stack/second/inner/kernel", "stack/second/inner/bias"]
    assert layer.get_build_config() == {"input_shape": (None, 3)}


@pytest.mark.parametrize("arguments", [(ONES,), (ONES, ONES)])
def test_a_layer_without_build_is_built_again_from_its_config(arguments):
    layer = Stack()
    layer(*arguments)
    again = Stack()
    again.build_from_config(layer.get_build_config())
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]
    again.set_weights(layer.get_weights())
    assert np.array_equal(again(*arguments), layer(*arguments))


# Tracking


def test_state_is_found_in_attributes_lists_dicts_and_tuples():
    class Holder(Layer):
        def __init__(self):
            super().__init__()
            self.single = Scale()
            self.several = [Scale(), {"deep": Scale()}]
            self.named = {"a": Scale()}
            self.pair = (Scale(), Scale())
            self.several.append(Scale())
            self.named["b"] = Scale()
            self.variable = am.Variable(1.0, name="v")
            self.dropout = am.layers.Dropout(0.5)

        def call(self, x):
            for layer in (self.single, self.several[0], self.several[1]["deep"], self.several[2]):
                x = layer(x)
            for layer in (*self.named.values(), *self.pair, self.dropout):
                x = layer(x)
            return x * self.variable

    holder = Holder()
    holder(ONES)
    assert len(holder._layers) == 9
    assert len(holder.weights) == 9 and len(holder.variables) == 10  # and the state of the seed generator
    removed = holder.several.pop()
    assert removed not in holder._layers
    del holder.variable
    assert len(holder.weights) == 7


def test_the_order_of_weights_is_keras_order():
    def make(base):
        class Mixed(base.layers.Layer):
            def __init__(self):
                super().__init__()
                self.dense = base.layers.Dense(2)

            def build(self, shape):
                self.fixed = self.add_weight(shape=(1,), trainable=False, name="fixed")
                self.free = self.add_weight(shape=(2,), name="free")
                self.dense.build(shape)

            def call(self, x):
                return self.dense(x)

        layer = Mixed()
        layer(ONES)
        return layer

    ours, theirs = make(am), make(keras)
    for kind in ("weights", "variables", "trainable_weights", "non_trainable_weights"):
        assert [v.name for v in getattr(ours, kind)] == [v.name for v in getattr(theirs, kind)]
    assert ours.count_params() == theirs.count_params()


def test_trainable_reaches_sublayers():
    layer = Outer(Outer(am.layers.BatchNormalization()))
    layer(ONES)
    assert len(layer.trainable_weights) == 2 and len(layer.non_trainable_weights) == 2
    layer.trainable = False
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 4
    assert not layer.inner.inner.gamma.trainable
    layer.trainable = True
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]


def test_layers_are_listed_once_depth_first():
    shared = Scale(name="shared")
    layer = Outer(Outer(shared), name="o")
    layer.again = shared
    assert layer._flatten_layers()[0] is layer
    assert len(layer._flatten_layers()) == 3


# Calling


def test_training_is_inherited_by_nested_calls_and_given_back():
    inner = Tell()
    layer = Outer(inner)
    layer(ONES, training=True)
    assert inner.seen is True
    layer(ONES)
    assert inner.seen is None
    inner(ONES, training=False)
    assert inner.seen is False

    class Two(Layer):
        def __init__(self):
            super().__init__()
            self.a, self.b = Tell(), Tell()

        def call(self, x, training=False):
            return self.b(self.a(x, training=not training))

    two = Two()
    two(ONES, training=True)
    assert (two.a.seen, two.b.seen) == (False, True)
    two(ONES)
    assert (two.a.seen, two.b.seen) == (True, False)


def test_training_is_given_back_after_an_error():
    class Fails(Layer):
        def call(self, x):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        Outer(Fails())(ONES, training=True)
    inner = Tell()
    inner(ONES)
    assert inner.seen is None


def test_arguments_of_a_users_own_are_inherited_when_registered():
    class Inner(Layer):
        def __init__(self):
            super().__init__()
            self._register_call_context_args("mode")

        def call(self, x, mode=False):
            return x + 1 if mode else x

    layer = Outer(Inner())
    layer._register_call_context_args("mode")
    assert layer(ONES, mode=True).numpy().sum() == 12
    assert layer(ONES).numpy().sum() == 6


def test_arrays_lists_and_numbers_are_converted_by_dtype():
    seen = []

    class Look(Layer):
        def call(self, x, y=None):
            seen.append((str(x.dtype), None if y is None else str(y.dtype)))
            return x

    layer = Look()
    layer(np.ones(2))
    layer(np.ones(2, "int64"), y=np.ones(2, "float16"))
    Look(autocast=False)(np.ones(2, "float16"))
    Look(dtype="float64")(np.ones(2, "float32"))
    assert seen == [("float32", None), ("int64", "float32"), ("float16", None), ("float64", None)]


def test_a_variable_can_be_an_input():
    assert Scale()(am.Variable(ONES)).shape == (2, 3)


# Masks


class Masked(Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x, mask=None):
        self.seen = mask
        return x * 2


def test_masks_flow_through_layers_that_support_them():
    tokens = np.array([[1, 2, 0]], "int32")
    x = am.layers.Embedding(5, 4, mask_zero=True)(tokens)
    last = Masked()
    y = last(am.layers.Dense(3)(am.layers.Dropout(0.1)(x)))
    assert last.seen.numpy().tolist() == [[True, True, False]]
    assert y._keras_mask.numpy().tolist() == [[True, True, False]]


def test_a_mask_that_is_passed_wins():
    x = am.layers.Masking()(np.ones((1, 2, 3), "float32"))
    layer = Masked()
    layer(x, mask=np.array([[False, True]]))
    assert layer.seen.numpy().tolist() == [[False, True]]


def test_a_layer_that_drops_a_mask_says_so():
    x = am.layers.Masking()(np.ones((1, 2, 3), "float32"))
    with pytest.warns(UserWarning, match="does not pass masks on"):
        y = Scale()(x)
    assert getattr(y, "_keras_mask", None) is None


def test_masks_of_several_arguments_go_by_name():
    class Two(Layer):
        def call(self, query, value, query_mask=None, value_mask=None):
            self.seen = (query_mask is not None, value_mask is not None)
            return query + value

        def compute_mask(self, query, mask=None):
            return mask

    layer = Two()
    layer(np.ones((1, 2, 3), "float32"), am.layers.Masking()(np.ones((1, 2, 3), "float32")))
    assert layer.seen == (False, True)


@pytest.mark.parametrize("name", ["Add", "Multiply", "Maximum", "Minimum", "Concatenate", "Average"])
def test_masks_of_merged_tensors_are_keras_masks(name):
    a = np.array([[[1.0, 2.0], [0.0, 0.0], [3.0, 1.0]]], "float32")
    b = np.array([[[0.0, 0.0], [0.0, 0.0], [5.0, -1.0]]], "float32")
    results = []
    for library in (am, keras):
        masked = [library.layers.Masking()(x) for x in (a, b)]
        y = getattr(library.layers, name)()(masked)
        results.append((np.asarray(y), np.asarray(y._keras_mask)))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    assert results[0][1].tolist() == results[1][1].tolist()


# Losses


def test_losses_come_from_calls_and_weights_and_are_cleared():
    class Penalised(Layer):
        def __init__(self):
            super().__init__()
            self.dense = am.layers.Dense(2, kernel_initializer="ones", kernel_regularizer=am.regularizers.L2(0.5))

        def call(self, x):
            self.add_loss(am.ops.sum(x))
            return self.dense(x)

    layer = Penalised()
    for _ in range(2):
        layer(ONES)
        assert [float(loss) for loss in layer.losses] == [6.0, 3.0]
    outer = Outer(layer)
    outer(ONES)
    assert [float(loss) for loss in outer.losses] == [6.0, 3.0]


def test_losses_inside_a_traced_function_are_of_that_trace():
    layer = am.layers.Dense(2, activity_regularizer="l2", kernel_initializer="ones")
    layer(ONES)

    @am.function
    def loss(x):
        layer(x)
        return layer.losses[0]

    assert float(loss(am.ops.ones((2, 3)))) == pytest.approx(0.01 * 36 / 2)
    assert layer.losses == []  # those of the trace have no value outside


# Dtypes


def test_mixed_precision_casts_inputs_and_weights():
    layer = am.layers.Dense(4, dtype="mixed_float16")
    y = layer(ONES)
    assert (str(y.dtype), str(layer.kernel.dtype), str(layer.compute_dtype)) == ("float16", "float32", "float16")
    outer = Outer(am.layers.Dense(4, dtype="float32"), dtype="mixed_bfloat16")
    assert str(outer(ONES).dtype) == "float32"


def test_a_policy_map_decides_by_path():
    policies = DTypePolicyMap("float32", {"outer/half": DTypePolicy("mixed_bfloat16")})
    half = am.layers.Dense(2, name="half", dtype=policies)
    full = am.layers.Dense(2, name="full", dtype=policies)
    assert str(Outer(half, name="outer")(ONES).dtype) == "bfloat16"
    assert str(Outer(full, name="outer")(ONES).dtype) == "float32"


# Configs


def test_the_config_of_a_users_layer_is_its_arguments():
    class Mine(Layer):
        def __init__(self, units, rate=0.5, names=("a", "b"), **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def call(self, x):
            return x

    layer = Mine(3, rate=0.1, name="mine")
    config = layer.get_config()
    assert (config["units"], config["rate"], config["names"], config["name"]) == (3, 0.1, ("a", "b"), "mine")
    assert Mine.from_config(config).get_config() == config

    class Closed(Layer):
        def __init__(self, units):
            super().__init__()

        def call(self, x):
            return x

    assert Closed(3).get_config() == {"units": 3}
    assert isinstance(Closed.from_config(Closed(3).get_config()), Closed)


def test_arguments_of_older_keras_are_understood():
    layer = am.layers.Dense(2, input_shape=(3,), weights=[np.ones((3, 2)), np.zeros(2)])
    assert layer._input_shape_arg == (3,)
    assert layer(ONES).numpy().tolist() == [[3.0, 3.0], [3.0, 3.0]]
    layer = am.layers.Dense(2, input_dim=7, batch_size=5)
    assert (layer._input_shape_arg, layer._batch_size_arg) == ((7,), 5)
    assert am.layers.Dense(2, batch_input_shape=(4, 7))._batch_size_arg == 4


def test_names_count_up():
    am.nn.naming.reset_names()
    assert [am.layers.Dense(1).name, am.layers.Dense(1).name, am.layers.PReLU().name] == ["dense", "dense_1", "p_re_lu"]


# Symbolic calls and graphs


def test_a_call_on_symbols_makes_a_node():
    x = am.KerasTensor((None, 3), name="x")
    layer = Outer(am.layers.Dense(4, activation="relu"))
    y = layer(x)
    assert y.shape == (None, 4) and y.dtype == "float32"
    node = y._value.node
    assert node.op is layer and node.inputs == (x._value,)
    assert layer.built and layer.inner.kernel.shape == (3, 4)
    assert layer.input is x and layer.output is y
    assert node.call(layer, [am.ops.ones((5, 3))]).shape == (5, 4)


def test_graphs_zoom_from_layers_to_ops():
    layer = Outer(am.layers.Dense(4, activation="relu"), name="outer")
    x = am.ops.ones((2, 3))
    expected = layer(x).numpy()
    graph = am.trace(layer, am.TensorSpec((2, 3), "float32"))
    assert [node.op.name for node in graph.nodes] == [layer.inner.name]
    graph.verify()
    ops = graph.expand()
    ops.verify()
    assert [node.op.name for node in ops.nodes][-1] == "relu"
    for level in (graph, ops, graph.expand("primitive")):
        assert np.allclose(level.run(x), expected, atol=1e-6)


def test_the_output_spec_follows_compute_output_shape():
    class Stated(Layer):
        def call(self, x):
            return am.ops.convert_to_tensor(np.asarray(x).sum(axis=1))  # not traceable

        def compute_output_shape(self, input_shape):
            return input_shape[:1]

    assert Stated()(am.KerasTensor((None, 3))).shape == (None,)


# Values


def test_stateless_call_leaves_the_layer_as_it_was():
    layer = am.layers.BatchNormalization()
    layer(ONES)
    before = layer.get_weights()
    x = am.ops.convert_to_tensor(np.arange(6, dtype="float32").reshape(2, 3))
    outputs, after = layer.stateless_call(
        [2 * v.value for v in layer.trainable_variables], layer.non_trainable_variables, x, training=True
    )
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    assert np.allclose(np.abs(outputs.numpy()), 2.0, atol=1e-3)
    assert np.allclose(after[0], 0.01 * np.array([1.5, 2.5, 3.5]), atol=1e-6)


def test_gradients_reach_the_values_given_to_a_stateless_call():
    layer = am.layers.Dense(2, use_bias=False)
    layer(ONES)
    kernel = am.ops.ones((3, 2))
    with am.GradientTape() as tape:
        tape.watch(kernel)
        outputs, _ = layer.stateless_call([kernel], [], ONES)
        loss = am.ops.sum(outputs)
    assert np.allclose(tape.gradient(loss, kernel), 2.0)


def test_variables_are_saved_by_number():
    layer, other = am.layers.Dense(2), am.layers.Dense(2)
    layer(ONES), other(ONES)
    store = {}
    layer.save_own_variables(store)
    assert sorted(store) == ["0", "1"]
    other.load_own_variables(store)
    assert np.array_equal(layer.kernel.numpy(), other.kernel.numpy())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_layers_can_be_copied(duplicate):
    layer = am.layers.Dense(2)
    layer(ONES)
    other = duplicate(layer)
    assert np.array_equal(layer(ONES), other(ONES))
    other.kernel.assign(other.kernel * 2)
    assert not np.array_equal(layer(ONES), other(ONES))
    assert [w.name for w in other.weights] == ["kernel", "bias"]
