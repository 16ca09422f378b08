"""Asks for what a preflight of an upgrade needs and no snapshot of one database holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.cli.options import connection_text
from pgtv.errors import PgtvError
from pgtv.session import Target, connected

if TYPE_CHECKING:
    import psycopg

    from pgtv.catalog.model import Snapshot
    from pgtv.lifecycle.upgrade.points import Question


def question(
    target: Target, now: Snapshot, live: bool, to: int | None, mode: str, before: Path | None
) -> Question:
    """What is asked; live: the server answers, so other databases and dependents are known."""
    from pgtv.catalog import codec, dialects
    from pgtv.lifecycle.upgrade.dependents import dependents
    from pgtv.lifecycle.upgrade.points import Question

    newest = max(dialects.current.DIALECT.server_majors)
    others = depends = size = None
    if live:
        others = {d: _has(target, d) for d in now.server.databases if d != now.server.database}
        with connected(target) as connection:
            depends = dependents(connection, now) if now.extension.installed else []
            size = _bytes(connection)
    return Question(
        to or max(newest, now.server.version_num // 10000), mode, None, others, depends,
        codec.load(before) if before else None, str(before) if before else None, size,
        connection_text(target) if live else "",
    )  # fmt: skip


def with_new(asked: Question, bindir: Path | None, data: Path | None) -> Question:
    """With what the new server's programs tell. Raises UsageError where they do not answer."""
    from pgtv.lifecycle.upgrade import target as upgrade_target

    return replace(asked, new=upgrade_target.look(bindir, data)) if bindir else asked


def _has(target: Target, database: str) -> bool | None:
    """Whether the database has the extension; None where it cannot be looked into."""
    import psycopg

    from pgtv.catalog.dialects.base import EXTENSION

    try:
        with connected(target.in_database(database)) as connection:
            row = connection.execute(
                "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = %s", (EXTENSION,)
            ).fetchone()
    except (PgtvError, psycopg.Error):
        return None
    return row is not None


def _bytes(connection: psycopg.Connection[Any]) -> int | None:
    """Of all databases; None where one of them may not be measured."""
    import psycopg

    try:
        row = connection.execute(
            "SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid))::int8 FROM pg_catalog.pg_database"
        ).fetchone()
    except psycopg.Error:
        return None
    return int(row[0]) if row else None
