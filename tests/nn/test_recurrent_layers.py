"""What the table of layers does not reach in recurrent layers: masks, states, dropout, own cells, compiled loops."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import amalthea as am
from amalthea.nn.registry import CustomObjectScope
from tests.nn.twins import assert_close, data, twins

X = data(3, 6, 4)
MASK = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 1, 1]], bool)
NAMES = ["SimpleRNN", "LSTM", "GRU"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"go_backwards": True}, {"return_sequences": True, "return_state": True}])
def test_masked_steps_are_skipped(name, options):
    ours, theirs = twins(lambda k: getattr(k, name)(5, **options), lambda layer: layer(X))
    assert_close(ours(X, mask=MASK), theirs(X, mask=MASK))
    step = getattr(am.layers, name)(5, unroll=True, **options)
    step.build(X.shape)
    step.set_weights(ours.get_weights())
    assert_close(step(X, mask=MASK), ours(X, mask=MASK))


@pytest.mark.parametrize("name", NAMES)
def test_masked_outputs_can_be_zero(name):
    ours, theirs = twins(
        lambda k: k.RNN(getattr(k, name + "Cell")(5), return_sequences=True, zero_output_for_mask=True),
        lambda layer: layer(X),
    )
    y = ours(X, mask=MASK)
    assert_close(y, theirs(X, mask=MASK))
    assert not np.asarray(y)[~MASK].any()


@pytest.mark.parametrize("merge", ["concat", "sum", None])
def test_bidirectional_masks(merge):
    ours, theirs = twins(
        lambda k: k.Bidirectional(k.LSTM(5, return_sequences=True), merge_mode=merge), lambda layer: layer(X)
    )
    assert_close(ours(X, mask=MASK), theirs(X, mask=MASK))


def test_stacked_cells_with_a_mask():
    ours, theirs = twins(
        lambda k: k.RNN([k.LSTMCell(5), k.LSTMCell(4)], return_sequences=True, return_state=True),
        lambda layer: layer(X),
    )
    assert_close(ours(X, mask=MASK), theirs(X, mask=MASK))


def test_the_mask_attached_to_the_input_is_used_and_passed_on():
    ids = np.array([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]])
    embedded = am.layers.Embedding(6, 4, mask_zero=True)(ids)
    layer = am.layers.GRU(5, return_sequences=True)
    y = layer(embedded)
    np.testing.assert_array_equal(np.asarray(y._keras_mask), ids != 0)
    assert_close(y, layer(np.asarray(embedded), mask=ids != 0))
    assert getattr(am.layers.GRU(5)(embedded), "_keras_mask", None) is None


@pytest.mark.parametrize("name", NAMES)
def test_initial_states(name):
    count = 2 if name == "LSTM" else 1
    states = [data(3, 5, seed=7 + i) for i in range(count)]
    ours, theirs = twins(lambda k: getattr(k, name)(5, return_state=True), lambda layer: layer(X))
    assert_close(ours(X, initial_state=states), theirs(X, initial_state=states))
    first = ours(X[:, :2])
    assert_close(ours(X[:, 2:], initial_state=list(first[1:])), ours(X))


@pytest.mark.parametrize("name", NAMES)
def test_stateful_layers_go_on_where_they_stopped(name):
    plain = getattr(am.layers, name)(5)
    whole = plain(X)
    layer = getattr(am.layers, name)(5, stateful=True)
    layer(X[:, :2])
    layer.set_weights(plain.get_weights())
    layer.reset_state()
    layer(X[:, :2])
    assert_close(layer(X[:, 2:]), whole)
    layer.reset_states()
    assert_close(layer(X), whole)
    assert len(layer.weights) == 3


def test_a_stateful_layer_keeps_its_state_when_compiled():
    plain = am.layers.LSTM(5)
    whole = plain(X)
    layer = am.layers.LSTM(5, stateful=True)
    layer(X[:, :3])
    layer.set_weights(plain.get_weights())
    layer.reset_state()
    run = am.function(lambda x: layer(x))
    run(X[:, :3])
    assert_close(run(X[:, 3:]), whole)


def test_stateful_stacks_and_bidirectional_layers():
    stack = am.layers.RNN([am.layers.LSTMCell(5), am.layers.GRUCell(4)], stateful=True)
    first = np.asarray(stack(X))
    assert np.abs(np.asarray(stack(X)) - first).max() > 1e-4
    stack.reset_state()
    assert_close(stack(X), first)
    both = am.layers.Bidirectional(am.layers.GRU(5, stateful=True))
    first = np.asarray(both(X))
    assert len(both.states) == 2
    both.reset_state()
    assert_close(both(X), first)


@pytest.mark.parametrize("name", NAMES)
def test_bidirectional_initial_states(name):
    count = 4 if name == "LSTM" else 2
    states = [data(3, 5, seed=7 + i) for i in range(count)]
    ours, theirs = twins(lambda k: k.Bidirectional(getattr(k, name)(5, return_state=True)), lambda layer: layer(X))
    assert_close(ours(X, initial_state=states), theirs(X, initial_state=states))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("implementation", [1, 2])
def test_dropout_uses_one_mask_for_all_steps(name, implementation):
    layer = getattr(am.layers, name)(4, dropout=0.5, seed=3, use_bias=False, return_sequences=True)
    layer.cell.implementation = implementation
    x = np.ones((2, 7, 6), "float32")
    layer(x)
    kernel, recurrent = layer.get_weights()
    layer.set_weights([kernel, np.zeros_like(recurrent)])
    cell = layer.cell
    cell.hold_masks(am.ops.convert_to_tensor(x[:, 0]), am.ops.zeros((2, 1)), True)
    projected = np.asarray(cell.project(am.ops.convert_to_tensor(x.swapaxes(0, 1)), True))
    np.testing.assert_array_equal(projected, np.broadcast_to(projected[:1], projected.shape))
    held = cell.get_dropout_mask(am.ops.convert_to_tensor(x[:, 0]))
    values = np.unique(np.concatenate([np.asarray(m).ravel() for m in (held if isinstance(held, list) else [held])]))
    assert set(values.tolist()) <= {0.0, 2.0}
    cell.release_masks()
    first, second = np.asarray(layer(x, training=True)), np.asarray(layer(x, training=True))
    assert np.abs(first - second).max() > 0
    assert_close(layer(x), layer(x, training=False))


@pytest.mark.parametrize("name", NAMES)
def test_dropout_repeats_from_the_same_seed(name):
    layers = [getattr(am.layers, name)(4, dropout=0.3, recurrent_dropout=0.4, seed=5) for _ in range(2)]
    for layer in layers:
        layer(X)
        layer.set_weights(layers[0].get_weights())
    assert_close(layers[0](X, training=True), layers[1](X, training=True))


@pytest.mark.parametrize("reset_after", [True, False])
def test_recurrent_dropout_keeps_the_mean(reset_after):
    x = np.zeros((4000, 1, 2), "float32")
    h = np.ones((4000, 3), "float32")
    layer = am.layers.GRU(
        3,
        activation="linear",
        recurrent_activation="linear",
        recurrent_dropout=0.25,
        reset_after=reset_after,
        use_bias=False,
        seed=1,
    )
    layer(x)
    kernel, recurrent = layer.get_weights()
    recurrent[:, :3] = 0  # the update gate is 0, so the output is the candidate, reset * (h @ U)
    layer.set_weights([kernel, recurrent])
    mean = np.asarray(layer(x, initial_state=[h], training=True)).mean(axis=0)
    np.testing.assert_allclose(mean, np.asarray(layer(x, initial_state=[h]))[0], atol=0.05)


class Leaky(am.Layer):
    """A cell of a user, without `output_size` and without `get_initial_state`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones", name="kernel")

    def call(self, inputs, states):
        new = 0.5 * states[0] + am.ops.matmul(inputs, self.kernel)
        return new, [new]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_a_cell_of_ones_own():
    layer = am.layers.RNN(Leaky(3), return_sequences=True)
    state, wanted = np.zeros((3, 3), "float32"), []
    for t in range(X.shape[1]):
        state = 0.5 * state + X[:, t].sum(-1, keepdims=True)
        wanted.append(state)
    assert_close(layer(X), np.stack(wanted, 1))
    both = am.layers.Bidirectional(am.layers.RNN(Leaky(3)))
    assert both(X).shape == (3, 6)
    with CustomObjectScope({"Leaky": Leaky}):
        again = am.layers.RNN.from_config(layer.get_config())
    assert_close(again(X), layer(X))
    stacked = am.layers.RNN([Leaky(3), am.layers.GRUCell(2)])
    assert stacked(X).shape == (3, 2)


