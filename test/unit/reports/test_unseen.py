"""What could not be seen is told once, whichever and however many checks needed it."""

from __future__ import annotations

from pgtv.catalog import model
from pgtv.catalog.model import Gap, Snapshot
from pgtv.checks.examine import State, examine
from pgtv.checks.registry import all_checks
from pgtv.reports import layout as lay


def test_one_reason_is_one_line_with_the_names_of_the_checks() -> None:
    snapshot = Snapshot(
        taken_at="2026-01-01T00:00:00+00:00",
        pgtv_version="0",
        server=model.Server(max_connections=100, connections=5, notify_queue_usage=0.0),
        extension=model.Extension("current", installed=True),
        gaps=(Gap("tviews", "somebody holds ACCESS EXCLUSIVE"),),
    )
    examination = examine(snapshot, all_checks().values())
    blind = [o for o in examination.outcomes if o.state is State.UNKNOWN]
    assert len(blind) > 10, "each check still says for itself that it could not look"
    unseen = [s for s in lay.layout(examination).sections if s.title == "Could not be seen"]
    shown = [f for s in unseen for _, group in s.groups for f in group]
    told = [f for f in shown if "somebody holds ACCESS EXCLUSIVE" in f.detail]
    assert len(told) == 1
    assert all(o.check.id in told[0].detail for o in blind if o.findings)
