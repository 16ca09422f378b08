"""Findings as one HTML page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from pgtv.reports import layout as lay
from pgtv.reports.layout import Layout
from pgtv.reports.pages import environment
from pgtv.shown import one_line, plural


def render(layout: Layout) -> str:
    """The page; ends with a newline."""
    made = environment(line=one_line, evidence=lay.evidence_text)
    made.tests["sql"] = lay.is_sql
    template = made.get_template("doctor.html.j2")
    examination = layout.examination
    return template.render(
        layout=layout,
        examination=examination,
        heading=lay.heading(layout),
        status=lay.status(layout.exit),
        counts=lay.counts(layout),
        steps=lay.next_steps(layout),
        affects=lambda finding: lay.affects_text(layout, finding, 50),
        plural=plural,
    )