class Counter:
    """A cell that is no layer: it counts steps."""

    state_size = 1

    def call(self, inputs, states):
        return states[0] + 1, [states[0] + 1]


def test_a_cell_that_is_no_layer():
    assert np.asarray(am.layers.RNN(Counter())(X)).ravel().tolist() == [6.0, 6.0, 6.0]


@pytest.mark.parametrize("name", [*NAMES, "Stacked"])
@pytest.mark.parametrize("masked", [False, True])
def test_compiled_and_eager_are_the_same(name, masked):
    if name == "Stacked":
        layer = am.layers.RNN([am.layers.LSTMCell(5), am.layers.GRUCell(4)], return_sequences=True)
    else:
        layer = getattr(am.layers, name)(5, return_sequences=True)
    mask = MASK if masked else None
    layer(X)

    def step(x):
        with am.GradientTape() as tape:
            loss = am.ops.sum(am.ops.square(layer(x, mask=mask)))
        return loss, tape.gradient(loss, layer.trainable_variables)

    assert_close(am.function(step)(X), step(X))


def test_a_compiled_recurrent_layer_is_one_loop():
    layer = am.layers.LSTM(5)
    layer(X)
    graph = am.trace(lambda x: layer(x), am.TensorSpec((3, 50, 4), "float32"))
    names = [node.op.name for node in graph.expand("op").nodes]
    assert names.count("scan_loop") == 1
    assert len(names) < 40


