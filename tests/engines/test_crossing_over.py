"""Models as modules of PyTorch and TensorFlow and functions of JAX: the same outputs, gradients and updates."""

import numpy as np
import pytest

import amalthea as am
from amalthea import layers as L

rng = np.random.default_rng(2)
X = rng.normal(size=(8, 6, 6, 2)).astype("float32")
Y = rng.integers(0, 3, (8,)).astype("int32")


def network():
    am.utils.set_random_seed(4)
    return am.Sequential(
        [
            L.Input((6, 6, 2)),
            L.Conv2D(4, 3, activation="relu", name="conv"),
            L.BatchNormalization(name="norm"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(3, name="dense"),
        ],
        name="net.work",
    )


def reference(model):
    """Outputs, gradients by path, and the values that training updates, from a tape."""
    with am.GradientTape() as tape:
        out = model(X, training=True)
        loss = am.ops.mean(out**2)
    grads = tape.gradient(loss, model.trainable_variables)
    names = [v.path.replace(".", "_") for v in model.trainable_variables]
    return out.numpy(), dict(zip(names, [g.numpy() for g in grads], strict=True))


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


class Twins(am.Model):
    """Two layers with names that are the same where "." is none."""

    def __init__(self, first, second):
        super().__init__()
        self.a, self.b = L.Dense(3, name=first), L.Dense(3, name=second)

    def call(self, x):
        return self.a(x) + 2.0 * self.b(x)


@pytest.mark.parametrize(("first", "second"), [("d", "d"), ("d.e", "d_e")])
@pytest.mark.parametrize("cross", ["to_torch", "to_jax"])
def test_variables_whose_names_are_the_same_are_refused_where_one_would_be_lost(cross, first, second):
    model = Twins(first, second)
    model(np.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match=rf"both be named.*/{first}/kernel' and '.*/{second}/kernel'.*Fix: give"):
        getattr(model, cross)()


def test_tensorflow_keeps_variables_with_the_same_name_apart():
    model, x = Twins("d", "d"), rng.normal(size=(2, 4)).astype("float32")
    want = model(x).numpy()
    close(model.to_tensorflow()(x), want)


def test_a_torch_module_trains_with_torchs_optimizers_and_gives_its_weights_back():
    import torch

    model = network()
    module = model.to_torch()
    want_eval = model(X).numpy()
    module.eval()
    close(module(torch.tensor(X)).detach(), want_eval)
    module.train()
    out = module(torch.tensor(X))
    want, gradients = reference(network())
    close(out.detach(), want)
    (out**2).mean().backward()
    assert {name for name, _ in module.named_parameters()} == set(gradients)
    for name, parameter in module.named_parameters():
        close(parameter.grad, gradients[name])
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(torch.tensor(X)), torch.tensor(Y, dtype=torch.long))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    am.from_torch_state(model, module)
    module.eval()
    close(model(X).numpy(), module(torch.tensor(X)).detach())
    with pytest.raises(ValueError, match="does not hold this model's weights"):
        am.from_torch_state(am.Sequential([L.Input((2,)), L.Dense(1)]), module)


def test_gradients_reach_the_inputs_of_a_torch_module():
    import torch

    x = torch.tensor(X, requires_grad=True)
    network().to_torch().eval()(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_a_jax_function_is_pure_and_differentiable():
    import jax

    model = network()
    function, parameters = model.to_jax()
    close(jax.jit(function)(parameters, X), model(X).numpy())
    want, gradients = reference(network())

    def loss(parameters):
        out, updated = function(parameters, X, training=True)
        return (out**2).mean(), (out, updated)

    (_, (out, updated)), found = jax.jit(jax.value_and_grad(loss, has_aux=True))(parameters)
    close(out, want)
    for name, gradient in gradients.items():
        close(found[name], gradient)
    moved = [name for name in parameters if "moving" in name]
    assert moved and all(not np.allclose(updated[name], parameters[name]) for name in moved)
    close(function(parameters, X), model(X).numpy())


def test_a_tensorflow_module_works_under_its_tape_and_function():
    import tensorflow as tf

    model = network()
    module = model.to_tensorflow()
    close(module(X).numpy(), model(X).numpy())
    want, gradients = reference(network())

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            out = module(x, training=True)
            loss = tf.reduce_mean(out**2)
        return out, tape.gradient(loss, module.trainable_variables)

    out, found = step(tf.constant(X))
    close(out.numpy(), want)
    assert len(found) == len(gradients)
    for variable, gradient in zip(module.trainable_variables, found, strict=True):
        match = [g for g in gradients.values() if g.shape == tuple(variable.shape)]
        assert any(np.allclose(gradient.numpy(), g, rtol=1e-4, atol=1e-5) for g in match)


@pytest.mark.parametrize("engine", ["torch", "jax", "tensorflow"])
def test_a_model_without_weights_is_refused(engine):
    with pytest.raises(ValueError, match="no weights yet"):
        getattr(am.Sequential([L.Dense(1)]), f"to_{engine}")()


def test_a_torch_module_updates_a_buffer_that_the_backward_pass_needs_and_takes_arrays():
    class Scaled(am.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(2)
            self.scale = self.add_weight(shape=(), initializer="ones", trainable=False, name="scale")

        def call(self, x):
            y = self.dense(x) * self.scale
            self.scale.assign(self.scale * 0.5)
            return y

    with am.backend_scope("torch"):
        model = Scaled()
        model(X[:, 0, 0])
        module = model.to_torch()
        kernel = next(p for p in module.parameters() if p.ndim == 2)
        scale = next(iter(module.buffers()))
        start = float(scale)
        (module(X[:, 0, 0]).sum() + module(X[:, 0, 0]).sum()).backward()
    close(kernel.grad.numpy(), np.tile(X[:, 0, 0].sum(0)[:, None], (1, 2)) * start * 1.5)
    assert float(scale) == start * 0.25
