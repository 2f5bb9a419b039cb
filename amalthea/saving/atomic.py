"""Write a file so that at every instant the path holds either the old file or the whole new one."""

from __future__ import annotations

import contextlib
import errno
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
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _permissions(target))
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno in _DISK:
            raise cannot_write(path, error) from error
        raise
    _sync_folder(folder)


_DISK = {
    errno.ENOSPC: "free some space on it, or choose another path",
    errno.EDQUOT: "free some of your quota, or choose another path",
    errno.EROFS: "choose a path on a file system that can be written to",
    errno.EACCES: "get permission to write to its folder, or choose another path",
    errno.EPERM: "get permission to write to its folder, or choose another path",
    errno.EIO: "check the disk, or choose another path",
}


def cannot_write(path: str | os.PathLike, error: OSError) -> OSError:
    """The error of the operating system, told of the path that was asked for instead of a temporary one."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    fix = _DISK.get(error.errno or 0, "choose another path")
    text = f"[save] {os.fspath(path)!r} could not be written: {reason}. Nothing was changed. Fix: {fix}."
    made = type(error)(text)
    made.errno = error.errno
    return made


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
