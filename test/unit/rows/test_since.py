"""What a baseline keeps, how versions that came and went are told by it, and what a plan may say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtv.catalog.model import Column, Extension, Index, Relation, Server, Snapshot, Tview
from pgtv.rows.baseline import Baseline, Side, change, from_document, side
from pgtv.rows.readings import ANY, LOCAL, MAPPED, readings
from pgtv.rows.scan import Horizon, Scan, Young, after
from pgtv.rows.subject import Column as Key
from pgtv.rows.subject import Subject

SUMS = st.integers(-(2**90), 2**90)
SIDES = st.builds(
    Side, st.integers(0, 2**40), SUMS, st.none() | st.integers(-(2**63), 2**63 - 1),
    st.frozensets(st.integers(0, 2**32 - 1), max_size=5),
)  # fmt: skip


@given(
    st.builds(
        Baseline, st.integers(0, 2**63), st.text(), st.text(), st.text(), st.text(),
        st.dictionaries(st.integers(0, 2**32 - 1), SIDES, max_size=4),
    )
)  # fmt: skip
def test_a_baseline_comes_back_from_its_document(baseline: Baseline) -> None:
    assert from_document(baseline.document()) == baseline


@pytest.mark.parametrize(
    "raw", [None, 3, [], {}, {"format": 2}, {"format": 1}, {"format": 1, "sides": {"x": 1}}]
)
def test_what_is_no_baseline_is_none(raw: Any) -> None:
    assert from_document(raw) is None


@given(st.integers(3, 2**40), st.integers(0, 2**31 - 1))
def test_numbers_of_32_bits_are_told_by_their_distance(horizon: int, distance: int) -> None:
    assert after((horizon + distance) % 2**32, horizon)
    assert not after((horizon - 1 - distance) % 2**32, horizon)


# A version is (its link, its serial); equal ones may be there several times.
VERSIONS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), max_size=8)


@given(VERSIONS, st.lists(st.tuples(st.integers(1, 4), st.integers(1, 12)), max_size=8), st.data())
def test_settled_means_that_the_same_links_came_back(
    then: list[tuple[int, int]], new: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The hash of a link is a large number here, so equal sums of few are equal links."""
    stay = data.draw(st.lists(st.booleans(), min_size=len(then), max_size=len(then)))
    kept = [v for v, stays in zip(then, stay, strict=True) if stays]
    gone = [v for v, stays in zip(then, stay, strict=True) if not stays]

    def total(versions: list[tuple[int, int]]) -> int:
        return sum(10 ** (3 * link) for link, _ in versions)

    highest = max((s for _, s in then), default=None)
    before = Side(len(then), total(then), highest, frozenset())
    young = tuple(Young(7, 10 ** (3 * link), serial, None, None) for link, serial in new)
    found = change(before, Scan(len(kept) + len(new), total(kept) + total(new), None, young))
    assert (found.gone, found.gone_total) == (len(gone), total(gone))
    instead = [link for link, serial in new if highest is None or serial <= highest]
    assert found.settled is (sorted(link for link, _ in gone) == sorted(instead))


def test_recent_are_those_that_had_ended_above_the_horizon() -> None:
    young = tuple(Young(x, 1, None, None, None) for x in (99, 100, 105, 130))
    kept = side(Scan(4, 4, None, young), Horizon(100, 30, 120), known=(98, 110))
    assert kept and kept.recent == {100, 105, 110}, "no number that another may still get"
    assert side(Scan(None, 0, None, young), Horizon(100, 30, 120)) is None


def relation(oid: int, name: str, *columns: str) -> Relation:
    made = tuple(Column(c, "bigint", n, not_null=True) for n, c in enumerate(columns, 1))
    return Relation(oid, "public", name, f"public.{name}", "r", "owner", columns=made)


A, B = relation(1, "tb_a", "pk_a", "fk_b"), relation(2, "tb_b", "pk_b")
LOCAL_A = {"relid": 1, "kind": "local", "column": "pk_a"}
MAPPED_B = {
    "relid": 2, "kind": "mapped",
    "sql": "SELECT DISTINCT o1.{c:1:1} FROM pg_" "tviews_delta d, {r:1} o1 WHERE d.{c:2:1} = o1.{c:1:2}",
}  # fmt: skip
PATH = {"source_oid": 1, "initial_col": "pk_a", "root": True}


def follow(*tables: Any, **plan: Any) -> dict[int, str]:
    tview = Tview("a", "public", "tv_a", 10, 11, "SELECT 1", "public.tv_a", identity=("pk_a",))
    tview = replace(tview, plan={"tables": list(tables), "paths": [PATH]} | plan)
    snapshot = Snapshot(
        "now", "0", Server(), Extension("current"), tviews=(tview,), relations=(A, B),
        indexes=(Index(1, "i", ("pk_a",), unique=True, primary=True),),
    )  # fmt: skip
    key = Key("pk_a", "bigint", 20, True, False)
    found = readings(snapshot, Subject(tview, columns=(key,), keys=(key,)), (1, 2))
    return {o: r.follows + (" root" if r.root else "") for o, r in found.items()}


def test_a_plan_tells_how_rows_lead_to_keys() -> None:
    assert follow(LOCAL_A, MAPPED_B) == {1: f"{LOCAL} root", 2: MAPPED}
    assert follow(LOCAL_A, MAPPED_B, set_operation=True)[1] == LOCAL
    assert follow(LOCAL_A, MAPPED_B, paths=[])[1] == LOCAL


@pytest.mark.parametrize(
    "tables",
    [
        [],
        ["odd"],
        [{"relid": 2, "kind": "all_keys", "sql": MAPPED_B["sql"]}],
        [MAPPED_B, MAPPED_B],
        [{**MAPPED_B, "sql": "SELECT $1"}],
        [{**MAPPED_B, "sql": str(MAPPED_B["sql"]).replace("2:1", "2:9")}],
        [{**MAPPED_B, "sql": str(MAPPED_B["sql"]).replace("r:1", "r:9")}],
        [{"relid": 2, "kind": "propagated", "entity": "b"}],
        [{"relid": 2, "kind": "new in some release", "column": "pk_b"}],
    ],
)
def test_what_a_plan_does_not_tell_may_change_every_row(tables: list[Any]) -> None:
    assert follow(*tables)[2] == ANY
