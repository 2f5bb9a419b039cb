"""The op registry: every op by its name. Tests, coverage tables, docs and export lists are derived from it."""

from __future__ import annotations

from typing import Any

registry: dict[str, Any] = {}

exported: set[str] = set()
"""The names of all that the modules of ops export: the ops themselves and the functions around them."""
