"""Devices on JAX: XLA shows the processor as two, so that what is computed on one can be used on the other."""

import json
import os
import subprocess
import sys

import pytest

CHECKS = {
    "ops": """
        with am.device("cpu:1"):
            x = ops.ones((3,))
            made = [x, x + 1.0, x * x, ops.arange(3), ops.sum(x), ops.take(x, [0, 2]), x[1:], ops.cast(x, "int32")]
            made += [ops.convert_to_tensor(np.zeros(3)), ops.convert_to_tensor(np.zeros((1 << 18,)))]
        check(devices(made) == {"cpu:1"}, devices(made))
        check((x * 2.0).numpy().tolist() == [2, 2, 2] and (x + ops.ones((3,))).numpy().tolist() == [2, 2, 2])
        check(devices([ops.ones((3,)) * 2.0]) == {"cpu:0"})
    """,
    "functions": """
        double = am.function(lambda x: x * 2.0 + np.float32(1))
        fill = am.function(lambda: ops.ones((3,)) * 2.0)
        given = np.ones(3, "float32")
        for name in ("cpu:0", "cpu:1", "cpu:0"):
            with am.device(name):
                made = [double(given), double(ops.ones((3,))), fill()]
            check(devices(made) == {name}, devices(made))
            check(made[0].numpy().tolist() == [3, 3, 3] and made[2].numpy().tolist() == [2, 2, 2])
        check(double(made[0]).numpy().tolist() == [7, 7, 7])
    """,
    "functions that ask for the device that they are traced for": """
        second = lambda x: float(x.device == "cpu:1")
        told = am.function(lambda x: x * 0.0 + second(x))
        model = am.Sequential([am.layers.Input((3,)), am.layers.Dense(2)])
        model.compile("sgd", lambda y, made: ops.mean(made) * 0.0 + second(made))
        x = np.ones((24, 3), "float32")
        for name, want in (("cpu:0", 0.0), ("cpu:1", 1.0), ("cpu:0", 0.0)):
            with am.device(name):
                check(told(np.float32(1)).item() == want)
                check(model.fit(x, x[:, :2].copy(), batch_size=4, verbose=0).history["loss"] == [want])
                check(devices([ops.sum(ops.ones((3,)) * 3.0)]) == {name})
    """,
    "functions with loops, whose constants serve all devices": """
        weights = np.arange(3, dtype="float32")
        going, body = lambda i, y: i < 3, lambda i, y: (i + 1, y * 2 + weights)
        grow = am.function(lambda x: ops.while_loop(going, body, (0, x))[1])
        running = am.function(lambda x: ops.scan(lambda c, y: (c + y * weights, c), x[0], x)[0])
        for name in ("cpu:0", "cpu:1", "cpu:0"):
            with am.device(name):
                check(grow(np.ones(3, "float32")).numpy().tolist() == [8, 15, 22])
                check(running(np.ones((2, 3), "float32")).numpy().tolist() == [1, 3, 5])
    """,
    "variables": """
        with am.device("cpu:1"):
            large, small = am.Variable(np.ones((100, 100), "float32")), am.Variable(np.ones(3, "float32"))
            step = am.function(lambda: [large.assign(large * 2), small.assign_add(ops.ones((3,)))])
            step()
            step()
            check(devices([large.value, small.value]) == {"cpu:1"})
        kept = large.value
        step()  # on the first device, with state that lies on the second
        check(float(large.numpy().max()) == 8 and small.numpy().tolist() == [4, 4, 4])
        check(float(kept.numpy().min()) == float(kept.numpy().max()) == 4)
        check(devices([large.value, small.value]) == {"cpu:0"})
        with am.device("cpu:1"):
            step()
            large.assign_add(large)
            check(devices([large.value, small.value]) == {"cpu:1"})
        check(float(large.numpy().min()) == 32)
    """,
    "seeds": """
        def drawn(name):
            am.utils.set_random_seed(1)
            with am.device(name):
                generator = am.random.SeedGenerator(3)
                dropped = am.layers.Dropout(0.5, seed=4)(ops.ones((50,)), training=True)
                made = [am.random.normal((4,)), am.random.normal((4,), seed=generator), dropped]
            check(devices(made) == {name}, devices(made))
            made += [am.random.normal((4,)), am.random.normal((4,), seed=generator)]  # continued on the first device
            return [x.numpy().tolist() for x in made]
        check(drawn("cpu:0") == drawn("cpu:1"))
    """,
    "gradients": """
        with am.device("cpu:1"):
            v = am.Variable(np.ones(3, "float32"))
            with am.GradientTape() as tape:
                loss = ops.sum(v * v * ops.ones((3,)))
            gradient = tape.gradient(loss, v)
            check(devices([gradient]) == {"cpu:1"} and gradient.numpy().tolist() == [2, 2, 2])
        with am.GradientTape() as tape:
            loss = ops.sum(v * v)
        check(tape.gradient(loss, v).numpy().tolist() == [2, 2, 2])
    """,
    "fit": """
        x = np.random.default_rng(0).normal(size=(100, 8)).astype("float32")
        y = np.arange(100) % 3

        def trained(*names):
            am.utils.set_random_seed(0)
            model = am.models.Sequential([am.layers.Input((8,)), am.layers.Dense(80, activation="relu"),
                am.layers.Dropout(0.1), am.layers.BatchNormalization(), am.layers.Dense(80), am.layers.Dense(3)])
            model.compile("adam", am.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
            for name in names:
                with am.device(name):
                    model.fit(x, y, batch_size=16, epochs=2, verbose=0, validation_data=(x, y))
                    state = [v.value for v in [*model.trainable_variables, *model.optimizer.variables[2:]]]
                    check(devices(state) == {name}, devices(state))
                    made = model.predict(x, verbose=0)
            return made

        first, second = trained("cpu:0", "cpu:0"), trained("cpu:1", "cpu:0")
        np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-6)
    """,
}

HEAD = """
import sys, textwrap, json
import numpy as np
import amalthea as am
from amalthea import ops

def devices(tensors):
    return {tensor.device for tensor in tensors}

def check(holds, why=""):
    assert holds, why

assert am.devices() == ["cpu:0", "cpu:1"]
for name, text in json.loads(sys.stdin.read()).items():
    try:
        exec(textwrap.dedent(text), {**globals()})
        result = ""
    except Exception as error:
        result = f"{type(error).__name__}: {error}"[:500]
    print(json.dumps([name, result]), flush=True)
"""


@pytest.fixture(scope="module")
def failures():
    """What went wrong in each check, "" where nothing did; all ran in one process."""
    environment = {
        **os.environ,
        "AMALTHEA_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    made = subprocess.run(
        [sys.executable, "-c", HEAD],
        input=json.dumps(CHECKS),
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return dict(json.loads(line) for line in made.stdout.splitlines())


@pytest.mark.parametrize("name", CHECKS)
def test_on_two_devices(name, failures):
    assert failures[name] == ""
