"""Every damaged or hostile file ends in one clear error, and the model stays as it was."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import amalthea as am
from amalthea.saving import archive, budget, hdf5
from amalthea.saving.errors import SavedFileError


@pytest.fixture
def model() -> am.Model:
    return am.Sequential([am.Input((3,)), am.layers.Dense(4, name="first"), am.layers.Dense(2, name="second")])


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def rewrite(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in contents.items():
            zipped.writestr(name, content)


def edit_config(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        contents = members(path)
        config = json.loads(contents["config.json"])
        change(config)
        rewrite(path, {**contents, "config.json": json.dumps(config).encode()})

    return damage


def set_config(text: bytes) -> Callable[[Path], None]:
    return lambda path: rewrite(path, {**members(path), "config.json": text})


def edit_weights(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        contents = members(path)
        file = io.BytesIO(contents["model.weights.h5"])
        with h5py.File(file, "r+") as weights:
            change(weights)
        rewrite(path, {**contents, "model.weights.h5": file.getvalue()})

    return damage


def replace(key: str, make: Callable[[h5py.Group, str], None]) -> Callable[[Path], None]:
    def change(weights: h5py.File) -> None:
        group, _, name = key.rpartition("/")
        del weights[key]
        make(weights[group], name)

    return edit_weights(change)


def set_weights(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        contents = members(path)
        rewrite(path, {**contents, "model.weights.h5": content(contents["model.weights.h5"])})

    return damage


def without(name: str) -> Callable[[Path], None]:
    return lambda path: rewrite(path, {key: value for key, value in members(path).items() if key != name})


def with_member(name: str, content: bytes = b"x") -> Callable[[Path], None]:
    return lambda path: rewrite(path, {**members(path), name: content})


def duplicate(path: Path) -> None:
    contents = members(path)
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in contents.items():
            zipped.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate"):
            zipped.writestr("config.json", b"{}")


def truncate(fraction: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])


def flip_byte_in_weights(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(b"\x89HDF") + 3000
    content[place] ^= 0xFF
    path.write_bytes(bytes(content))


def deflate_bomb(path: Path) -> None:
    contents = members(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in contents.items():
            zipped.writestr(name, content)
        with zipped.open("assets/zeros", "w", force_zip64=True) as bomb:
            for _ in range(100):
                bomb.write(bytes(1 << 20))


def edit_directory(offset: int, value: bytes) -> Callable[[Path], None]:
    """Change bytes of the last entry in the zip's central directory."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        place = content.rindex(b"PK\x01\x02") + offset
        content[place : place + len(value)] = value
        path.write_bytes(bytes(content))

    return damage


def overlapping(path: Path) -> None:
    """Two entries of the central directory point at one member, as in a bomb that reuses its kernel."""
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 4)
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    path.write_bytes(bytes(content))


