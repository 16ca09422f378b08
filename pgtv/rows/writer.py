"""A session that writes rows of TVIEWs: as their owner, and giving way to others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Writer:
    """A session that merges: its connection, and how it runs statements as the owner.

    run: executes one statement as the TVIEW's owner and gives its rows of one text column.
    """

    connection: psycopg.Connection[Any]
    run: Callable[[str], list[str]]


def confined_writer(
    connection: psycopg.Connection[Any], owner: str, *, superuser_login: bool
) -> Writer:
    """Statements as the TVIEW's owner: by role where the login has no more rights, else through a
    SECURITY DEFINER function of the owner in pg_temp, which planted code cannot leave."""
    if not superuser_login:

        def run(statement: str) -> list[str]:
            return [r[0] for r in connection.execute(statement.encode())]

        return Writer(connection, run)
    name = "pg_temp.pgtv_write"
    connection.execute(
        f"CREATE OR REPLACE FUNCTION {name}(text) RETURNS SETOF text LANGUAGE plpgsql"
        " SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
        f" AS 'BEGIN RETURN QUERY EXECUTE $1; END'; ALTER FUNCTION {name}(text) OWNER TO"
        f" {ident(owner)}".encode()
    )

    def confined(statement: str) -> list[str]:
        query = f"SELECT x FROM {name}(%s) x"
        return [r[0] for r in connection.execute(query.encode(), (statement,))]

    return Writer(connection, confined)


def patience(connection: psycopg.Connection[Any]) -> int:
    """Milliseconds to wait for a lock: less than the server waits before it looks for deadlocks.

    So a merge that meets a writer who locks rows in another order gives way and tries again, and
    the writer never sees 40P01 for our sake.
    """
    row = connection.execute(
        "SELECT pg_catalog.min(s.setting::int8) FILTER (WHERE s.name = 'deadlock_timeout') / 2,"
        " COALESCE(pg_catalog.min(s.setting::int8)"
        "  FILTER (WHERE s.name = 'lock_timeout' AND s.setting <> '0'), 2147483647)"
        " FROM pg_catalog.pg_settings s WHERE s.name IN ('deadlock_timeout', 'lock_timeout')"
    ).fetchone()
    assert row is not None
    return max(1, min(int(row[0]), int(row[1])))
