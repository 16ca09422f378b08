"""Which TVIEWs follow rows of another one, by the plan, the triggers and what lies in between."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pgtv.catalog.model import Extension, Read, Relation, Server, Snapshot, Trigger, Tview
from pgtv.graph.edges import edges
from pgtv.rows.follow import Lead, followers, lead

ABOVE = Tview("user", "public", "tv_user", 1, 2, "", "public.tv_user", identity=("pk_user",))
EMBED = {"entity": "user", "lookups": ["fk_user"], "kind": "nested_object"}
DELTA = tuple(
    Trigger(n, 1, f"t{n}", "tviews.pg_tview_delta_trigger", "delta", "post", n, "O")
    for n in (4, 8, 16)
)


def snapshot(plan: Any = None, triggers: tuple[Trigger, ...] = (), between: str = "") -> Snapshot:
    """tv_post (3) reads tv_user (1), through a relation (5) where `between` says of which kind."""
    post = Tview("post", "public", "tv_post", 3, 4, "", "public.tv_post", plan=plan)
    names = {1: "tv_user", 3: "tv_post", 5: "between"}
    chain = [4, 5, 1] if between else [4, 1]
    return Snapshot(
        "now", "0", Server(), Extension("current"), tviews=(ABOVE, post), triggers=triggers,
        relations=tuple(
            Relation(oid, "public", name, f"public.{name}", between if oid == 5 else "r", "me")
            for oid, name in names.items()
        ),
        reads=tuple(Read(a, b) for a, b in itertools.pairwise(chain)),
    )  # fmt: skip


def plan(kind: str, *embeds: object) -> dict[str, Any]:
    return {"tables": [{"relid": 1, "kind": kind}], "embeds": list(embeds)}


@pytest.mark.parametrize(
    ("plan", "triggers", "wanted"),
    [
        (plan("propagated", EMBED), (), Lead(("fk_user",))),
        (plan("propagated"), (), Lead(whole=True)),
        (plan("mapped"), DELTA, Lead()),
        (plan("all_keys"), DELTA, Lead()),
        # read in both ways, the trigger tells of one
        (plan("mapped", EMBED), DELTA, Lead(("fk_user",))),
        (plan("mapped"), DELTA[1:], Lead(whole=True)),
        (plan("mapped", EMBED), (), Lead(("fk_user",), whole=True)),
        (plan("new"), (), Lead(whole=True)),
        (None, (), Lead(whole=True)),
    ],
)
def test_what_a_plan_and_triggers_tell(plan: Any, triggers: Any, wanted: Lead) -> None:
    seen = snapshot(plan, triggers)
    assert lead(seen, ABOVE, seen.tview_by_entity["post"]) == wanted


@pytest.mark.parametrize(("between", "follows"), [("", True), ("v", True), ("m", False)])
def test_through_a_view_and_not_through_what_is_stored(between: str, follows: bool) -> None:
    seen = snapshot(None, (), between)
    found = [t.entity for t in followers(edges(seen), seen, {1})]
    assert found == ["user", "post"][: 1 + follows]


def test_who_is_told_does_not_follow() -> None:
    seen = snapshot(plan("mapped"), DELTA)
    assert [t.entity for t in followers(edges(seen), seen, {1})] == ["user"]
