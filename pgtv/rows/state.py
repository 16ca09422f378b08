"""The schema `pgtv`: what has to outlive a run. Only `pgtv init` creates it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.errors import NotPossible, PgtvError
from pgtv.rows.baseline import Baseline, from_document
from pgtv.rows.result import Result, State
from pgtv.session import Target, connect, translate

if TYPE_CHECKING:
    import psycopg

VERSION = 3  # of sql/state/install.sql; sql/state/upgrade-N-M.sql lead there
KEPT = 100  # records a TVIEW; older ones are deleted as new ones are written

# One row where the schema stands; nothing else is assumed of it.
INSTALLED = """
SELECT n.oid IS NOT NULL AS present,
       pg_catalog.to_regclass('pgtv.installation') IS NOT NULL AS ours,
       pg_catalog.to_regclass('pgtv.verification') IS NOT NULL
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND pg_catalog.has_table_privilege(
               pg_catalog.to_regclass('pgtv.verification'), 'INSERT') AS writable,
       EXISTS (SELECT FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = pg_catalog.to_regclass('pgtv.verification')
                  AND a.attname = 'baseline' AND NOT a.attisdropped) AS remembers
FROM (VALUES (1)) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = 'pgtv'
"""

STANDING = """
SELECT i.version, n.nspowner::pg_catalog.regrole::text AS owner,
       n.nspowner = (SELECT m.oid FROM pg_catalog.pg_roles m WHERE m.rolname = CURRENT_USER) AS mine,
       i.system_identifier = c.system_identifier::text AND i.database_oid = d.oid AS here
FROM pgtv.installation i
JOIN pg_catalog.pg_namespace n ON n.nspname = 'pgtv'
JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
CROSS JOIN pg_catalog.pg_control_system() c
"""

# A restored copy brings the other database's records along; they stay, but no longer count.
ADOPT = """\
UPDATE pgtv.installation SET
    system_identifier = (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c),
    database_oid = (SELECT d.oid FROM pg_catalog.pg_database d
                     WHERE d.datname = pg_catalog.current_database());
"""

DROP = "DROP SCHEMA pgtv CASCADE;\n"

_RECORD = """
INSERT INTO pgtv.verification (table_name, table_oid, verified_at, lsn, mode, rows, differing,
                               duration_ms, system_identifier, database_oid{column})
SELECT %(table)s, %(oid)s::int8::oid, %(at)s::timestamptz, %(lsn)s::pg_catalog.pg_lsn, %(mode)s,
       %(rows)s, %(differing)s, %(ms)s, c.system_identifier::text, d.oid{value}
FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
"""

# The newest of each table that can be built on; what differed since then changes nothing about it.
_BASELINES = """
SELECT DISTINCT ON (v.table_oid) v.table_oid::int8, v.baseline
FROM pgtv.verification v
WHERE v.baseline IS NOT NULL
  AND v.system_identifier = (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c)
  AND v.database_oid = (SELECT d.oid FROM pg_catalog.pg_database d
                         WHERE d.datname = pg_catalog.current_database())
ORDER BY v.table_oid, v.id DESC
"""

_TRIM = """
DELETE FROM pgtv.verification v
WHERE v.table_name = %(table)s AND v.id <= (
  SELECT o.id FROM pgtv.verification o WHERE o.table_name = %(table)s
  ORDER BY o.id DESC OFFSET %(kept)s LIMIT 1)
"""


def script(name: str = "install") -> str:
    """The text of sql/state/NAME.sql, from the checkout or from the wheel."""
    here = Path(__file__).resolve()
    for folder in (here.parent.parent / "_sql", here.parent.parent.parent / "sql"):
        path = folder / "state" / f"{name}.sql"
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise NotPossible(f"sql/state/{name}.sql is not part of this installation")


def upgrade(version: int) -> str:
    """The statements that lead from `version` of the schema to this one's."""
    return "".join(script(f"upgrade-{v}-{v + 1}") for v in range(version, VERSION))


