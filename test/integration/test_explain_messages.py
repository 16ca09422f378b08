"""The messages that the real extension gives are recognised, whatever stands in them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from servers import Database

from pgtv.explain.texts import find, table

SAID = {e["id"]: e["said"] for e in table("messages") if "said" in e}
# What a single statement cannot provoke, and where it is.
ELSEWHERE = {
    "fenced": "test/integration/lifecycle/upgrade/test_detach_attach.py",
    "damaged-page": "test/docs/test_damaged_page.py",
    "standby-xid": "the server's own, of whatever needs a transaction id there",
    "library-gone": "the server's own, of a library that is not there",
    "second-time": "the server's own, of two refreshes that meet",
    "deadlock": "the server's own",
    "stop-hangs": "test/integration/cluster/test_stop.py",
    "starting": "the server's own, while it recovers",
    "serialization": "the server's own",
    "prepare-disabled": "the server's own",
}


def settled(text: str) -> str:
    """Without numbers and where a library lies, which differ from run to run."""
    return re.sub(r"\d+", "N", re.sub(r'in file "[^"]*/', 'in file "', text))


CASES = {
    "no-such-tview": "SELECT tviews.pg_tviews_refresh('tv_nope');",
    "tview-exists": "SELECT tviews.pg_tviews_create('public.tv_customer', 'SELECT 1');",
    "unknown-option": """SELECT tviews.pg_tviews_create_or_replace('public.tv_category',
        'SELECT c.pk_category FROM public.tb_category c', '{"nope": 1}');""",
    "name-not-key": "CREATE TABLE tv_other AS SELECT pk_customer FROM tb_customer;",
    "key-not-integer": "SELECT tviews.pg_tviews_create('public.tv_xx', 'SELECT id FROM tb_category');",
    "undeclared-read": """SELECT tviews.pg_tviews_create('public.tv_vv',
        'SELECT pk_category AS pk_vv FROM public.tb_category LIMIT 3');""",
    "function-read": """CREATE FUNCTION f(i bigint) RETURNS text STABLE LANGUAGE sql
        AS 'SELECT name FROM public.tb_category WHERE pk_category = i';
        SELECT tviews.pg_tviews_create('public.tv_ff',
        'SELECT pk_customer AS pk_ff, public.f(pk_customer) AS v FROM public.tb_customer');""",
    "time-read": """SELECT tviews.pg_tviews_create('public.tv_vx',
        'SELECT pk_category AS pk_vx, now() AS v FROM public.tb_category');""",
    "cycle": """SELECT tviews.pg_tviews_create_or_replace('public.tv_category', $$SELECT c.pk_category,
        c.id, jsonb_build_object('p', (SELECT count(*) FROM public.tv_product p
        WHERE p.fk_category = c.pk_category)) AS data FROM public.tb_category c$$);""",
    "column-ddl": "ALTER TABLE public.tv_product RENAME COLUMN data TO d;",
    "not-owner": "SET ROLE pg_monitor; SELECT tviews.pg_tviews_refresh('public.tv_customer');",
    "administrators-only": "SET ROLE pg_monitor; SELECT tviews.pg_tviews_refresh_all();",
    "not-suspended": "SELECT tviews.pg_tviews_resume_triggers();",
    "queue-full": "SET pg_tviews.max_queue_size = 100; UPDATE tb_customer SET name = name || 'y';",
    "too-many-rows": "SET pg_tviews.max_refresh_rows = 10; UPDATE tb_customer SET name = name || 'y';",
    "too-deep": "SET pg_tviews.max_propagation_depth = 1; UPDATE tb_category SET name = name || 'y';",
    "queued-at-commit": """ALTER TABLE tb_customer DISABLE TRIGGER USER;
        ALTER TABLE tb_customer ENABLE TRIGGER trg_tview_row_customer_on_public_tb_customer;
        UPDATE tb_customer SET name = name || 'z' WHERE pk_customer = 1;""",
    "trigger-without-entity": """CREATE TABLE other (a int); CREATE TRIGGER t AFTER INSERT ON other
        FOR EACH ROW EXECUTE FUNCTION tviews.pg_tview_trigger_handler(); INSERT INTO other VALUES (1);""",
    "relation-gone": """DROP VIEW tviews.public__tv_stock CASCADE;
        UPDATE tb_stock_move SET amount = 1 WHERE pk_stock_move = 1;""",
    "plan-unreadable": """UPDATE tviews.pg_tview_meta SET plan = '{}' WHERE entity = 'stock';
        UPDATE tb_stock_move SET amount = 1 WHERE pk_stock_move = 1;""",
    "tview-row-security": """ALTER TABLE tv_customer FORCE ROW LEVEL SECURITY;
        ALTER TABLE tv_customer ENABLE ROW LEVEL SECURITY;
        UPDATE tb_customer SET name = 'x' WHERE pk_customer = 1;""",
    "owner-cannot-read": """ALTER TABLE tb_customer OWNER TO postgres;
        REVOKE ALL ON tb_customer FROM shop_owner;
        UPDATE tb_customer SET name = 'x' WHERE pk_customer = 1;""",
    "suspended-commit": """DO $$ BEGIN PERFORM tviews.pg_tviews_suspend_triggers();
        UPDATE public.tb_category SET name = name || 'x' WHERE pk_category = 1; END $$;""",
    "revision-mismatch": """CREATE OR REPLACE FUNCTION tviews.pg_tviews_catalog_revision()
        RETURNS int LANGUAGE sql AS 'SELECT 9';
        \\c
        UPDATE tb_category SET name = name || 'y';""",
    "duplicate-union-key": """CREATE TABLE tb_a (pk_a int); CREATE TABLE tb_b (pk_a int);
        SELECT tviews.pg_tviews_create('public.tv_a',
            'SELECT pk_a FROM public.tb_a UNION ALL SELECT pk_a FROM public.tb_b');
        INSERT INTO tb_a VALUES (1); INSERT INTO tb_b VALUES (1);""",
    "refresh-truncates": """CREATE TABLE note (c bigint REFERENCES public.tv_customer (pk_customer));
        SELECT tviews.pg_tviews_refresh('public.tv_customer');""",
    "dependents": "DROP TABLE public.tb_category;",
    "column-in-use": "ALTER TABLE public.tb_category ALTER COLUMN name TYPE varchar(20);",
    "early-function": "SELECT * FROM pg_tviews_something();",
    "early-relation": "SELECT * FROM pg_tview_something;",
    "definition-refused": "SELECT tviews.pg_tviews_create('public.tv_t3', "
    "'SELECT oid::int8 AS pk_t3 FROM pg_catalog.pg_class');",
    "read-only": "SET default_transaction_read_only = on; DELETE FROM tb_category;",
    "endless": """CREATE FUNCTION e() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE public.tb_category SET name = name || 'x' WHERE pk_category = NEW.pk_category;
        RETURN NULL; END $$;
        CREATE TRIGGER e AFTER UPDATE ON public.tb_category FOR EACH ROW EXECUTE FUNCTION e();
        UPDATE public.tb_category SET name = 'q' WHERE pk_category = 1;""",
    "not-mapped": """DELETE FROM tviews.pg_tview_meta WHERE entity = 'search';
        UPDATE public.tb_category SET name = 'x' WHERE pk_category = 1;""",
    "upgrade-restore": "DROP SCHEMA tviews CASCADE; SELECT * FROM tviews.pg_tview_meta;",
    "upgrade-function": """CREATE FUNCTION f(cstring) RETURNS int LANGUAGE c
        AS '$libdir/pg_tviews', 'tviewschema_in_wrapper';""",
}


@pytest.mark.parametrize("name", list(CASES))
def test_the_servers_message_is_recognised(shop: Database, name: str) -> None:
    done = subprocess.run(
        ["psql", "-X", "-q", "-v", "VERBOSITY=verbose", "-f", "-"],
        input=CASES[name], env=shop.server.env(shop.name), cwd=shop.folder,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    lines = [x for x in done.stderr.splitlines() if re.search(r"(ERROR|WARNING): ", x)]
    assert lines, done.stderr
    (found, *_) = find(lines[-1])
    assert found.name == name, lines[-1]
    # the SQLSTATE that the file gives is the one that the server gave, and so is the message
    assert found.sqlstate and f"{found.sqlstate}: " in lines[-1]
    assert settled(SAID[name]) == settled(lines[-1].partition(f"{found.sqlstate}: ")[2])


@pytest.mark.parametrize(
    ("file", "typed"),
    [
        ("base/5/17013", "(0, 17013);   -- in the database with the OID 5;"),
        (
            "pg_tblspc/17000/PG_18_202506291/5/17013",
            "(0, 17013);   -- in the database with the OID 5;",
        ),
        ("base/5/17013.2", "(0, 17013);   -- in the database with the OID 5;"),
        ("global/1260", "(0, …);   -- in the database with the OID …;"),
    ],
)
def test_the_file_of_a_damaged_page_is_the_one_to_look_for(file: str, typed: str) -> None:
    (found, *_) = find(f'ERROR:  XX001: invalid page in block 7 of relation "{file}"')
    assert found.name == "damaged-page" and typed in found.type[0]


def test_every_message_shown_was_given_by_a_server(root: Path) -> None:
    """By the statements here, by a drill that was recorded, or in a test of its own."""
    report = json.loads((root / "test/failure-modes/report.json").read_text())
    recorded = {
        settled(line)
        for outcome in report["outcomes"]
        for error in outcome["errors"]
        for line in error["message"].splitlines()
    }
    for name, said in SAID.items():
        (found, *_) = find(said)
        assert found.name == name, said
        if name not in CASES and name not in ELSEWHERE:
            assert any(settled(said) in line for line in recorded), said
    assert set(ELSEWHERE) <= set(SAID)


@pytest.mark.parametrize("entry", table("early_names"), ids=lambda e: e["shown"])
def test_what_to_type_instead_of_an_early_name_works(
    shop18: Database, entry: dict[str, Any]
) -> None:
    for line in entry["type"]:
        if "…" in line:
            continue  # the reader has to fill in what only the reader knows
        text = line.replace("tv_x", "tv_customer").partition("   ")[0]
        if text.startswith("pgtv "):
            done = shop18.pgtv(*shlex.split(text)[1:])
            assert done.returncode in (0, 1), f"{text}: {done.stderr}"
        else:
            shop18.sql(text)


# What people fill in, and what of the shop stands for it here.
FILLED = (
    ("tv_x", "tv_customer"),
    ("time_dependent('tv_…')", "time_dependent('tv_seen')"),
    ("'tv_…'", "'tv_customer'"),
    ("impact TABLE.COLUMN", "impact tb_category.name"),
    ("impact TABLE", "impact tb_category"),
    ("lint FILE", "lint definitions.sql"),
    ("--from FILE", "--from before.json"),
    ("NUMBER", "17012"),
    ("{file}", "17012"),
    ("{database}", "16385"),
    ("--log NEW_DATA", "--log printed.txt"),
    ("{table}", "tv_customer"),
    ("{function} TO …", "pg_tviews_refresh_all TO pg_monitor"),
    ("{function}", "pg_tviews_get_queue"),
    ("{relation}", "pg_tview_pending_refreshes"),
    ("= …", "= 100000"),
    ("'pgtv_fence'", "'public'"),  # it is there while writes are refused
)


def test_what_to_type_next_works(shop18: Database) -> None:
    """Each line of SQLSTATES.md as one would type it, in a shop where all is well."""
    (shop18.folder / "definitions.sql").write_text(
        "CREATE TABLE tv_a AS SELECT a.pk_a, a.name FROM tb_a a;"
    )
    (shop18.folder / "printed.txt").write_text("Performing Consistency Checks\n")
    shop18.pgtv("snapshot", "save", "before.json")
    entries = (*table("messages"), *table("sqlstates"))
    typed = {_filled(line) for entry in entries for line in entry["type"]}
    commands = sorted(t for t in typed if t.startswith("pgtv "))
    detaching = [t for t in commands if " detach " in t]  # in the end: no TVIEW is left then

    def type_(text: str) -> None:
        done = shop18.pgtv(*shlex.split(text)[1:])
        said = f"{text}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        # 1: the plan of what attaching would do, which is to compare the rows; a death while checking
        assert done.returncode == int(" attach " in text or " --log " in text), said
        assert "Traceback" not in done.stderr, said

    for text in commands:
        if text not in detaching:
            type_(text)
    shop18.program("pg_isready")
    statements = sorted(typed - {*commands, "pg_isready"})
    # "…" is a definition of one's own; what is for a shell is typed in the tests of those messages:
    # cluster/test_stop.py and test_full_lock_table.py
    shell = ("pkill ", "ps ", "kill ")
    statements = [s for s in statements if "…" not in s and not s.startswith(shell)]
    shop18.sql(
        """SELECT tviews.pg_tviews_create('public.tv_seen', 'SELECT c.pk_category AS pk_seen,
        now() AS seen FROM public.tb_category c', '{"time_refresh": "external"}')"""
    )
    shop18.sql("\n".join(statements))
    for text in detaching:
        type_(text)
    assert len(commands) > 20 and detaching
    assert len(statements) > 15


def _filled(line: str) -> str:
    text = re.split(r"   (?:#|--) ", line)[0]
    for placeholder, with_what in FILLED:
        text = text.replace(placeholder, with_what)
    return text
