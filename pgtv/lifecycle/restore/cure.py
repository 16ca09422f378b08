"""Proves what was restored, and cures by the documented commands what did not come back."""

from __future__ import annotations

import functools
import shlex
import time
from collections.abc import Callable, Sequence

from pgtv.catalog.model import Tview
from pgtv.errors import PgtvError, UsageError
from pgtv.lifecycle.restore import prove as restore_prove
from pgtv.lifecycle.restore.certificate import Cure, Proof
from pgtv.lifecycle.restore.stage import Run
from pgtv.lifecycle.unfilled import filling
from pgtv.lifecycle.upgrade import same
from pgtv.lifecycle.upgrade.rehearsal_server import look, pgtv
from pgtv.rows.proving import Tally, split
from pgtv.rows.result import Result, State
from pgtv.session import translate


def prove(run: Run) -> None:
    """Registrations, rows, writes, doctor, the source; what stops a step is a point of its own.

    Raises UsageError for a critical TVIEW that is none.
    """
    run.snapshot = look(run.server, run.database)
    _step(run, "bringing registrations back", _registrations)
    _step(run, "filling UNLOGGED TVIEWs", _refill)
    run.serving = run.elapsed
    first, others = split(run.snapshot, run.wish.critical)
    tally = Tally(
        run.say, len(run.snapshot.tviews), restore_prove.total_rows(run.snapshot), run.started
    )
    for name, tviews, critical in (("verify critical", first, True), ("verify", others, False)):
        if tviews:
            compare = functools.partial(
                _contents, tally=tally, name=name, tviews=tviews, critical=critical
            )
            _step(run, "comparing rows", compare)
    _step(run, "trying writes", _writes)
    _step(run, "examining it", _doctor)
    run.seen.reached_end = not run.seen.stopped


def _step(run: Run, doing: str, step: Callable[[Run], None]) -> None:
    """A page that cannot be read stops one step, and the others still say what they see."""
    import psycopg

    try:
        step(run)
    except UsageError:
        raise
    except (PgtvError, psycopg.Error) as e:
        run.seen.stopped = True
        said = translate(e) if isinstance(e, psycopg.Error) else e
        first = " ".join(said.message.split())
        run.fatal("proof-stopped", f"What was restored cannot be used: {doing} failed: {first}")


def _writes(run: Run) -> None:
    assert run.snapshot is not None
    with run.phase("write") as said:
        run.seen.writes, run.seen.write_findings = restore_prove.writes(run.target, run.snapshot)
        said.append(f"{len(run.seen.writes)} base tables, rolled back")


def _doctor(run: Run) -> None:
    seen = run.seen
    with run.phase("doctor") as said:
        run.snapshot = look(run.server, run.database)
        seen.findings, seen.checks = restore_prove.doctor(run.snapshot)
        said.append(f"{seen.checks} checks, {len(seen.findings)} findings")
    if run.before:
        with run.phase("compare") as said:
            seen.emptied = restore_prove.emptied(run.before, run.snapshot)
            seen.difference = same.compare(run.before, run.snapshot)
            said.append(f"{len(seen.difference.changes)} differences to the source")


def _registrations(run: Run) -> None:
    """Bring registrations back that the source had, as documented."""
    seen = run.seen
    assert run.snapshot is not None
    seen.missing = _lacking(run)
    if seen.missing and run.before:
        with run.phase("cure: registrations") as said:
            assert run.before_path is not None
            _cure(
                run,
                "registrations",
                "upgrade",
                "attach",
                "--from",
                str(run.before_path.absolute()),
                "--apply",
            )
            run.snapshot = look(run.server, run.database)
            said.append(f"{len(seen.missing)} were missing, {len(_lacking(run))} still are")
    seen.lost = _lacking(run)


def _lacking(run: Run) -> tuple[str, ...]:
    assert run.snapshot is not None
    here = {t.label for t in run.snapshot.tviews}
    return tuple(label for label in run.seen.wanted or () if label not in here)


def _refill(run: Run) -> None:
    """UNLOGGED TVIEWs come back empty; the extension fills them when asked."""
    assert run.snapshot is not None
    statement = filling(run.snapshot)
    if statement is None:
        return
    with run.phase("cure: UNLOGGED TVIEWs") as said:
        begun = time.monotonic()
        run.server.psql(statement, run.database)
        run.seen.cures.append(Cure(statement, "unlogged", round(time.monotonic() - begun, 3), 0))
        said.append("filled again")
        run.snapshot = look(run.server, run.database)


def _contents(
    run: Run, *, tally: Tally, name: str, tviews: Sequence[Tview], critical: bool
) -> None:
    """Compare them; those that differ are written again and compared once more."""
    snapshot = run.snapshot
    assert snapshot is not None
    differed: dict[int, int] = {}

    def hear(result: Result) -> None:
        if result.state is State.DIFFERS and result.table_oid not in differed:
            return  # told once it was tried to cure it
        at = tally.add(result, critical=critical)
        proof = Proof(
            result.tview, str(result.state), result.rows, round(result.seconds, 3), round(at, 3),
            critical, differed.get(result.table_oid, 0), result.reason,
        )  # fmt: skip
        run.seen.proofs.append(proof)

    with run.phase(name) as said:
        results = restore_prove.contents(run.target, snapshot, tviews, hear)
        said.append(_equal(results))
    wrong = [r for r in results if r.state is State.DIFFERS]
    if not wrong:
        return
    differed.update((r.table_oid, r.differing) for r in wrong)
    with run.phase("cure: rows") as said:
        _cure(run, "rows", "refresh", *(f"{r.tview}" for r in wrong), "--apply")
        said.append(f"{sum(differed.values()):,} rows of {len(wrong)} TVIEWs")
    run.serving = run.elapsed
    with run.phase(f"{name} again") as said:
        again = [t for t in tviews if t.table_oid in differed]
        results = restore_prove.contents(run.target, snapshot, again, hear)
        said.append(_equal(results))


def _equal(results: Sequence[Result]) -> str:
    return f"{sum(r.state is State.EQUAL for r in results)} of {len(results)} TVIEWs equal"


def _cure(run: Run, of: str, *args: str) -> None:
    """A command as it is documented, run on the throwaway server."""
    begun = time.monotonic()
    number = len(run.seen.cures) + 1
    keeps = args[0] in ("upgrade", "repair", "refresh")
    receipt = ["--receipt", str(run.server.root / f"cure-{number}.json")] if keeps else []
    words = 2 if args[0] == "upgrade" else 1
    done = pgtv(run.server, run.database, *args, *receipt)
    if done.code == 130:
        raise KeyboardInterrupt
    command = shlex.join(["pgtv", *args[:words], "-d", run.database, *args[words:]])
    run.seen.cures.append(
        Cure(command, of, round(time.monotonic() - begun, 3), done.code, done.last)
    )
