"""Mode 5: TVIEWs that read each other, directly or through what stands between them."""

from __future__ import annotations

from pathlib import Path

from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene
from pgtv.drills.statements import Break
from pgtv.drills.steps import nothing

_WRITE = "UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 5"
TWO = Break("""
SELECT tviews.pg_tviews_create('public.tv_a', $$
  SELECT c.pk_category AS pk_a, jsonb_build_object('n', c.name) AS data FROM public.tb_category c $$);
SELECT tviews.pg_tviews_create('public.tv_b', $$
  SELECT a.pk_a AS pk_b, jsonb_build_object('a', a.data) AS data FROM public.tv_a a $$);
""")
CLOSING = Break("""
SELECT tviews.pg_tviews_create_or_replace('public.tv_a', $$
  SELECT b.pk_b AS pk_a, jsonb_build_object('b', b.data) AS data FROM public.tv_b b $$)
""")
NEW_A = Break("""
SELECT tviews.pg_tviews_create('public.tv_a', $$
  SELECT b.pk_b AS pk_a, jsonb_build_object('b', b.data) AS data FROM public.tv_b b $$);
""")
NEW_B = Break("""
SELECT tviews.pg_tviews_create('public.tv_b', $$
  SELECT a.pk_a AS pk_b, jsonb_build_object('a', a.data) AS data FROM public.tv_a a $$);
""")
OPEN_ORDERS = """CREATE OR REPLACE VIEW public.v_open_order AS
SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o
WHERE o.status = 'open'"""
MATVIEW = Break("""
CREATE VIEW public.v_loop AS SELECT 0::bigint AS pk;
CREATE MATERIALIZED VIEW public.mv_loop AS SELECT pk FROM public.v_loop;
SELECT tviews.pg_tviews_create_or_replace('public.tv_loop', $$
    SELECT c.pk_customer AS pk_loop, jsonb_build_object('n', count(m.pk)) AS data
    FROM public.tb_customer c LEFT JOIN public.mv_loop m ON m.pk = c.pk_customer
    GROUP BY c.pk_customer $$, '{"uncascaded_tables": {"public.mv_loop": "warn"}}');
CREATE OR REPLACE VIEW public.v_loop AS SELECT pk_loop AS pk FROM public.tv_loop;
REFRESH MATERIALIZED VIEW public.mv_loop;
""")
PLAN = Break("""
UPDATE tviews.pg_tview_meta SET plan = jsonb_set(plan, '{embeds}', (
  SELECT jsonb_agg(jsonb_set(e, '{entity}', '"order"'))
  FROM tviews.pg_tview_meta o, jsonb_array_elements(o.plan->'embeds') e WHERE o.entity = 'order'))
WHERE entity = 'customer'
""")


def _named_offline(scene: Scene, definitions: str) -> None:
    """pgtv lint names the way round, from a file that nobody has run."""
    file = Path(scene.folder()) / "definitions.sql"
    file.write_text(definitions, encoding="utf-8")
    code, said = scene.pgtv("lint", str(file), connected=False)
    assert "tv_a -> tv_b -> tv_a" in said, f"pgtv lint does not name the cycle: {said}"
    assert code == 2, f"pgtv lint exited {code}"


def created(scene: Scene) -> None:
    """Whichever of two comes first reads what is not there yet: the server never says cycle."""
    _named_offline(scene, NEW_A.sql + NEW_B.sql)
    for one in (NEW_A, NEW_B):
        scene.try_(one.sql, role=None)


def create_cut(scene: Scene) -> None:
    """The read that pgtv names as the cut is left out; then both can be created."""
    scene.paste(*(statement.strip() for statement in _pieces(TWO.sql)))


def _pieces(sql: str) -> list[str]:
    return [f"{piece};" for piece in sql.split(";") if piece.strip()]


def replaced(scene: Scene) -> None:
    """The extension refuses; pgtv names the way round from the files, before anybody runs them."""
    scene.break_(TWO)
    _named_offline(scene, f"{TWO.sql}{CLOSING.sql};\n")  # the last definition of a name counts
    scene.try_(CLOSING.sql, role=None)


def helper_view(scene: Scene) -> None:
    """PostgreSQL tells nobody that a plain view was replaced."""
    scene.sql(
        f"{OPEN_ORDERS} AND EXISTS (SELECT 1 FROM public.tv_basket b"
        " WHERE b.pk_basket = o.fk_customer)"
    )
    scene.try_(_WRITE)


def break_helper(scene: Scene) -> None:
    """The read that pgtv names as the cut goes; then what it prints for the TVIEW."""
    tview = "public.tv_basket"
    scene.paste(OPEN_ORDERS + ";", scene.dialect.reregister(tview), scene.dialect.refresh(tview))


def break_matview(scene: Scene) -> None:
    tview = "public.tv_loop"
    scene.paste(
        "CREATE OR REPLACE VIEW public.v_loop AS SELECT 0::bigint AS pk;",
        "REFRESH MATERIALIZED VIEW public.mv_loop;",
        scene.dialect.reregister(tview),
        scene.dialect.refresh(tview),
    )


def edited_plan(scene: Scene) -> None:
    scene.break_(PLAN)
    scene.try_(_WRITE)


def derive_plan(scene: Scene) -> None:
    scene.paste(scene.dialect.reregister("public.tv_customer"))


MODE = Mode(
    5, "circular-deps", "Circular dependencies", "extension-failures/test-circular-deps",
    (
        Variant(
            "create-refused", "Two new TVIEWs read each other: neither can be created",
            created, Sees(errors=(("42P01", "tv_a"), ("42P01", "tv_b")), equal=True), create_cut,
        ),
        Variant(
            "replace-refused", "A replaced definition would close a cycle: refused, nothing changes",
            replaced, Sees(errors=(("42P17", "cycle: a, b"),), equal=True), nothing,
        ),
        Variant(
            "helper-view", "A plain view in between is replaced and closes a cycle: nobody notices",
            helper_view, Sees(findings=("cycle:public.tv_basket",)), break_helper,
        ),
        Variant(
            "matview", "A cycle leads through a materialized view: not refused",
            MATVIEW, Sees(findings=("cycle:public.tv_loop",)), break_matview,
        ),
        Variant(
            "plan", "An edited plan holds a cycle: writes fail",
            edited_plan, Sees(errors=(("42P17", "cycle"),), findings=("plan-disagrees",)), derive_plan,
        ),
    ),
)  # fmt: skip
