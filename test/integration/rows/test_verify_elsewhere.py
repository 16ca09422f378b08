"""verify where the extension is not quite as usual: behind PgBouncer, on the stand-in, on beta.19."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from pooler import behind_pgbouncer
from servers import Database, old_database

from pgtv.session import Target

QUIET = "SET session_replication_role = replica;"
CUSTOMER = (
    f"""{QUIET} UPDATE tv_customer SET data = data || '{{"name": "zz"}}' WHERE pk_customer = 3;"""
)
WAYS = ([], ["--fast"], ["--jobs", "2"], ["--sample", "100%"], ["--budget", "60s"])


def states(database: Database, *options: str, exit: int) -> dict[str, Any]:
    """State and count of changed rows by TVIEW."""
    done = database.pgtv("verify", "--format", "json", *options)
    assert done.returncode == exit, done.stdout + done.stderr
    found = json.loads(done.stdout)["tviews"]
    return {t["tview"]: (t["state"], t.get("changed") or 0) for t in found}


def assert_only_customer_differs(database: Database, *options: str) -> None:
    assert set(states(database, *options, exit=0).values()) == {("equal", 0)}
    database.sql(CUSTOMER)
    for way in WAYS:
        found = states(database, *options, *way, exit=2)
        differing = {name: counted for name, (_, counted) in found.items() if counted}
        assert differing == {"public.tv_customer": 1, '"Sales Dept".tv_order': 3}, way
        assert {state for state, counted in found.values() if not counted} == {"equal"}, way
    for key, code in (("3", 2), ("4", 0)):
        done = database.pgtv("verify", *options, "tv_customer", "--key", key)
        assert (done.returncode, "UNKNOWN" in done.stdout) == (code, False), done.stdout


def left_behind(target: Target) -> list[tuple[Any, ...]]:
    """What who comes next finds in the one session of the pooler: settings, temporary objects."""
    with psycopg.connect(target.conninfo(), autocommit=True) as other:
        return other.execute(
            "SELECT name, setting FROM pg_settings WHERE source = 'session'"
            " UNION ALL SELECT 'function', oid::regprocedure::text FROM pg_proc"
            " WHERE pronamespace = pg_my_temp_schema()"
            " UNION ALL SELECT 'relation', oid::regclass::text FROM pg_class"
            " WHERE relnamespace = pg_my_temp_schema() ORDER BY 1, 2"
        ).fetchall()


@pytest.mark.parametrize("login", ["postgres", "reader"])
def test_behind_pgbouncer(shop18: Database, login: str) -> None:
    """A superuser evaluates inside temporary functions of the owner, anybody else as himself."""
    shop18.sql(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN"
        " CREATE ROLE reader LOGIN; END IF; GRANT pg_read_all_data TO reader; END $$"
    )
    with behind_pgbouncer(shop18, "reader") as pooled:
        target = replace(pooled, user=login)
        before = left_behind(target)
        options = ["-h", "127.0.0.1", "-p", str(pooled.port), "-U", login, "-d", shop18.name]
        assert_only_customer_differs(shop18, *options)
        assert left_behind(target) == before


def test_on_the_stand_in(lab_shop: Database) -> None:
    assert_only_customer_differs(lab_shop)


@pytest.fixture(scope="module")
def old() -> Iterator[Database]:
    with old_database() as database:
        yield database


@pytest.mark.real
def test_on_the_old_generation(old: Database) -> None:
    """Contents are compared as anywhere; what only a plan could tell is UNKNOWN."""
    equal = {"public.tv_user": ("equal", 0), "public.tv_post": ("equal", 0)}
    assert states(old, exit=0) == equal
    key = old.pgtv("verify", "tv_post", "--key", "1")
    assert key.returncode == 3
    assert "public.tv_post:1   equal" in key.stdout
    assert "keeps no plan that tells what the row is made of" in key.stdout
    old.sql(f"""{QUIET} UPDATE tv_post SET data = data || '{{"title": "?"}}' WHERE pk_post = 1""")
    for way in WAYS:
        assert states(old, *way, exit=2) == equal | {"public.tv_post": ("differs", 1)}, way
    key = old.pgtv("verify", "tv_post", "--key", "1")
    assert (key.returncode, "CHANGED" in key.stdout) == (2, True)
    assert old.pgtv("verify", "tv_user", "--key", "1").returncode == 3
    for options in (["verify"], ["verify", "tv_post", "--key", "1"], ["doctor", "--verify"]):
        done = old.pgtv(*options)
        assert "unexpectedly" not in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert "itself failed" not in done.stdout, done.stdout
