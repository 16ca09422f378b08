"""What each role sees: the role of sql/roles/looking.sql everything, lesser ones with gaps named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from servers import Database

ROLE = 'Look "er'  # an ordinary name that has to be quoted


def make_role(database: Database, root: Path, *options: str) -> str:
    database.server.program(
        "psql", "-X", "-q", "-v", f"role={ROLE}", *options, "-f", "-",
        env=database.server.env(database.name), input=(root / "sql/roles/looking.sql").read_text(),
    )  # fmt: skip
    return ROLE


def test_looking_role_sees_what_the_superuser_sees(shop: Database, root: Path) -> None:
    role = make_role(shop, root)
    make_role(shop, root)  # again: changes nothing
    seen, all_ = shop.snapshot(role), shop.snapshot()
    assert seen.gaps == all_.gaps == ()
    assert [t.label for t in seen.tviews] == [t.label for t in all_.tviews]
    assert seen.extension == all_.extension
    assert seen.triggers == all_.triggers
    assert seen.server.monitors
    done = shop.pgtv("doctor", "--format", "json", user=role)
    unknown = [f for f in json.loads(done.stdout)["findings"] if f["severity"] == "unknown"]
    assert unknown == []
    assert done.returncode == shop.pgtv("doctor", "--format", "json").returncode


def test_looking_role_cannot_read_rows_or_write_unless_asked(shop: Database, root: Path) -> None:
    role = make_role(shop, root)
    with pytest.raises(Exception, match="permission denied"):
        shop.sql("SELECT * FROM public.tv_customer", role)
    make_role(shop, root, "-v", "contents=on")
    assert shop.sql("SELECT count(*) FROM public.tv_customer", role).strip() == "200"
    for write in (
        "UPDATE public.tb_customer SET name = 'x'",
        "DELETE FROM public.tv_customer",
        "DELETE FROM tviews.pg_tview_meta",
        "CREATE TABLE public.t (a int)",
    ):
        with pytest.raises(Exception, match="permission denied"):
            shop.sql(write, role)


def test_role_without_pg_monitor_gets_gaps_with_the_privilege(shop: Database) -> None:
    shop.sql(
        "DO $$ BEGIN CREATE ROLE plain_user LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
    )
    snapshot = shop.snapshot("plain_user")
    assert len(snapshot.tviews) == 9
    assert len(snapshot.triggers) == len(shop.snapshot().triggers)
    assert not snapshot.server.monitors
    gap = snapshot.gap("sessions")
    assert gap and gap.needs == ("pg_monitor",)
    gap = snapshot.gap("room")  # by the socket of its host, where only the path is hidden
    assert gap and gap.needs == ("pg_read_all_settings",)
    assert all(g.needs for g in snapshot.gaps)


def test_closed_catalog_is_unknown_and_says_what_is_missing(shop: Database) -> None:
    shop.sql(
        "DO $$ BEGIN CREATE ROLE plain_user LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"
        "REVOKE SELECT ON tviews.pg_tview_meta, tviews.registry FROM PUBLIC"
    )
    snapshot = shop.snapshot("plain_user")
    gap = snapshot.gap("tviews")
    assert gap and "42501" in gap.reason and "SELECT" in " ".join(gap.needs)
    done = shop.pgtv("status", user="plain_user")
    # the check on the catalog's grants calls it critical: others' writes fail now
    assert done.returncode == 2, done.stdout
    assert "could not be seen" in done.stdout
    assert done.stdout.count("42501") <= 3, done.stdout
    assert "Traceback" not in done.stderr
    saved = shop.pgtv("snapshot", "save", "-", user="plain_user")
    assert saved.returncode == 3
    assert "could not be seen" in saved.stderr


def test_closed_schema_with_the_looking_role_is_open_again(shop: Database, root: Path) -> None:
    shop.sql(
        "REVOKE ALL ON SCHEMA tviews FROM PUBLIC; REVOKE SELECT ON tviews.registry FROM PUBLIC"
    )
    role = make_role(shop, root)
    assert shop.snapshot(role).gaps == ()
