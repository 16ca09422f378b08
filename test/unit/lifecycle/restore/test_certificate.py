"""What a certificate says follows from what was seen, and from nothing else."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import jsonschema
import pytest

from pgtv.catalog.diff import Change, Difference
from pgtv.errors import Exit
from pgtv.finding import Effect, Finding, Severity
from pgtv.lifecycle.restore.certificate import (
    VERDICTS,
    Certificate,
    Cure,
    Objective,
    Phase,
    Place,
    Proof,
    Restored,
    decide,
    dumps,
    schema,
)
from pgtv.lifecycle.restore.certificate_points import Seen, not_proven, points, proven
from pgtv.reports.certificate import html, human

MET = Objective(3600, 10.0)
GOOD = Proof("public.tv_a", "equal", 12, 0.1, 4.0)


def seen(**more: object) -> Seen:
    """A restore without a fault, but for `more`."""
    well = Seen(
        wanted=("public.tv_a",), proofs=[GOOD], checks=70, reached_end=True,
        writes={"public.tb_a": "a write works (one row's a, rolled back)"},
    )  # fmt: skip
    return dataclasses.replace(well, **more)  # type: ignore[arg-type]


def said(one: Seen, rto: Objective = MET, rpo: Objective = MET) -> dict[str, Severity]:
    return {p.id: p.severity for p in points(one, rto, rpo)}


def test_nothing_wrong_says_nothing() -> None:
    assert said(seen()) == {}
    assert decide(points(seen(), MET, MET)) is Exit.HEALTHY


def _finding(severity: Severity) -> Finding:
    return Finding("x:y", "x", severity, Effect.RISK, "y", "T", "D")


DROPPED = Change("removed", "trigger", "public.tb_a: row of a, type 29")
RENAMED = Change("changed", "relation", "public.tb_a", "owner", "a", "b")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"missing": ("public.tv_a",)}, {"registrations-cured": Severity.WARNING}),
        (
            {"missing": ("public.tv_a",), "lost": ("public.tv_a",)},
            {"registrations-missing": Severity.CRITICAL},
        ),
        ({"proofs": [replace(GOOD, state="differs")]}, {"rows-differ": Severity.CRITICAL}),
        (
            {"proofs": [GOOD, replace(GOOD, state="unknown", reason="a lock")]},
            {"rows-unknown": Severity.UNKNOWN},
        ),
        ({"proofs": [replace(GOOD, differed=3)]}, {"rows-cured": Severity.WARNING}),
        ({"proofs": [replace(GOOD, rows=0)]}, {"all-empty": Severity.UNKNOWN}),
        ({"proofs": [], "wanted": None}, {"no-tviews": Severity.UNKNOWN}),
        ({"emptied": ("public.tb_a",)}, {"base-rows-missing": Severity.CRITICAL}),
        ({"write_findings": (_finding(Severity.CRITICAL),)}, {"writes-fail": Severity.CRITICAL}),
        ({"write_findings": (_finding(Severity.UNKNOWN),)}, {"writes-unknown": Severity.UNKNOWN}),
        ({"findings": (_finding(Severity.WARNING),)}, {"x": Severity.WARNING}),
        ({"findings": (_finding(Severity.INFO),)}, {}),
        ({"difference": Difference((DROPPED,))}, {"source-lost": Severity.CRITICAL}),
        ({"difference": Difference((RENAMED,))}, {"source-differs": Severity.WARNING}),
    ],
)
def test_each_fault_has_its_point(more: dict[str, object], expected: dict[str, Severity]) -> None:
    assert said(seen(**more)) == expected


def test_findings_of_one_check_are_told_once() -> None:
    other = replace(_finding(Severity.WARNING), id="x:z", object="z")
    (one,) = points(seen(findings=(_finding(Severity.WARNING), other)), MET, MET)
    assert one.objects == ("y", "z") and one.text == "T: D 1 more like it."


def test_targets() -> None:
    assert said(seen(), Objective(1, 2.0)) == {"rto-missed": Severity.WARNING}
    assert said(seen(), MET, Objective(1, 2.0)) == {"rpo-missed": Severity.WARNING}
    assert said(seen(), MET, Objective(1, None, "no")) == {"rpo-unknown": Severity.UNKNOWN}
    assert said(seen(), Objective(1, None)) == {}  # why is another point


def test_what_was_not_seen_is_not_proven() -> None:
    whole = list(proven(seen()))
    assert any("12 rows of 1 of 1" in s for s in whole)
    assert not any("registered" in s for s in proven(seen(lost=("public.tv_a",))))
    assert not any("registered" in s for s in proven(seen(wanted=None)))
    assert not any("equal" in s for s in proven(seen(proofs=[replace(GOOD, state="unknown")])))
    assert not any("doctor" in s for s in proven(seen(findings=(_finding(Severity.WARNING),))))
    assert not any("manifest" in s for s in whole)
    lacking = list(not_proven(seen(invented=("app",)), dump=True, own_settings=False))
    assert any("app" in s and "made up" in s for s in lacking)
    tried = seen(writes={"public.tb_b": "statement triggers work; no row or no column to change"})
    assert any("tb_b" in s for s in not_proven(tried, dump=True, own_settings=False))


def certificate(one: Seen) -> Certificate:
    found = points(one, MET, MET)
    code = decide(found)
    return Certificate(
        "2026-03-01T02:00:00+00:00", VERDICTS[code], int(code),
        Restored("/b/<i>\x1b[31m.dump", "dump", "custom", 10, 1, "ab", None, "nothing"),
        Place("host", 2, "18.6", "1", "/bin", "x"), (Phase("start", 1.0),), MET, MET,
        tviews=tuple(one.proofs), cures=(Cure("pgtv refresh", "rows", 1.0, 0),), points=found,
        proven=tuple(proven(one)), not_proven=("a thing",),
    )  # fmt: skip


def test_the_document_is_as_published_and_nothing_steers_who_reads_it() -> None:
    one = certificate(seen(proofs=[replace(GOOD, tview='public."<b>\x1b[1m"', differed=2)]))
    jsonschema.validate(json.loads(dumps(one)), schema())
    text, page = human(one, 80), html(one)
    assert "\x1b" not in text + page and "<b>\\x1b" not in page and "<i>" not in page
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.splitlines()[0].endswith("proven, with remarks")
