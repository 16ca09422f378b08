"""The graph on the real extension: cycles that it does not see, impact as it really happens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from mermaid import parsed
from servers import Database

from pgtv.graph.compare import differences

TWO = """
CREATE TABLE tb_a (pk_a int PRIMARY KEY, fk_b int, n text);
CREATE TABLE tb_b (pk_b int PRIMARY KEY, n text);
INSERT INTO tb_b VALUES (1, 'x'); INSERT INTO tb_a VALUES (1, 1, 'a');
CREATE VIEW v_help AS SELECT pk_b, n FROM tb_b;
"""
HELPER = (
    TWO
    + """
CREATE TABLE tv_a AS SELECT a.pk_a, a.fk_b, jsonb_build_object('n', a.n, 'h', h.n) AS data
  FROM tb_a a LEFT JOIN v_help h ON h.pk_b = a.fk_b;
CREATE TABLE tv_b AS SELECT b.pk_b, jsonb_build_object('n', b.n, 'as',
  (SELECT jsonb_agg(v.data ORDER BY v.pk_a) FROM tv_a v WHERE v.fk_b = b.pk_b)) AS data FROM tb_b b;
CREATE OR REPLACE VIEW v_help AS SELECT b.pk_b, t.data->>'n' AS n
  FROM tb_b b JOIN tv_b t ON t.pk_b = b.pk_b;
"""
)
MATVIEW = (
    TWO
    + """
CREATE TABLE tv_b AS SELECT b.pk_b, jsonb_build_object('n', b.n) AS data FROM tb_b b;
CREATE MATERIALIZED VIEW mv_b AS SELECT pk_b, data->>'n' AS n FROM tv_b;
SELECT tviews.pg_tviews_create('tv_a', $$SELECT a.pk_a, a.fk_b,
  jsonb_build_object('n', a.n, 'h', h.n) AS data FROM tb_a a LEFT JOIN mv_b h ON h.pk_b = a.fk_b$$,
  '{"uncascaded_policy": "warn"}');
SELECT tviews.pg_tviews_create_or_replace('tv_b', $$SELECT b.pk_b, jsonb_build_object('n', b.n, 'as',
  (SELECT jsonb_agg(v.data ORDER BY v.pk_a) FROM tv_a v WHERE v.fk_b = b.pk_b)) AS data FROM tb_b b$$);
