"""Who may run a cure whose statements touch relations of several roles; no check itself."""

from __future__ import annotations

from collections.abc import Iterable

from pgtv.checks.declare import Context


def who_owns(context: Context, relations: Iterable[int], otherwise: str) -> str:
    """`otherwise` where one role owns them all; else who has the rights of every owner."""
    by_oid = context.snapshot.by_oid
    owners = sorted({by_oid[o].owner for o in relations if o in by_oid})
    if len(owners) < 2:
        return otherwise
    if any(r.superuser for r in context.snapshot.roles if r.name in owners):
        return "a superuser"
    return f"a superuser, or a member of {' and '.join(owners)}"
