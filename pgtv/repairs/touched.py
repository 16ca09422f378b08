"""Brings the rows of the TVIEWs that ended transactions touched, whatever those did to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pgtv.errors import PgtvError
from pgtv.repairs.ending import Brought
from pgtv.session import Target

if TYPE_CHECKING:
    import psycopg

    from pgtv.rows.bring import Brought as OfTview
    from pgtv.rows.merge import Pace


def bring_touched(
    connection: psycopg.Connection[Any],
    target: Target,
    labels: Iterable[str],
    keep: Callable[[Brought], None],
    pace: Pace | None = None,
) -> None:
    """Compare these TVIEWs and their dependents with their definitions, and write what differs.

    labels: qualified names. keep: told of each TVIEW as it ends, `unknown` with the reason where it
    could not be brought. Raises psycopg.Error when the connection is lost.
    """
    from pgtv.catalog.collect import collect
    from pgtv.rows.bring import bring, with_dependents

    touched = set(labels)
    snapshot = collect(connection)
    database = snapshot.server.database
    tviews = [t for t in snapshot.tviews if t.label in touched]
    for missing in sorted(touched - {t.label for t in tviews}):
        keep(Brought(database, missing, "unknown", reason="it is no longer there"))

    def ended(b: OfTview) -> None:
        m = b.merged
        keep(
            Brought(
                database, b.tview, b.end.value, b.differing, m.inserted, m.updated, m.deleted,
                b.reason, b.hint,
            )
        )  # fmt: skip

    try:
        bring(
            target,
            snapshot,
            with_dependents(snapshot, tviews),
            apply=True,
            pace=pace,
            on_end=ended,
            final=False,
        )
    except PgtvError as e:
        for tview in tviews:
            keep(Brought(database, tview.label, "unknown", reason=e.message, hint=e.hint))
