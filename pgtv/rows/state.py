"""The schema `pgtv`: what has to outlive a run. Only `pgtv init` creates it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString

from pgtv import kept, shipped
from pgtv.catalog.model import Tview
from pgtv.catalog.remembered import MERGE
from pgtv.errors import NotPossible, PgtvError
from pgtv.rows.baseline import Baseline, from_document
from pgtv.rows.result import Result, State
from pgtv.session import Target, connect, snapshot_transaction, translate

if TYPE_CHECKING:
    import psycopg

VERSION = 3  # of sql/state/install.sql; sql/state/upgrade-N-M.sql lead there
KEPT = 100  # records a TVIEW; older ones are deleted as new ones are written

# One row where the schema stands; nothing else is assumed of it, least of all that pgtv made it.
_STANDING = """
SELECT n.nspowner::pg_catalog.regrole::text AS owner,
       n.nspowner = (SELECT m.oid FROM pg_catalog.pg_roles m WHERE m.rolname = CURRENT_USER) AS mine,
       i.oid IS NOT NULL AS ours,
       COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                AND pg_catalog.has_table_privilege(v.oid, 'INSERT'), false) AS writable,
       EXISTS (SELECT FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = v.oid AND a.attname = 'baseline' AND NOT a.attisdropped) AS remembers,
       c.system_identifier::text AS system_identifier, d.oid::int8 AS database_oid
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
CROSS JOIN pg_catalog.pg_control_system() c
LEFT JOIN pg_catalog.pg_class i
       ON i.relnamespace = n.oid AND i.relname = 'installation' AND i.relkind = 'r'
LEFT JOIN pg_catalog.pg_class v ON v.relnamespace = n.oid AND v.relname = 'verification'
WHERE n.nspname = 'pgtv'
"""

_INSTALLATION = {"version": "int4", "system_identifier": "text", "database_oid": "oid"}
_BASELINE = {
    "id": "int8", "table_oid": "oid", "baseline": "text", "system_identifier": "text",
    "database_oid": "oid",
}  # fmt: skip

# A restored copy brings the other database's records along; they stay, but no longer count.
ADOPT = """\
UPDATE ONLY pgtv.installation SET
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

_TRIM = """
DELETE FROM ONLY pgtv.verification v
WHERE v.table_name = %(table)s AND v.id <= (
  SELECT o.id FROM ONLY pgtv.verification o WHERE o.table_name = %(table)s
  ORDER BY o.id DESC OFFSET %(kept)s LIMIT 1)
"""

# Who builds on one reads them all, as tables may only be read whole (see pgtv.kept).
_FORGET = """
UPDATE ONLY pgtv.verification v SET baseline = NULL
FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database() AND v.table_oid = %(oid)s::int8::oid
  AND v.baseline IS NOT NULL
  AND (v.system_identifier, v.database_oid) = (c.system_identifier::text, d.oid)
  AND v.id < (
    SELECT pg_catalog.max(o.id) FROM ONLY pgtv.verification o
    WHERE o.table_oid = v.table_oid AND o.baseline IS NOT NULL
      AND (o.system_identifier, o.database_oid) = (v.system_identifier, v.database_oid))
"""


def script(name: str = "install") -> str:
    """The text of sql/state/NAME.sql. Raises NotPossible."""
    return shipped.text(f"state/{name}")


def upgrade(version: int) -> str:
    """The statements that lead from `version` of the schema to this one's."""
    return "".join(script(f"upgrade-{v}-{v + 1}") for v in range(version, VERSION))


@dataclass(frozen=True)
class Standing:
    """The schema as it stands, whoever made it.

    owner: quoted. mine: the current role's. version: None where pgtv did not make it. here: it is of
    this server and database. writable: this role may INSERT verifications; remembers: with what a
    later one can build on.
    """

    owner: str
    mine: bool
    version: int | None
    here: bool
    writable: bool
    remembers: bool
    place: tuple[str, int]


