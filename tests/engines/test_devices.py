"""Devices by name on every backend, and the backend that is chosen where nobody asks for one."""

import numpy as np
import pytest

import amalthea as am
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


def test_a_tensor_knows_its_device_whatever_backend_is_active():
    with am.backend_scope("torch"):
        made = am.ops.ones((2,))
    with am.backend_scope("jax"):
        assert made.device == "cpu:0"
        np.testing.assert_array_equal((made + 1).numpy(), [2, 2])


def test_an_engine_with_an_accelerator_is_chosen_and_none_is_imported_without_a_driver(monkeypatch, tmp_path):
    chosen = []
    monkeypatch.setattr(backend, "set_backend", chosen.append)
    monkeypatch.setattr(backend.config, "preferred_backend", lambda: None)
    imported = []
    monkeypatch.setattr(backend.importlib, "import_module", lambda name: imported.append(name) or Engine(name))

    class Engine:
        def __init__(self, name):
            self.BACKEND = self
            self.name = name

        def devices(self):
            return ["gpu:0", "cpu:0"] if self.name.endswith("torch") else ["cpu:0"]

    monkeypatch.setattr(backend, "DRIVERS", (str(tmp_path / "none"),))
    backend._choose()
    assert chosen == ["native"] and not imported
    monkeypatch.setattr(backend, "DRIVERS", (str(tmp_path),))
    backend._choose()
    assert chosen == ["native", "torch"] and len(imported) == 2
    monkeypatch.setattr(backend.config, "preferred_backend", lambda: "numpy")
    backend._choose()
    assert chosen[-1] == "numpy"
