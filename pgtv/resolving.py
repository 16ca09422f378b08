"""Ends prepared transactions, one after the other, and puts right the TVIEWs that they touched.

In the database of each, as a role that may, in autocommit: COMMIT PREPARED and ROLLBACK PREPARED run
in no transaction block. Before each statement the name is looked up again: it has to be the very
transaction that was shown. (Between that look and the statement nothing can be locked; a coordinator
that ends it and prepares another one under the same name within that millisecond is not seen.)
A receipt is saved before the first statement and after each step; where the schema pgtv is there, so
is a dead letter. That rows are owed is noted before the first statement too, and taken back once they
are right: see pgtv.repairs.touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv import plan as plans
from pgtv.catalog.dialects.base import ident
from pgtv.errors import NotPossible, PgtvError, UsageError
from pgtv.journal import Journal, beside
from pgtv.repairs import dead_letters
from pgtv.repairs.ending import ENDED, Ending, Outcome, Receipt, dumps, now
from pgtv.repairs.touched import Touched
from pgtv.session import Target

if TYPE_CHECKING:
    import psycopg

    from pgtv.catalog.model import Snapshot
    from pgtv.rows.merge import Pace
    from pgtv.rows.written import TouchedTview

_NO_SUCH = "42704"  # SQLSTATE: prepared transaction with identifier … does not exist


def apply(
    target: Target,
    looked: Mapping[str, Snapshot],
    receipt: Receipt,
    path: Path,
    show: Callable[[str], None],
    *,
    keys: bool = True,
    pace: Pace | None = None,
    comparing: str | None = None,
) -> None:
    """End the receipt's transactions, database by database, then bring the rows of their TVIEWs.

    One that cannot be ended keeps no other from it: see its error. looked: the snapshots of what is
    ended, by database. show: told each statement before it runs. keys: rows that a rollback gives up
    are looked for first, which reads tables. pace: how rows are brought; comparing: the
    statement_timeout meanwhile, where it is not the target's. Raises UsageError when the receipt
    cannot be written; nothing was done then.
    """
    receipt.applied, receipt.outcome = True, "running"

    def save() -> None:
        plans.save(dumps(receipt), path)

    _spare(path, show)
    save()
    journal = Journal(path)
    try:
        for database in dict.fromkeys(e.transaction.database for e in receipt.endings):
            mine = [e for e in receipt.endings if e.transaction.database == database]
            there = target.in_database(database)
            seen = looked.get(database) if keys else None
            bringing = replace(there, statement_timeout=comparing or there.statement_timeout)
            _in_database(there, bringing, seen, mine, receipt, journal, save, show, pace)
        failed = any(e.outcome is Outcome.FAILED for e in receipt.endings)
        receipt.outcome = "failed" if failed else "complete"
    except KeyboardInterrupt:
        receipt.outcome = "interrupted"
        raise
    except BaseException:
        receipt.outcome = "failed"
        raise
    finally:
        receipt.finished_at = now()
        try:
            save()
        finally:
            journal.close()


def _spare(path: Path, show: Callable[[str], None]) -> None:
    """Give what a run that was killed left at `path` another name: it has old values that nothing else has.

    Raises UsageError.
    """
    if not path.is_file() or not beside(path).is_file():
        return
    n = 0
    while (kept := path.with_name(f"{path.stem}-killed-{n}{path.suffix}")).exists():
        n += 1
    try:
        beside(path).rename(beside(kept))
        path.rename(kept)
    except OSError as e:
        raise UsageError(f"cannot rename {path}: {e.strerror or e}") from None
    show(
        f"-- the receipt of a run that was killed is {kept} now, and {beside(kept).name} beside it"
    )


def _in_database(
    target: Target,
    bringing: Target,
    snapshot: Snapshot | None,
    endings: list[Ending],
    receipt: Receipt,
    journal: Journal,
    save: Callable[[], None],
    show: Callable[[str], None],
    pace: Pace | None,
) -> None:
    import psycopg

    from pgtv.applying import acting_session
    from pgtv.session import translate

    show(f"-- in database {endings[0].transaction.database}")
    try:
        with acting_session(target) as connection:
            # such as a wait for a synchronous standby that was given up
            connection.add_notice_handler(
                lambda d: show(f"-- {d.severity or 'NOTICE'}: {d.message_primary}")
            )
            no_record = _ready(connection)
            labels = {label for e in endings for label in e.transaction.tviews}
            touched = Touched(connection, bringing, labels)
            touched.note()
            receipt.owed += touched.owed
            save()
            for ending in endings:
                if snapshot and ending.action == "rollback":
                    _keep_keys(connection, snapshot, ending)
                _end(connection, target, ending, no_record, save, show)
            _bring(touched, endings, receipt, journal, save, show, pace)
    except psycopg.Error as e:
        lost = translate(e)
        _failed([x for x in endings if x.outcome is Outcome.UNDER_WAY], _perhaps(lost))
        _failed(endings, lost)
    except PgtvError as e:
        _failed(endings, e)


def _perhaps(lost: PgtvError) -> PgtvError:
    """A statement was sent and no answer came."""
    return PgtvError(f"{lost.message}; it may have been ended all the same", "see: pgtv 2pc list")


def _failed(endings: Iterable[Ending], error: PgtvError) -> None:
    """What was still to be done, or under way, could not be."""
    for ending in endings:
        if ending.outcome in (Outcome.PLANNED, Outcome.UNDER_WAY):
            ending.outcome, ending.error, ending.hint = Outcome.FAILED, error.message, error.hint


def _ready(connection: psycopg.Connection[Any]) -> str | None:
    """Why no dead letter can be kept, or None; then records that a run left open are settled."""
    import psycopg

    why = dead_letters.why_not(connection)
    if why is None:
        try:
            dead_letters.settle_open(connection)
        except psycopg.Error as e:
            if connection.closed:
                raise
            why = f"pgtv.dead_letter cannot be written: {e.diag.message_primary}"
    return why


def _keep_keys(connection: psycopg.Connection[Any], snapshot: Snapshot, ending: Ending) -> None:
    """What can be told of the rows that a rollback gives up, for the record."""
    from pgtv.rows.prepared import keys

    one = ending.transaction
    found = [p for p in snapshot.prepared if (p.gid, p.xid) == (one.gid, one.xid)]
    told = tuple(k for p in found for k in keys(connection, snapshot, p))
    ending.transaction = replace(one, keys=told)


def _end(
    connection: psycopg.Connection[Any],
    target: Target,
    ending: Ending,
    no_record: str | None,
    save: Callable[[], None],
    show: Callable[[str], None],
) -> None:
    import psycopg

    from pgtv.session import translate

    one = ending.transaction
    ending.at, started = now(), time.monotonic()
    try:
        if _xid_of(connection, one.gid) != one.xid:
            _gone(connection, ending)
            return
        ending.role = _role(connection, one.owner)
        ending.outcome, ending.no_dead_letter = Outcome.UNDER_WAY, no_record
        if no_record is None:
            _record(connection, ending)
        save()
        if ending.role:
            show(f"SET ROLE {ending.role};")
        show(ending.statement)
        try:
            if ending.role:
                connection.execute(f"SET ROLE {ending.role}".encode())
            connection.execute(ending.statement.encode())
            ending.outcome, ending.ended = Outcome.DONE, ENDED[ending.action]
        finally:
            if ending.role and not connection.closed:
                connection.execute("RESET ROLE")
                if target.role:
                    connection.execute(f"SET ROLE {ident(target.role)}".encode())
    except psycopg.Error as e:
        if connection.closed:
            raise
        if e.sqlstate == _NO_SUCH:
            _gone(connection, ending)
        else:
            _failed([ending], translate(e))
    except NotPossible as e:
        _failed([ending], e)
    finally:
        ending.milliseconds = round((time.monotonic() - started) * 1000, 1)
        if not connection.closed:
            _settle(connection, ending)
        save()


def _record(connection: psycopg.Connection[Any], ending: Ending) -> None:
    """Begin a dead letter; where it cannot be written (a full disk) the receipt is the record."""
    import psycopg

    try:
        ending.dead_letter = dead_letters.begin(connection, ending.transaction, ending.action)
    except psycopg.Error as e:
        if connection.closed:
            raise
        ending.no_dead_letter = f"pgtv.dead_letter cannot be written: {e.diag.message_primary}"


def _settle(connection: psycopg.Connection[Any], ending: Ending) -> None:
    """Close the dead letter; where that fails the next run does it."""
    import psycopg

    if ending.dead_letter is None or ending.outcome is Outcome.UNDER_WAY:
        return
    outcome = ending.ended or dead_letters.GONE
    if ending.outcome is Outcome.FAILED:
        outcome = f"not ended: {ending.error}"
    try:
        dead_letters.settle(connection, ending.dead_letter, outcome)
    except psycopg.Error as e:
        ending.no_dead_letter = f"its record stays open: {e.diag.message_primary}"


def _xid_of(connection: psycopg.Connection[Any], gid: str) -> str | None:
    row = connection.execute(
        "SELECT p.transaction::text FROM pg_catalog.pg_prepared_xacts p"
        " WHERE p.gid = %s AND p.database = pg_catalog.current_database()",
        (gid,),
    ).fetchone()
    return row[0] if row else None


def _gone(connection: psycopg.Connection[Any], ending: Ending) -> None:
    """Its coordinator, or somebody else, was faster; the server remembers which way."""
    how = dead_letters.how_ended(connection, ending.transaction.xid)
    ending.outcome, ending.ended = Outcome.GONE, ENDED[how] if how else None


def _role(connection: psycopg.Connection[Any], owner: str) -> str | None:
    """The role to become, quoted, or None to stay. Raises NotPossible."""
    row = connection.execute(
        "SELECT r.rolsuper, r.rolname::text, o.oid IS NOT NULL AND pg_catalog.pg_has_role(o.oid,"
        " CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 160000"
        "      THEN 'SET' ELSE 'MEMBER' END)"
        " FROM pg_catalog.pg_roles r LEFT JOIN pg_catalog.pg_roles o ON o.rolname = %s"
        " WHERE r.rolname = CURRENT_USER",
        (owner,),
    ).fetchone()
    assert row is not None
    superuser, name, may_become = row
    if superuser or name == owner:
        return None
    if may_become:
        return ident(owner)
    raise NotPossible(
        f"{name} may not end a transaction that {owner} prepared",
        f"log in with -U as {owner}, as a member of that role or as a superuser",
    )


def _bring(
    touched: Touched,
    endings: list[Ending],
    receipt: Receipt,
    journal: Journal,
    save: Callable[[], None],
    show: Callable[[str], None],
    pace: Pace | None,
) -> None:
    """Compare the TVIEWs that were touched, dependents included, and write what differs."""
    over = [e for e in endings if e.outcome in (Outcome.DONE, Outcome.GONE)]
    labels = sorted({label for e in over for label in e.transaction.tviews})

    def keep(row: TouchedTview) -> None:
        receipt.rows.append(row)
        save()
        journal.ended(row["tview"])

    if labels:
        touched.note()  # where what is ended was itself in the way of it
        show(f"-- verify and repair the rows of {', '.join(labels)}")
        touched.bring(labels, keep, journal.batch, pace)
    touched.settle()
    here = endings[0].transaction.database
    receipt.owed = [*(o for o in receipt.owed if o.database != here), *touched.owed]
    save()
