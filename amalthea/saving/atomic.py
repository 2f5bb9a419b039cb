"""Write a file so that at every instant the path holds either the old file or the whole new one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the place of `path` only when the block ends without an exception.

    The bytes go to a temporary file in the same folder (so that the rename cannot cross file systems), are flushed to
    the disk, and then renamed over `path` in one step. An exception, `KeyboardInterrupt` included, removes the
    temporary file and leaves `path` as it was; a killed process or a power cut leaves at worst a temporary file
    named `.NAME.*.tmp`. A symbolic link is followed, and an existing file keeps its permissions.

    Raises:
        FileNotFoundError: the folder does not exist.

    >>> import os, pathlib, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "a.bin")
    >>> with atomic_file(path) as file:
    ...     _ = file.write(b"all of it")
    >>> pathlib.Path(path).read_bytes()
    b'all of it'
    """
    target = os.path.realpath(os.fspath(path))
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"[save] the folder of {os.fspath(path)!r} does not exist. Fix: create it, or choose another path."
        )
    if os.path.isdir(target):
        raise IsADirectoryError(f"[save] {os.fspath(path)!r} is a folder. Fix: give the path of a file.")
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _permissions(target))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _permissions(target: str) -> int:
    """The mode of the file that is replaced, or what the process' umask gives a new one."""
    try:
        return os.stat(target).st_mode & 0o777
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _sync_folder(folder: str) -> None:
    """Make the rename itself durable, where the system can open folders (Windows cannot)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
