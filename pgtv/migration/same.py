"""Whether two definitions say the same, by their parse trees; and the columns that one puts out."""

from __future__ import annotations

from typing import Any

from pgtv.definitions.parse import Node, select
from pgtv.definitions.reads import WHOLE
from pgtv.definitions.walk import read
from pgtv.errors import DefinitionError
from pgtv.migration.copy import Copy


def bare(node: Any, copy: Copy | None = None) -> Any:
    """A tree without locations, and with tables named in full where `copy` knows them."""
    if isinstance(node, list):
        return [bare(n, copy) for n in node]
    if not isinstance(node, dict):
        return node
    found = {
        k: bare(v, copy)
        for k, v in node.items()
        if k not in ("location", "stmt_location", "stmt_len")
    }
    if copy is not None and "relname" in found and "schemaname" not in found:
        oid = copy.find(None, found["relname"])
        if oid is not None and oid >= 0:
            found["schemaname"] = copy.labels[oid][0]
    return found


def same_query(a: str | Node, b: str | Node, copy: Copy) -> bool:
    """Written alike but for space, comments, schemas, and what the server adds when it prints one.

    Two that mean the same may be told apart here, never the other way round.
    """
    try:
        trees = [bare(select(t) if isinstance(t, str) else t, copy) for t in (a, b)]
    except DefinitionError:
        return False
    single = all(_tables(t) == 1 for t in trees)
    return bool(_plain(trees[0], single) == _plain(trees[1], single))


def _tables(node: Any) -> int:
    if isinstance(node, list):
        return sum(_tables(n) for n in node)
    if not isinstance(node, dict):
        return 0
    return ("relname" in node) + sum(_tables(v) for v in node.values())


def _plain(node: Any, single: bool = False) -> Any:
    """Without casts of literals; and without prefixes of columns where there is one table only."""
    if isinstance(node, list):
        return [_plain(n, single) for n in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"TypeCast"} and "A_Const" in node["TypeCast"]["arg"]:
        return _plain(node["TypeCast"]["arg"], single)
    if single and set(node) == {"ColumnRef"}:
        return {"ColumnRef": node["ColumnRef"].get("fields", [])[-1:]}
    return {k: _plain(v, single) for k, v in node.items()}


def columns_of(query: str | Node, copy: Copy) -> list[str] | None:
    """Names of the output columns; None where they cannot be told."""
    try:
        outputs = [o.name for o in read(query, copy.known_columns).outputs]
    except DefinitionError:
        return None
    return None if WHOLE in outputs or None in outputs else [o for o in outputs if o is not None]


def changed_outputs(old: str | Node, new: str | Node, copy: Copy) -> set[str] | None:
    """Output columns whose expression differs; None for all of them, where FROM or WHERE do."""
    try:
        a, b = (_plain(bare(select(t) if isinstance(t, str) else t, copy)) for t in (old, new))
    except DefinitionError:
        return None
    before, after = a.pop("targetList", []), b.pop("targetList", [])
    if a != b:
        return None
    names = columns_of(new, copy)
    if names is None or len(names) != len(after) or len(before) != len(after):
        return None
    return {n for n, x, y in zip(names, before, after, strict=True) if x != y}
