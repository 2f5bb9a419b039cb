"""Models of every build as modules of PyTorch and TensorFlow and functions of JAX, from any active backend."""

import copy
import io

import jax
import numpy as np
import pytest
import tensorflow as tf
import torch

import amalthea as am
from amalthea import layers as L
from amalthea import ops

rng = np.random.default_rng(3)
ROWS = rng.normal(size=(8, 5)).astype("float32")
STEPS = rng.normal(size=(8, 6, 8)).astype("float32")
WORDS = rng.integers(0, 4, (8, 6)).astype("int32")


class Counting(am.Model):
    """Subclassed, with a state of its own and a rule for training."""

    def __init__(self):
        super().__init__()
        self.first, self.last = L.Dense(4), L.Dense(2)
        self.calls = am.Variable(np.float32(0), trainable=False, name="calls")

    def call(self, x, training=False):
        self.calls.assign_add(1.0)
        return self.last(ops.relu(self.first(x))) * (2.0 if training else 1.0)


def counting():
    model = Counting()
    model(ROWS)
    return model


def shared_layer():
    a, b, layer = L.Input((5,)), L.Input((5,)), L.Dense(4, activation="tanh")
    x, y = layer(a), layer(b)
    return am.Model([a, b], [L.Add()([x, y]), L.Dense(3)(L.Concatenate()([x, y]))])


def names():
    a, b = L.Input((5,), name="a"), L.Input((5,), name="b")
    return am.Model({"a": a, "b": b}, {"s": L.Dense(2)(a), "t": L.Dense(4)(L.Concatenate()([a, b]))})


def frozen():
    model = am.Sequential([L.Input((5,)), L.Dense(4), L.BatchNormalization(), L.Dense(2)])
    model.layers[0].trainable = False
    return model


def attention():
    x = L.Input((6, 8))
    return am.Model(x, L.LayerNormalization()(x + L.MultiHeadAttention(2, 4, dropout=0.3, seed=1)(x, x)))


def nested():
    inner, x = am.Sequential([L.Input((5,)), L.Dense(4)], name="inner"), L.Input((5,))
    return am.Model(x, inner(x) + inner(x * 2))


def mixed():
    policy = am.dtype_policies.DTypePolicy("mixed_bfloat16")
    layers = [L.Dense(4, dtype=policy), L.LayerNormalization(dtype=policy), L.Dense(2, dtype="float32")]
    return am.Sequential([L.Input((5,)), *layers])


def words(*layers):
    return am.Sequential([L.Input((6,), dtype="int32"), L.Embedding(10, 4, mask_zero=True), *layers, L.Dense(2)])


MODELS = {
    "state and dropout": (
        lambda: am.Sequential([L.Input((5,)), L.Dense(4), L.BatchNormalization(), L.Dropout(0.5, seed=3), L.Dense(2)]),
        ROWS,
    ),
    "a shared layer, two inputs and outputs": (shared_layer, [ROWS, ROWS[::-1].copy()]),
    "inputs and outputs by name": (names, {"a": ROWS, "b": ROWS + 1}),
    "subclassed": (counting, ROWS),
    "frozen": (frozen, ROWS),
    "whole numbers into an LSTM": (lambda: words(L.LSTM(5)), WORDS),
    "masked, in both directions": (lambda: words(L.Bidirectional(L.GRU(5))), WORDS),
    "attention": (attention, STEPS),
    "nested": (nested, ROWS),
    "mixed precision": (mixed, ROWS),
    "nothing to train": (lambda: am.Sequential([L.Input((5,)), L.Activation("relu")]), ROWS),
}


@pytest.fixture(params=MODELS)
def case(request):
    """(the model, its input, what it gives for prediction, and in training: outputs, gradients and new state)."""
    make, x = MODELS[request.param]
    am.utils.set_random_seed(1)
    model = make()
    before = [v.numpy().copy() for v in model.variables]

    def reset():
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)

    predicted = arrays(model(x, training=False))
    reset()
    with am.GradientTape() as tape:
        out = model(x, training=True)
        loss = sum(ops.mean(ops.square(ops.cast(leaf, "float32"))) for leaf in am.tree.flatten(out))
    gradients = tape.gradient(loss, model.trainable_variables) if model.trainable_variables else []
    gradients = dict(zip(map(name_of, model.trainable_variables), arrays(gradients), strict=True))
    trained = arrays(out)
    state = dict(zip(map(name_of, model.variables), arrays(model.variables), strict=True))
    reset()
    return model, x, predicted, trained, gradients, state


def name_of(variable):
    return variable.path.replace(".", "_")


def arrays(structure):
    """The leaves as float32 of NumPy, wherever they come from."""
    leaves = am.tree.flatten(structure)
    leaves = [x.detach().float() if isinstance(x, torch.Tensor) else x for x in leaves]
    return [np.asarray(x).astype("float32") for x in leaves]


def close(found, want, rtol=1e-4):
    rough = max(rtol, 1e-4)
    assert len(found) == len(want)
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=rough, atol=rough)


def tolerance(model):
    return 3e-2 if any("bfloat16" in str(layer.compute_dtype) for layer in model.layers) else 1e-4


