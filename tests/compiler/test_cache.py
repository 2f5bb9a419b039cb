"""The object cache: many processes, damage, eviction, folders that cannot be used, files of others."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from amalthea.compiler import cache as caches
from amalthea.compiler.cache import ObjectCache

KEY = "ab" * 32


def key(i: int) -> str:
    return hashlib.sha256(str(i).encode()).hexdigest()


def test_what_is_put_is_found_again(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "new" / "cache")
    assert cache.get(KEY) is None
    for objects in ([b"one", b"", b"three" * 1000], [], [b"other"]):
        cache.put(KEY, objects)
        assert ObjectCache(tmp_path / "new" / "cache").get(KEY) == objects
    assert [path.name for path in (tmp_path / "new" / "cache").iterdir()] == [f"{KEY}.o"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_folder_and_entries_are_for_the_owner_alone(tmp_path: Path) -> None:
    ObjectCache(tmp_path / "cache").put(KEY, [b"x"])
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache" / f"{KEY}.o").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[:10], id="cut within the head"),
        pytest.param(lambda content: content[:-1], id="cut short"),
        pytest.param(lambda content: content + b"\0", id="too long"),
        pytest.param(lambda content: content[:-3] + b"\xff" + content[-2:], id="a byte changed"),
        pytest.param(lambda content: b"A" + content[1:], id="another format"),
        pytest.param(lambda content: content.replace(b"ab", b"cd", 1), id="another key"),
    ],
)
def test_a_damaged_entry_is_deleted(tmp_path: Path, damage) -> None:
    cache, path = ObjectCache(tmp_path), tmp_path / f"{KEY}.o"
    cache.put(KEY, [b"machine code" * 10])
    path.write_bytes(damage(path.read_bytes()))
    path.chmod(0o600)
    assert cache.get(KEY) is None and not path.exists()
    cache.put(KEY, [b"again"])
    assert cache.get(KEY) == [b"again"]


def test_an_entry_under_another_name_is_refused(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    cache.put(key(1), [b"one"])
    (tmp_path / f"{key(1)}.o").rename(tmp_path / f"{key(2)}.o")
    assert cache.get(key(2)) is None


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_entries_that_others_could_have_written_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, path = ObjectCache(tmp_path), tmp_path / f"{KEY}.o"
    cache.put(KEY, [b"x"])
    path.chmod(0o620)
    assert cache.get(KEY) is None and path.exists()
    path.chmod(0o600)
    assert cache.get(KEY) == [b"x"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
        assert cache.get(KEY) is None and path.exists()
    moved = path.rename(tmp_path / "elsewhere")
    path.symlink_to(moved)
    assert cache.get(KEY) is None


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit=10 * 1200)
    for i in range(10):
        cache.put(key(i), [b"x" * 1000])
        os.utime(tmp_path / f"{key(i)}.o", (1000 + i, 1000 + i))
    assert cache.get(key(0)) is not None  # used now: it stays
    for i in range(10, 13):
        cache.put(key(i), [b"x" * 1000])
    kept = {i for i in range(13) if (tmp_path / f"{key(i)}.o").exists()}
    assert kept >= {0, 10, 11, 12} and not kept & {1, 2}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= cache.limit


def test_files_of_dead_processes_are_cleared_away(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    old, fresh = tmp_path / "old.tmp", tmp_path / "fresh.tmp"
    old.touch()
    fresh.touch()
    os.utime(old, (time.time() - 2 * 3600,) * 2)
    cache.put(KEY, [b"x"])
    assert not old.exists() and fresh.exists()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = ObjectCache(tmp_path / "file" / "cache")
    cache.put(KEY, [b"x"])
    assert cache.get(KEY) is None


def test_a_full_disk_is_no_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache = ObjectCache(tmp_path)
    cache.put(KEY, [b"x"])
    assert cache.get(KEY) is None and list(tmp_path.iterdir()) == []


def test_of_several_entries_those_stay_for_which_there_was_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, moved = os.replace, []

    def fills_up(source: Path, goal: Path) -> None:
        if len(moved) == 2:
            raise OSError(28, "No space left on device")
        replace(source, goal)
        moved.append(goal)

    monkeypatch.setattr(os, "replace", fills_up)
    cache = ObjectCache(tmp_path)
    cache.put_all({key(i): [b"x"] for i in range(4)})
    assert [cache.get(key(i)) for i in range(4)] == [[b"x"], [b"x"], None, None]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AMALTHEA_CACHE": "off"}, None),
        ({"AMALTHEA_CACHE": "OFF", "AMALTHEA_HOME": "/h"}, None),
        ({"AMALTHEA_CACHE": "/c", "AMALTHEA_HOME": "/h"}, Path("/c")),
        ({"AMALTHEA_HOME": "/h"}, Path("/h/cache")),
    ],
)
def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, environment, expected) -> None:
    for name in ("AMALTHEA_CACHE", "AMALTHEA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert caches.folder() == expected


def test_off_keeps_nothing() -> None:
    cache = ObjectCache(None)
    cache.put(KEY, [b"x"])
    assert cache.get(KEY) is None


HAMMER = """
import hashlib, random, sys
from pathlib import Path
from amalthea.compiler.cache import ObjectCache
place, seed = Path(sys.argv[1]), int(sys.argv[2])
cache, chance = ObjectCache(place, limit=60_000), random.Random(seed)
hits = 0
for _ in range(300):
    i = chance.randrange(20)
    key, objects = hashlib.sha256(str(i).encode()).hexdigest(), [bytes([i]) * 5000, b"end"]
    found = cache.get(key)
    assert found is None or found == objects, "a torn or foreign entry was read"
    hits += found is not None
    if found is None:
        cache.put(key, objects)
    if chance.random() < 0.05:  # damage
        try:
            with open(place / (key + ".o"), "r+b") as file:
                file.truncate(chance.randrange(5000))
        except OSError:
            pass
print(hits)
"""


def test_processes_share_it_without_ever_reading_a_torn_entry(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(tmp_path), str(seed)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [(process.returncode, error) for process, (_, error) in zip(processes, outputs, strict=True)] == [
        (0, "")
    ] * 4
    assert all(int(out) > 0 for out, _ in outputs)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".o"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_process_that_is_killed_while_it_writes_leaves_no_torn_entry(tmp_path: Path) -> None:
    code = (
        "import hashlib, itertools, sys\nfrom pathlib import Path\nfrom amalthea.compiler.cache import ObjectCache\n"
        "cache = ObjectCache(Path(sys.argv[1]))\n"
        "for i in itertools.count():\n"
        "    key = hashlib.sha256(str(i % 10).encode()).hexdigest()\n"
        "    cache.put(key, [bytes([i % 10]) * 3_000_000])\n"
        "    print(i, flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for delay in (0.0, 0.001, 0.004):
        command = [sys.executable, "-c", code, str(tmp_path)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        process.stdout.close()
    cache = ObjectCache(tmp_path)
    entries = [(i, cache.get(key(i))) for i in range(10) if (tmp_path / f"{key(i)}.o").exists()]
    assert len(entries) >= 3
    assert all(objects == [bytes([i]) * 3_000_000] for i, objects in entries)
