"""Findings as one HTML page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from pgtv.reports import layout as lay
from pgtv.reports.layout import Layout


def render(layout: Layout) -> str:
    """The page; ends with a newline."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pgtv", "reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["line"] = lay.one_line
    environment.filters["printable"] = lay.printable
    environment.tests["sql"] = lay.is_sql
    environment.filters["evidence"] = lay.evidence_text
    template = environment.get_template("doctor.html.j2")
    examination = layout.examination
    return template.render(
        layout=layout,
        examination=examination,
        heading=lay.heading(layout),
        status=lay.status(layout.exit),
        counts=lay.counts(layout),
        steps=lay.next_steps(layout),
        affects=lambda finding: lay.affects_text(layout, finding, 50),
        plural=lay.plural,
    )