def standing(connection: psycopg.Connection[Any]) -> Standing | None:
    """What stands in this database; None for nothing. Raises psycopg.Error."""
    from psycopg.rows import dict_row

    with snapshot_transaction(connection):
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_STANDING).fetchone()
        if row is None:
            return None
        made = []
        if row["ours"]:
            made = list(kept.read(connection, kept.SCHEMA, "installation", _INSTALLATION))
    place = (row["system_identifier"], row["database_oid"])
    one = made[0] if made else {}
    return Standing(
        row["owner"], row["mine"], one.get("version"),
        (one.get("system_identifier"), one.get("database_oid")) == place,
        row["writable"], row["remembers"], place,
    )  # fmt: skip


def foreign(found: Standing) -> NotPossible:
    """What to say of a schema of that name which `pgtv init` did not make."""
    return NotPossible(
        f"there is a schema pgtv that pgtv did not make (its owner: {found.owner})",
        "rename or drop it, then: pgtv init",
    )


def require(connection: psycopg.Connection[Any]) -> None:
    """Raises NotPossible where the schema pgtv is missing, older or newer, another database's, or has
    what would run when it is written."""
    found = standing(connection)
    if found is None:
        raise NotPossible(
            "there is no schema pgtv to keep the states in", "pgtv init shows it, --apply makes it"
        )
    if found.version is None:
        raise foreign(found)
    if found.version > VERSION:
        raise NotPossible(
            f"the schema pgtv has version {found.version}, this pgtv knows {VERSION}",
            "use the newer pgtv",
        )
    if found.version < VERSION:
        raise NotPossible(
            f"the schema pgtv has version {found.version}, this needs {VERSION}",
            "pgtv init shows what brings it there, --apply does it",
        )
    if not found.here:
        raise NotPossible(
            "the schema pgtv was restored from another server or database",
            "pgtv init shows how to make it this one's, --apply does it",
        )
    kept.check(connection)


def baselines(target: Target) -> dict[int, Baseline]:
    """By table, where the next verification can begin. Raises NotPossible where nothing is kept, or
    this role may not read it; ConnectError and QueryError."""
    import psycopg

    try:
        with connect(target) as connection:
            found = standing(connection)
            if found is None or found.version is None:
                raise NotPossible(
                    "nothing is kept to build on: there is no schema pgtv",
                    "pgtv init shows it, --apply makes it; then: pgtv verify",
                )
            if not found.remembers:
                raise NotPossible(
                    "nothing is kept to build on: the schema pgtv is of an older pgtv",
                    "pgtv init shows what brings it to this one's, --apply does it",
                )
            # the newest of each table that can be built on; what differed since then changes nothing
            # about it
            newest: dict[int, tuple[int, str]] = {}
            with snapshot_transaction(connection):
                for row in kept.read(connection, kept.SCHEMA, "verification", _BASELINE):
                    of_this = (row["system_identifier"], row["database_oid"]) == found.place
                    if row["baseline"] is not None and of_this:
                        one = (row["id"] or 0, row["baseline"])
                        newest[row["table_oid"]] = max(newest.get(row["table_oid"], one), one)
    except psycopg.errors.InsufficientPrivilege as e:
        raise NotPossible(
            f"what is kept to build on may not be read: {e.diag.message_primary}",
            "GRANT USAGE ON SCHEMA pgtv and SELECT ON pgtv.verification, or pg_monitor, which has both",
        ) from None
    except psycopg.Error as e:
        raise translate(e) from None
    read = {oid: _baseline(text) for oid, (_, text) in newest.items()}
    return {oid: b for oid, b in read.items() if b is not None}


def _baseline(text: str) -> Baseline | None:
    try:
        return from_document(json.loads(text))
    except (ValueError, RecursionError):  # whatever column of that name somebody made
        return None


