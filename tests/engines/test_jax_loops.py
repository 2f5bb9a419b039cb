"""Many steps as one program of JAX: only where XLA's loops are as fast as steps, and arrays are brought over once."""

import numpy as np
import pytest

import amalthea as am
from amalthea.core.backend import active
from amalthea.data.arrays import ArrayAdapter
from amalthea.train.many_steps import ManySteps

rng = np.random.default_rng(0)
X = rng.normal(size=(64, 8, 8, 3)).astype("float32")


@pytest.fixture(autouse=True)
def on_jax():
    with am.backend_scope("jax"):
        yield


def convolved(x):
    return am.ops.conv(x, am.ops.ones((3, 3, 3, 2)), padding="same")


STEPS = {
    "plain": (lambda x: am.ops.sum(x * x), True),
    "convolution": (lambda x: am.ops.sum(convolved(x)), False),
    "convolution_in_a_branch": (
        lambda x: am.ops.cond(am.ops.sum(x) > 0, lambda: am.ops.sum(convolved(x)), lambda: am.ops.sum(x)),
        False,
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_convolutions_are_not_put_into_loops_on_the_cpu(name, monkeypatch):
    step, looped = STEPS[name]
    rows = ArrayAdapter(X, batch_size=16).rows()
    run = ManySteps(step)
    assert (run.loop(rows) is not None) == looped
    np.testing.assert_allclose(run(rows), step(am.ops.convert_to_tensor(X[-16:])), rtol=1e-4)
    monkeypatch.setattr(type(active.backend), "devices", lambda self: ["gpu:0", "cpu:0"])
    assert ManySteps(step).loop(rows) is not None


def test_arrays_are_brought_over_once_a_pass(monkeypatch):
    adapter = ArrayAdapter(X, batch_size=16)
    run = ManySteps(lambda x: am.ops.sum(x))
    rows = adapter.rows()
    run(rows[:2])
    moved, to_array = [], type(active.backend).to_array

    def counted(self, value, dtype=None):
        moved.append(np.shape(value))
        return to_array(self, value, dtype)

    monkeypatch.setattr(type(active.backend), "to_array", counted)
    run(rows[2:])
    assert X.shape not in moved
    adapter.data[:] = 2.0  # seen by the next pass
    assert float(run(adapter.rows())) == 2.0 * X[:16].size
    assert X.shape in moved
