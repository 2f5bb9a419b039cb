"""Devices by name on every backend, and the backend that is chosen where nobody asks for one."""

import os
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest

import amalthea as am
import amalthea.backends
from amalthea.core import backend


@pytest.mark.parametrize("name", ["numpy", "native", "jax", "torch", "tensorflow"])
def test_devices(name):
    with am.backend_scope(name):
        assert am.devices()[-1] == "cpu:0"
        with am.device("cpu"):
            made = am.ops.ones((2,)) + am.ops.arange(2, dtype="float32")
        assert made.device == "cpu:0" and made.numpy().tolist() == [1.0, 2.0]
        with pytest.raises(ValueError, match=rf"the {name} backend has no such device.*Fix: use one of .*cpu:0"):
            with am.device("tpu:3"):
                pass


def test_the_device_of_a_scope_on_torch_is_that_of_its_thread_alone():
    import torch

    from amalthea.backends.torch import BACKEND

    made = []
    for name in ("gpu:0", "mps:0"):  # no tensor is made there
        with BACKEND.on(name):
            worker = threading.Thread(target=lambda: made.append(BACKEND.to_array(np.ones(2)).device))
            worker.start()
            worker.join()
    assert made == [BACKEND.to_array(np.ones(2)).device] * 2
    with BACKEND.on("cpu:0"):
        assert BACKEND.to_array(np.ones(2)).device == torch.device("cpu")


@pytest.mark.parametrize(("name", "kind"), [("gpu:1", "cuda"), ("mps:0", "mps"), ("xpu:1", "xpu")])
def test_no_device_of_torch_is_taken_for_the_processor(name, kind):
    from amalthea.backends.torch import BACKEND, types

    with BACKEND.on(name):
        assert (types.here.device.type, types.here.device.index) == (kind, int(name[-1]))


def test_a_tensor_knows_its_device_whatever_backend_is_active():
    with am.backend_scope("torch"):
        made = am.ops.ones((2,))
    with am.backend_scope("jax"):
        assert made.device == "cpu:0"
        np.testing.assert_array_equal((made + 1).numpy(), [2, 2])


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """The backend chosen with engines that reach an accelerator, do not, or cannot be imported, and what was imported.

    `driver` says whether the machine has a driver.
    """

    def run(driver=True, asked=None, **engines):
        chosen, imported = [], []

        def reaches_one(name):
            imported.append(name)
            if isinstance(engines[name], Exception):
                raise engines[name]
            return engines[name]

        with monkeypatch.context() as patch:
            patch.setattr(backend, "set_backend", chosen.append)
            patch.setattr(backend.config, "preferred_backend", lambda: asked)
            patch.setattr(amalthea.backends, "REACHES_ONE", {name: partial(reaches_one, name) for name in engines})
            patch.setattr(backend, "DRIVERS", (str(tmp_path if driver else tmp_path / "none"),))
            backend._choose()
        return chosen[0], imported

    return run


def test_an_engine_with_an_accelerator_is_chosen_and_none_is_imported_without_a_driver(choose):
    assert choose(driver=False, jax=True, torch=True) == ("native", [])
    assert choose(asked="numpy", jax=True, torch=True) == ("numpy", [])
    assert choose(jax=True, torch=True) == ("jax", ["jax"])
    assert choose(jax=False, torch=True) == ("torch", ["jax", "torch"])
    assert choose(jax=False, torch=False) == ("native", ["jax", "torch"])


@pytest.mark.parametrize("error", [ImportError("libcuda.so.1"), RuntimeError("jaxlib version 0.4 is newer"), OSError()])
def test_a_broken_engine_that_nobody_asked_for_is_passed_over(choose, error):
    assert choose(jax=error, torch=True) == ("torch", ["jax", "torch"])
    assert choose(jax=error, torch=error) == ("native", ["jax", "torch"])


def test_an_engine_that_is_looked_at_and_not_chosen_is_left_as_it_was(tmp_path):
    code = "from amalthea.core import backend; import sys; backend.DRIVERS = (sys.argv[1],); backend._choose(); "
    code += "import jax; print(backend.backend(), jax.config.jax_enable_x64)"
    environment = {name: value for name, value in os.environ.items() if name != "AMALTHEA_BACKEND"}
    environment |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "JAX_ENABLE_X64": "0"}
    made = subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, capture_output=True, text=True)
    assert made.stdout.split() == ["native", "False"], made.stderr
