"""Byte code of lambdas in configs, as Keras writes it. Reading it runs foreign code: only without safe mode."""

from __future__ import annotations

import base64
import builtins
import marshal
import types
from typing import Any


def dump(fn: types.FunctionType) -> tuple[str, Any, Any]:
    """(code as base64 text, default arguments, closure values)."""
    code = base64.encodebytes(marshal.dumps(fn.__code__)).decode("ascii")
    closure = tuple(cell.cell_contents for cell in fn.__closure__) if fn.__closure__ else None
    return code, fn.__defaults__, closure


def load(value: Any, namespace: dict[str, Any] | None = None) -> types.FunctionType:
    """The function that `dump` wrote: (code, defaults, closure), or the code alone."""
    code_text, defaults, closure = value if isinstance(value, (list, tuple)) else (value, None, None)
    try:
        code = marshal.loads(base64.decodebytes(code_text.encode("ascii")))
    except (ValueError, EOFError, TypeError) as error:
        raise ValueError(
            "[deserialize_keras_object] the byte code of a lambda cannot be read: it was probably written by another "
            f"version of Python. Received: {len(code_text)} characters of byte code ({error}). "
            "Fix: replace the lambda by a named function, registered with `register_keras_serializable`."
        ) from error
    cells = tuple(types.CellType(item) for item in closure) if closure is not None else None
    names = {"__builtins__": builtins, **(namespace or {})}
    return types.FunctionType(code, names, code.co_name, tuple(defaults) if defaults is not None else None, cells)
