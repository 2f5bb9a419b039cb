"""The cache of object code on disk: a model that was compiled once starts at once the next time.

An entry is one file, `<key>.o`, where the key is a hash of everything that shaped the code. It begins with a header
that names the format and the key and holds a SHA-256 of the rest, so that an entry that is damaged, cut short or
renamed is noticed, deleted and compiled again. Files are written under another name and then moved into place: a
process sees a whole entry or none. Machine code is as good as a program to run: the folder is created for its owner
alone (mode 0700), and an entry that belongs to somebody else, or that others may write to, is left alone.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import secrets
import stat
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_MAGIC = b"amalthea object code 1\n"
_DIGEST = 32
_written: dict[Path, int] = {}  # bytes, by folder, since this process last looked whether there is too much
_STALE = 3600.0  # seconds after which the unfinished file of a process that died is cleared away


def folder() -> Path | None:
    """Where object code is cached, or None when the environment variable AMALTHEA_CACHE is "off".

    AMALTHEA_CACHE names the folder; otherwise it is `cache` in the folder that AMALTHEA_HOME names, or else
    `amalthea` in the place that the system has for caches (`~/.cache` on Linux).

    >>> folder() is None or folder().name in ("amalthea", "cache") or "AMALTHEA_CACHE" in os.environ
    True
    """
    chosen = os.environ.get("AMALTHEA_CACHE", "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen).expanduser()
    home = os.environ.get("AMALTHEA_HOME")
    if home:
        return Path(home) / "cache"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "amalthea" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "amalthea"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amalthea"


@functools.cache
def sources() -> str:
    """A hash of the compiler's own sources, for the keys of what is kept by a description, not by generated text.

    >>> len(sources())
    64
    """
    found = hashlib.sha256()
    place = Path(__file__).parent
    for path in sorted(place.rglob("*.py")):
        found.update(f"{path.relative_to(place).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


class ObjectCache:
    """Object code by key, in a folder.

    Every way in which a file system can fail (no room, no permission, no folder) ends in a miss, never in an error.

    Args:
        place: the folder, made when the first entry is written; None: nothing is kept.
        limit: bytes that all entries may take together. Past it the least recently used go, down to nine tenths; each
            process looks at the first entry that it writes, and again after each 64th part of the limit.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     cache = ObjectCache(Path(place) / "cache")
    ...     cache.put("00ff", [b"machine", b"code"])
    ...     cache.get("00ff"), cache.get("1234")
    ([b'machine', b'code'], None)
    """

    def __init__(self, place: Path | None, limit: int = 512 << 20) -> None:
        self.place, self.limit = place, limit

    def get(self, key: str) -> list[bytes] | None:
        """The object files kept under a key, or None. A damaged entry is deleted."""
        if self.place is None:
            return None
        path = self.place / f"{key}.o"
        try:
            # O_NOFOLLOW: not through a link that somebody else may have laid.
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        except OSError:
            return None
        try:
            with open(handle, "rb") as file:
                if not _trusted(os.fstat(handle)):
                    return None
                content = file.read()
        except OSError:
            return None
        objects = _unpack(key, content)
        with contextlib.suppress(OSError):
            if objects is None:
                path.unlink(missing_ok=True)
            else:
                os.utime(path)  # the time of last use, for eviction
        return objects

    def put(self, key: str, objects: Sequence[bytes]) -> None:
        """Keep object files under a key, in place of what was there."""
        self.put_all({key: objects})

    def put_all(self, entries: Mapping[str, Sequence[bytes]]) -> None:
        """Keep object files under several keys."""
        if self.place is None:
            return
        with contextlib.suppress(OSError):
            self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = sum(self._write(key, objects) for key, objects in entries.items())
            since = _written.get(self.place, self.limit) + written
            if since > self.limit // 64:  # looking at all entries takes longer than writing one
                self._evict()
                since = 0
            _written[self.place] = since

    def _write(self, key: str, objects: Sequence[bytes]) -> int:
        """Write an entry; returns its size."""
        assert self.place is not None
        content = _pack(key, objects)
        temporary = self.place / f"{key}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with open(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, self.place / f"{key}.o")
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return len(content)

    def _evict(self) -> None:
        assert self.place is not None
        entries, total = [], 0
        with os.scandir(self.place) as files:
            for file in files:
                with contextlib.suppress(OSError):  # another process may have deleted it
                    about = file.stat(follow_symlinks=False)
                    if file.name.endswith(".o"):
                        entries.append((about.st_mtime_ns, about.st_size, file.path))
                        total += about.st_size
                    elif file.name.endswith(".tmp") and about.st_mtime < time.time() - _STALE:
                        os.unlink(file.path)
        if total <= self.limit:
            return
        for _, size, path in sorted(entries):
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size
            if total <= self.limit * 0.9:
                return


def _trusted(about: os.stat_result) -> bool:
    """A regular file that belongs to this user, which nobody else may write to."""
    if not stat.S_ISREG(about.st_mode):
        return False
    return not hasattr(os, "geteuid") or (about.st_uid == os.geteuid() and not about.st_mode & 0o022)


def _pack(key: str, objects: Sequence[bytes]) -> bytes:
    lengths = struct.pack(f"<{1 + len(objects)}Q", len(objects), *map(len, objects))
    body = key.encode() + b"\n" + lengths + b"".join(objects)
    return _MAGIC + hashlib.sha256(body).digest() + body


def _unpack(key: str, content: bytes) -> list[bytes] | None:
    start = len(_MAGIC) + _DIGEST
    head = key.encode() + b"\n"
    if not content.startswith(_MAGIC) or not content.startswith(head, start):
        return None
    if hashlib.sha256(memoryview(content)[start:]).digest() != content[len(_MAGIC) : start]:
        return None
    at = start + len(head)
    (count,) = struct.unpack_from("<Q", content, at)
    lengths = struct.unpack_from(f"<{count}Q", content, at + 8)
    at += 8 * (1 + count)
    objects = []
    for length in lengths:
        objects.append(content[at : at + length])
        at += length
    return objects
