"""The `.keras` archive: a zip of `metadata.json`, `config.json`, `model.weights.h5` and `assets/`.

Reading trusts nothing: the directory of the archive is checked as a whole before a byte is unpacked, and whatever is
wrong ends in one `SavedFileError`.
"""

from __future__ import annotations

import json
import re
import stat
import zipfile
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from amalthea.saving.errors import SavedFileError, refuse

METADATA = "metadata.json"
CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
ASSETS = "assets/"

MAX_MEMBERS = 10_000
MAX_JSON_BYTES = 64 << 20
MAX_JSON_DEPTH = 200
EXPANSION_FLOOR = 64 << 20  # an archive may always unpack to this much ...
MAX_EXPANSION = 100  # ... and else to so many times its own size; Keras stores members uncompressed (ratio 1)


@dataclass
class Archive:
    """What a `.keras` file holds: two JSON objects, the bytes of the HDF5 weights file, and the assets by path."""

    config: dict[str, Any]
    weights: bytes
    metadata: dict[str, Any] = field(default_factory=dict)
    assets: dict[str, bytes] = field(default_factory=dict)


def write_archive(file: BinaryIO, archive: Archive) -> None:
    """Write `archive` to an open binary file, uncompressed as Keras does (so that weights can be read in place)."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
        zipped.writestr(METADATA, json.dumps(archive.metadata))
        zipped.writestr(CONFIG, json.dumps(archive.config))
        with zipped.open(WEIGHTS, "w", force_zip64=len(archive.weights) >= 1 << 31) as member:
            member.write(archive.weights)
        for path, content in sorted(archive.assets.items()):
            zipped.writestr(ASSETS + path, content)


def read_archive(file: BinaryIO, where: str) -> Archive:
    """Read and check a `.keras` file; `where` names it in errors.

    Raises:
        SavedFileError: not a zip; damaged or truncated; encrypted; too many members; two members of one name; names
            that leave the archive; overlapping members or members that unpack to far more than is stored; no
            `config.json` or weights; JSON that is no object, too large or too deep.
    """
    try:
        with zipfile.ZipFile(file) as zipped:
            members = check_members(zipped, where)
            for name in (CONFIG, WEIGHTS):
                if name not in members:
                    refuse(where, f"the archive has no member {name!r}", "save the model again with model.save(...)")
            assets = {
                name.removeprefix(ASSETS): zipped.read(name)
                for name in members
                if name.startswith(ASSETS) and not name.endswith("/")
            }
            metadata = read_json(zipped.read(METADATA), f"{where}: {METADATA}") if METADATA in members else {}
            config = read_json(zipped.read(CONFIG), f"{where}: {CONFIG}")
            return Archive(config, zipped.read(WEIGHTS), metadata, assets)
    except SavedFileError:
        raise
    except Exception as error:  # zipfile, zlib, struct ... each raise their own kinds on damaged bytes
        refuse(where, f"the file is not a whole .keras archive ({error})", "copy or save the file again")


def check_members(zipped: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    """The members by name, or `SavedFileError` where the archive's directory is damaged or hostile."""
    infos = zipped.infolist()
    if len(infos) > MAX_MEMBERS:
        refuse(where, f"the archive has {len(infos)} members, more than {MAX_MEMBERS}")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        check_member_name(info.filename, where)
        if info.filename != info.orig_filename:
            refuse(where, f"the member name {info.orig_filename!r} is not allowed")
        if info.filename in members:
            refuse(where, f"two members are named {info.filename!r}")
        if info.flag_bits & 0x1:
            refuse(where, f"the member {info.filename!r} is encrypted")
        if stat.S_ISLNK(info.external_attr >> 16):
            refuse(where, f"the member {info.filename!r} is a symbolic link")
        members[info.filename] = info
    _check_sizes(infos, where)
    return members


def check_member_name(name: str, where: str) -> None:
    """Refuse absolute names, drive letters, back-slashes, control characters and `..`."""
    parts = name.removesuffix("/").split("/")
    hostile = (
        any(part in ("", ".", "..") for part in parts)
        or "\\" in name
        or ":" in name
        or any(ord(letter) < 32 for letter in name)
    )
    if hostile:
        refuse(where, f"the member name {name!r} leaves the archive or is malformed")


def _check_sizes(infos: list[zipfile.ZipInfo], where: str) -> None:
    stored = unpacked = 0
    end_of_previous = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end_of_previous:
            refuse(where, f"the member {info.filename!r} overlaps another one")
        end_of_previous = info.header_offset + 30 + len(info.filename.encode()) + info.compress_size
        stored += info.compress_size
        unpacked += info.file_size
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            refuse(where, f"the member {info.filename!r} declares two different sizes")
        if info.filename.endswith(".json") and info.file_size > MAX_JSON_BYTES:
            refuse(where, f"{info.filename!r} unpacks to {info.file_size:,} bytes, more than {MAX_JSON_BYTES:,}")
    if unpacked > EXPANSION_FLOOR and unpacked > MAX_EXPANSION * stored:
        refuse(where, f"{stored:,} stored bytes unpack to {unpacked:,}: this looks like a decompression bomb")


def read_json(content: bytes | str, where: str) -> dict[str, Any]:
    """The JSON object in `content`, with its nesting limited to `MAX_JSON_DEPTH`."""
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        _check_depth(text, where)
        value = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, where))
    except SavedFileError:
        raise
    except (ValueError, RecursionError) as error:
        refuse(where, f"this is not valid JSON ({error})", "save the model again")
    if not isinstance(value, dict):
        refuse(where, f"a JSON object is expected, not {type(value).__name__}", "save the model again")
    return value


def _object(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        refuse(where, "a JSON object names one key twice")
    return found


_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def _check_depth(text: str, where: str) -> None:
    """Count brackets outside strings, before the parser (which recurses) sees them."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token.group() in "[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                refuse(where, f"the JSON is nested more than {MAX_JSON_DEPTH} deep")
        elif token.group() in "]}":
            depth -= 1