def symbolic_link(path: Path) -> None:
    info = zipfile.ZipInfo("assets/link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as zipped:
        zipped.writestr(info, "/etc/passwd")


KERNEL = "layers/dense/vars/0"


def huge_shape(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, shape=(1 << 20, 1 << 20), dtype="float32", chunks=(1024, 1024), compression="gzip")


def virtual(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout(shape=(3, 4), dtype="float32")
    layout[:] = h5py.VirtualSource("/etc/hostname", "data", shape=(3, 4))
    group.create_virtual_dataset(name, layout)


def external_data(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, shape=(3, 4), dtype="float32", external=[("/etc/passwd", 0, 48)])


def cycle(weights: h5py.File) -> None:
    weights["layers/loop"] = weights["layers"]


def put(value: object) -> Callable[[h5py.Group, str], None]:
    return lambda group, name: group.__setitem__(name, value)


def first_layer(config: dict) -> dict:
    return config["config"]["layers"][1]


def first_layer_with(**changes: object) -> Callable[[Path], None]:
    return edit_config(lambda config: first_layer(config)["config"].update(changes))


LOSS = {"module": "keras.losses", "class_name": "MeanSquaredError", "config": {}, "registered_name": None}
BYTE_CODE = {"class_name": "__lambda__", "config": {"value": ["4wAA", None, None]}}
SYSTEM = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "not a zip": (lambda path: path.write_bytes(b"hello" * 100), "not a whole"),
    "empty file": (lambda path: path.write_bytes(b""), "not a whole"),
    "cut in half": (truncate(0.5), "not a whole"),
    "last bytes missing": (truncate(0.99), "not a whole"),
    "a flipped byte": (flip_byte_in_weights, "not a whole"),
    "no config": (without("config.json"), "no member"),
    "no weights": (without("model.weights.h5"), "no member"),
    "two members of one name": (duplicate, "two members"),
    "name with ..": (with_member("assets/../../evil"), "leaves the archive"),
    "absolute name": (with_member("/etc/evil"), "leaves the archive"),
    "back-slashes": (with_member("assets\\..\\evil"), "leaves the archive"),
    "drive letter": (with_member("C:/evil"), "leaves the archive"),
    "symbolic link": (symbolic_link, "symbolic link"),
    "encrypted": (edit_directory(8, b"\x01"), "encrypted"),
    "overlapping members": (overlapping, "overlaps"),
    "a bomb": (deflate_bomb, "decompression bomb"),
    "a lie about a size": (edit_directory(24, struct.pack("<I", 1 << 31)), "two different sizes"),
    "config that is no JSON": (set_config(b"{'single': 1}"), "not valid JSON"),
    "config that is no text": (set_config(b"\xff\xfe\x00"), "not valid JSON"),
    "config that is a list": (set_config(b"[1, 2]"), "JSON object is expected"),
    "config with a key twice": (set_config(b'{"a": 1, "a": 2}'), "one key twice"),
    "deep config": (set_config(b'{"a":' * 300 + b"1" + b"}" * 300), "nested more than"),
    "number without end": (set_config(b'{"a": ' + b"9" * 10_000 + b"}"), "not valid JSON"),
    "config of no model": (set_config(json.dumps(LOSS).encode()), "describes no model"),
    "missing keys": (edit_config(lambda config: config["config"].pop("layers")), "keys"),
    "layers that are a number": (edit_config(lambda config: config["config"].update(layers=5)), "config.json"),
    "wrong argument type": (first_layer_with(units="many"), "units"),
    "more units than weights": (
        edit_config(lambda c: c["config"]["layers"][2]["config"].update(units=8)),
        "do not fit",
    ),
    "a layer for all memory": (first_layer_with(units=1 << 40), "asks for weights"),
    "weights that are no HDF5": (set_weights(lambda content: b"junk" * 99), "HDF5"),
    "cut weights": (set_weights(lambda content: content[:3000]), "HDF5|damaged"),
    "missing weights": (edit_weights(lambda w: w.__delitem__("layers/dense")), "has 2 variables here"),
    "one missing array": (edit_weights(lambda w: w.__delitem__(KERNEL)), "has 2 variables here"),
    "wrong name of an array": (edit_weights(lambda w: w.move(KERNEL, "layers/dense/vars/x")), "has no '0'"),
    "wrong shape": (replace(KERNEL, put(np.ones((4, 3), "float32"))), r"\(4, 3\)"),
    "wrong dtype": (replace(KERNEL, put(np.ones((3, 4), "int32"))), "dtype"),
    "text for numbers": (replace(KERNEL, put("weights")), "not numeric"),
    "records for numbers": (replace(KERNEL, put(np.zeros(3, [("a", "f4")]))), "not numeric"),
    "huge shape": (replace(KERNEL, huge_shape), "declares"),
    "virtual dataset": (replace(KERNEL, virtual), "external or virtual"),
    "external dataset": (replace(KERNEL, external_data), "external or virtual"),
    "external link": (replace(KERNEL, put(h5py.ExternalLink("other.h5", "/x"))), "ExternalLink"),
    "soft link": (replace(KERNEL, put(h5py.SoftLink("/layers"))), "SoftLink"),
    "cycle of groups": (edit_weights(cycle), "second name"),
    "unknown class": (
        edit_config(lambda config: first_layer(config).update(class_name="Popen", module="subprocess")),
        "there is no class 'Popen'",
    ),
    "function of another module": (first_layer_with(activation=SYSTEM), "system"),
    "byte code": (first_layer_with(activation=BYTE_CODE), "byte code"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_load_model_refuses(name: str, model: am.Model, tmp_path: Path) -> None:
    damage, message = DAMAGES[name]
    path = tmp_path / "model.keras"
    model.save(path)
    damage(path)
    with pytest.raises((SavedFileError, ValueError, TypeError), match=message) as error:
        am.saving.load_model(path)
    assert str(error.value).startswith("["), error.value
    assert os.listdir(tmp_path) == ["model.keras"]


WEIGHT_DAMAGES = (
    "not a zip",
    "cut in half",
    "a bomb",
    "missing weights",
    "one missing array",
    "wrong shape",
    "wrong dtype",
    "huge shape",
    "virtual dataset",
    "external link",
)


@pytest.mark.parametrize("name", WEIGHT_DAMAGES)
def test_load_weights_leaves_the_model_as_it_was(name: str, model: am.Model, tmp_path: Path) -> None:
    damage, message = DAMAGES[name]
    path = tmp_path / "model.keras"
    model.save(path)
    damage(path)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    before = [weight.copy() for weight in model.get_weights()]
    with pytest.raises(SavedFileError, match=message):
        model.load_weights(path)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_an_error_in_the_last_layer_undoes_the_first(model: am.Model, tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/dense_1/vars/1"]
    model.set_weights([weight + 1 for weight in model.get_weights()])
    before = [weight.copy() for weight in model.get_weights()]
    with pytest.raises(SavedFileError, match="nothing was loaded") as error:
        model.load_weights(path)
    assert "Dense 'second'" in str(error.value)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_skip_mismatch_keeps_what_does_not_fit(model: am.Model, tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    saved = model.get_weights()
    other = am.Sequential([am.Input((3,)), am.layers.Dense(4), am.layers.Dense(5)])
    kept = other.get_weights()[2:]
    with pytest.warns(UserWarning, match="1 objects do not fit"):
        other.load_weights(path, skip_mismatch=True)
    for now, wanted in zip(other.get_weights(), [*saved[:2], *kept], strict=True):
        np.testing.assert_array_equal(now, wanted)


def test_members_are_counted_before_they_are_read(
    model: am.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.keras"
    model.save(path)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    with pytest.raises(SavedFileError, match="3 members, more than 2"):
        am.saving.load_model(path)


def test_json_is_measured_before_it_is_read(model: am.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.keras"
    model.save(path)
    monkeypatch.setattr(archive, "MAX_JSON_BYTES", 100)
    with pytest.raises(SavedFileError, match="more than 100"):
        am.saving.load_model(path)


def test_the_budget_is_checked_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SLACK", 0)
    taken = []

    def initializer(shape: tuple[int, ...], dtype: str) -> np.ndarray:
        taken.append(shape)
        return np.zeros(shape, dtype)

    with pytest.raises(SavedFileError, match="asks for weights of 96 bytes"), budget.weight_budget(32, "file"):
        am.Variable(initializer, shape=(4, 4), dtype="float32")
        am.Variable(initializer, shape=(8,), dtype="float32")
    assert taken == [(4, 4)]


def test_too_many_objects_are_refused(model: am.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 3)
    with pytest.raises(SavedFileError, match="objects"):
        model.load_weights(path)


def test_a_lambda_layer_loads_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = am.Sequential([am.Input((3,)), am.layers.Lambda(lambda x: x * 2)])
    model.save(path)
    with pytest.raises(ValueError, match="byte code|safe_mode"):
        am.saving.load_model(path)
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(am.saving.load_model(path, safe_mode=False)(x), model(x))


def scramble(content: bytes, random: np.random.Generator) -> bytes:
    """The content with a few bits flipped, bytes replaced or taken out."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 6)):
        place, kind = int(random.integers(len(changed))), random.integers(3)
        if kind == 0:
            changed[place] ^= 1 << int(random.integers(8))
        elif kind == 1:
            changed[place : place + 8] = b"\xff" * 8
        else:
            del changed[place : place + int(random.integers(1, 30))]
    return bytes(changed)


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_random_damage_is_refused_or_harmless(ending: str, model: am.Model, tmp_path: Path) -> None:
    path = tmp_path / f"model.{ending}"
    (model.save if ending == "keras" else model.save_weights)(path)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    before = [weight.copy() for weight in model.get_weights()]
    for _ in range(80):
        path.write_bytes(scramble(whole, random))
        try:
            am.saving.load_model(path) if ending == "keras" else model.load_weights(path)
            model.set_weights(before)  # the damage hit bytes that nobody reads, or a value
        except SavedFileError:
            for now, then in zip(model.get_weights(), before, strict=True):
                np.testing.assert_array_equal(now, then)
