"""Finds the modes by walking the package; there is no list to edit."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable

import pgtv.drills
from pgtv.drills.model import Mode, Variant
from pgtv.errors import UsageError


@functools.cache
def all_modes() -> dict[str, Mode]:
    """Every mode by id, in the order of their numbers."""
    found = []
    for info in pkgutil.iter_modules(pgtv.drills.__path__):
        mode = getattr(importlib.import_module(f"pgtv.drills.{info.name}"), "MODE", None)
        if isinstance(mode, Mode):
            found.append(mode)
    return {m.id: m for m in sorted(found, key=lambda m: m.number)}


def select(names: Iterable[str] = ()) -> list[tuple[Mode, Variant]]:
    """`mode`, `mode/variant` or a mode's number; all without one. Raises UsageError."""
    chosen: list[tuple[Mode, Variant]] = []
    modes = all_modes()
    for name in names or modes:
        wanted, _, variant = name.partition("/")
        mode = next((m for m in modes.values() if wanted in (m.id, str(m.number))), None)
        found = [v for v in mode.variants if variant in ("", v.id)] if mode else []
        if mode is None or not found:
            raise UsageError(f"there is no drill {name!r}", _closest(name))
        chosen += [(mode, v) for v in found if (mode, v) not in chosen]
    return chosen


def _closest(name: str) -> str:
    import difflib

    modes = all_modes()
    known = [*modes, *(f"{m.id}/{v.id}" for m in modes.values() for v in m.variants)]
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else "list them with: pgtv drill list"
