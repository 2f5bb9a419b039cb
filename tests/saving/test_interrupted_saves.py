"""A save that fails at any point leaves the former file whole and nothing else behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import amalthea as am
from amalthea.saving.atomic import atomic_file


class DiskFull(OSError):
    """What the tests let system calls raise."""


def full(*_: Any, **__: Any) -> Any:
    raise DiskFull(errno.ENOSPC, "No space left on device")


def interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


FAULTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "disk full while zipping": (zipfile.ZipFile, "writestr", full),
    "disk full while writing weights": (h5py.Group, "create_group", full),
    "disk full when flushing": (os, "fsync", full),
    "no permission to rename": (os, "replace", full),
    "Ctrl-C while writing weights": (h5py.Group, "create_group", interrupt),
    "Ctrl-C before the rename": (os, "replace", interrupt),
}


@pytest.fixture
def model() -> am.Model:
    return am.Sequential([am.Input((3,)), am.layers.Dense(2)])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_the_former_file_survives(
    fault: str, name: str, model: am.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, attribute, failing = FAULTS[fault]
    path = tmp_path / name
    save = model.save if name == "model.keras" else model.save_weights
    save(path)
    before = path.read_bytes()
    model.set_weights([weight + 1 for weight in model.get_weights()])
    if owner is zipfile.ZipFile and name != "model.keras":
        owner, attribute = h5py.Group, "__setitem__"
    with monkeypatch.context() as patched:
        patched.setattr(owner, attribute, failing)
        with pytest.raises((DiskFull, KeyboardInterrupt)):
            save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name]
    save(path)
    assert path.read_bytes() != before


def test_a_kill_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"former")
    code = f"""
        import time
        from amalthea.saving.atomic import atomic_file
        with atomic_file({str(path)!r}) as file:
            file.write(b"half of the new ")
            file.flush()
            print("written", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "written\n"
        child.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"former"


def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    with atomic_file(link) as file:
        file.write(b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "new.bin") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "new.bin").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("save", ["save", "save_weights"])
def test_a_missing_folder_is_named(save: str, model: am.Model, tmp_path: Path) -> None:
    path = tmp_path / "no" / ("m.keras" if save == "save" else "m.weights.h5")
    with pytest.raises(FileNotFoundError, match=r"folder of .* does not exist.*Fix: create it"):
        getattr(model, save)(path)


def test_overwrite_asks(model: am.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.keras"
    model.save(path)
    before = path.read_bytes()
    answers = iter(["what", "n", "y"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.save(path, overwrite=False)
    assert path.read_bytes() == before
    model.save(path, overwrite=False)
    assert path.read_bytes() != before


def test_an_unzipped_model_is_replaced_as_a_whole(model: am.Model, tmp_path: Path) -> None:
    path = tmp_path / "model_folder"
    model.save(path, zipped=False)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.save(path, zipped=False)
    assert os.listdir(tmp_path) == ["model_folder"]
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(am.saving.load_model(path)(x), model(x))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="not a saved model"):
        model.save(tmp_path / "mine", zipped=False)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