def remembers(target: Target) -> bool:
    """Whether a verification that is recorded now could be built on; False where that is not known."""
    import psycopg

    try:
        with connect(target) as connection:
            found = standing(connection)
            able = found is not None and found.writable and found.remembers
            return able and not _in_recovery(connection)
    except (psycopg.Error, PgtvError):
        return False


def record(
    target: Target, results: Sequence[Result], failed: Callable[[str], None] | None = None
) -> str | None:
    """Write down what was verified, in one short transaction; gives why not, or None when it was. It
    raises nothing: what was found out is not to be lost for it.

    Samples and unknowns are no verification and are never recorded. failed: told why not where it went
    wrong, rather than that nothing is kept there or by this role.
    """
    import psycopg

    worth = [r for r in results if recordable(r)]
    if not worth:
        return "nothing was verified in full"
    try:
        with connect(target) as connection:  # its transaction says that it writes
            return _write(connection, worth)
    except PgtvError as e:
        why = e.message
    except psycopg.Error as e:
        why = str(e.diag.message_primary or e).strip()
    if failed:
        failed(why)
    return why


@dataclass(frozen=True)
class Compared:
    """The moment of a comparison of every row: all rows that differed in it are known."""

    at: str
    lsn: str | None


def now(connection: psycopg.Connection[Any]) -> Compared:
    """The moment before a comparison that is about to begin, on a primary. Raises psycopg.Error."""
    row = connection.execute(
        "SELECT pg_catalog.clock_timestamp()::text, pg_catalog.pg_current_wal_insert_lsn()::text"
    ).fetchone()
    assert row is not None
    return Compared(*row)


def record_brought(target: Target, tview: Tview, compared: Compared, seconds: float) -> str | None:
    """Write down that the rows which differed at that moment are right: a record of the mode `merge`.

    It settles a verification of that moment, or an earlier one, that found rows to differ, and nothing
    else: it is none itself, no snapshot showed all rows equal, and so nothing is ever built on it.
    Gives why not, or None when it was.
    """
    import psycopg

    one = Result(
        tview.label, tview.entity, State.EQUAL, MERGE, tview.identity, tview.table_oid,
        lsn=compared.lsn, verified_at=compared.at, seconds=seconds,
    )  # fmt: skip
    try:
        with connect(replace(target, role=None)) as connection:
            return _write(connection, [one])
    except PgtvError as e:
        return e.message
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
    if _in_recovery(connection):
        return "this server is a standby"
    found = standing(connection)
    if found is None:
        return "there is no schema pgtv (pgtv init shows how to make it)"
    if not found.writable:
        return "this role may not INSERT into pgtv.verification"
    extra = (", baseline", ", %(baseline)s::jsonb") if found.remembers else ("", "")
    statement = _RECORD.format(column=extra[0], value=extra[1])
    with _writing(connection, kept.INSERTS):
        for r in results:
            values = {
                "table": r.tview, "oid": r.table_oid, "at": r.verified_at, "lsn": r.lsn,
                "mode": r.mode, "rows": r.rows, "differing": r.differing,
                "ms": round(r.seconds * 1000, 1),
                "baseline": json.dumps(r.baseline.document()) if r.baseline else None,
            }  # fmt: skip
            connection.execute(statement.encode(), values)
    # a role that may only INSERT keeps more records, and more in them, that is all: the check
    # verification-untrimmed tells
    with contextlib.suppress(Exception), _writing(connection, kept.CHANGES):
        for r in results:
            connection.execute(_TRIM, {"table": r.tview, "kept": KEPT})
    if found.remembers:
        with contextlib.suppress(Exception), _writing(connection, kept.CHANGES):
            for r in results:
                connection.execute(_FORGET, {"oid": r.table_oid})
    return None


def _in_recovery(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
    return row is not None and row[0]


@contextmanager
def _writing(connection: psycopg.Connection[Any], mode: LiteralString) -> Iterator[None]:
    with connection.transaction():
        connection.execute("SET TRANSACTION READ WRITE")
        kept.lock(connection, mode, "verification")
        yield
