"""`repair metadata` from sources: each way to lose a registration, cured to what it was."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from contents import differing, write_everywhere
from servers import Database

from pgtv.lifecycle.upgrade.same import compare
from pgtv.repairs.registration import restore
from pgtv.repairs.sources import from_snapshot

EVERYTHING = (Path(__file__).parents[1] / "lifecycle" / "upgrade" / "everything.sql").read_text(
    encoding="utf-8"
)
META = "tviews.pg_tview_meta"
CUSTOMER = """SELECT tviews.pg_tviews_create_or_replace('public.tv_customer', $$
    SELECT c.pk_customer, c.id,
           jsonb_build_object('id', c.id, 'name', c.name, 'email', c.email) AS data
    FROM public.tb_customer c $$);"""
OTHER = CUSTOMER.replace("'email', c.email", "'email', 'hidden'")
DROP_ALL = "DROP EXTENSION pg_tviews CASCADE"


def saved(shop: Database, folder: Path) -> str:
    file = folder / "before.json"
    assert shop.pgtv("snapshot", "save", str(file)).returncode == 0
    return str(file)


def repair(
    shop: Database, folder: Path, *args: str, apply: bool = True
) -> subprocess.CompletedProcess[str]:
    more = ("--apply", "--receipt", str(folder / "receipt.json")) if apply else ()
    return shop.pgtv("repair", "metadata", *args, *more)


LOSSES = {
    "a row": f"DELETE FROM {META} WHERE entity = 'offer'",
    "a row and its view": f"DROP VIEW tviews.public__tv_offer; DELETE FROM {META} WHERE entity = 'offer'",
    "a row that others read": f"DELETE FROM {META} WHERE entity IN ('customer', 'order')",
    "every row": f"TRUNCATE {META}",
    "every row and view": f"DELETE FROM {META};"
    " DROP VIEW tviews.public__tv_customer, tviews.public__tv_offer, tviews.public__tv_spent",
    "the entity": f"UPDATE {META} SET entity = 'client' WHERE entity = 'customer'",
    "the table's OID": f"UPDATE {META} SET table_oid = 999999 WHERE entity = 'offer'",
    "the table of another": f"UPDATE {META} SET table_oid = 'public.tv_category'"
    " WHERE entity = 'customer'",
    "the view's OID": f"UPDATE {META} SET view_oid = 999999 WHERE entity = 'offer'",
    "the plan": f"UPDATE {META} SET plan = '{{}}' WHERE entity = 'offer'",
    "a row, and plans of others": f"DELETE FROM {META} WHERE entity = 'customer';"
    f" UPDATE {META} SET plan = '{{}}' WHERE entity IN ('offer', 'order')",
    "declared reads": f"UPDATE {META} SET function_read_functions = '{{}}',"
    " function_read_tables = '{}' WHERE entity = 'offer'",
    "group keys": f"UPDATE {META} SET group_keys = '{{\"x\": \"y\"}}' WHERE entity = 'spent'",
    "the definition": f"UPDATE {META} SET definition = '' WHERE entity = 'offer'",
    "the extension": DROP_ALL,
    "the extension, created again": f"{DROP_ALL}; CREATE EXTENSION pg_tviews",
}  # fmt: skip


# where the TVIEW that missed a write is among those restored: its rows are right afterwards
RESTORED = dict.fromkeys(
    ("every row", "every row and view", "the extension", "the extension, created again"),
    ("public.tv_stock",),
)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_was_lost_is_back_as_it_was(shop18: Database, tmp_path: Path, loss: str) -> None:
    shop18.sql(EVERYTHING)
    before = shop18.snapshot()
    file = saved(shop18, tmp_path)
    shop18.sql(LOSSES[loss])
    shop18.sql("SET session_replication_role = replica;"
               " UPDATE public.tb_stock_move SET amount = amount + 1 WHERE fk_product = 7")  # fmt: skip
    done = repair(shop18, tmp_path, "--from", file)
    assert done.returncode == 0, done.stdout + done.stderr
    after = shop18.snapshot()
    assert compare(before, after).changes == ()
    lost = {t.entity for t in before.tviews if t.raw != after.tview_by_entity[t.entity].raw}
    assert not lost
    write_everywhere(shop18)
    assert set(differing(shop18)) <= {"public.tv_stock"} - set(RESTORED.get(loss, ()))
    assert json.loads((tmp_path / "receipt.json").read_text())["outcome"] == "complete"
    again = repair(shop18, tmp_path, "--from", file, apply=False)
    assert "0 steps" in again.stdout, again.stdout


def test_the_table_keeps_what_is_its_own(shop18: Database, tmp_path: Path) -> None:
    """Rows, grants, indexes, policies, comments, and what depends on it: nothing is touched."""
    shop18.sql(EVERYTHING)
    shop18.sql("CREATE TABLE public.note (fk_customer bigint REFERENCES public.tv_customer)")
    file = saved(shop18, tmp_path)
    own = """SELECT c.oid, relfilenode, relacl, obj_description(c.oid), relowner,
      ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = c.oid ORDER BY 1),
      ARRAY(SELECT polname FROM pg_policy WHERE polrelid = c.oid),
      ARRAY(SELECT conname FROM pg_constraint WHERE confrelid = c.oid),
      ARRAY(SELECT d.classid::regclass FROM pg_depend d WHERE refobjid = c.oid AND deptype = 'n'
            AND classid = 'pg_rewrite'::regclass)
      FROM pg_class c WHERE oid = 'public.tv_customer'::regclass"""
    rows = "SELECT md5(string_agg(ctid::text || xmin || t::text, ',' ORDER BY ctid))"
    rows += " FROM public.tv_customer t"
    was = shop18.sql(own), shop18.sql(rows)
    shop18.sql(
        f"DROP VIEW tviews.public__tv_customer; DELETE FROM {META} WHERE entity = 'customer'"
    )
    done = repair(shop18, tmp_path, "--from", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (shop18.sql(own), shop18.sql(rows)) == was
    assert shop18.sql(
        "SELECT relacl, relowner::regrole, obj_description(oid) FROM pg_class"
        " WHERE oid = 'tviews.public__tv_customer'::regclass"
    ).endswith("|shop_owner|it's a view\n")


def test_a_migration_file_brings_back_options_too(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(EVERYTHING)
    before = shop18.snapshot()
    file = tmp_path / "0042_offer.sql"
    file.write_text("\\set ON_ERROR_STOP on\n" + EVERYTHING + "COMMIT;", encoding="utf-8")
    shop18.sql(f"DROP VIEW tviews.public__tv_offer; DELETE FROM {META} WHERE entity IN"
               " ('offer', 'spent')")  # fmt: skip
    # of which the file knows nothing, and nothing can be registered as long as it cannot be read
    shop18.sql(f"UPDATE {META} SET plan = '{{}}' WHERE entity = 'stock'")
    done = repair(shop18, tmp_path, "--from", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    after = shop18.snapshot()
    for entity in ("offer", "spent"):
        then, now = before.tview_by_entity[entity], after.tview_by_entity[entity]
        assert now.options == then.options
        assert now.definition.split() == then.definition.split()
        assert now.identity == then.identity
    write_everywhere(shop18)
    assert differing(shop18) == {}


def test_create_table_as_is_a_definition_too(shop18: Database, tmp_path: Path) -> None:
    file = tmp_path / "customer.sql"
    file.write_text(
        "CREATE TABLE tv_customer /* old */ AS SELECT c.pk_customer, c.id,\n"
        "  jsonb_build_object('id', c.id, 'name', c.name, 'email', c.email) AS data\n"
        "FROM tb_customer c -- all of them\nWITH DATA;"
    )
    shop18.sql(
        f"DROP VIEW tviews.public__tv_customer; DELETE FROM {META} WHERE entity = 'customer'"
    )
    done = repair(shop18, tmp_path, "--from", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    write_everywhere(shop18)
    assert differing(shop18) == {}


def test_sources_that_disagree_are_shown_and_asked_about(shop18: Database, tmp_path: Path) -> None:
    """The view as it stands says one thing, the snapshot another: neither is taken."""
    file = saved(shop18, tmp_path)
    shop18.sql(OTHER)
    shop18.sql(f"DELETE FROM {META} WHERE entity = 'customer'")
    done = repair(shop18, tmp_path, "--from", file)
    assert done.returncode != 0
    assert "disagree" in done.stderr
    assert "'email', 'hidden'" in done.stderr, "both are shown"
    assert "'email', email" in done.stderr, "both are shown"
    assert "customer" not in shop18.snapshot().tview_by_entity
    decision = tmp_path / "decision.sql"
    decision.write_text(OTHER)
    done = repair(shop18, tmp_path, "--from", file, "--definition", str(decision))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'hidden'" in shop18.snapshot().tview_by_entity["customer"].definition
    assert differing(shop18) == {}


def test_a_snapshot_can_decide_against_the_view_that_stands(
    shop18: Database, tmp_path: Path
) -> None:
    file = saved(shop18, tmp_path)
    before = shop18.snapshot()
    shop18.sql(OTHER)
    shop18.sql(f"DELETE FROM {META} WHERE entity = 'customer'")
    done = repair(shop18, tmp_path, "--definition", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert compare(before, shop18.snapshot()).changes == ()
    assert differing(shop18) == {}


def test_a_file_that_contradicts_the_view_is_found_out_by_the_server(
    shop18: Database, tmp_path: Path
) -> None:
    """Only the server can compare a text with a view: it does, in the transaction, and stops."""
    file = tmp_path / "other.sql"
    file.write_text(OTHER)
    shop18.sql(f"DELETE FROM {META} WHERE entity = 'customer'")
    done = repair(shop18, tmp_path, "--from", str(file))
    assert done.returncode == 3
    assert "disagree" in done.stderr
    assert "customer" not in shop18.snapshot().tview_by_entity
    file.write_text(CUSTOMER)
    done = repair(shop18, tmp_path, "--from", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert differing(shop18) == {}


def test_files_that_disagree_with_each_other(shop18: Database, tmp_path: Path) -> None:
    one, two = tmp_path / "one.sql", tmp_path / "two.sql"
    one.write_text(CUSTOMER)
    two.write_text(OTHER)
    lost = f"DROP VIEW tviews.public__tv_customer; DELETE FROM {META} WHERE entity = 'customer'"
    shop18.sql(lost)
    both = ("--from", str(one), "--from", str(two))
    done = repair(shop18, tmp_path, *both, apply=False)
    assert "two files define it, and they disagree" in done.stdout
    done = repair(shop18, tmp_path, *both, "--definition", str(one))
    assert done.returncode == 0, done.stdout + done.stderr
    assert differing(shop18) == {}


def test_a_definition_that_does_not_fit_the_table_is_refused_whole(
    shop18: Database, tmp_path: Path
) -> None:
    file = tmp_path / "wide.sql"
    file.write_text(CUSTOMER.replace("c.id,", "c.id, c.email AS more,", 1))
    shop18.sql(
        f"DROP VIEW tviews.public__tv_customer; DELETE FROM {META} WHERE entity = 'customer'"
    )
    done = repair(shop18, tmp_path, "--from", str(file))
    assert done.returncode == 3
    assert "columns that its table does not have" in done.stderr
    assert shop18.sql("SELECT to_regclass('tviews.public__tv_customer') IS NULL") == "t\n"


def test_a_table_renamed_since_the_snapshot(shop18: Database, tmp_path: Path) -> None:
    """The view followed the rename, the snapshot did not: shown, and asked about."""
    file = saved(shop18, tmp_path)
    shop18.sql("ALTER TABLE public.tb_category RENAME TO tb_kind;"
               f" DELETE FROM {META} WHERE entity = 'category'")  # fmt: skip
    done = repair(shop18, tmp_path, "tv_category", "--from", file)
    assert done.returncode != 0
    assert "+   FROM public.tb_category c" in done.stderr
    assert "-   FROM public.tb_kind c" in done.stderr
    decision = tmp_path / "kind.sql"
    decision.write_text(
        "SELECT tviews.pg_tviews_create('public.tv_category', 'SELECT c.pk_category, c.id,"
        " jsonb_build_object(''id'', c.id, ''name'', c.name) AS data FROM public.tb_kind c');"
    )
    more = ("--from", file, "--definition", str(decision))
    done = repair(shop18, tmp_path, "tv_category", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert differing(shop18) == {}


def test_one_that_is_well_is_left_alone_however_old_the_file(
    shop18: Database, tmp_path: Path
) -> None:
    file = saved(shop18, tmp_path)
    shop18.sql(OTHER)
    shop18.sql(f"DELETE FROM {META} WHERE entity = 'stock'")
    done = repair(shop18, tmp_path, "--from", file)
    assert done.returncode == 0, done.stdout + done.stderr
    now = shop18.snapshot().tview_by_entity
    assert "stock" in now
    assert "'hidden'" in now["customer"].definition


def test_a_table_that_was_renamed_is_not_made_anew(shop18: Database, tmp_path: Path) -> None:
    file = saved(shop18, tmp_path)
    shop18.sql(f"DELETE FROM {META} WHERE entity = 'stock';"
               " ALTER TABLE public.tv_stock RENAME TO tv_stock_old")  # fmt: skip
    done = repair(shop18, tmp_path, "--from", file)
    assert done.returncode != 0
    assert 'ALTER TABLE public.tv_stock_old RENAME TO "tv_stock";' in done.stderr
    assert shop18.sql("SELECT to_regclass('public.tv_stock') IS NULL") == "t\n"
    shop18.sql("ALTER TABLE public.tv_stock_old RENAME TO tv_stock")
    done = repair(shop18, tmp_path, "--from", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert differing(shop18) == {}


def test_a_table_that_is_gone_is_made_anew(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(EVERYTHING)
    before = shop18.snapshot()
    file = saved(shop18, tmp_path)
    shop18.sql(f"DELETE FROM {META} WHERE entity = 'offer'; DROP TABLE public.tv_offer CASCADE")
    done = repair(shop18, tmp_path, "--from", file)
    assert done.returncode == 0, done.stdout + done.stderr
    after = shop18.snapshot()
    then, now = before.tview_by_entity["offer"], after.tview_by_entity["offer"]
    assert now.options == then.options
    assert after.by_oid[now.table_oid].owner == "shop_owner"
    write_everywhere(shop18)
    assert differing(shop18) == {}


def test_planned_offline_read_by_a_colleague_applied_or_pasted(
    shop18: Database, tmp_path: Path
) -> None:
    shop18.sql(EVERYTHING)
    before = shop18.snapshot()
    file, state, plan = saved(shop18, tmp_path), tmp_path / "state.json", tmp_path / "plan.json"
    shop18.sql(f"DROP VIEW tviews.public__tv_customer; TRUNCATE {META}")
    assert shop18.pgtv("snapshot", "save", str(state)).returncode == 0
    offline = shop18.pgtv(
        "repair", "metadata", "--from", file, "--state", str(state), PGHOST="/nowhere"
    )
    assert offline.returncode == 1, offline.stderr
    assert shop18.sql(f"SELECT count(*) FROM {META}") == "0\n"
    repair(shop18, tmp_path, "--from", file, "-o", str(plan), apply=False)
    with_plan = ("--from", file, "--plan", str(plan))
    done = repair(shop18, tmp_path, *with_plan)
    assert done.returncode == 0, done.stdout + done.stderr
    assert compare(before, shop18.snapshot()).changes == ()
    done = repair(shop18, tmp_path, *with_plan)
    assert done.returncode == 3
    assert "another state" in done.stderr
    shop18.sql(f"DROP VIEW tviews.public__tv_customer; TRUNCATE {META}")
    shop18.sql(offline.stdout)
    assert compare(before, shop18.snapshot()).changes == ()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--from", "{tmp}/none.sql"), "cannot read"),
        (("--from", "{tmp}/empty.sql"), "defines no TVIEW"),
        (("--from", "{tmp}/bad.json"), "not JSON"),
        (("tv_nothing", "--from", "{tmp}/good.sql"), "no source holds a TVIEW tv_nothing"),
        (("--from", "{tmp}/good.sql", "--state", "{tmp}/x", "--apply"), "needs the server"),
    ],
)
def test_bad_input(shop18: Database, tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    (tmp_path / "empty.sql").write_text("SELECT 1;")
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "good.sql").write_text(CUSTOMER)
    done = shop18.pgtv("repair", "metadata", *(a.format(tmp=tmp_path) for a in args))
    assert done.returncode == 3
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_database_still_knows_needs_no_file_and_keeps_no_reader_waiting(
    shop18: Database, tmp_path: Path
) -> None:
    shop18.sql(f"DELETE FROM {META} WHERE entity IN ('customer', 'order');"
               " UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 7")  # fmt: skip
    with shop18.connect(autocommit=False) as reader:
        reader.execute('SELECT * FROM public.tv_customer JOIN "Sales Dept".tv_order USING (id)')
        done = repair(shop18, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "pg_tviews_refresh" not in done.stdout
    assert differing(shop18) == {}


HEAVY = """SELECT c.oid::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind IN ('r', 'p') AND c.relnamespace NOT IN
  ('pg_catalog'::regnamespace, 'tviews'::regnamespace, 'pg_toast'::regnamespace)
AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"""


def test_locks_that_are_printed_are_those_that_are_taken(shop18: Database) -> None:
    """Before each COMMIT: what writers would wait for stands in the step, and nothing stronger."""
    was = from_snapshot(shop18.snapshot())
    shop18.sql(f"{DROP_ALL}; CREATE EXTENSION pg_tviews")
    steps = restore(shop18.snapshot(), was.registrations.values()).steps
    taken = set()
    with shop18.connect() as connection:
        for step in steps:
            for statement in step.statements:
                if statement == "COMMIT;":
                    connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
                    locked = {name for (name,) in connection.execute(HEAVY).fetchall()}
                    (printed,) = step.locks
                    partitions = {n for n in locked if n.startswith("public.tb_stock_move_")}
                    assert all(name in printed for name in locked - partitions), (locked, printed)
                    taken |= locked
                connection.execute(statement.encode())
    assert "public.tb_customer" in taken, "no lock was seen at all"
