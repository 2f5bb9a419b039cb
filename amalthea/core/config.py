"""Settings: environment variables, then `~/.amalthea/config.json`, then what a program sets."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

from amalthea.core import dtypes
from amalthea.core.context import context
from amalthea.core.errors import ArgumentError, fail

_settings: dict[str, Any] = {
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "backend": None,
    "fast_math": False,
    "autotune": False,
}
_FORMATS = ("channels_last", "channels_first")


def config_file() -> pathlib.Path:
    """The configuration file: `config.json` in `~/.amalthea`, or in the folder that AMALTHEA_HOME names.

    >>> config_file().name
    'config.json'
    """
    home = os.environ.get("AMALTHEA_HOME")
    return (pathlib.Path(home) if home else pathlib.Path.home() / ".amalthea") / "config.json"


def _read_file() -> dict[str, Any]:
    path = config_file()
    try:
        text = path.read_text()
    except OSError:
        return {}
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
    except ValueError as error:
        raise ValueError(f"[config] {path} cannot be read: {error}. Fix: mend the file or delete it.") from None
    return found


def _load() -> None:
    found = _read_file()
    if "floatx" in found:
        dtypes.set_floatx(found["floatx"])
    if "epsilon" in found:
        set_epsilon(found["epsilon"])
    if "image_data_format" in found:
        set_image_data_format(found["image_data_format"])
    set_fast_math(found.get("fast_math", False))
    set_autotune(found.get("autotune", False))
    _settings["backend"] = os.environ.get("AMALTHEA_BACKEND") or found.get("backend")


def floatx() -> str:
    """The default floating dtype, a string such as "float32".

    >>> floatx()
    'float32'
    """
    return str(dtypes.floatx())


def set_floatx(value: str) -> None:
    """Set the default floating dtype: "float16", "bfloat16", "float32" or "float64".

    >>> set_floatx("float32")
    """
    dtypes.set_floatx(value)


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite, 1e-7 unless changed.

    >>> epsilon()
    1e-07
    """
    return float(_settings["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the number that `epsilon()` returns; it must be positive.

    >>> set_epsilon(1e-7)
    """
    if not isinstance(value, (int, float)) or value <= 0:
        fail(ArgumentError, "epsilon must be a positive number", where="set_epsilon", received=repr(value), fix="1e-7")
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Where images have their channels: "channels_last" (the default) or "channels_first".

    >>> image_data_format()
    'channels_last'
    """
    return str(_settings["image_data_format"])


def set_image_data_format(data_format: str) -> None:
    """Set the default place of the channels axis: "channels_last" or "channels_first".

    >>> set_image_data_format("channels_last")
    """
    standardize_data_format(data_format)
    _settings["image_data_format"] = data_format


def standardize_data_format(data_format: str | None) -> str:
    """The data format given, or the default for None; raises ArgumentError for anything else."""
    if data_format is None:
        return image_data_format()
    if data_format not in _FORMATS:
        fail(
            ArgumentError,
            "there is no such data format",
            where="data_format",
            received=repr(data_format),
            fix="use 'channels_last' or 'channels_first'",
        )
    return data_format


def fast_math() -> bool:
    """Whether compiled arithmetic may depart from IEEE 754; see `set_fast_math`.

    >>> fast_math()
    False
    """
    return bool(_settings["fast_math"])


def set_fast_math(enabled: bool) -> None:
    """Let compiled code of the `native` backend compute arithmetic faster than IEEE 754 says.

    Sums and products may then be taken in another order, a product and a sum rounded once, a division be a product
    with the reciprocal, the sign of zero be lost, and `maximum`, `minimum` and what is made of them (`relu`, `clip`)
    may drop a NaN. Infinities stay what they are, so masks of -inf keep their meaning, and the elementary functions
    keep their accuracy. Without it, the default, NaN and infinity propagate as IEEE 754 says and only sums are taken
    in another order. What was compiled before is compiled again when it is next called.

    >>> set_fast_math(False)
    """
    _settings["fast_math"] = _truth("set_fast_math", enabled)


def autotune() -> bool:
    """Whether contractions are measured when they are first compiled; see `set_autotune`.

    >>> autotune()
    False
    """
    return bool(_settings["autotune"])


def set_autotune(enabled: bool) -> None:
    """Choose how to cut each contraction (matrix product, convolution, einsum) by measuring instead of by a cost model.

    The `native` backend then compiles several versions of every contraction that it meets for the first time, runs
    each on this machine with as many threads as programs have, and keeps the fastest; that takes about a second for
    each and is shown as it goes. What was found is kept on disk, by contraction, processor and threads. What was
    compiled before is compiled again when it is next called.

    >>> set_autotune(False)
    """
    _settings["autotune"] = _truth("set_autotune", enabled)


def _truth(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        fail(ArgumentError, "it is on or off", where=where, received=repr(value), fix="True or False")
    return value


def code_settings() -> tuple[Any, ...]:
    """The settings that decide what is traced and what code is generated: part of the key of everything compiled.

    The device is among them: a function may ask for it, and constants of programs lie there.
    """
    s = _settings
    return s["fast_math"], s["autotune"], s["epsilon"], s["image_data_format"], context.device


def preferred_backend() -> str | None:
    """The backend that the environment or the configuration file asks for; None where neither does."""
    return None if _settings["backend"] is None else str(_settings["backend"])


_load()
