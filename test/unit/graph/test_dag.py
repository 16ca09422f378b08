"""The graph as networkx holds it: kinds of nodes and edges, which source says what, rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pgtv.catalog.model import (
    Extension,
    Function,
    Read,
    Relation,
    Server,
    Snapshot,
    TableStats,
    Tview,
)
from pgtv.graph import dag

TABLE, PART, VIEW, MATVIEW, FOREIGN, UNUSED = 1, 2, 3, 4, 5, 6
TV_A, TV_B, V_A, V_B = 10, 11, 20, 21


def relation(oid: int, name: str, kind: str, **more: Any) -> Relation:
    return Relation(oid, "public", name, f"public.{name}", kind, "o", **more)


def tview(entity: str, table: int, view: int, plan: dict[str, Any] | None, **more: Any) -> Tview:
    name = f"tv_{entity}"
    return Tview(
        entity, "public", name, table, view, "", table_name=f"public.{name}", plan=plan, **more
    )


def snapshot() -> Snapshot:
    """tv_b embeds tv_a, which reads a view over a partitioned table, a matview and a function."""
    plan_a = {"tables": [{"relid": TABLE, "kind": "direct"}, {"relid": MATVIEW, "kind": "mapped"}]}
    plan_b = {
        "tables": [
            {"relid": TV_A, "kind": "mapped", "tview": "a"},
            {"relid": 99, "kind": "mapped"},
        ],
        "embeds": [{"entity": "a"}],
    }
    return Snapshot(
        "now", "0", Server(), Extension("current", installed=True),
        tviews=(
            tview("a", TV_A, V_A, plan_a, function_reads=(("public.f(text)", FOREIGN),)),
            tview("b", TV_B, V_B, plan_b),
        ),
        relations=(
            relation(TABLE, "tb_a", "p", reltuples=-1),
            relation(PART, "tb_a_1", "r", reltuples=70, partition_of=TABLE),
            relation(VIEW, "v_h", "v"),
            relation(MATVIEW, "mv", "m", reltuples=3),
            relation(FOREIGN, "ft", "f", reltuples=-1),
            relation(UNUSED, "tb_unused", "r", reltuples=1),
            relation(TV_A, "tv_a", "r", reltuples=-1),
            relation(TV_B, "tv_b", "r", reltuples=8),
            relation(V_A, "public__tv_a", "v"), relation(V_B, "public__tv_b", "v"),
        ),
        reads=(
            Read(V_A, VIEW, columns=("n",)), Read(VIEW, TABLE), Read(V_A, MATVIEW),
            Read(V_A, None, function="50"), Read(V_B, TV_A),
        ),
        functions=(Function("public.f(text)", 50, "o", "s", "sql"),),
        table_stats=(TableStats(TV_A, live=40),),
    )  # fmt: skip


def test_kinds_of_nodes() -> None:
    graph = dag.build(snapshot())
    kinds = {d["name"]: d["kind"] for n, d in graph.nodes(data=True) if n != 99}
    assert kinds == {
        "public.tb_a": "table", "public.tb_a_1": "partition", "public.v_h": "view",
        "public.mv": "matview", "public.ft": "foreign table", "public.f(text)": "function",
        "public.tv_a": "tview", "public.tv_b": "tview",
    }  # fmt: skip
    assert UNUSED not in graph, "nobody reads it"
    assert V_A not in graph and V_B not in graph, "a TVIEW and its backing view are one node"


def test_kinds_of_edges_and_who_says_so() -> None:
    graph = dag.build(snapshot())

    def edge(read: int | str, reader: int) -> tuple[str, set[str]]:
        return graph.edges[read, reader]["kind"], graph.edges[read, reader]["sources"]

    assert edge(TV_A, TV_B) == ("embeds", {dag.DEPEND, dag.PLAN})
    assert edge(MATVIEW, TV_A) == ("maps", {dag.DEPEND, dag.PLAN})
    assert edge(VIEW, TV_A) == ("reads", {dag.DEPEND})
    assert edge(PART, TABLE) == ("reads", {dag.DEPEND})
    assert edge("public.f(text)", TV_A) == ("reads", {dag.DEPEND})
    assert edge(FOREIGN, TV_A) == ("reads", {"declared for public.f(text)"})
    assert edge(99, TV_B) == ("maps", {dag.PLAN}), "a table that is gone, of which the plan knows"
    assert not graph.has_edge(TABLE, TV_A), "the plan steps over the view in between"
    assert graph.edges[VIEW, TV_A]["columns"] == {"n": set()}


def test_rows() -> None:
    shot = snapshot()
    assert dag.rows(shot, TABLE) == 70, "a partitioned table has its partitions'"
    assert dag.rows(shot, TV_A) == 40, "never analyzed: what statistics counted"
    assert dag.rows(shot, TV_B) == 8
    assert dag.rows(shot, FOREIGN) is None and dag.rows(shot, 12345) is None
    without = replace(shot, relations=tuple(r for r in shot.relations if r.oid != PART))
    assert dag.rows(without, TABLE) is None


@pytest.mark.parametrize(
    "plan",
    [None, [], "x", {"tables": 3}, {"tables": [None, {"relid": "1"}, {}], "embeds": {"a": 1}},
     {"tables": [{"relid": 1, "kind": "direct"}], "embeds": None}],
    ids=repr,
)  # fmt: skip
def test_a_plan_of_another_shape_tells_nothing(plan: Any) -> None:
    assert dag.plan_kinds(tview("a", TV_A, V_A, plan)) == {}


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({"relid": 1, "kind": "propagated"}, "embeds"),
        ({"relid": 1, "kind": "mapped", "tview": "b"}, "embeds"),
        ({"relid": 1, "kind": "mapped", "tview": "c"}, "maps"),
        ({"relid": 1, "kind": "all_keys"}, "maps"),
    ],
)
def test_what_a_plan_says_of_a_table(table: dict[str, Any], kind: str) -> None:
    plan = {"tables": [table], "embeds": [{"entity": "b"}]}
    assert dag.plan_kinds(tview("a", TV_A, V_A, plan)) == {1: kind}
