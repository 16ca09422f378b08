"""What is said of statements in their situation, and how one changes what is said of the next."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from small_shop import snapshot

from pgtv.errors import Exit
from pgtv.lint.source import Source
from pgtv.migration import recast
from pgtv.migration.judge import judge
from pgtv.migration.model import Migration, Mode, What
from pgtv.migration.rules import RULES
from pgtv.reports import migration as report

ROOT = Path(__file__).resolve().parents[3]


def judged(*texts: str, rows: int = 1000, single: bool = False) -> Migration:
    files = [Source(f"{i}.sql", t) for i, t in enumerate(texts)]
    return judge(files, snapshot(rows=rows), "a file", single=single)


def rules(*texts: str, single: bool = False, rows: int = 1000) -> list[str]:
    return [r for s in judged(*texts, single=single, rows=rows).statements for r in s.rules]


def whats(*texts: str) -> list[str]:
    return [e.what.value for s in judged(*texts).statements for e in s.effects]


def test_every_rule_can_be_put_into_words() -> None:
    for rule in RULES.values():
        words = dict.fromkeys(("table", "tviews", "column", "uses", "other", "rows"), "x")
        assert bool(rule.says.format(**words)) == (rule.what is not None), rule.id
        assert "{" not in rule.fix.format(**words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ALTER TABLE tb_customer RENAME email TO mail; ALTER TABLE tb_customer DROP mail",
         ["rename-column/used", "drop-column/used"]),
        ("ALTER TABLE tb_customer RENAME email TO mail; ALTER TABLE tb_customer DROP note",
         ["rename-column/used", "drop-column"]),
        ("ALTER TABLE tb_customer RENAME TO tb_client; ALTER TABLE tb_client DROP email",
         ["rename-table", "drop-column/used"]),
        ("ALTER TABLE tb_customer RENAME TO tb_client; ALTER TABLE tb_customer DROP email",
         ["rename-table"]),
        ("ALTER TABLE tb_customer ADD x int; ALTER TABLE tb_customer DROP x", ["add-column", "drop-column"]),
        ("ALTER TABLE tb_customer ADD x int, ALTER x SET DEFAULT 1", ["add-column", "column-default"]),
        ("ALTER TABLE tb_customer ALTER x SET DEFAULT 1", ["no-such-column"]),
        ("ALTER TABLE tb_customer DROP email CASCADE; ALTER TABLE tb_customer DROP name",
         ["drop-column/cascade", "drop-column"]),
        ("DROP VIEW v_open CASCADE; ALTER TABLE tb_order DROP status", ["drop-view/cascade", "drop-column"]),
        ("BEGIN; DROP VIEW v_open CASCADE; ROLLBACK; ALTER TABLE tb_order DROP status",
         ["drop-view/cascade", "drop-column/used"]),
        ("BEGIN; SAVEPOINT a; DROP VIEW v_open CASCADE; ROLLBACK TO a; COMMIT; DROP VIEW v_open",
         ["drop-view/cascade", "drop-view/used"]),
        ("ALTER TABLE tb_customer DROP email; ALTER TABLE tb_customer DROP email",
         ["drop-column/used", "drop-column/used"]),
        ("BEGIN; CREATE INDEX CONCURRENTLY i ON tb_customer (name)",
         ["concurrently/in-transaction", "create-index/concurrently"]),
        ("CREATE TABLE elsewhere (a int); ALTER TABLE elsewhere DROP a", []),
        ("ALTER TABLE other.tb_customer DROP email", []),
        ("SET search_path = other; ALTER TABLE tb_customer DROP email", []),
        ("SELECT set_config('search_path', '', false); ALTER TABLE tb_customer DROP email", []),
        ("ALTER TABLE tb_customer DISABLE TRIGGER USER; ALTER TABLE tb_customer ENABLE TRIGGER ALL;"
         " UPDATE tb_customer SET name = ''", ["disable-triggers", "enable-triggers", "write/whole"]),
        ("ALTER TABLE tb_order DISABLE TRIGGER trg_tview_flush_order",  ["disable-trigger"]),
        ("ALTER TABLE tb_customer DISABLE TRIGGER trg_tview_flush_customer", ["disable-flush"]),
        ("SET session_replication_role = replica; UPDATE tb_customer SET name = '';"
         " RESET session_replication_role; UPDATE tb_customer SET name = ''",
         ["replication-role", "write/stale", "write/whole"]),
        ("SELECT do_all()", ["calls"]),
        ("SELECT now(), setval('s', 1)", []),
        ("CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT mine() FROM tb_order",
         ["calls"]),
        ("CALL work()", ["calls"]),
        ("CREATE OR REPLACE FUNCTION shout(t text) RETURNS text LANGUAGE sql AS 'SELECT 1'",
         ["replace-function"]),
        ("CREATE OR REPLACE FUNCTION shout() RETURNS text LANGUAGE sql AS 'SELECT 1'", []),
        ("ALTER TABLE tb_customer ADD x uuid DEFAULT my_uuid()", ["add-column/maybe-rewrite"]),
        ("ALTER ROLE app SET session_replication_role = replica", ["replication-role/lasting"]),
    ],
)  # fmt: skip
def test_a_statement_meets_what_those_before_it_left(text: str, expected: list[str]) -> None:
    assert rules(text) == expected


def test_what_files_make_is_unknown_from_there() -> None:
    made = (
        "SELECT tviews.pg_tviews_create('tv_new',"
        " 'SELECT o.pk_order AS pk_new, e.a FROM tb_order o, elsewhere e');"
    )
    assert rules("CREATE TABLE elsewhere (a int);" + made + "ALTER TABLE elsewhere DROP a") == [
        "tview-created", "made-here",
    ]  # fmt: skip
    assert judged(made, "ALTER TABLE tb_order ADD x int").exit is Exit.UNKNOWN


def test_a_dropped_tview_stands_in_no_way() -> None:
    text = (
        "SELECT tviews.pg_tviews_drop('tv_customer', false, true); ALTER TABLE tb_customer DROP email;"
        "SELECT tviews.pg_tviews_create_or_replace('tv_customer',"
        " 'SELECT c.pk_customer, c.name FROM tb_customer c');"
    )
    assert rules(text) == ["tview-drop/cascade", "drop-column", "tview-created"]
    assert "drops" in whats(text)  # two of the three do not come back
    again = "SELECT tviews.pg_tviews_create_or_replace('{0}', 'SELECT o.pk_order AS pk_{1} FROM tb_order o');"
    text += again.format("public.tv_order", "order") + again.format("tv_report", "report")
    assert "drops" not in whats(text) and "rebuilds" in whats(text)
    assert judged(text).exit is Exit.WARNING


def test_only_readers_two_steps_away_stay_stale() -> None:
    changed = "SELECT c.pk_customer, jsonb_build_object('nom', c.name) AS data FROM tb_customer c"
    (one,) = judged(
        f"SELECT tviews.pg_tviews_create_or_replace('tv_customer', $${changed}$$)"
    ).statements
    (stale,) = [e for e in one.effects if e.what is What.STALE]
    assert stale.tviews == ("public.tv_report",)
    assert stale.cure == ("pgtv refresh public.tv_report --apply",)
    assert dict(one.locks)["public.tv_order"] is Mode.EXCLUSIVE


@pytest.mark.parametrize(
    ("text", "exit_code"),
    [
        ("CREATE TABLE elsewhere (a int)", Exit.HEALTHY),
        ("SET lock_timeout = '2s'; ALTER TABLE tb_customer ADD x int", Exit.HEALTHY),
        (
            "BEGIN; SET LOCAL lock_timeout = '2s'; COMMIT; ALTER TABLE tb_customer ADD x int",
            Exit.WARNING,
        ),
        ("SET lock_timeout = 0; ALTER TABLE tb_customer ADD x int", Exit.WARNING),
        ("SET lock_timeout = '2s'; CREATE INDEX ON tb_customer (name)", Exit.WARNING),
        ("ALTER TABLE tb_customer DROP email", Exit.CRITICAL),
        ("ALTER TABLE tb_customer ADD x int; DO $$ BEGIN EXECUTE y; END $$", Exit.UNKNOWN),
        ("ALTER TABLE tb_customer DROP email; SELECT do_all()", Exit.CRITICAL),
    ],
)
def test_exit_codes(text: str, exit_code: Exit) -> None:
    assert judged(text).exit is exit_code


def test_writes_are_counted_against_the_queue() -> None:
    update = "UPDATE tb_customer SET name = ''"
    assert rules(update, rows=1000) == ["write/whole"]
    assert rules(update, rows=200_000) == ["write/many"]
    assert rules(update, rows=1_000_000) == ["write/too-many"]
    assert rules(update + " WHERE pk_customer = 1", rows=1_000_000) == ["write/each"]
    assert rules("INSERT INTO tb_customer (name) VALUES ('x')", rows=1_000_000) == ["write"]
    assert rules("UPDATE tb_customer SET note = ''", rows=1_000_000) == ["write"]


def test_triggers_that_are_off_within_one_transaction_miss_nothing_of_others() -> None:
    text = "ALTER TABLE tb_customer DISABLE TRIGGER USER; {} ALTER TABLE tb_customer ENABLE TRIGGER USER;"
    assert "untracked" in whats(text.format(""))
    assert "untracked" not in whats(f"BEGIN; {text.format('')} COMMIT;")
    assert "untracked" in whats(f"BEGIN; {text.format('COMMIT; BEGIN;')} COMMIT;")
    update = "UPDATE tb_customer SET name = '';"
    assert "leaves stale" in whats(f"BEGIN; {text.format(update)} COMMIT;")


def test_the_safer_order() -> None:
    made = judged(
        "CREATE TABLE a (b int);\nCREATE TABLE c (b int);\nCREATE INDEX ON tb_customer (name);\n"
        "ALTER TABLE tb_order ADD CONSTRAINT f FOREIGN KEY (fk_customer) REFERENCES tb_customer;\n"
        "ALTER TABLE tb_customer DROP email;\nREFRESH MATERIALIZED VIEW m;\n"
        "CREATE OR REPLACE VIEW v_open AS SELECT pk_order, fk_customer FROM tb_order;"
    )
    texts = [s.text for s in made.order]
    sql = "\n".join(line for s in made.order for line in s.sql)
    assert "0.sql:1 to 2 as they are (2 statements)" in texts
    assert "CREATE INDEX CONCURRENTLY ON tb_customer (name);" in sql
    assert (
        "REFERENCES tb_customer NOT VALID;\nCOMMIT;\nALTER TABLE tb_order VALIDATE CONSTRAINT f;"
        in sql
    )
    dropped = [line for line in sql.splitlines() if "_drop(" in line]
    assert ["tv_report" in dropped[0], "tv_order" in dropped[1], "tv_customer" in dropped[2]] == [
        True
    ] * 3
    again = [line for line in sql.splitlines() if "create_or_replace(" in line]
    assert ["tv_customer" in again[0], "tv_order" in again[1], "tv_report" in again[2]] == [
        True
    ] * 3
    assert sql.count("change the definition first") == 1
    assert "pgtv refresh public.tv_basket --apply" in sql
    assert judged("CREATE TABLE a (b int)").order == ()


def test_the_file_that_makes_a_tview_again_is_not_told_to() -> None:
    text = (
        "ALTER TABLE tb_customer DROP email CASCADE;"
        "SELECT tviews.pg_tviews_create_or_replace('public.tv_customer', '{}');"
    )
    definition = "SELECT c.pk_customer, c.name FROM tb_customer c"
    again = [
        line for s in judged(text.format(definition)).order for line in s.sql if "$def$" in line
    ]
    assert len(again) == 2 and not any("'public.tv_customer'" in line for line in again)


def test_reports() -> None:
    made = judged(
        "ALTER TABLE tb_customer DROP email;\nALTER TABLE tb_order ADD x int;\nCREATE TABLE a (b int);"
    )
    screen = report.human(made, 80)
    assert all(len(line) <= 80 for line in screen.split("Safer order:")[0].splitlines())
    assert "CRITICAL  0.sql:1  ALTER TABLE tb_customer DROP email" in screen
    assert "2BP01: column email is used by public.tv_customer (output)" in screen
    document = json.loads(report.document(made))
    assert (document["exit"], document["ok"], document["schema"]) == (2, False, "pgtv.migration/1")
    schema = json.loads((ROOT / "schemas" / "pgtv.migration.1.json").read_text())
    jsonschema.validate(document, schema)
    assert document["statements"][1]["locks"] == [
        {"relation": "public.tb_order", "mode": "ACCESS EXCLUSIVE"}
    ]
    annotations = report.github(made).splitlines()
    assert [a.split(" ")[0] for a in annotations] == ["::error", "::warning"]
    assert annotations[0].startswith("::error file=0.sql,line=1,col=1,title=pgtv fails::2BP01")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("character varying(10)", "text", False),
        ("text", "varchar", False),
        ("text", "varchar(5)", True),
        ("varchar(5)", "varchar(10)", False),
        ("varchar(10)", "varchar(5)", True),
        ("varchar", "varchar(5)", True),
        ("integer", "bigint", True),
        ("numeric(10,2)", "numeric(12,2)", False),
        ("numeric(10,2)", "numeric(12,3)", True),
        ("numeric(10,2)", "numeric", False),
        ("numeric", "numeric(10,2)", True),
        ("timestamp without time zone", "timestamptz", None),
        ("mood", "text", None),
        ("text", "text", False),
        ("text[]", "varchar[]", True),
    ],
)
def test_types(old: str, new: str, expected: bool | None) -> None:
    before, after = recast.of_catalog(old), recast.of_catalog(new)
    assert after is not None
    assert recast.rewrites(before, after, None) is expected
