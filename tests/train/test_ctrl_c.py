"""Ctrl-C ends `fit` at once, and the model that it leaves is whole."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROMPT = 5.0  # seconds; alone on a machine it is a tenth of one, which a call of many steps takes

PROGRAM = """
import signal, time
import numpy as np
import amalthea as am

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in what runs in the background
am.utils.set_random_seed(0)
layers = [am.layers.Dense(256, activation="relu"), am.layers.BatchNormalization(), am.layers.Dense(1)]
model = am.Sequential([am.Input((64,)), *layers])
model.compile("adam", "mse")
x = np.random.default_rng(0).normal(size=(4096, 64)).astype("float32")
y = x.sum(1, keepdims=True)
model.fit(x, y, batch_size=32, epochs=1, verbose=0)
try:
    print("training", flush=True)
    model.fit(x, y, batch_size=32, epochs=100000, verbose=0)
except KeyboardInterrupt:
    ended = time.time()
for array in [*model.get_weights(), *(np.asarray(v) for v in model.optimizer.variables)]:
    assert np.isfinite(array).all()
first = model.evaluate(x, y, verbose=0)
model.save("interrupted.keras")
again = am.models.load_model("interrupted.keras")
np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-4)
model.fit(x, y, batch_size=32, epochs=2, verbose=0)
assert model.evaluate(x, y, verbose=0) < 10 * first + 1.0
print(ended, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("wait", [0.05, 0.4])
def test_fit_stops_at_once_and_the_model_is_usable(tmp_path, wait):
    command, root = [sys.executable, "-c", PROGRAM], str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        time.sleep(wait)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert float(out) - sent < PROMPT
