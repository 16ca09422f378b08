"""Whose writes are missed when names in a plan are stale."""

from __future__ import annotations

import pytest

from pgtv.catalog.model import Extension, Read, Relation, Server, Snapshot, Tview
from pgtv.checks.declare import Context, Shared
from pgtv.checks.registry import all_checks
from pgtv.finding import Effect, Finding

CHECK = all_checks()["names-stale"]


def relation(oid: int, name: str, kind: str = "r") -> Relation:
    return Relation(oid, "public", name, f"public.{name}", kind, "me")


def found(*reads: int) -> Finding:
    """Of a TVIEW that was planned when tables 2 and 3 were called a and b, which then were swapped."""
    plan = {"tables": [{"relid": 2, "table": "public.a"}, {"relid": 3, "table": "public.b"}]}
    snapshot = Snapshot(
        "now", "0", Server(), Extension("current", installed=True, schema="tviews"),
        tviews=(Tview("x", "public", "tv_x", 1, 9, "SELECT 1 FROM public.a", "public.tv_x",
                      "tviews.public__tv_x", plan=plan),),
        relations=(relation(1, "tv_x"), relation(2, "b"), relation(3, "a"), relation(9, "v", "v")),
        reads=tuple(Read(9, oid) for oid in reads),
    )  # fmt: skip
    (finding,) = CHECK.run(Context(snapshot, CHECK, Shared(snapshot)))
    return finding


@pytest.mark.parametrize(
    ("reads", "effect"), [((2, 3), Effect.RISK), ((2,), Effect.ROWS_WRONG)], ids=("both", "one")
)
def test_a_name_that_now_belongs_to_what_is_read_too_misses_no_writes(
    reads: tuple[int, ...], effect: Effect
) -> None:
    finding = found(*reads)
    assert finding.effect is effect
    assert ("never reach" in finding.detail) is (effect is Effect.ROWS_WRONG)
    # a dump of swapped names restores, and is wrong then
    restores = "restores with public.a, public.b taken for one another" in finding.detail
    assert restores is (effect is Effect.RISK)
    # and its text means the wrong ones
    assert finding.remedy
    assert ("pg_get_viewdef" in "".join(finding.remedy.sql)) is (effect is Effect.RISK)
