"""Notes in the database that rows are owed, from before the first batch of a TVIEW until all is right.

Whoever dies after a batch leaves rows wrong that were right: what embeds the TVIEW holds what it read
there before, and a writer who had begun earlier may delete a base row whose TVIEW row has just been
inserted. No catalog tells of them, so it is noted on the backing view first; see pgtv.rows.owing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Snapshot, Tview
from pgtv.errors import PgtvError
from pgtv.graph.edges import Edges
from pgtv.rows.owing import forget, is_owed, note
from pgtv.session import Target, connected, translate

if TYPE_CHECKING:
    import psycopg


class Notes:
    """Of one run that brings rows, for all its threads. say: told of what could not be noted, and of what
    stays owed."""

    def __init__(
        self, target: Target, snapshot: Snapshot, graph: Edges, say: Callable[[str], None]
    ) -> None:
        self._target, self._snapshot, self._graph, self._say = target, snapshot, graph, say
        views = ((t, snapshot.by_oid.get(t.view_oid)) for t in snapshot.tviews)
        self._before = {t.table_oid: t for t, v in views if v and is_owed(v.comment)}
        self._mine: dict[int, Tview] = {}
        self._turn = threading.Lock()

    def begin(self, tview: Tview) -> None:
        """Rows of this TVIEW are about to be written. A note on one that it reads says it of it too."""
        above = set(self._graph.upstream([tview.table_oid]))
        with self._turn:
            if above & (self._before.keys() | self._mine.keys()):
                return
            why = self._comment(tview, note)
            if why is None:
                self._mine[tview.table_oid] = tview
        if why:
            self._say(f"{tview.label}: that its rows are owed until the end is not noted: {why}")

    def settle(self, right: Collection[str], *, whole: bool) -> None:
        """The run came to its end: take the notes away of which all rows are right.

        right: labels of the TVIEWs whose rows are. whole: of those it is known of every row, and no
        prepared transaction may put old ones back, so that a note of an earlier run goes too.
        """
        found = {**self._mine, **(self._before if whole else {})}
        for oid, tview in found.items():
            reached = [t.label for t in self._graph.affected([oid])]
            if not set(reached) <= set(right):
                if oid in self._mine:
                    self._say(
                        f"rows are owed: {tview.label}; this brings them: pgtv repair --apply"
                    )
            elif why := self._comment(tview, forget):
                self._say(f"{tview.label}: the note that its rows are owed stays: {why}")

    def _comment(self, tview: Tview, write: Callable[[str, str | None], str]) -> str | None:
        view = self._snapshot.by_oid.get(tview.view_oid)
        if view is None:
            return "it has no backing view"

        def changed(name: str, comment: str | None) -> str | None:
            return None if is_owed(comment) is (write is note) else write(name, comment)

        try:
            with connected(self._target, read_only=False) as connection:
                return comment(connection, self._target, view, changed)
        except PgtvError as e:
            return e.message


def comment(
    connection: psycopg.Connection[Any],
    target: Target,
    view: Relation,
    write: Callable[[str, str | None], str | None],
) -> str | None:
    """Change the comment of a backing view as `write` says; gives why that was not possible.

    As the view's owner, and also where the database was made read-only for an emergency.
    """
    import psycopg

    try:
        with connection.transaction():
            connection.execute("SET TRANSACTION READ WRITE")
            if _becomes(connection, target, view.owner):
                connection.execute(f"SET LOCAL ROLE {ident(view.owner)}".encode())
            row = connection.execute(
                "SELECT pg_catalog.obj_description(%s::oid, 'pg_class')", (view.oid,)
            ).fetchone()
            if statement := write(view.qualified, row[0] if row else None):
                connection.execute(statement.encode())
    except psycopg.Error as e:
        return translate(e).message
    return None


def _becomes(connection: psycopg.Connection[Any], target: Target, owner: str) -> bool:
    """Whether this role has to become the owner first; one that was asked for stays what it is."""
    row = connection.execute(
        "SELECT r.rolsuper OR r.rolname = %s FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER",
        (owner,),
    ).fetchone()
    return not target.role and row is not None and not row[0]
