"""An engine is imported only where it is chosen, and where it is missing one line says what to install."""

import os
import subprocess
import sys

import pytest

ENGINES = ("jax", "torch", "tensorflow")

WITHOUT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise {error}

sys.meta_path.insert(0, Blocker())
"""
MISSING = "ModuleNotFoundError(f'No module named {name!r}', name=name)"
BROKEN = "ImportError('libsomething.so.1: cannot open shared object file')"

TRAIN = """
import sys
import numpy as np
import amalthea as am

model = am.Sequential([am.Input((3,)), am.layers.Dense(2), am.layers.Dropout(0.5)])
model.compile("adam", "mse")
model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
am.devices()
ours = "amalthea.backends." if am.config.backend() in ("jax", "torch", "tensorflow") else ""  # one may import another
print(am.config.backend(), *{name for name in ("jax", "torch", "tensorflow") if ours + name in sys.modules})
"""


def python(code, backend=None):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("AMALTHEA_BACKEND", "KERAS_BACKEND")
    }
    if backend is not None:
        environment["AMALTHEA_BACKEND"] = backend
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("backend", [None, "numpy", *ENGINES])
def test_no_other_engine_is_imported(backend):
    run = python(TRAIN, backend)
    assert run.returncode == 0, run.stderr
    active, *imported = run.stdout.split()
    assert active == (backend or "native")
    assert set(imported) == ({backend} & {*ENGINES})


ASK = """
import amalthea as am

model = am.Sequential([am.Input((3,)), am.layers.Dense(2)])
scope = lambda: am.backend_scope(ENGINE).__enter__()
for ask in (lambda: am.config.set_backend(ENGINE), scope, getattr(model, f"to_{ENGINE}")):
    try:
        ask()
    except ImportError as error:
        print(error)
print(am.config.backend(), am.ops.add(1, 2).item())
am.config.set_backend(ENGINE)
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("error", "want"),
    [
        (MISSING, 'needs {0}, which is not installed. Fix: pip install "amalthea[{0}]"'),
        (BROKEN, "cannot import {0}: libsomething.so.1: cannot open shared object file. Fix: mend its installation"),
    ],
    ids=["missing", "broken"],
)
def test_one_line_says_what_to_do(engine, error, want):
    start = WITHOUT.format(package=engine, error=error) + f"ENGINE = {engine!r}"
    run, want = python(start + ASK), f"[set_backend]: the {engine} backend " + want.format(engine)
    *said, left = run.stdout.splitlines()
    assert len(said) == 3 and all(line.startswith(want) for line in said)
    assert left == "native 3"
    assert run.returncode == 1 and run.stderr.count("Error: ") == 1, run.stderr
    assert run.stderr.strip().splitlines()[-1].startswith("ImportError: " + want)
    asked = python(start + TRAIN, engine)
    assert asked.stderr.strip().splitlines()[-1].startswith("ImportError: " + want)
