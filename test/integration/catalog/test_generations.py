"""Catalogs of other generations: the old one for real, and ones that nobody has seen."""

from __future__ import annotations

import pytest
from servers import Database, old_database


def orderly(database: Database) -> None:
    for command in (["doctor"], ["status"], ["snapshot", "save", "-"]):
        done = database.pgtv(*command)
        assert "Traceback" not in done.stderr, done.stderr
        assert "unexpectedly" not in done.stderr, done.stderr
        assert "itself failed" not in done.stdout, done.stdout


@pytest.mark.real
def test_old_generation_is_looked_at() -> None:
    with old_database() as database:
        snapshot = database.snapshot()
        assert snapshot.extension.generation == "beta19"
        assert snapshot.gaps == ()
        by_entity = snapshot.tview_by_entity
        assert set(by_entity) == {"user", "post"}
        post = by_entity["post"]
        assert (post.table_name, post.view_name) == ("public.tv_post", "public.v_post")
        assert "JOIN v_user" in post.definition
        # the triggers carry no argument, but are told apart
        assert sorted((t.kind, t.entity) for t in snapshot.triggers if t.kind) == [
            ("flush", "post"), ("flush", "post"), ("flush", "user"),
            ("row", "post"), ("row", "post"), ("row", "user"),
        ]  # fmt: skip
        reads = {snapshot.name_of(r.relation or 0) for r in snapshot.reads_of[post.view_oid]}
        assert reads == {"public.tb_post", "public.v_user"}
        shown = database.pgtv("graph", "show")
        assert "reads public.tv_user" in shown.stdout and "v_user" not in shown.stdout.split()
        healthy = database.pgtv("status")
        assert healthy.returncode == 0, healthy.stdout
        orderly(database)
        database.sql("DROP TRIGGER trg_tview_user_on_public_tb_user ON tb_user")
        broken = database.pgtv("status")
        assert "stale" in broken.stdout and broken.returncode == 2


# ALTER TABLE is beyond the library's own hooks once they cannot read the table any more
RENAMED = (
    "UPDATE pg_attribute SET attname = '{}'"
    " WHERE attrelid = 'tviews.pg_tview_meta'::regclass AND attname = '{}'"
)
STRANGE = {
    "definition": "ALTER TABLE tviews.pg_tview_meta RENAME definition TO body",
    "table_oid": RENAMED.format("target", "table_oid"),
    "plan": "ALTER TABLE tviews.pg_tview_meta RENAME plan TO plans",
    "entity": RENAMED.format("thing", "entity"),
    "table": "UPDATE pg_class SET relname = 'pg_tview_registrations'"
    " WHERE oid = 'tviews.pg_tview_meta'::regclass",
    "registry": "ALTER VIEW tviews.registry RENAME TO registrations",
    "contract": "CREATE OR REPLACE FUNCTION tviews.contract_version() RETURNS int"
    " LANGUAGE sql IMMUTABLE AS 'SELECT 99'",
}


@pytest.mark.parametrize("change", STRANGE)
def test_catalog_never_seen(shop18: Database, change: str) -> None:
    # the extension's own event triggers could not read what is changed here
    shop18.sql("SET event_triggers = off; " + STRANGE[change])
    snapshot = shop18.snapshot()
    assert snapshot.extension.generation == "unknown"
    assert snapshot.gap("tviews") is not None
    assert len(snapshot.triggers) > 9  # what PostgreSQL knows is shown
    orderly(shop18)
    assert shop18.pgtv("status").returncode == 3