"""
)


@pytest.mark.parametrize(
    ("shape", "way", "cut"),
    [
        (HELPER, "tv_a -> v_help -> tv_b -> tv_a", "public.v_help must not read public.tv_b"),
        (MATVIEW, "tv_a -> mv_b -> tv_b -> tv_a", "public.tv_b must not read public.tv_a"),
    ],
    ids=["helper view", "materialized view"],
)
def test_cycles_that_the_extension_misses(empty: Database, shape: str, way: str, cut: str) -> None:
    empty.sql("CREATE EXTENSION pg_tviews;" + shape)
    said = empty.sql("SELECT string_agg(status, ' ') FROM tviews.pg_tviews_health_check()")
    assert "ERROR" not in said, "the extension's own check sees nothing"
    empty.sql("UPDATE tb_b SET n = 'y'")
    if "v_help" in way:
        rows = empty.sql(
            "SELECT data->'h' FROM tv_a UNION ALL SELECT data->'h' FROM tviews.public__tv_a"
        )
        assert '"x"' in rows and '"y"' in rows, "and rows are wrong already"
    found = empty.pgtv("graph", "cycles")
    assert found.returncode == 2
    assert "Circular dependency detected: tv_a -> tv_b -> tv_a\n" in found.stdout
    assert way in found.stdout and cut in found.stdout and "(smallest)" in found.stdout
    document = json.loads(empty.pgtv("graph", "cycles", "--format", "json").stdout)
    assert document["cycles"][0]["path"] == ["public.tv_a", "public.tv_b", "public.tv_a"]
    doctor = empty.pgtv("doctor", "--only", "cycle")
    assert doctor.returncode == 2 and "tv_a -> tv_b -> tv_a" in doctor.stdout
    shown = empty.pgtv("graph", "show")
    assert shown.returncode == 2 and "↺ cycle" in shown.stdout


def test_two_rings_are_two_cycles(empty: Database) -> None:
    """Each with its own way round and its own cut; a TVIEW beside them is in neither."""
    other = re.sub(r"\b(tb|tv|pk|fk)_([ab])\b", lambda m: f"{m[1]}_{m[2]}2", HELPER)
    other = re.sub(r"\bv_help\b", "v_help2", other)
    assert "tv_b2 t ON t.pk_b2" in other
    empty.sql("CREATE EXTENSION pg_tviews;" + HELPER + other)
    empty.sql(
        "CREATE TABLE tv_c AS SELECT b.pk_b AS pk_c, jsonb_build_object('n', b.n) AS data FROM tb_b b"
    )
    found = empty.pgtv("graph", "cycles")
    assert found.returncode == 2
    rings = found.stdout.split("\n\n")
    assert len(rings) == 2
    for ring, end in zip(rings, ("", "2"), strict=True):
        way = f"tv_a{end} -> tv_b{end} -> tv_a{end}"
        assert ring.splitlines()[0] == f"Circular dependency detected: {way}"
        cut = f"public.v_help{end} must not read public.tv_b{end} (smallest)"
        assert ring.count("must not read") == 1 and cut in ring
    document = json.loads(empty.pgtv("graph", "cycles", "--format", "json").stdout)
    assert [c["members"] for c in document["cycles"]] == [
        ["public.tv_a", "public.tv_b", "public.v_help"],
        ["public.tv_a2", "public.tv_b2", "public.v_help2"],
    ]
    doctor = json.loads(empty.pgtv("doctor", "--only", "cycle", "--format", "json").stdout)
    assert len(doctor["findings"]) == 2


def test_the_cut_as_named_cures(empty: Database) -> None:
    empty.sql("CREATE EXTENSION pg_tviews;" + HELPER + "UPDATE tb_b SET n = 'y';")
    empty.sql(
        "CREATE OR REPLACE VIEW v_help AS SELECT pk_b, n FROM tb_b;"
        "SELECT tviews.pg_tviews_reregister('tv_a'); SELECT tviews.pg_tviews_refresh('tv_a');"
    )
    assert empty.pgtv("graph", "cycles").returncode == 0
    assert empty.pgtv("doctor", "--only", "graph").returncode == 0
    empty.sql("UPDATE tb_b SET n = 'z'")
    assert '"z"' in empty.sql("SELECT data->'h' FROM tv_a")


def test_no_networkx_without_a_cycle(shop: Database) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pgtv.cli.main import run; code = run(['doctor', '--only', 'cycle']);"
        "assert code == 0, code; assert 'networkx' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=shop.server.env(shop.name), check=True, cwd="/"
    )


COLUMNS = [
    ("public.tb_customer", "email"), ("public.tb_customer", "name"), ("public.tb_category", "name"),
    ("public.tb_product", "price"), ("public.tb_product", "name"), ('"Sales Dept".tb_order', "status"),
    ('"Sales Dept".tb_order_line', "quantity"), ("public.tb_stock_move", "amount"),
]  # fmt: skip
VALUES = {"price": "price + 1", "quantity": "quantity + 1", "amount": "amount + 1"}


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[".".join(c) for c in COLUMNS])
def test_impact_is_what_really_changes(shop: Database, table: str, column: str) -> None:
    """Update the column and see which TVIEWs have other rows than before: no more than named."""
    tviews = [t.label for t in shop.snapshot().tviews]
    image = "SELECT " + ", ".join(
        f"(SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {t} t)" for t in tviews
    )
    with shop.connect() as connection:
        before = connection.execute(image).fetchone()
        value = VALUES.get(column, "'paid'" if column == "status" else f"{column} || 'x'")
        connection.execute(f"UPDATE {table} SET {column} = {value}")
        after = connection.execute(image).fetchone()
    assert before and after
    changed = {t for t, a, b in zip(tviews, before, after, strict=True) if a != b}
    found = json.loads(shop.pgtv("graph", "impact", f"{table}.{column}", "--format", "json").stdout)
    named = {t["name"] for t in found["tviews"]}
    assert changed <= named
    # a status decides which orders are open, and every order that was open now is not
    assert named == changed
    for reached in found["tviews"]:
        assert reached["path"][0] == table and reached["path"][-1] == reached["name"]


def test_the_same_from_a_snapshot(shop18: Database, tmp_path: object) -> None:
    file = f"{tmp_path}/shop.json"
    assert shop18.pgtv("snapshot", "save", file).returncode == 0
    for args in (["show"], ["order"], ["impact", "tb_category"], ["show", "--format", "mermaid"]):
        live = shop18.pgtv("graph", *args)
        stored = shop18.pgtv("graph", *args, "--from", file, PGHOST="/nowhere")
        assert live.returncode == stored.returncode == 0, stored.stderr
        assert live.stdout == stored.stdout


def test_order_serves_refreshing(shop18: Database) -> None:
    found = json.loads(shop18.pgtv("graph", "order", "--format", "json").stdout)["order"]
    place = {t["name"]: i for i, t in enumerate(found)}
    assert place["public.tv_category"] < place["public.tv_product"]
    assert place["public.tv_product"] < place['"Sales Dept".tv_order_line']
    assert place['"Sales Dept".tv_order'] < place["public.tv_segment"]


def test_the_picture_is_a_picture(shop18: Database, tmp_path: object) -> None:
    import xml.etree.ElementTree as ET

    file = f"{tmp_path}/shop.svg"
    assert shop18.pgtv("graph", "show", "--format", "svg", "-o", file).returncode == 0
    root = ET.parse(file).getroot()
    space = "{http://www.w3.org/2000/svg}"
    boxes = [g for g in root.iter(f"{space}g") if "node" in (g.get("class") or "")]
    texts = {t.text for t in root.iter(f"{space}text")}
    assert len([g for g in boxes if "tview" in (g.get("class") or "")]) == 9
    assert '"Sales Dept".tv_order' in texts
    placed = []
    for box in boxes:
        rect = box.find(f"{space}rect")
        assert rect is not None
        placed.append([float(rect.get(k) or 0) for k in ("x", "y", "width", "height")])
    for i, (x, y, w, h) in enumerate(placed):
        for x2, y2, w2, h2 in placed[:i]:
            apart = x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
            assert apart, "boxes overlap"


def test_usage(shop18: Database) -> None:
    wrong = shop18.pgtv("graph", "impact", "tb_customer.emial")
    assert wrong.returncode == 3 and "near: email" in wrong.stderr
    wrong = shop18.pgtv("graph", "show", "tv_custmer")
    assert wrong.returncode == 3 and "near: public.tv_customer" in wrong.stderr
    assert re.search(r"Traceback", wrong.stderr) is None


SHAPES = {
    "whole row": "CREATE TABLE tv_s AS SELECT c.pk_category AS pk_s, to_jsonb(c) AS data FROM tb_category c",
    "cte never read": "CREATE TABLE tv_s AS WITH q AS (SELECT * FROM tb_product)"
    " SELECT c.pk_category AS pk_s FROM tb_category c",
    "output never read": "CREATE TABLE tv_s AS SELECT s.k AS pk_s FROM (SELECT c.pk_category AS k,"
    " (SELECT max(name) FROM tb_product) AS z FROM tb_category c) s",
    "distinct on": "CREATE TABLE tv_s AS SELECT DISTINCT ON (p.fk_category) p.pk_product AS pk_s,"
    " p.fk_category, p.name FROM tb_product p ORDER BY p.fk_category, p.pk_product",
    "union": "CREATE TABLE tv_s AS SELECT pk_category AS pk_s, name FROM tb_category UNION ALL"
    " SELECT pk_customer + 100000, name FROM tb_customer",
    "star": "CREATE TABLE tv_s AS SELECT c.pk_category AS pk_s, c.* FROM tb_category c",
    "raw": "CREATE TABLE tv_s AS SELECT c.pk_category AS pk, c.name FROM tb_category c",
    "partition itself": "CREATE TABLE tv_s AS SELECT m.pk_stock_move AS pk_s, m.amount"
    " FROM tb_stock_move_2025 m",
    "lateral": "CREATE TABLE tv_s AS SELECT c.pk_category AS pk_s, l.name FROM tb_category c"
    " LEFT JOIN LATERAL (SELECT p.name FROM tb_product p WHERE p.fk_category = c.pk_category"
    " ORDER BY p.pk_product LIMIT 1) l ON true",
    "renamed since": "CREATE TABLE tv_s AS SELECT c.pk_category AS pk_s, c.name FROM tb_category c;"
    " ALTER TABLE tb_category RENAME COLUMN name TO label",
    "functions declared": "CREATE FUNCTION f(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1';"
    " SELECT tviews.pg_tviews_create('tv_s', 'SELECT c.pk_category AS pk_s, public.f(c.name) AS f"
    """ FROM tb_category c', '{"function_reads": {"public.f(text)": ["public.tb_product"]},"""
    """ "uncascaded_tables": {"public.tb_product": "full_refresh"}}')""",
    "matview declared": "CREATE MATERIALIZED VIEW mv AS SELECT pk_product, name FROM tb_product;"
    " SELECT tviews.pg_tviews_create('tv_s', 'SELECT m.pk_product AS pk_s, m.name FROM mv m',"
    """ '{"uncascaded_policy": "full_refresh"}')""",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_healthy_shapes_have_no_difference(shop: Database, shape: str) -> None:
    shop.sql(shape)
    assert [(d.kind, d.name, d.column) for d in differences(shop.snapshot())] == []