def test_dropout_inside_a_compiled_step():
    layer = am.layers.LSTM(5, dropout=0.5, recurrent_dropout=0.5, seed=2)
    layer(X)
    run = am.function(lambda x: layer(x, training=True))
    first, second = np.asarray(run(X)), np.asarray(run(X))
    assert np.abs(first - second).max() > 0
    assert np.abs(np.asarray(layer(X, training=True)) - second).max() > 0


def test_a_cell_alone():
    ours, theirs = twins(
        lambda k: k.LSTMCell(5), lambda cell: cell(X[:, 0], [np.zeros((3, 5), "float32"), np.zeros((3, 5), "float32")])
    )
    states = [data(3, 5, seed=1), data(3, 5, seed=2)]
    assert_close(ours(X[:, 0], states), theirs(X[:, 0], states))
    assert [s.shape for s in ours.get_initial_state(batch_size=2)] == [(2, 5), (2, 5)]
    single, other = twins(lambda k: k.GRUCell(5), lambda cell: cell(X[:, 0], np.zeros((3, 5), "float32")))
    assert_close(single(X[:, 0], states[0]), other(X[:, 0], states[0]))


def test_a_cell_keeps_its_dropout_mask_until_it_is_reset():
    cell = am.layers.SimpleRNNCell(5, dropout=0.5, seed=1)
    h = np.zeros((3, 5), "float32")
    first = cell(X[:, 0], [h], training=True)
    assert_close(cell(X[:, 0], [h], training=True), first)
    cell.reset_dropout_mask()
    assert np.abs(np.asarray(cell(X[:, 0], [h], training=True)[0]) - np.asarray(first[0])).max() > 0


def test_mixed_precision_keeps_states_in_the_compute_dtype():
    layer = am.layers.LSTM(5, dtype="mixed_bfloat16", return_sequences=True, return_state=True)
    outputs = layer(X)
    assert {str(o.dtype) for o in outputs} == {"bfloat16"}
    assert {str(w.dtype) for w in layer.weights} == {"float32"}


def test_time_distributed_passes_the_mask_on():
    x, mask = data(2, 3, 4, 5), np.random.default_rng(1).random((2, 3, 4)) > 0.3
    ours, theirs = twins(lambda k: k.TimeDistributed(k.GRU(3)), lambda layer: layer(x))
    assert_close(ours(x, mask=mask), theirs(x, mask=mask))


def test_bidirectional_takes_first_weights():
    pattern = am.layers.GRU(3)
    values = [data(4, 9), data(3, 9, seed=1), data(2, 9, seed=2)] * 2
    layer = am.layers.Bidirectional(pattern, weights=values)
    layer(X)
    assert_close(layer.get_weights(), values)


def test_gradients_through_time_match_keras():
    import jax

    ours, theirs = twins(lambda k: k.GRU(5), lambda layer: layer(X))
    with am.GradientTape() as tape:
        loss = am.ops.sum(am.ops.square(ours(X, mask=MASK)))
    found = tape.gradient(loss, ours.trainable_variables)

    def jax_loss(values):
        output, _ = theirs.stateless_call(values, [v.value for v in theirs.non_trainable_variables], X, mask=MASK)
        return keras.ops.sum(keras.ops.square(output))

    assert_close(found, jax.grad(jax_loss)([v.value for v in theirs.trainable_variables]))


def test_time_distributed_runs_layers_with_state_step_by_step():
    x = data(4, 3, 5)
    ours, theirs = twins(lambda k: k.TimeDistributed(k.BatchNormalization()), lambda layer: layer(x))
    run = am.function(lambda v: ours(v, training=True))
    assert_close(run(x), theirs(x, training=True))
    assert_close(ours.get_weights(), theirs.get_weights())
    dropped = np.asarray(am.layers.TimeDistributed(am.layers.Dropout(0.5, seed=1))(np.ones((2, 4, 9)), training=True))
    assert np.abs(dropped[:, 0] - dropped[:, 1]).max() > 0


def test_models_with_unknown_batch_and_steps():
    x = am.Input((None, 4))
    y = am.layers.Bidirectional(am.layers.LSTM(3, return_sequences=True))(x)
    y = am.layers.TimeDistributed(am.layers.LayerNormalization())(y)
    y = am.layers.TimeDistributed(am.layers.Dense(5))(y)
    model = am.Model(x, [am.layers.Conv1D(2, 3, padding="causal")(y), am.layers.GRU(3, return_state=True)(y)])
    for batch, steps in ((2, 4), (3, 9)):
        convolved, (last, state) = model(data(batch, steps, 4))
        assert (convolved.shape, last.shape, state.shape) == ((batch, steps, 2), (batch, 3), (batch, 3))
