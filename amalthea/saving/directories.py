"""An unzipped `.keras` model: a folder with the members of the archive as files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile

from amalthea.saving.archive import ASSETS, CONFIG, MAX_JSON_BYTES, METADATA, WEIGHTS, Archive, read_json
from amalthea.saving.errors import refuse


def write_directory(path: str, archive: Archive) -> None:
    """Write the folder beside its place and rename it there when it is complete.

    A folder cannot be replaced in one step: a kill between the two renames leaves the former one as `.NAME.*.old`.
    """
    target = os.path.realpath(path)
    parent, name = os.path.split(target)
    if not os.path.isdir(parent):
        raise FileNotFoundError(f"[save_model] the folder of {path!r} does not exist. Fix: create it first.")
    if os.path.exists(target) and not os.path.isfile(os.path.join(target, CONFIG)):
        raise FileExistsError(
            f"[save_model] {path!r} exists and is not a saved model, so it is not replaced. Fix: choose another path."
        )
    temporary = tempfile.mkdtemp(prefix=f".{name}.", suffix=".tmp", dir=parent)
    try:
        files = {
            METADATA: json.dumps(archive.metadata).encode(),
            CONFIG: json.dumps(archive.config).encode(),
            WEIGHTS: archive.weights,
            **{ASSETS + inner: content for inner, content in archive.assets.items()},
        }
        for inner, content in files.items():
            place = os.path.join(temporary, *inner.split("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o755)
        former = None
        if os.path.exists(target):
            former = tempfile.mkdtemp(prefix=f".{name}.", suffix=".old", dir=parent)
            os.replace(target, former)
        try:
            os.replace(temporary, target)
        except BaseException:
            if former is not None:
                os.replace(former, target)
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if former is not None:
        with contextlib.suppress(OSError):
            shutil.rmtree(former)


def read_directory(path: str, where: str) -> Archive:
    """Read the folder; symbolic links in it are refused."""
    for name in (CONFIG, WEIGHTS):
        if not os.path.isfile(os.path.join(path, name)):
            refuse(where, f"the folder has no file {name!r}, so it is no saved model", "give the path of a saved model")
    contents: dict[str, bytes] = {}
    for base, folders, names in os.walk(path):
        for name in (*folders, *names):
            place = os.path.join(base, name)
            if os.path.islink(place):
                refuse(where, f"{os.path.relpath(place, path)!r} is a symbolic link")
        for name in names:
            place = os.path.join(base, name)
            inner = os.path.relpath(place, path).replace(os.sep, "/")
            if inner not in (CONFIG, WEIGHTS, METADATA) and not inner.startswith(ASSETS):
                continue  # such as the README.md of a model hub
            if inner.endswith(".json") and os.path.getsize(place) > MAX_JSON_BYTES:
                refuse(where, f"{inner!r} is larger than {MAX_JSON_BYTES:,} bytes")
            with open(place, "rb") as file:
                contents[inner] = file.read()
    config = read_json(contents[CONFIG], f"{where}: {CONFIG}")
    metadata = read_json(contents[METADATA], f"{where}: {METADATA}") if METADATA in contents else {}
    assets = {inner.removeprefix(ASSETS): content for inner, content in contents.items() if inner.startswith(ASSETS)}
    return Archive(config, contents[WEIGHTS], metadata, assets)