def test_a_helper_view_that_reads_another_column(shop: Database) -> None:
    """An update of that column alone never reaches the TVIEW; doctor says so, and its cure cures."""
    shop.sql("""CREATE OR REPLACE VIEW public.v_open_order AS
        SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o
        WHERE o.status = 'open' AND o.id IS NOT NULL""")
    (found,) = differences(shop.snapshot())
    assert (found.kind, found.name, found.column) == (
        "unplanned-column",
        '"Sales Dept".tb_order',
        "id",
    )


WITH_FUNCTION = """
CREATE FUNCTION public.f_label(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper($1)';
SELECT tviews.pg_tviews_create('tv_label', 'SELECT c.pk_category AS pk_label, public.f_label(c.name) AS f
 FROM public.tb_category c', '{"function_reads": {"public.f_label(text)": []}}');
"""


def test_kinds_of_nodes_and_edges_and_who_says_so(shop: Database) -> None:
    shop.sql(WITH_FUNCTION)
    document = json.loads(shop.pgtv("graph", "show", "--format", "json").stdout)
    kinds = {n["name"]: n["kind"] for n in document["nodes"]}
    assert {k: kinds[k] for k in (
        "public.tv_product", "public.tb_product", "public.tb_stock_move",
        "public.tb_stock_move_2025", "public.v_open_order", "public.f_label(text)",
    )} == {
        "public.tv_product": "tview", "public.tb_product": "table", "public.tb_stock_move": "table",
        "public.tb_stock_move_2025": "partition", "public.v_open_order": "view",
        "public.f_label(text)": "function",
    }  # fmt: skip
    rows = {n["name"]: n["rows"] for n in document["nodes"]}
    assert rows["public.tb_product"] == rows["public.tv_product"] == 100
    assert rows["public.tb_stock_move"] == 1000, "those of its partitions"
    edges = {(e["from"], e["to"]): e for e in document["edges"]}

    def edge(read: str, reader: str) -> tuple[str, list[str]]:
        return edges[read, reader]["kind"], edges[read, reader]["sources"]

    every = ["definition", "pg_depend", "plan"]
    assert edge("public.tv_category", "public.tv_product") == ("embeds", every)
    assert edge("public.tb_category", "public.tv_search") == ("maps", every)
    assert edge("public.tb_customer", "public.tv_customer") == ("reads", every)
    assert edge("public.v_open_order", "public.tv_basket") == ("reads", every[:2])
    assert edge("public.f_label(text)", "public.tv_label") == ("reads", ["pg_depend"])
    # the table of another TVIEW, without its document
    assert edge('"Sales Dept".tv_order', "public.tv_segment")[0] == "maps"
    assert edges["public.tb_category", "public.tv_search"]["columns"].keys() >= {"name"}


