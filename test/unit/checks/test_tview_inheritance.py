"""What a refresh locks once a child has been taken out of the inheritance."""

from __future__ import annotations

from pgtv.catalog.model import Extension, Relation, Server, Snapshot, Tview
from pgtv.checks.declare import Context, Shared
from pgtv.checks.registry import all_checks


def relation(oid: int, name: str, *inherits: int) -> Relation:
    return Relation(oid, "public", name, f"public.{name}", "r", "me", inherits=inherits)


def test_of_children_with_names_alike_the_one_taken_out_is_no_longer_locked() -> None:
    snapshot = Snapshot(
        "now", "0", Server(), Extension("current", installed=True, schema="tviews"),
        tviews=(Tview("a", "public", "tv_a", 1, 9, "", "public.tv_a", "tviews.public__tv_a"),),
        relations=(relation(1, "tv_a"), relation(2, "more", 1), relation(3, "more_rows", 1)),
    )  # fmt: skip
    check = all_checks()["tview-inheritance"]
    locked = {
        f.evidence[0]["child"]: [x for x in f.remedy.locks if "the refresh" in x]
        for f in check.run(Context(snapshot, check, Shared(snapshot)))
        if f.remedy
    }
    assert locked == {
        "public.more": ["ACCESS EXCLUSIVE on public.tv_a, public.more_rows (the refresh)"],
        "public.more_rows": ["ACCESS EXCLUSIVE on public.tv_a, public.more (the refresh)"],
    }
