"""What a step costs by the planner's statistics: rows and bytes that it reads, and that it may write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgtv.catalog.dialects.base import OWN_NAME
from pgtv.catalog.model import Relation, Snapshot
from pgtv.graph.edges import Edges

PAGE = 8192  # bytes; relpages counts these in every usual build
# statements that go through a table's rows; the others here write catalogs
_ROWS = re.compile(
    r"\s*(CREATE\s+(UNIQUE\s+)?INDEX|REINDEX|UPDATE|DELETE|INSERT|TRUNCATE|CLUSTER|VACUUM|ANALYZE"
    r"|ALTER\s+TABLE\b.*\b(ADD|VALIDATE|TYPE|LOGGED|UNLOGGED)\b)",
    re.IGNORECASE | re.DOTALL,
)
# names with their schema; and what names nothing: literals, which hold names of what is registered, and
# comments. A quoted identifier may hold a quote.
_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_TOKEN = re.compile(
    rf"(?P<name>{_IDENTIFIER}(?:[.]{_IDENTIFIER})+)|\"(?:[^\"]|\"\")+\""
    r"|(?P<silent>'(?:[^']|'')*'|\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$|--[^\n]*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Cost:
    """rows, bytes: read, by reltuples and relpages; of rows that are brought, those of the TVIEWs and of
    all that their definitions read. written_rows, written_bytes: at most, where all differ. unknown:
    tables that were never analyzed, or whose registration has still to come back; then all numbers
    are None.
    """

    rows: int | None = 0
    bytes: int | None = 0
    written_rows: int | None = 0
    written_bytes: int | None = 0
    unknown: tuple[str, ...] = ()


def of_rows(snapshot: Snapshot, graph: Edges, tviews: Iterable[str]) -> Cost:
    """Of comparing these TVIEWs with their definitions, and bringing them."""
    wanted = set(tviews)
    if lost := wanted - {t.label for t in snapshot.tviews}:
        return _unknown(lost)
    tables = [t.table_oid for t in snapshot.tviews if t.label in wanted]
    return _cost(_stored(snapshot, graph.upstream(tables)), _stored(snapshot, tables))


def of_statements(snapshot: Snapshot, statements: Sequence[str]) -> Cost:
    """Of statements: nothing but catalogs, unless they go through the rows of tables that they name."""
    named = {name for s in statements for name in _through(s)}
    stored = _stored(snapshot, [r.oid for r in snapshot.relations if r.qualified in named])
    return _cost(stored, stored)


def words(cost: Cost) -> str:
    """For people, in one line."""
    if cost.unknown:
        more = f" and {len(cost.unknown) - 3} more" if len(cost.unknown) > 3 else ""
        return f"cost: UNKNOWN, not analyzed or not registered: {', '.join(cost.unknown[:3])}{more}"
    if not cost.bytes and not cost.rows:
        return "cost: writes catalogs only"
    return (
        f"cost: reads about {cost.rows:,} rows ({_size(cost.bytes or 0)}), writes at most"
        f" {cost.written_rows:,} ({_size(cost.written_bytes or 0)})"
    )


def _through(statement: str) -> list[str]:
    """The names in a statement that goes through rows; none where they are the extension's own."""
    code = _TOKEN.sub(lambda m: " " if m["silent"] else m[0], statement)
    if not _ROWS.match(code):
        return []
    names = [m["name"] for m in _TOKEN.finditer(code) if m["name"]]
    own = names and re.fullmatch(OWN_NAME, names[0].rpartition(".")[2])
    return [] if own else names


def _stored(snapshot: Snapshot, oids: Iterable[int]) -> list[Relation]:
    """What has rows of its own: a partitioned table's are in its partitions."""
    wanted = set(oids)
    return [
        r
        for r in snapshot.relations
        if r.kind in ("r", "m") and (r.oid in wanted or r.partition_root in wanted)
    ]


def _cost(read: Sequence[Relation], written: Sequence[Relation]) -> Cost:
    if unknown := {r.qualified for r in (*read, *written) if r.reltuples < 0}:
        return _unknown(unknown)
    return Cost(
        round(sum(r.reltuples for r in read)), sum(r.relpages for r in read) * PAGE,
        round(sum(r.reltuples for r in written)), sum(r.relpages for r in written) * PAGE,
    )  # fmt: skip


def _unknown(names: Iterable[str]) -> Cost:
    return Cost(None, None, None, None, tuple(sorted(names)))


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1024:
            return f"{number:,.0f} {unit}"
        number /= 1024
    return f"{number:,.0f} TB"
