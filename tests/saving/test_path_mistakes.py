"""Paths that cannot be saved to or loaded from, and what each message must say."""

from __future__ import annotations

import errno
import io
import sys

import pytest

import amalthea as am
from amalthea.saving import atomic


@pytest.fixture
def model():
    return am.Sequential([am.Input((3,)), am.layers.Dense(2)])


@pytest.mark.parametrize(
    ("method", "name"),
    [("save", "save_model"), ("save_weights", "save_weights"), ("load_weights", "load_weights")],
)
@pytest.mark.parametrize("path", [None, 3])
def test_what_is_no_path_is_refused(model, method, name, path) -> None:
    with pytest.raises(TypeError, match=rf"\[{name}\].*filepath={path}.*Fix: pass for example"):
        getattr(model, method)(path)


def test_load_model_refuses_what_is_no_path() -> None:
    with pytest.raises(TypeError, match=r"\[load_model\].*filepath=None"):
        am.saving.load_model(None)


def test_without_a_terminal_nobody_is_asked(model, tmp_path, monkeypatch) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(FileExistsError, match=r"model.keras.*exists already.*Fix: .*overwrite=True"):
        model.save(path, overwrite=False)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_errors_of_the_disk_name_the_path_that_was_asked_for(tmp_path, code) -> None:
    path = tmp_path / "model.keras"
    with pytest.raises(OSError, match=r"^\[save\] '.*/model.keras' could not be written.*Fix: ") as caught:
        with atomic.atomic_file(path):
            raise OSError(code, "no", "/somewhere/hidden.tmp")
    assert caught.value.errno == code and "hidden" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_named_without_the_temporary_file(model, tmp_path, monkeypatch) -> None:
    def refuse(prefix, suffix, dir):
        raise OSError(errno.EROFS, "Read-only file system", f"{dir}/{prefix}x{suffix}")

    monkeypatch.setattr(atomic.tempfile, "mkstemp", refuse)
    with pytest.raises(OSError, match=r"'.*/model.keras' could not be written: Read-only") as caught:
        model.save(tmp_path / "model.keras")
    assert ".tmp" not in str(caught.value)
