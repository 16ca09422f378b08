"""Where a statement stands in its file, and names and literals out of parse trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pgtv.definitions.parse import Node
from pgtv.definitions.reads import Relation
from pgtv.lint.source import Piece, Source


@dataclass
class Place:
    source: Source
    at: int
    where: Callable[[int], int]
    piece: Piece


def name_of(rangevar: Node) -> Relation:
    return rangevar.get("schemaname"), rangevar["relname"]


def type_of(node: Node) -> str:
    names = [n["String"]["sval"] for n in node.get("names", [])]
    suffix = "[]" if node.get("arrayBounds") else ""
    return (names[-1] if names else "") + suffix


def string(node: Node | None) -> tuple[str, int] | None:
    """A string literal's value and byte location, casts taken off."""
    while node and "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    const = (node or {}).get("A_Const", {})
    if "sval" not in const:
        return None
    return const["sval"].get("sval", ""), const.get("location", 0)