def test_mermaid_says_what_json_says(shop18: Database) -> None:
    shop18.sql(WITH_FUNCTION + "CREATE MATERIALIZED VIEW public.mv AS SELECT 1 AS x;")
    document = json.loads(shop18.pgtv("graph", "show", "--format", "json").stdout)
    nodes, edges = parsed(shop18.pgtv("graph", "show", "--format", "mermaid").stdout)
    kinds = [(n["name"], n["kind"].replace("partition", "table")) for n in document["nodes"]]
    assert sorted(nodes) == sorted(kinds)
    assert edges == {(e["from"], e["to"]): e["kind"] for e in document["edges"]}
    assert {"embeds", "maps", "reads"} == set(edges.values())


TREE = """\
"Sales Dept".tv_order_line           TVIEW, about 1,500 rows
├─ reads "Sales Dept".tb_order_line  table, about 1,500 rows
└─ embeds public.tv_product          TVIEW, about 100 rows
   ├─ reads public.tb_product        table, about 100 rows
   └─ embeds public.tv_category      TVIEW, about 10 rows
      └─ reads public.tb_category    table, about 10 rows

public.tv_basket                     TVIEW, about 200 rows
├─ reads public.tb_customer          table, about 200 rows
└─ reads public.v_open_order         view
   └─ reads "Sales Dept".tb_order    table, about 500 rows

public.tv_search                     TVIEW, about 100 rows
├─ maps public.tb_category           table, about 10 rows
└─ reads public.tb_product           table, about 100 rows

public.tv_segment                    TVIEW, about 200 rows
├─ reads public.tb_customer          table, about 200 rows
└─ maps "Sales Dept".tv_order        TVIEW, about 500 rows
   ├─ reads "Sales Dept".tb_order    table, about 500 rows
   └─ embeds public.tv_customer      TVIEW, about 200 rows
      └─ reads public.tb_customer    table, about 200 rows

public.tv_stock                      TVIEW, about 100 rows
├─ reads public.tb_product           table, about 100 rows
└─ reads public.tb_stock_move        table, about 1,000 rows
   ├─ public.tb_stock_move_2025      partition, about 628 rows
   └─ public.tb_stock_move_2026      partition, about 372 rows
"""


