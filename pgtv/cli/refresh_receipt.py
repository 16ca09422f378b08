"""The receipt of `pgtv refresh --apply`, from before the first row is written to the end of the run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import click

from pgtv import journal
from pgtv.cli.leftovers import take_over
from pgtv.errors import UsageError
from pgtv.plan import save
from pgtv.reports import refresh as report
from pgtv.rows.written import entry
from pgtv.saving import Saving, Texts

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot
    from pgtv.reports.documents import RefreshDocument
    from pgtv.rows.bring import Brought
    from pgtv.rows.transaction import Done


class Record:
    """What a run has done so far. file: where it is kept; None only tells it. by: the login. earlier: what
    this run goes on from. To be left when the run ended, however it did."""

    def __init__(
        self,
        snapshot: Snapshot,
        applied: bool,
        file: Path | None,
        by: str,
        earlier: report.Earlier,
    ) -> None:
        self._snapshot, self._applied, self._file, self._earlier = snapshot, applied, file, earlier
        self._ended: list[Brought] = []
        self._run = report.begun(by, snapshot.server.started_at)
        self._entries = list(earlier.tviews)
        self._texts = Texts()
        self._journal: journal.Journal | None = None
        self._saving: Saving | None = None

    def __enter__(self) -> Record:
        """Raises UsageError where it cannot be kept: rows could not be taken back for want of a folder."""
        if self._file:
            server, goes_on = (
                self._snapshot.server,
                bool(self._earlier.tviews or self._earlier.runs),
            )
            take_over(self._file, server.system_identifier, server.database_oid, goes_on=goes_on)
            try:
                self._file.touch(mode=0o600)
            except OSError as e:
                raise UsageError(
                    f"cannot write {self._file}: {e.strerror or e}",
                    "name another place with --receipt FILE",
                ) from None
            self._save()
            self._journal = journal.Journal(self._file)
            self._saving = Saving(self._save, self._journal)
        return self

    def batch(self, tview: str, done: Done) -> None:
        """A batch was committed. Raises UsageError."""
        if self._journal:
            self._journal.batch(tview, done)

    def end(self, one: Brought) -> None:
        """A TVIEW ended. Raises UsageError."""
        self._ended.append(one)
        if self._saving:
            self._entries.append(entry(one))
            self._saving.tview(self._entries[-1])

    @property
    def finished(self) -> list[str]:
        """The TVIEWs that the run which this one goes on from brought to their end."""
        return list(report.finished(self._earlier.tviews))

    def document(self) -> RefreshDocument:
        return report.document(self._snapshot, self._applied, self._run, self._ended, self._earlier)

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        self._run["outcome"] = "complete" if error is None else "failed"
        if isinstance(error, KeyboardInterrupt):
            self._run["outcome"] = "interrupted"
        self._run["finished_at"] = report.now()
        try:
            if self._saving:
                self._saving.now()
        except UsageError:
            if error is None:  # what stopped it is what has to be told
                raise
        finally:
            if self._journal and (kept := self._journal.close()):
                click.echo(f"what the receipt lacks of what was overwritten: {kept}", err=True)

    def _save(self) -> None:
        if self._file:
            runs = replace(self._earlier, tviews=())
            head = report.document(self._snapshot, self._applied, self._run, (), runs)
            text = json.dumps(head, ensure_ascii=False, indent=2)
            save(self._texts.within(text, "tviews", self._entries) + "\n", self._file)


def of_earlier_run(receipt: Path, snapshot: Snapshot) -> report.Earlier:
    """What the run that wrote this receipt did, killed or not. Raises UsageError."""
    if not receipt.exists():
        return report.Earlier()
    try:
        raw = json.loads(receipt.read_text(encoding="utf-8"))
        if raw.get("schema") != report.SCHEMA or not raw["applied"]:
            raise UsageError(f"{receipt} is no receipt of an applied refresh", "name another file")
        if not snapshot.server.is_database(raw["system_identifier"], raw["database_oid"]):
            raise UsageError(f"{receipt} is of another database: {raw['database']}")
        found = [*raw["tviews"], *journal.left(receipt, raw["tviews"])]
        report.carried(found, {t["tview"] for t in found})  # raises where it is damaged
        report.finished(found)
        if raw.get("server_started_at") != snapshot.server.started_at:
            # a crash takes the last commits of asynchronous ones, and all rows of UNLOGGED TVIEWs; so may
            # a standby that was promoted
            click.echo("the server was started since: all is compared again", err=True)
            found = report.carried(found, {t["tview"] for t in found})
        runs = [report.run_of(r) for r in (*raw.get("earlier", ()), raw)]
    except OSError as e:
        raise UsageError(f"cannot read {receipt}: {e.strerror or e}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{receipt} is a damaged receipt", "name another file") from None
    return report.Earlier(found, [r for r in runs if r])
