"""Examinations made by hand for tests of reports: hostile names, many findings, causes."""

from __future__ import annotations

from dataclasses import replace

from pgtv.catalog.model import Extension, Relation, Server, Snapshot, Tview
from pgtv.checks.declare import Check
from pgtv.checks.examine import Examination, examine
from pgtv.finding import Effect, Finding, Remedy, Severity

HOSTILE = '"a|b`<b>&{{x}}\x1b[31m\n\u202eé"'


def snapshot() -> Snapshot:
    """One TVIEW of 1,234 rows in a database with a hostile name."""
    return Snapshot(
        taken_at="2026-01-02T03:04:05+00:00",
        pgtv_version="0",
        server=Server(
            database="d|b<i>",
            host="db1",
            port=5432,
            version="18.6",
            version_num=180006,
            user='me"x',
        ),
        extension=Extension("current", installed=True, version="1", catalog_revision=10),
        tviews=(Tview("a", "public", "tv_a", 1, 2, "SELECT 1", table_name="public.tv_a"),),
        relations=(Relation(1, "public", "tv_a", "public.tv_a", "r", "me", reltuples=1234),),
        elapsed_ms=100,
    )


def finding(check: str = "some-check", object: str = "public.tb_a", **kw: object) -> Finding:
    base = Finding(
        id=f"{check}:{object}",
        check=check,
        severity=Severity.CRITICAL,
        effect=Effect.ROWS_WRONG,
        object=object,
        title=f"Something about {object}",
        detail=f"What is wrong with {object}.",
        affects=("public.tv_a",),
        evidence=({"expected": "x", "found": None},),
        remedy=Remedy(sql=("SET lock_timeout = '2s';", "SELECT 1;"), role="owner", locks=("NONE",)),
    )
    return replace(base, **kw)  # type: ignore[arg-type]


def examination(*findings: Finding) -> Examination:
    """As if checks had found them, in the order in which they are read."""
    by_check: dict[str, list[Finding]] = {}
    for f in findings:
        by_check.setdefault(f.check, []).append(f)
    checks = [
        Check(id=c, title=c, group="triggers", severity=Severity.CRITICAL, effect=Effect.RISK,
              run=lambda _: ())
        for c in by_check
    ]  # fmt: skip
    return examine(snapshot(), checks, given=by_check)
