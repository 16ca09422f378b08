"""What steps cost by statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pgtv.catalog.model import Extension, Read, Relation, Server, Snapshot, Tview
from pgtv.costing import Cost, words
from pgtv.plan import Plan, Step, plan_for


def relation(oid: int, name: str, rows: float, pages: int, **kw: Any) -> Relation:
    kind = kw.pop("kind", "r")
    return Relation(
        oid, "public", name, f"public.{name}", kind, "me", reltuples=rows, relpages=pages, **kw
    )


# tv_a reads a partitioned table through its backing view; tb_other is nobody's
RELATIONS = (
    relation(1, "tv_a", 100, 2),
    relation(2, "tb_p", -1, 0, kind="p"),
    relation(3, "tb_p1", 40, 1, partition_of=2, partition_root=2),
    relation(4, "tb_p2", 60, 3, partition_of=2, partition_root=2),
    relation(5, "tb_other", 1e6, 9000),
)
SNAPSHOT = Snapshot(
    "now", "0", Server(), Extension("current"),
    tviews=(Tview("a", "public", "tv_a", 1, 10, "", "public.tv_a", "tviews.public__tv_a"),),
    relations=RELATIONS, reads=(Read(10, 2),),
)  # fmt: skip


def cost(snapshot: Snapshot = SNAPSHOT, **kw: Any) -> Cost | None:
    step = {"phase": "triggers", "title": "t", "statements": ()} | kw
    [costed] = plan_for(snapshot, [Step(**step)]).steps
    return costed.cost


def test_rows_cost_what_their_definitions_read() -> None:
    found = cost(phase="rows", tviews=("public.tv_a",), merge=True)
    assert found == Cost(200, 6 * 8192, 100, 2 * 8192)
    assert words(found) == "cost: reads about 200 rows (48 kB), writes at most 100 (16 kB)"


def test_what_was_never_analyzed_is_unknown_and_so_is_what_is_not_registered() -> None:
    anew = tuple(replace(r, reltuples=-1.0) if r.oid in (3, 5) else r for r in RELATIONS)
    found = cost(replace(SNAPSHOT, relations=anew), tviews=("public.tv_a",), merge=True)
    assert found == Cost(None, None, None, None, ("public.tb_p1",))
    assert words(found) == "cost: UNKNOWN, not analyzed or not registered: public.tb_p1"
    lost = cost(phase="rows", tviews=("public.tv_lost",), merge=True)
    assert lost
    assert lost.unknown == ("public.tv_lost",)


def test_statements_cost_the_tables_that_they_go_through() -> None:
    index = cost(statements=("CREATE INDEX i ON public.tb_other (n);",))
    assert index == Cost(1_000_000, 9000 * 8192, 1_000_000, 9000 * 8192)
    for statement in (
        "ALTER TABLE public.tb_other ENABLE TRIGGER t;",
        "CREATE INDEX i ON public.tb_othe (n);",
        "COMMENT ON TABLE public.tb_other IS 'UPDATE';",
        # names in literals and comments are not what it goes through, nor is the extension's catalog
        "INSERT INTO x.y VALUES ('public.tb_other', $$public.tb_other$$, $q$'public.tb_other$q$);",
        "INSERT INTO x.y VALUES ('it''s', 'public.tb_other'); -- public.tb_other",
        "INSERT INTO x.\"it's\" SELECT 'public.tb_other';",
        "DELETE FROM tviews.pg_tview_meta m USING public.tb_other o WHERE o.n = m.n;",
    ):
        found = cost(statements=(statement,))
        assert found == Cost()
        assert words(found) == "cost: writes catalogs only"


def test_a_step_of_rows_that_compares_none_costs_what_its_statements_do() -> None:
    trusted = "INSERT INTO tviews.pg_tview_valid (entity)\nVALUES ('a') ON CONFLICT DO NOTHING;"
    assert cost(phase="rows", tviews=("public.tv_a",), statements=(trusted,)) == Cost()
    refresh = "SELECT tviews.pg_tviews_refresh('public.tv_a');"
    rebuilt = cost(phase="rows", tviews=("public.tv_a",), statements=(refresh, "SELECT 1;"))
    assert rebuilt == Cost(200, 6 * 8192, 100, 2 * 8192)


def test_names_that_are_quoted_are_found() -> None:
    strange = replace(RELATIONS[4], qualified='public."it\'s ""odd"""')
    statement = f"DELETE FROM {strange.qualified} WHERE n = 'x' RETURNING 'it';"
    found = cost(replace(SNAPSHOT, relations=(strange,)), statements=(statement,))
    assert found == Cost(1_000_000, 9000 * 8192, 1_000_000, 9000 * 8192)


def test_statistics_do_not_outdate_a_plan() -> None:
    def plan(snapshot: Snapshot) -> Plan:
        return plan_for(snapshot, [Step("rows", "t", (), tviews=("public.tv_a",), merge=True)])

    more = tuple(replace(r, reltuples=r.reltuples * 2) for r in RELATIONS)
    assert plan(SNAPSHOT).same_work(plan(replace(SNAPSHOT, relations=more)))