def require(connection: psycopg.Connection[Any]) -> None:
    """Raises NotPossible where the schema pgtv is missing, older or newer, or another database's."""
    row = connection.execute(INSTALLED).fetchone()
    if row is None or not row[0]:
        raise NotPossible(
            "there is no schema pgtv to keep the states in", "pgtv init shows it, --apply makes it"
        )
    standing = connection.execute(STANDING).fetchone() if row[1] else None
    if standing is None:
        raise NotPossible(
            "there is a schema pgtv that pgtv did not make", "rename or drop it, then: pgtv init"
        )
    version, *_, here = standing
    if version > VERSION:
        raise NotPossible(
            f"the schema pgtv has version {version}, this pgtv knows {VERSION}",
            "use the newer pgtv",
        )
    if version < VERSION:
        raise NotPossible(
            f"the schema pgtv has version {version}, this needs {VERSION}",
            "pgtv init shows what brings it there, --apply does it",
        )
    if not here:
        raise NotPossible(
            "the schema pgtv was restored from another server or database",
            "pgtv init shows how to make it this one's, --apply does it",
        )


def baselines(target: Target) -> dict[int, Baseline]:
    """By table, where the next verification can begin. Raises NotPossible where nothing is kept, or
    this role may not read it; ConnectError and QueryError."""
    import psycopg

    try:
        with connect(target) as connection:
            row = connection.execute(INSTALLED).fetchone()
            if row is None or not row[1]:
                raise NotPossible(
                    "nothing is kept to build on: there is no schema pgtv",
                    "pgtv init shows it, --apply makes it; then: pgtv verify",
                )
            if not row[3]:
                raise NotPossible(
                    "nothing is kept to build on: the schema pgtv is of an older pgtv",
                    "pgtv init shows what brings it to this one's, --apply does it",
                )
            rows = connection.execute(_BASELINES).fetchall()
    except psycopg.errors.InsufficientPrivilege as e:
        raise NotPossible(
            f"what is kept to build on may not be read: {e.diag.message_primary}",
            "GRANT USAGE ON SCHEMA pgtv and SELECT ON pgtv.verification, or pg_monitor, which has both",
        ) from None
    except psycopg.Error as e:
        raise translate(e) from None
    found = {oid: from_document(raw) for oid, raw in rows}
    return {oid: b for oid, b in found.items() if b is not None}


def remembers(target: Target) -> bool:
    """Whether a verification that is recorded now could be built on; False where that is not known."""
    import psycopg

    try:
        with connect(target) as connection:
            recovering = connection.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
            row = connection.execute(INSTALLED).fetchone()
            return bool(row and row[2] and row[3] and recovering and not recovering[0])
    except (psycopg.Error, PgtvError):
        return False


def record(target: Target, results: Sequence[Result]) -> str | None:
    """Write down what was verified, in one short transaction; gives why not, or None when it was.

    Samples and unknowns are no verification and are never recorded.
    """
    import psycopg

    worth = [r for r in results if recordable(r)]
    if not worth:
        return "nothing was verified in full"
    try:
        with connect(target, read_only=False) as connection:
            return _write(connection, worth)
    except psycopg.Error as e:
        return str(e.diag.message_primary or e).strip()


def recordable(result: Result) -> bool:
    return (
        result.state in (State.EQUAL, State.DIFFERS, State.MAY_DIFFER)
        and result.mode in ("exact", "fast", "since")
        and not result.faults
        and not result.resumed
    )


def _write(connection: psycopg.Connection[Any], results: Sequence[Result]) -> str | None:
    row = connection.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
    if row and row[0]:
        return "this server is a standby"
    row = connection.execute(INSTALLED).fetchone()
    assert row is not None
    present, _, writable, remembers_too = row
    extra = (", baseline", ", %(baseline)s::jsonb") if remembers_too else ("", "")
    statement = _RECORD.format(column=extra[0], value=extra[1])
    if not present:
        return "there is no schema pgtv (pgtv init shows how to make it)"
    if not writable:
        return "this role may not INSERT into pgtv.verification"
    connection.execute("BEGIN READ WRITE")
    for r in results:
        values = {
            "table": r.tview, "oid": r.table_oid, "at": r.verified_at, "lsn": r.lsn,
            "mode": r.mode, "rows": r.rows, "differing": r.differing,
            "ms": round(r.seconds * 1000, 1),
            "baseline": json.dumps(r.baseline.document()) if r.baseline else None,
        }  # fmt: skip
        connection.execute(statement.encode(), values)
    connection.execute("COMMIT")
    try:
        connection.execute("BEGIN READ WRITE")
        for r in results:
            connection.execute(_TRIM, {"table": r.tview, "kept": KEPT})
        connection.execute("COMMIT")
    except Exception:  # a role that may only INSERT keeps more records, that is all
        connection.execute("ROLLBACK")
    return None