def test_the_tree_of_a_healthy_shop(shop18: Database) -> None:
    assert shop18.pgtv("graph", "show").stdout == TREE


def test_the_table_of_edges(shop18: Database) -> None:
    shown = shop18.pgtv("graph", "show", "--format", "table")
    assert shown.returncode == 0
    heading, *lines = [re.split(r"\s{2,}", line) for line in shown.stdout.splitlines()]
    assert heading == ["reader", "how", "reads", "columns"]
    found = {(line[0], line[2]): line for line in lines}
    assert found["public.tv_product", "public.tv_category"][1] == "embeds"
    assert found["public.tv_basket", "public.v_open_order"][1] == "reads"
    assert "name" in found["public.tv_search", "public.tb_category"][3].split(", ")
    assert not any("tb_stock_move_2025" in line[2] for line in lines), (
        "partitions stand for nothing"
    )
    only = shop18.pgtv("graph", "show", "--format", "table", "tv_category").stdout
    assert len(only.splitlines()) == 2 and "public.tb_category" in only


def test_rows_that_a_change_reaches(shop18: Database) -> None:
    done = shop18.pgtv("graph", "impact", "tb_category.name", "--format", "json")
    rows = {
        t["name"]: (t["rows"], t["rows_per_changed_row"]) for t in json.loads(done.stdout)["tviews"]
    }
    # 10 categories, 100 products, 1500 order lines, spread evenly
    assert rows == {
        "public.tv_category": (10, 1), "public.tv_product": (100, 10), "public.tv_search": (100, 10),
        '"Sales Dept".tv_order_line': (1500, 150),
    }  # fmt: skip
    shown = shop18.pgtv("graph", "impact", "tb_category.name").stdout
    assert "~150" in shown and "about 171 rows a changed row" in shown
    shown = shop18.pgtv("graph", "impact", "tb_stock_move.amount").stdout
    assert "reaches 1 TVIEW, about 1 row a changed row." in shown


def test_rows_of_a_change_where_nothing_was_analyzed(empty: Database) -> None:
    empty.sql("CREATE EXTENSION pg_tviews;" + TWO)
    empty.sql(
        "CREATE TABLE tv_b AS SELECT b.pk_b, jsonb_build_object('n', b.n) AS data FROM tb_b b;"
    )
    done = empty.pgtv("graph", "impact", "tb_b", "--format", "json")
    (reached,) = json.loads(done.stdout)["tviews"]
    assert reached["rows_per_changed_row"] in (None, 1)
    assert "tv_b" in empty.pgtv("graph", "impact", "tb_b").stdout


@pytest.mark.parametrize(
    ("command", "name"),
    [(("show",), "graph"), (("order",), "order"), (("cycles",), "cycles"),
     (("impact", "tb_category"), "impact")],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_json_follows_its_published_schema(
    shop18: Database, root: Path, command: tuple[str, ...], name: str
) -> None:
    document = json.loads(shop18.pgtv("graph", *command, "--format", "json").stdout)
    jsonschema.validate(document, json.loads((root / f"schemas/pgtv.{name}.1.json").read_text()))
    assert document["schema"] == f"pgtv.{name}/1"


def test_json_of_a_cycle_follows_its_published_schema(empty: Database, root: Path) -> None:
    empty.sql("CREATE EXTENSION pg_tviews;" + HELPER)
    for command, name in (("cycles", "cycles"), ("show", "graph")):
        document = json.loads(empty.pgtv("graph", command, "--format", "json").stdout)
        schema = json.loads((root / f"schemas/pgtv.{name}.1.json").read_text())
        jsonschema.validate(document, schema)
        assert document["cycles"]
