"""The queue table of the extension's early plans: refreshes kept for a prepared transaction's commit.

No release that cargo offers makes or reads it; it is there where somebody ran the early SQL by hand.
Columns differed: gid, prepared_at, queue_size, and refresh_queue, which is a list of {entity, pk} or
bytes. Anybody may have made it, so it is read as texts, by pgtv.kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pgtv.catalog.dialects.base import ident

TABLE = "pg_tview_pending_refreshes"
COLUMNS = ("gid", "prepared_at", "queue_size", "refresh_queue")
SHOWN = 1000  # rows that are told

# In any schema: with the OID for a look at who holds ACCESS EXCLUSIVE on it.
FIND = """
SELECT n.nspname::text, c.oid::int8,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
       EXISTS (SELECT 1 FROM pg_catalog.pg_locks l
                WHERE l.locktype = 'relation' AND l.relation = c.oid
                  AND l.mode = 'AccessExclusiveLock'),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attname = ANY (%(columns)s::text[])
                AND NOT a.attisdropped AND a.attgenerated = '')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %(table)s AND c.relkind = 'r' ORDER BY 1
"""


def qualified(schema: str) -> str:
    return f"{ident(schema)}.{ident(TABLE)}"


def entries(queue: Any) -> list[tuple[str, str]]:
    """(entity, key) of what a row's refresh_queue holds; none where it is bytes or something else."""
    try:
        found = json.loads(queue or "")
    except (ValueError, RecursionError):
        return []
    listed: Sequence[Any] = found if isinstance(found, list) else ()
    return [
        (str(e.get("entity")), str(e.get("pk"))) if isinstance(e, dict) else ("", "")
        for e in listed
    ]


def size(text: str | None, queue: Sequence[Any]) -> int:
    """What the row says of itself, else how much its queue holds."""
    return (
        int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else len(queue)
    )


def moment(text: str | None) -> float | None:
    """Seconds since the epoch, where the text tells them; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
