"""Brings the rows of the TVIEWs that ended transactions touched, whatever those did to them.

That rows are owed is noted on backing views before the first transaction is ended (see
pgtv.rows.owing), and the note goes once they are right. Whoever dies in between leaves it: no other
catalog tells that an UNLOGGED TVIEW lost the rows of what is committed after a crash.

A prepared transaction is ended on any catalog revision. On one that nothing was tested on (see
pgtv.repairs.tested) rows are compared and not written, and no note is made: repair would not bring them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgtv.errors import PgtvError
from pgtv.repairs.ending import Owed
from pgtv.repairs.tested import untested
from pgtv.session import Target

if TYPE_CHECKING:
    import psycopg

    from pgtv.catalog.model import Snapshot, Tview
    from pgtv.rows.bring import Brought
    from pgtv.rows.merge import Pace
    from pgtv.rows.transaction import Done
    from pgtv.rows.written import TouchedTview

_BAD = ("unknown", "unsettled", "differs")


def noted(snapshots: Iterable[Snapshot]) -> list[Owed]:
    """Rows that databases say they are owed, by a run that did not come to its end."""
    from pgtv.rows.owing import is_owed

    return [
        Owed(snapshot.server.database, tview.label, noted=True)
        for snapshot in snapshots
        for tview in snapshot.tviews
        if (view := snapshot.by_oid.get(tview.view_oid)) and is_owed(view.comment)
    ]


class Touched:
    """The TVIEWs that transactions of one database touched, from before these are ended.

    owed: of those that no other one reaches; without what is right by now.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], target: Target, labels: Iterable[str]
    ) -> None:
        """connection: an acting_session. labels: qualified names. Raises psycopg.Error."""
        from pgtv.catalog.collect import collect
        from pgtv.graph.edges import edges

        self._connection, self._target = connection, target
        touched = set(labels)
        self._snapshot = collect(connection) if touched else None
        self._reach: dict[str, tuple[Tview, list[Tview]]] = {}
        self._before: set[str] = set()  # noted by somebody before
        self._ended: dict[str, str] = {}  # how it ended, by label
        if self._snapshot:
            self._database = self._snapshot.server.database
            there = [t for t in self._snapshot.tviews if t.label in touched]
            covering = edges(self._snapshot).covering(there)
            self._reach = {t.label: (t, below) for t, below in covering}
        self.owed = [Owed(self._database, label) for label in self._reach]

    def note(self) -> None:
        """Note it in the database, where that was not done before; `owed` has why where it cannot be."""
        why = untested(self._snapshot.extension) if self._snapshot else None
        for one in self.owed:
            if why:
                one.why = why
            elif not one.noted:
                self._note(one)

    def _note(self, one: Owed) -> None:
        from pgtv.rows.owing import is_owed, note

        def write(view: str, comment: str | None) -> str | None:
            if is_owed(comment):
                self._before.add(one.tview)
                return None
            return note(view, comment)

        one.why = self._comment(one, write)
        one.noted = one.why is None

    def bring(
        self,
        labels: Iterable[str],
        keep: Callable[[TouchedTview], None],
        batch: Callable[[str, Done, str], None] | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Compare these TVIEWs and their dependents with their definitions, and write what differs.

        keep: told of each TVIEW as it ends, `unknown` with the reason where it could not be brought.
        batch: told of each batch until then, and of the database. Raises what these two raise.
        """
        import psycopg

        from pgtv.rows.bring import Brought, End
        from pgtv.rows.written import entry
        from pgtv.session import translate

        left = dict.fromkeys(sorted(labels))
        reason: str = "it is no longer there"
        hint: str | None = None

        def ended(one: Brought) -> None:
            left.pop(one.tview, None)
            self._ended[one.tview] = one.end
            keep({**entry(one), "database": self._database, "hint": one.hint})

        def batched(label: str, done: Done) -> None:
            if batch:
                batch(label, done, self._database)

        try:
            self._bring(left, ended, batched, pace)
        except (PgtvError, psycopg.Error) as e:
            error = translate(e) if isinstance(e, psycopg.Error) else e
            reason, hint = error.message, error.hint
        for label in list(left):
            ended(Brought(label, End.UNKNOWN, reason=reason, hint=hint))

    def _bring(
        self,
        labels: Collection[str],
        ended: Callable[[Brought], None],
        batched: Callable[[str, Done], None],
        pace: Pace | None,
    ) -> None:
        """Raises PgtvError and psycopg.Error."""
        from pgtv.catalog.collect import collect
        from pgtv.rows.bring import bring, with_dependents

        snapshot = collect(self._connection)  # what was committed may have changed definitions
        tviews = with_dependents(snapshot, [t for t in snapshot.tviews if t.label in labels])
        why = untested(snapshot.extension)

        def told(one: Brought) -> None:
            ended(_not_merged(one, snapshot, why) if why else one)

        bring(
            self._target, snapshot, tviews, apply=why is None, pace=pace, on_batch=batched,
            on_end=told, final=False,
        )  # fmt: skip

    def settle(self) -> None:
        """Take the notes away where nothing was ended, or all rows that they stand for are right.

        One that stood before is somebody else's: it stays where a prepared transaction may still put
        back what this one missed.
        """
        self.owed[:] = [one for one in self.owed if not self._settled(one)]

    def _settled(self, one: Owed) -> bool:
        from pgtv.rows.owing import forget, is_owed

        reached = {t.label for t in self._reach[one.tview][1]}
        if any(self._ended.get(label) in _BAD for label in reached):
            return False
        if one.tview in self._before and (why := self._in_the_way(one.tview)):
            one.why = why
            return False
        if not one.noted:
            return True
        one.why = self._comment(
            one, lambda view, comment: forget(view, comment) if is_owed(comment) else None
        )
        return one.why is None

    def _in_the_way(self, label: str) -> str | None:
        """Why rows that somebody noted before may be wrong although they are equal now."""
        import psycopg

        from pgtv.graph.edges import edges
        from pgtv.rows.barrier import writers

        assert self._snapshot
        if label not in self._ended:
            return "it was noted before, and its rows were not looked at"
        tables = [t.table_oid for t in self._reach[label][1]]
        try:
            found = writers(self._connection, edges(self._snapshot).upstream(tables))
        except psycopg.Error as e:
            return e.diag.message_primary or str(e)
        gids = sorted(gid for gid in found.values() if gid is not None)
        return f"prepared transactions write its tables: {', '.join(gids)}" if gids else None

    def _comment(self, one: Owed, write: Callable[[str, str | None], str | None]) -> str | None:
        """Change the comment of its backing view as `write` says; gives why that was not possible."""
        from pgtv.rows.noting import comment

        assert self._snapshot
        view = self._snapshot.by_oid.get(self._reach[one.tview][0].view_oid)
        if view is None:
            return "it has no backing view"
        return comment(self._connection, self._target, view, write)


def _not_merged(one: Brought, snapshot: Snapshot, why: str) -> Brought:
    """Rows that differ where only the extension itself may write them."""
    from pgtv.catalog import dialects

    if not one.differing:
        return one
    refresh = dialects.named(snapshot.extension.generation).refresh(one.tview)
    return replace(
        one,
        reason=f"not merged: {why}",
        hint=f"the extension's own refresh brings them, and readers wait: {refresh}",
    )
