"""Configuration, backends and devices."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import amalthea as am
from amalthea.core import backend, config, device


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, timeout=60
    )
    return (done.stdout + done.stderr).strip()


def test_the_file_and_the_environment_are_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"floatx": "float64", "epsilon": 1e-5, "backend": "nothing"}))
    code = "import amalthea as am; print(am.config.floatx(), am.config.epsilon(), am.config.backend())"
    assert run(code, AMALTHEA_HOME=str(tmp_path), AMALTHEA_BACKEND="numpy") == "float64 1e-05 numpy"
    wrong = run(code, AMALTHEA_HOME=str(tmp_path), AMALTHEA_BACKEND="nunpy")
    assert "there is no such backend. Received: 'nunpy'. Fix: did you mean 'numpy'?" in wrong


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    assert "config.json cannot be read" in run("import amalthea.ops", AMALTHEA_HOME=str(tmp_path))


def test_backend_scope_and_devices():
    with backend.backend_scope("numpy"):
        assert backend.backend() == "numpy"
    assert device.devices() == ["cpu:0"]
    with device.device("/CPU:0"):
        pass
    with (
        pytest.raises(ValueError, match=r"has no such device. Received: 'gpu:0'. Fix: use one of cpu:0"),
        device.device("gpu:0"),
    ):
        pass


@pytest.mark.parametrize(
    "call",
    [lambda: config.set_epsilon(-1), lambda: config.set_floatx("int32"), lambda: config.set_image_data_format("x")],
)
def test_wrong_settings(call):
    with pytest.raises(ValueError, match="Received"):
        call()


WITHOUT_LLVMLITE = "import sys; sys.modules['llvmlite'] = None; import amalthea as am; print(am.ops.add(1, 2).item(), "


def test_native_is_the_default_and_numpy_computes_where_it_is_not_installed(tmp_path):
    clean = {"AMALTHEA_HOME": str(tmp_path), "AMALTHEA_BACKEND": ""}
    assert run("import amalthea as am; print(am.config.backend())", **clean) == "native"
    told = run(WITHOUT_LLVMLITE + "am.config.backend())", **clean)
    assert told.startswith("3 numpy")
    assert len([line for line in told.splitlines() if "Warning" in line and "pip install 'llvmlite" in line]) == 1


def test_an_old_llvmlite_is_as_good_as_none(tmp_path):
    code = "import importlib.metadata as m; m.version = lambda name: '0.43.0'; import amalthea as am; am.ops.add(1, 2)"
    told = run(code, AMALTHEA_HOME=str(tmp_path), AMALTHEA_BACKEND="")
    assert "llvmlite, which brings it, is too old: 0.43.0. Fix: pip install 'llvmlite>=0.50'" in told


def test_asking_for_native_where_it_is_not_installed_is_an_error(tmp_path):
    told = run(WITHOUT_LLVMLITE + "1)", AMALTHEA_HOME=str(tmp_path), AMALTHEA_BACKEND="native")
    assert told.splitlines()[-1].startswith("ImportError: [native]") and "pip install 'llvmlite" in told


def test_shapes_in_a_trace_follow_the_data_format():
    image, kernel = np.ones((1, 3, 5, 3), "float32"), np.ones((2, 2, 3, 4), "float32")
    shape = lambda: am.trace(lambda x, k: am.ops.conv(x, k), image, kernel).outputs_specs()[0].shape  # noqa: E731
    assert shape() == (1, 2, 4, 4)
    config.set_image_data_format("channels_first")
    try:
        assert shape() == am.ops.conv(image, kernel).shape == (1, 4, 4, 2)
    finally:
        config.set_image_data_format("channels_last")
    assert shape() == (1, 2, 4, 4)
