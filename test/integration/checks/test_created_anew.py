"""A TVIEW whose table is gone is made anew as its owner's: nobody else runs what it calls."""

from __future__ import annotations

import pytest
from contents import differing, write_everywhere
from servers import Database

from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks

OWNER = "mallory"
TVIEW = """
CREATE SCHEMA planted;
CREATE FUNCTION planted.evil(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN
  BEGIN PERFORM set_config('role', 'none', false); EXCEPTION WHEN OTHERS THEN NULL; END;
  RAISE LOG 'PLANTED, as %', CURRENT_USER; RETURN t; END $f$;
CREATE FUNCTION planted.constant(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN
  PERFORM planted.evil(''); RETURN $1; END $f$;
CREATE TABLE planted.tb_bait (pk_bait bigint PRIMARY KEY, id uuid DEFAULT gen_random_uuid(), name text);
CREATE INDEX ON planted.tb_bait (name) WHERE planted.constant(1) = 1;
INSERT INTO planted.tb_bait (pk_bait, name) VALUES (1, 'a'), (2, 'b');
SELECT tviews.pg_tviews_create('planted.tv_bait', $q$ SELECT b.pk_bait, b.id,
  jsonb_build_object('name', planted.evil(b.name), 'one', planted.constant(1)) AS data
  FROM planted.tb_bait b $q$, '{"fillfactor": 70}');
"""
# as a restore that failed half-way leaves it
GONE = "SET session_replication_role = replica; DROP TABLE {0}; RESET session_replication_role;"
UNREGISTERED = "DELETE FROM tviews.pg_tview_meta WHERE entity = '{0}';"
DANGLING = "UPDATE tviews.pg_tview_meta SET table_oid = 999999 WHERE entity = '{0}';"


def owned(shop: Database) -> None:
    """A TVIEW of a role that is no superuser, which calls that role's functions."""
    shop.sql(f"""DO $$ BEGIN CREATE ROLE {OWNER} LOGIN;
        EXCEPTION WHEN duplicate_object THEN END $$;
        GRANT CREATE ON DATABASE "{shop.name}" TO {OWNER};""")
    shop.sql(TVIEW, OWNER)


def repaired(shop: Database, *args: str, code: int = 0) -> str:
    """What `repair --apply` said; what was planted never ran as the superuser who ran that."""
    before = len(shop.server.log_text())
    done = shop.pgtv("repair", *args, "--apply")
    log = shop.server.log_text()[before:]
    assert "PLANTED, as postgres" not in log, log[-2000:]
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def owner_of(shop: Database, name: str) -> str:
    return shop.sql(
        f"SELECT DISTINCT relowner::regrole FROM pg_class WHERE relname = '{name}' OR oid IN"
        f" (SELECT view_oid FROM tviews.pg_tview_meta WHERE 'tv_' || entity = '{name}')"
    ).strip()


@pytest.mark.parametrize("break_", [DANGLING, UNREGISTERED], ids=["dangling", "unregistered"])
def test_it_is_its_owners_and_runs_as_its_owner(shop18: Database, break_: str) -> None:
    owned(shop18)
    shop18.sql(break_.format("bait") + GONE.format("planted.tv_bait"))
    repaired(shop18)
    assert owner_of(shop18, "tv_bait") == OWNER
    assert differing(shop18) == {}
    shop18.sql("INSERT INTO planted.tb_bait (pk_bait, name) VALUES (3, 'c')", OWNER)
    assert differing(shop18) == {}
    assert shop18.sql("SELECT to_regclass('planted.pgtv_empty') IS NULL").strip() == "t"


def test_from_a_snapshot(shop18: Database) -> None:
    owned(shop18)
    file = shop18.folder / "saved.json"
    assert shop18.pgtv("snapshot", "save", str(file)).returncode == 0
    shop18.sql(UNREGISTERED.format("bait") + GONE.format("planted.tv_bait"))
    shop18.sql("DROP VIEW tviews.planted__tv_bait")
    repaired(shop18, "metadata", "--from", str(file))
    assert owner_of(shop18, "tv_bait") == OWNER and differing(shop18) == {}
    (now,) = [t for t in shop18.snapshot().tviews if t.entity == "bait"]
    assert now.options["fillfactor"] == 70


def test_from_a_file_that_does_not_say_whose_it_was(shop18: Database) -> None:
    owned(shop18)
    shop18.sql(UNREGISTERED.format("bait") + GONE.format("planted.tv_bait"))
    file = shop18.folder / "tviews.sql"
    file.write_text(TVIEW[TVIEW.index("SELECT tviews.pg_tviews_create") :])
    repaired(shop18, "metadata", "--from", str(file))  # the backing view says it
    assert owner_of(shop18, "tv_bait") == OWNER and differing(shop18) == {}
    shop18.sql(UNREGISTERED.format("bait") + GONE.format("planted.tv_bait"))
    shop18.sql("DROP VIEW tviews.planted__tv_bait")
    said = repaired(shop18, "metadata", "--from", str(file), code=1)
    assert "does not say whose" in said
    assert shop18.sql("SELECT to_regclass('planted.tv_bait') IS NULL").strip() == "t"


def test_nobody_is_made_the_owner_unasked(shop18: Database) -> None:
    owned(shop18)
    shop18.sql(DANGLING.format("bait") + GONE.format("planted.tv_bait"))
    shop18.sql("DROP VIEW tviews.planted__tv_bait")
    said = repaired(shop18, code=1)
    assert "Whose it was is not known" in said
    assert shop18.sql("SELECT to_regclass('planted.tv_bait') IS NULL").strip() == "t"


@pytest.mark.parametrize(
    "entity", ["customer", "category", "product", "order", "stock", "basket", "segment", "search"]
)
def test_any_of_the_shop(shop18: Database, entity: str) -> None:
    before = shop18.snapshot()
    tview = before.tview_by_entity[entity]
    owner = before.by_oid[tview.table_oid].owner
    shop18.sql(DANGLING.format(entity) + GONE.format(f"{tview.label} CASCADE"))
    repaired(shop18)
    now = shop18.snapshot().tview_by_entity[entity]
    assert now.identity == tview.identity
    assert owner_of(shop18, f"tv_{entity}") == owner
    write_everywhere(shop18)
    assert differing(shop18) == {}


def test_the_name_back_and_the_other_again(shop18: Database) -> None:
    """What `repair` writes down as the way back runs as it stands."""
    shop18.sql("GRANT CREATE ON SCHEMA tviews TO shop_owner")  # renaming a TVIEW renames its view
    shop18.sql("ALTER TABLE public.tv_stock RENAME TO tv_stocks")
    (found,) = [
        f
        for f in examine(shop18.snapshot(), [all_checks()["table-mismatch"]]).findings
        if f.check == "table-mismatch"
    ]
    assert found.remedy and found.remedy.undo
    receipt = shop18.folder / "receipt.json"
    assert shop18.pgtv("repair", found.id, "--apply", "--receipt", str(receipt)).returncode == 0
    done = shop18.pgtv("repair", "--undo", str(receipt), "--apply")
    assert done.returncode == 1 and f"there again: {found.id}\n" in done.stderr, done.stderr
    assert shop18.sql("SELECT to_regclass('public.tv_stocks') IS NOT NULL").strip() == "t"