def test_torch(case):
    model, x, predicted, trained, gradients, state = case
    rtol, given = tolerance(model), am.tree.map_structure(torch.tensor, x)
    module = model.to_torch().eval()
    close(arrays(module(given)), predicted, rtol)
    module = model.to_torch().train()
    out = module(given)
    close(arrays(out), trained, rtol)
    assert {name for name, _ in module.named_parameters()} == set(gradients)
    close(arrays(list(module.state_dict().values())), [state[name] for name in module.state_dict()], rtol)
    if gradients:
        sum((leaf.float() ** 2).mean() for leaf in am.tree.flatten(out)).backward()
        for name, parameter in module.named_parameters():
            close(arrays(parameter.grad), [gradients[name]], rtol)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    loaded, twin = model.to_torch().eval(), copy.deepcopy(module).eval()
    loaded.load_state_dict(torch.load(file))
    module.eval()
    with torch.inference_mode():
        want = arrays(module(given))
        close(arrays(loaded(given)), want)
        close(arrays(twin(given)), want)
    am.from_torch_state(model, loaded)
    close(arrays(model.variables), arrays([loaded.state_dict()[name_of(v)] for v in model.variables]), 0)


def test_jax(case):
    model, x, predicted, trained, gradients, state = case
    rtol, (function, parameters) = tolerance(model), model.to_jax()
    close(arrays(jax.jit(function)(parameters, x)), predicted, rtol)
    out, updated = jax.jit(function, static_argnames="training")(parameters, x, training=True)
    close(arrays(out), trained, rtol)
    close(arrays(list(updated.values())), [state[name] for name in updated], rtol)

    def loss(some):
        out, _ = function({**parameters, **some}, x, training=True)
        return sum((leaf.astype("float32") ** 2).mean() for leaf in jax.tree_util.tree_leaves(out))

    if gradients:
        some = {name: parameters[name] for name in gradients}
        for gradient in (jax.grad(loss)(some), jax.jit(jax.grad(loss))(some)):
            close(arrays([gradient[name] for name in gradients]), list(gradients.values()), rtol)


def test_tensorflow(case, tmp_path):
    model, x, predicted, trained, gradients, state = case
    rtol, given, module = tolerance(model), am.tree.map_structure(tf.constant, x), model.to_tensorflow()
    close(arrays(module(given)), predicted, rtol)
    module = model.to_tensorflow()

    @tf.function
    def step(given):
        with tf.GradientTape() as tape:
            out = module(given, training=True)
            loss = sum(tf.reduce_mean(tf.cast(leaf, tf.float32) ** 2) for leaf in am.tree.flatten(out))
        return out, tape.gradient(loss, trainable) if trainable else []

    trainable = [variable for variable in module.state if variable.trainable]
    assert len(trainable) == len(gradients) == len(module.trainable_variables)
    out, found = step(given)
    close(arrays(out), trained, rtol)
    close(arrays(list(found)), list(gradients.values()), rtol)
    close(arrays(module.state), [state[name_of(v)] for v in model.variables], rtol)
    if module.state:
        path = tf.train.Checkpoint(module=module).save(str(tmp_path / "checkpoint"))
        other = model.to_tensorflow()
        tf.train.Checkpoint(module=other).restore(path).assert_consumed()
        close(arrays(other.state), arrays(module.state), 0)


@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow", "numpy"])
def test_the_active_backend_does_not_matter(backend):
    """The programs are the other engine's, loops inside them too, whatever computes meanwhile."""
    am.utils.set_random_seed(2)
    model = words(L.LSTM(5))
    want = model(WORDS).numpy()
    with am.backend_scope(backend):
        function, parameters = model.to_jax()
        close([np.asarray(function(parameters, WORDS))], [want])
        close(arrays(model.to_torch().eval()(torch.tensor(WORDS))), [want])
        close(arrays(model.to_tensorflow()(WORDS)), [want])
    close([model(WORDS).numpy()], [want])


PAIRS = {
    "SGD": (lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), lambda: am.optimizers.SGD(0.1, momentum=0.9)),
    "Adam": (lambda p: torch.optim.Adam(p, 0.01, eps=1e-7), lambda: am.optimizers.Adam(0.01, epsilon=1e-7)),
    "AdamW": (
        lambda p: torch.optim.AdamW(p, 0.01, eps=1e-7, weight_decay=0.1),
        lambda: am.optimizers.AdamW(0.01, epsilon=1e-7, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_torchs_optimizers_train_it_as_ours_do(name):
    am.utils.set_random_seed(3)
    model = am.Sequential([L.Input((5,)), L.Dense(16, activation="tanh"), L.BatchNormalization(), L.Dense(2)])
    target, module = np.stack([ROWS[:, 0], ROWS[:, 1:].sum(1)], 1), model.to_torch().train()
    theirs, losses = PAIRS[name][0](module.parameters()), []
    for _ in range(20):
        theirs.zero_grad()
        loss = ((module(torch.tensor(ROWS)) - torch.tensor(target)) ** 2).mean()
        loss.backward()
        theirs.step()
        losses.append(loss.item())
    model.compile(PAIRS[name][1](), "mse")
    found = model.fit(ROWS, target, batch_size=8, epochs=20, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, losses, rtol=1e-3)
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("engine", ["torch", "jax", "tensorflow"])
def test_state_that_is_no_weight_is_refused(engine):
    model = am.Sequential([L.Input((6, 8), batch_size=8), L.LSTM(5, stateful=True), L.Dense(2)])
    crossed = getattr(model, f"to_{engine}")()
    with pytest.raises(ValueError, match="not among `model.variables`.*rnn_state.*must not be stateful"):
        crossed[0](crossed[1], STEPS) if engine == "jax" else crossed(
            torch.tensor(STEPS) if engine == "torch" else STEPS
        )
