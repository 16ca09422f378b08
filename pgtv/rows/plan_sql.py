"""SQL of the extension's plans, with the names of today in it."""

from __future__ import annotations

import re

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Snapshot

_PLACEHOLDER = re.compile(r"\{([cr]):(\d+)(?::(\d+))?\}")


def relation_name(relation: Relation) -> str:
    """Schema and name, quoted."""
    return f"{ident(relation.schema)}.{ident(relation.name)}"


def rendered(snapshot: Snapshot, text: str) -> str | None:
    """A plan's SQL with its {r:OID} and {c:OID:ATTNUM} replaced; None where one points nowhere."""
    lost = False

    def name(match: re.Match[str]) -> str:
        nonlocal lost
        relation = snapshot.by_oid.get(int(match[2]))
        if relation is None:
            lost = True
            return ""
        if match[1] == "r":
            return relation_name(relation)
        column = next((c for c in relation.columns if c.attnum == int(match[3] or 0)), None)
        lost = lost or column is None
        return ident(column.name) if column else ""

    rendered = _PLACEHOLDER.sub(name, text)
    return None if lost else rendered
