"""Finds the checks by walking the package; there is no list to edit."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil

import pgtv.checks
from pgtv.checks.declare import Check
from pgtv.errors import UsageError

GROUPS = (
    "installation", "metadata", "triggers", "graph", "contents", "twophase", "privileges",
    "storage", "activity",
)  # fmt: skip


@functools.cache
def all_checks() -> dict[str, Check]:
    """Every check by id, in the order of groups, then ids."""
    found: dict[str, Check] = {}
    for info in pkgutil.iter_modules(pgtv.checks.__path__):
        check = getattr(importlib.import_module(f"pgtv.checks.{info.name}"), "CHECK", None)
        if isinstance(check, Check):
            found[check.id] = check
    return dict(sorted(found.items(), key=lambda i: (GROUPS.index(i[1].group), i[0])))


def select(only: tuple[str, ...] = (), skip: tuple[str, ...] = ()) -> list[Check]:
    """Checks by id or group. Raises UsageError for a name that is neither."""
    checks = all_checks()
    known = set(checks) | set(GROUPS)
    for name in (*only, *skip):
        if name not in known:
            close = _closest(name, known)
            raise UsageError(
                f"no check or group is called {name!r}"
                + (f"; did you mean {close}?" if close else ""),
                "list them with: pgtv doctor --list",
            )
    return [
        c
        for c in checks.values()
        if (not only or c.id in only or c.group in only) and not (c.id in skip or c.group in skip)
    ]


def _closest(name: str, known: set[str]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(name, sorted(known), n=1)), None)


def sections(check: Check) -> dict[str, str]:
    """The docstring's sections: Meaning, Impact, Diagnosis, Mitigation, each as Markdown."""
    module = inspect.getmodule(check.run)
    text = inspect.cleandoc((module.__doc__ if module else None) or "")
    found: dict[str, list[str]] = {}
    current: list[str] = found.setdefault("", [])
    for line in text.splitlines():
        head = line.strip()
        if head in ("Meaning:", "Impact:", "Diagnosis:", "Mitigation:"):
            current = found.setdefault(head[:-1], [])
        else:
            current.append(line)
    return {k: inspect.cleandoc("\n" + "\n".join(v)).strip() for k, v in found.items()}
