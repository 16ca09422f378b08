"""Results of verification as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from pgtv.catalog.model import Snapshot
from pgtv.reports.pages import environment
from pgtv.rows.document import document
from pgtv.rows.result import Result


def render(snapshot: Snapshot, results: Sequence[Result], not_recorded: str | None = None) -> str:
    """The page; every value in it is escaped."""
    template = environment().get_template("verify.html.j2")
    return template.render(document(snapshot, results, not_recorded))
