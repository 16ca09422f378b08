"""Relations as the text of a function spells them; no check itself."""

from __future__ import annotations

from collections.abc import Iterable

from pgtv.catalog.model import Relation, Snapshot


def relations_named(snapshot: Snapshot, texts: Iterable[str]) -> list[Relation]:
    """Those of the snapshot that `texts` can mean: without a schema, all of that name."""
    found = []
    for text in texts:
        parts = [_folded(p.strip()) for p in _split(text)]
        for relation in snapshot.relations:
            if relation.name == parts[-1] and (len(parts) == 1 or relation.schema == parts[0]):
                found.append(relation)
    return found


def _split(text: str) -> list[str]:
    """`"a.b".c` as its two identifiers."""
    parts, quoted = [""], False
    for char in text:
        quoted ^= char == '"'
        if char == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return parts[-2:]


def _folded(name: str) -> str:
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        return name[1:-1].replace('""', '"')
    return name.lower()
