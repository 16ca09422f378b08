"""Rows of TVIEWs by plain SQL that shares nothing with pgtv's verification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.drills.statements import Break

if TYPE_CHECKING:
    import psycopg

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname), r.view::text,
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = r.view AND a.attnum > 0 AND NOT a.attisdropped)
FROM ({list}) r JOIN pg_class c ON c.oid = r.tview JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1
"""
CURRENT = Break(
    "SELECT view, to_regclass(format('%I.%I', schema, name)) AS tview FROM tviews.registry"
)
IS_EARLY = Break("SELECT to_regclass('public.pg_tview_meta') IS NOT NULL")
EARLY = Break("SELECT view_oid AS view, table_oid AS tview FROM public.pg_tview_meta")


@dataclass(frozen=True)
class Table:
    """A TVIEW, its definition's view, and the columns of both: all quoted."""

    table: str
    view: str
    columns: str


def same_texts(connection: psycopg.Connection[Any]) -> None:
    """What a session needs so that names and values are written alike on both sides."""
    connection.execute("SET search_path = pg_catalog, pg_temp; SET TimeZone = 'UTC'")


def tables(connection: psycopg.Connection[Any]) -> list[Table]:
    """Every TVIEW of a database whose catalog can be read, of whichever generation."""
    listed = EARLY if connection.execute(IS_EARLY.sql.encode()).fetchone() == (True,) else CURRENT
    found = connection.execute(_TABLES.format(list=listed.sql).encode()).fetchall()
    return [Table(*row) for row in found]


def differing(connection: psycopg.Connection[Any], of: Table) -> int:
    """Rows that only the TVIEW or only its definition has."""
    # counted, for EXCEPT holds all rows in memory, of which a server may have little left
    rows = " UNION ALL ".join(
        f"SELECT ROW({of.columns})::text AS x, {sign} AS n FROM {name}"
        for name, sign in ((of.table, 1), (of.view, -1))
    )
    surplus = f"SELECT abs(sum(n)) AS n FROM ({rows}) both_sides GROUP BY x HAVING sum(n) <> 0"
    row = connection.execute(f"SELECT coalesce(sum(n), 0) FROM ({surplus}) s".encode()).fetchone()
    return int(row[0]) if row else 0


def digest(connection: psycopg.Connection[Any], of: Table) -> str:
    """The rows of the TVIEW, so that they can be compared with those of another moment."""
    row = connection.execute(
        f"SELECT md5(string_agg(x, '' ORDER BY x)) FROM"
        f" (SELECT md5(ROW({of.columns})::text) AS x FROM {of.table}) y".encode()
    ).fetchone()
    return str(row[0]) if row else ""
