"""detach, attach and verify on the real extension: everything back, nothing rewritten, safe to interrupt."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contents import differing, write_everywhere
from servers import Database, require_real, shop_server

from pgtv import fence
from pgtv.applying import apply
from pgtv.catalog.model import Snapshot
from pgtv.cluster.server import Server, new_server
from pgtv.errors import ClusterError, QueryError
from pgtv.lifecycle.upgrade import attach, detach
from pgtv.lifecycle.upgrade.program import OPTIONS
from pgtv.lifecycle.upgrade.same import compare, lost
from pgtv.plan import Plan
from pgtv.repairs.sources import from_snapshot
from pgtv.rows.settle import settle
from pgtv.session import connect

HERE = Path(__file__).parent
EVERYTHING = (HERE / "everything.sql").read_text(encoding="utf-8")
SHAPES = (HERE.parents[1] / "rows" / "shapes.sql").read_text(encoding="utf-8")
RENAME = "UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 1"
PHYSICAL = """SELECT c.oid::regclass, pg_relation_filenode(c.oid),
  (xpath('//row', query_to_xml(format('SELECT md5(string_agg(ctid::text || xmin, $$,$$ ORDER BY ctid))'
     ' FROM %s', c.oid::regclass), true, false, '')))[1]::text
FROM pg_class c WHERE relname LIKE 'tv\\_%' AND relkind = 'r' ORDER BY 1"""


@pytest.fixture
def rich(shop: Database) -> Database:
    shop.sql(EVERYTHING)
    return shop


@pytest.fixture
def rich18(shop18: Database) -> Database:
    shop18.sql(EVERYTHING)
    return shop18


def detached(shop: Database, file: Path) -> Snapshot:
    """Detach by the command; what it was like before."""
    before = shop.snapshot()
    done = shop.pgtv(
        "upgrade", "detach", "--snapshot", str(file), "--apply", "--receipt", f"{file}.r"
    )
    assert done.returncode == 0, done.stderr
    return before


def attached(shop: Database, file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return shop.pgtv(
        "upgrade", "attach", "--from", str(file), "--apply", "--receipt", f"{file}.a", *more
    )


def test_everything_is_back_and_no_row_was_rewritten(rich: Database, tmp_path: Path) -> None:
    rich.sql(SHAPES)
    physical = rich.sql(PHYSICAL)
    file = tmp_path / "before.json"
    before = detached(rich, file)
    assert file.stat().st_mode & 0o077 == 0, "definitions may be confidential"
    assert rich.sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_tviews'") == "0\n"
    done = attached(rich, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all equal, none written" in done.stdout
    after = rich.snapshot()
    assert compare(before, after).changes == ()
    assert {t.entity: t.raw for t in before.tviews} == {t.entity: t.raw for t in after.tviews}
    assert {t.entity: t.options for t in before.tviews} == {
        t.entity: t.options for t in after.tviews
    }
    assert rich.sql(PHYSICAL) == physical
    assert rich.sql("SELECT to_regnamespace('pgtv_fence') IS NULL") == "t\n"
    assert rich.sql("SELECT entity FROM tviews.pg_tview_valid") == "search\n"
    rich.sql(f"""{RENAME}; UPDATE "We ird"."tb_Ünï ""q"".x %s 😀" SET "the data" = 'new'""")
    assert differing(rich) == {}
    assert rich.pgtv("doctor", "--only", "metadata", "--only", "triggers").returncode == 0


WRITES = (
    RENAME,
    f"SET session_replication_role = replica; {RENAME}",
    f"SET ROLE shop_owner; {RENAME}",
    "TRUNCATE public.tb_stock_move_2026",
    "INSERT INTO public.tb_stock_move (fk_product, moved_on, amount) VALUES (1, '2025-07-07', 1)",
    "DELETE FROM public.tv_customer",
    "COPY public.tb_category (name) FROM stdin;\nnew\n\\.\n",
)


def test_writes_are_refused_while_detached(shop18: Database, tmp_path: Path) -> None:
    detached(shop18, tmp_path / "before.json")
    for write in WRITES:
        with pytest.raises(Exception, match="are refused while its TVIEWs are detached"):
            shop18.sql(write)
    assert shop18.sql("SELECT count(*) FROM public.tv_customer") == "200\n"


def test_what_got_past_the_fence_is_found(shop18: Database, tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    detached(shop18, file)
    shop18.sql(f"ALTER TABLE public.tb_customer DISABLE TRIGGER ALL; {RENAME}")
    done = attached(shop18, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "public.tv_customer: 0 inserted, 1 changed, 0 deleted" in done.stdout
    assert differing(shop18) == {}


def test_a_dropped_extension_is_attached_from_any_snapshot(rich: Database, tmp_path: Path) -> None:
    """Nobody detached: there is no fence, and writes were missed."""
    file = tmp_path / "nightly.json"
    before = rich.snapshot()
    assert rich.pgtv("snapshot", "save", str(file)).returncode == 0
    rich.sql(f"DROP EXTENSION pg_tviews CASCADE; {RENAME}; DELETE FROM public.tb_stock_move")
    done = attached(rich, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert compare(before, rich.snapshot()).changes == ()
    assert differing(rich) == {}


@pytest.mark.slow
def test_an_update_of_the_extension_that_failed_is_dropped_and_attached(tmp_path: Path) -> None:
    """A view of one's own reads columns that the update takes away: writes fail until this is done."""
    with shop_server(require_real(18, "0.1.0-beta.33")) as server:
        Database(server, "shop_template").sql(EVERYTHING)
        server.create_database("by_detach", "shop_template")
        dropped, by_detach = Database(server, "shop_template"), Database(server, "by_detach")
        file = tmp_path / "nightly.json"
        assert dropped.pgtv("snapshot", "save", str(file)).returncode == 0
        before, physical = dropped.snapshot(), dropped.sql(PHYSICAL)
        server.stop()
        server.binaries = require_real(18)
        server.start()
        for shop in (dropped, by_detach):
            with pytest.raises(ClusterError, match=r"(?s)cannot drop column .*view public\.reader"):
                shop.sql("ALTER EXTENSION pg_tviews UPDATE")
            with pytest.raises(ClusterError, match="library catalog revision 10 does not match"):
                shop.sql(RENAME)
        dropped.sql("DROP EXTENSION pg_tviews CASCADE")
        assert dropped.sql(PHYSICAL) == physical
        dropped.sql(RENAME)
        done = attached(dropped, file)
        assert "public.tv_customer: 0 inserted, 1 changed, 0 deleted" in done.stdout, done.stderr
        # with the new library above the old catalog, detaching saves what there is
        saved = tmp_path / "before.json"
        detached(by_detach, saved)
        done = attached(by_detach, saved)
        assert "all equal, none written" in done.stdout, done.stderr
        for shop in (dropped, by_detach):
            after = shop.snapshot()
            assert after.extension.version == "0.1.0-beta.34"
            assert compare(before, after).changes == ()
            assert shop.sql("SELECT count(created_at) FROM public.reader") == "200\n"
            write_everywhere(shop)
            assert differing(shop) == {}
            healthy = shop.pgtv("doctor", "--only", "metadata", "--only", "triggers")
            assert healthy.returncode == 0, healthy.stdout


# as if the server had a release of tomorrow
TOMORROW = """
CREATE FUNCTION public.tomorrow() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
  CREATE OR REPLACE FUNCTION tviews.pg_tviews_catalog_revision() RETURNS integer
    LANGUAGE sql IMMUTABLE AS 'SELECT 99'; END$$;
CREATE EVENT TRIGGER tomorrow ON ddl_command_end WHEN TAG IN ('CREATE EXTENSION')
  EXECUTE FUNCTION public.tomorrow();
"""


def test_into_a_catalog_that_was_not_tested_nothing_is_written(
    shop18: Database, tmp_path: Path
) -> None:
    """What it is like is known once the extension is there; writes stay refused, and it is all shown."""
    shop, file = shop18, tmp_path / "before.json"
    detached(shop, file)
    shop.sql(TOMORROW)
    done = attached(shop, file)
    assert done.returncode == 3, done.stdout + done.stderr
    why = "the catalog has revision 99, and cures were tested on 9 and 10"
    assert f"the extension was created, and nothing that follows was applied: {why}" in done.stderr
    assert 'INSERT INTO "tviews"."pg_tview_meta"' in done.stdout, "to be read and tried on a copy"
    assert shop.sql("SELECT count(*) FROM tviews.pg_tview_meta") == "0\n"
    with pytest.raises(Exception, match="refused"):
        shop.sql(RENAME)
    for more in ((), ("--apply",)):
        done = shop.pgtv("upgrade", "attach", "--from", str(file), *more)
        assert done.returncode == 3 and f"nothing was applied: {why}" in done.stderr, done
    # nor by the other way there
    shop.sql("DROP EXTENSION pg_tviews")
    done = shop.pgtv("repair", "metadata", "--from", str(file), "--apply")
    assert done.returncode == 3 and f"nothing that follows was applied: {why}" in done.stderr, done
    # a tested release in its place
    shop.sql("DROP EVENT TRIGGER tomorrow; DROP EXTENSION pg_tviews")
    done = attached(shop, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert differing(shop) == {}


def test_attach_plans_offline_what_psql_can_run(rich18: Database, tmp_path: Path) -> None:
    before, state = tmp_path / "before.json", tmp_path / "state.json"
    was = detached(rich18, before)
    assert rich18.pgtv("snapshot", "save", str(state)).returncode == 0
    done = rich18.pgtv(
        "upgrade", "attach", "--from", str(before), "--state", str(state), PGHOST="/nowhere"
    )
    assert done.returncode == 1, done.stderr
    rich18.sql(done.stdout)
    assert compare(was, rich18.snapshot()).changes == ()
    assert differing(rich18) == {}


class DiedError(BaseException):
    """As if the process had been killed."""


def test_interrupted_after_each_step_the_next_attach_ends_right(
    shop18: Database, tmp_path: Path
) -> None:
    """One step a run: what stands already is left alone, and writes are refused until all do."""
    for entity in ("order_line", "product", "stock", "basket"):
        shop18.sql(f"SELECT tviews.pg_tviews_drop('{entity}', false, true)")
    before = detached(shop18, tmp_path / "before.json")
    source = from_snapshot(before)
    now = shop18.snapshot()
    for turn in range(20):
        plan = attach.plan(now, source, source.registrations.values(), frozenset())
        dies = not plan.steps[0].merge
        shown: list[str] = []

        def show(text: str, dies: bool = dies, shown: list[str] = shown) -> None:
            shown += [text] if text.startswith("-- ") else []
            if dies and len(shown) == 2:
                raise DiedError

        def rows(step: object, written: object) -> str:
            now = shop18.snapshot()
            return settle(shop18.target(), now, now.tviews, lambda text: None)

        with connect(shop18.target(), read_only=False) as connection:
            if dies:
                with pytest.raises(DiedError):
                    apply(connection, plan, tmp_path / f"r{turn}.json", show, rows=rows)
            else:
                apply(connection, plan, tmp_path / f"r{turn}.json", show, rows=rows)
        now = shop18.snapshot()
        if not dies:
            break
        if len(now.tviews) < len(before.tviews):
            with pytest.raises(Exception, match="refused"):
                shop18.sql(RENAME)
    assert turn == 7, "the extension, five TVIEWs, the fence, the rows"
    assert compare(before, now).changes == ()
    assert shop18.sql("SELECT entity FROM tviews.pg_tview_valid") == "search\n"
    assert differing(shop18) == {}


def apply_in_a_hurry(shop: Database, plan: Plan, receipt: Path) -> None:
    """Give up on locks soon, and do not pause between attempts."""
    with connect(shop.target(), read_only=False) as connection:
        apply(
            connection, plan, receipt, lambda text: None, lock_timeout="50ms",
            pause=lambda seconds: None, rows=lambda step, keep: "",
        )  # fmt: skip


def test_a_lock_in_the_way_stops_it_whole_and_running_it_again_goes_on(
    shop18: Database, tmp_path: Path
) -> None:
    before = shop18.snapshot()
    plan = detach.plan(before, "before.json")
    with shop18.connect(autocommit=False) as writer:
        writer.execute(RENAME)
        with pytest.raises(QueryError, match="55P03"):
            apply_in_a_hurry(shop18, plan, tmp_path / "r1.json")
        writer.rollback()
    now = shop18.snapshot()
    assert (len(now.tviews), fence.fenced(now)) == (9, []), "half detached"
    apply_in_a_hurry(shop18, plan, tmp_path / "r2.json")
    source = from_snapshot(before)
    wanted = source.registrations.values()
    plan = attach.plan(shop18.snapshot(), source, wanted, frozenset())
    with shop18.connect(autocommit=False) as reader:
        reader.execute("LOCK TABLE public.tb_stock_move IN ROW EXCLUSIVE MODE")
        with pytest.raises(QueryError, match="55P03"):
            apply_in_a_hurry(shop18, plan, tmp_path / "r3.json")
        reader.rollback()
    now = shop18.snapshot()
    assert 0 < len(now.tviews) < 9, "it stops at the TVIEW that it cannot register"
    assert fence.fenced(now), "writes stay refused until all are back"
    plan = attach.plan(now, source, wanted, frozenset())
    apply_in_a_hurry(shop18, plan, tmp_path / "r4.json")
    assert compare(before, shop18.snapshot()).changes == ()


def test_what_changed_since_the_snapshot_stops_detaching(shop18: Database, tmp_path: Path) -> None:
    old = shop18.snapshot()
    shop18.sql(
        "SELECT tviews.pg_tviews_create('public.tv_late',"
        " 'SELECT pk_customer AS pk_late FROM public.tb_customer')"
    )
    with (
        connect(shop18.target(), read_only=False) as connection,
        pytest.raises(QueryError, match="have changed since the snapshot"),
    ):
        apply(connection, detach.plan(old, "x"), tmp_path / "r.json", lambda text: None)
    assert len(shop18.snapshot().tviews) == 10
    assert not fence.fenced(shop18.snapshot())


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ("CREATE VIEW public.v AS SELECT * FROM tviews.public__tv_customer", "view public.v"),
        ("DELETE FROM tviews.pg_tview_meta WHERE entity = 'stock'", "registration-missing"),
        (f"BEGIN; {RENAME}; PREPARE TRANSACTION 'half done'", "half done is prepared"),
    ],
)
def test_what_must_not_be_detached_is_refused_with_the_reason(
    shop18: Database, tmp_path: Path, first: str, why: str
) -> None:
    shop18.sql(first)
    file = tmp_path / "before.json"
    done = shop18.pgtv("upgrade", "detach", "--snapshot", str(file), "--apply")
    assert done.returncode == 3
    assert why in done.stderr
    assert not file.exists()
    assert shop18.sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_tviews'") == "1\n"


def test_a_role_that_could_not_attach_may_not_detach(shop18: Database, tmp_path: Path) -> None:
    shop18.sql("ALTER ROLE shop_owner LOGIN")
    done = shop18.pgtv(
        "upgrade", "detach", "--snapshot", str(tmp_path / "x"), "--apply", user="shop_owner"
    )
    assert done.returncode == 3
    assert "no superuser" in done.stderr


def test_verify_names_what_is_not_as_before(rich18: Database, tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    rich18.pgtv("snapshot", "save", str(file))
    same = rich18.pgtv("upgrade", "verify", "--before", str(file))
    assert same.returncode == 0, same.stdout
    rich18.sql(
        "SELECT tviews.pg_tviews_reregister('public.tv_customer');"
        "ALTER TABLE public.tb_category DISABLE TRIGGER USER;"
        'REVOKE SELECT ON public.tv_customer FROM "Reader ""x""";'
        "SELECT tviews.pg_tviews_drop('public.tv_spent', false, false);"
        "ALTER TABLE public.tb_customer DISABLE TRIGGER USER; UPDATE public.tb_customer"
        " SET name = 'lost' WHERE pk_customer = 2;"
        "ALTER TABLE public.tb_customer ENABLE TRIGGER USER"
    )
    done = rich18.pgtv("upgrade", "verify", "--before", str(file))
    assert done.returncode == 2
    for expected in (
        "TVIEW public.tv_spent", "disabled", 'SELECT to Reader "x"', "DIFFERS    public.tv_customer",
    ):  # fmt: skip
        assert expected in done.stdout, expected
    quick = rich18.pgtv("upgrade", "verify", "--before", str(file), "--no-contents")
    assert "DIFFERS" not in quick.stdout


# a change, whether something is lost by it, and what is said
CHANGES = (
    ("ALTER TABLE public.tv_customer OWNER TO somebody", False,
     "~ relation public.tv_customer", "owner  shop_owner → somebody"),
    ("ALTER TABLE public.tb_product OWNER TO somebody", False,
     "~ relation public.tb_product", "owner  shop_owner → somebody"),
    ("REVOKE SELECT ON public.tv_basket FROM somebody", True,
     "- grant public.tv_basket: SELECT to somebody"),
    ("REVOKE INSERT ON public.tv_basket FROM somebody", True,
     "- grant public.tv_basket: INSERT to somebody"),
    ("GRANT DELETE ON public.tv_basket TO somebody", False,
     "+ grant public.tv_basket: DELETE to somebody"),
    ("REVOKE EXECUTE ON FUNCTION tviews.pg_tviews_refresh_all() FROM somebody", True,
     "- grant", "refresh_all", "EXECUTE to somebody"),
    ("ALTER TABLE public.tv_basket SET (fillfactor = 50)", False,
     "~ TVIEW public.tv_basket", "option fillfactor  85 → 50"),
    ("ALTER TABLE public.tv_search SET LOGGED", False,
     "~ TVIEW public.tv_search", "option logged  no → yes"),
    ("SELECT tviews.pg_tviews_create_or_replace('public.tv_segment', query, '{\"typename\": \"Seg\"}')"
     " FROM tviews.registry WHERE name = 'tv_segment'", False,
     "~ TVIEW public.tv_segment", "option typename  (none) → Seg"),
    ("ALTER TABLE public.tb_product ENABLE ROW LEVEL SECURITY", False,
     "~ relation public.tb_product", "row security  no → yes"),
)  # fmt: skip


def test_verify_names_each_owner_grant_and_option(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(
        "DO $$ BEGIN CREATE ROLE somebody; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        "GRANT SELECT, INSERT ON public.tv_basket TO somebody;"
        "GRANT CREATE ON SCHEMA public TO somebody;"
        "GRANT EXECUTE ON FUNCTION tviews.pg_tviews_refresh_all() TO somebody"
    )
    file = tmp_path / "before.json"
    shop18.pgtv("snapshot", "save", str(file))
    before = shop18.snapshot()
    for change, loses, *_ in CHANGES:
        shop18.sql(change)
        after = shop18.snapshot()
        found = compare(before, after)
        assert found.changes, change
        assert lost(found) == loses, change
        before = after
    done = shop18.pgtv("upgrade", "verify", "--before", str(file), "--no-contents")
    assert done.returncode == 2
    for change, _, *told in CHANGES:
        assert all(words in done.stdout for words in told), change + done.stdout


def test_a_snapshot_of_something_else_is_never_replaced(shop18: Database, tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    shop18.pgtv("snapshot", "save", str(file))
    text = file.read_text()
    shop18.sql("SELECT tviews.pg_tviews_drop('public.tv_stock', false, false)")
    done = shop18.pgtv("upgrade", "detach", "--snapshot", str(file), "--apply")
    assert done.returncode == 3
    assert "another state" in done.stderr
    assert file.read_text() == text


@contextmanager
def empty_cluster() -> Iterator[Server]:
    """A data directory of 18 that pg_upgrade can fill, from a server without checksums."""
    with Server(require_real(18), {}) as new:
        new.program(
            "initdb", "-D", str(new.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", "--no-data-checksums",
        )  # fmt: skip
        new.configure({"shared_preload_libraries": "pg_tviews", "fsync": "off"})
        yield new


def pg_upgrade(old: Server, new: Server) -> None:
    old.stop()
    new.program(
        "pg_upgrade", "-b", str(old.binaries / "bin"), "-B", str(new.binaries / "bin"),
        "-d", str(old.data), "-D", str(new.data), "-U", "postgres", "-s", str(new.root), "--no-sync",
        *OPTIONS,
    )  # fmt: skip
    new.start()


@pytest.mark.slow
def test_pg_upgrade_from_17_to_18(tmp_path: Path) -> None:
    with shop_server(require_real(17)) as old, empty_cluster() as new:
        old.create_database("shop", "shop_template")
        old.drop_database("shop_template")
        was, now = Database(old, "shop"), Database(new, "shop")
        was.sql(EVERYTHING)
        physical = was.sql(PHYSICAL)
        file = tmp_path / "before.json"
        before = detached(was, file)
        pg_upgrade(old, new)
        assert now.sql(PHYSICAL) == physical
        with pytest.raises(Exception, match="are refused while its TVIEWs are detached"):
            now.sql(RENAME)
        done = attached(now, file)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all equal, none written" in done.stdout
        assert now.sql(PHYSICAL) == physical
        assert compare(before, now.snapshot()).changes == ()
        verified = now.pgtv("upgrade", "verify", "--before", str(file))
        assert verified.returncode == 0, verified.stdout
        write_everywhere(now)
        assert differing(now) == {}


OLD = """
CREATE EXTENSION pg_tviews;
CREATE ROLE app NOLOGIN;
GRANT CREATE ON SCHEMA public TO app;
SET ROLE app;
CREATE TABLE tb_user (pk_user bigint PRIMARY KEY, id uuid DEFAULT gen_random_uuid(), name text);
CREATE TABLE tb_post (pk_post bigint PRIMARY KEY, id uuid DEFAULT gen_random_uuid(),
                      fk_user bigint REFERENCES tb_user, title text);
INSERT INTO tb_user SELECT g, gen_random_uuid(), 'user ' || g FROM generate_series(1, 20) g;
INSERT INTO tb_post SELECT g, gen_random_uuid(), 1 + g % 20, 'post ' || g FROM generate_series(1, 99) g;
RESET ROLE;
-- in the early release's own schema, and of no TVIEW
CREATE TABLE of_others (id int PRIMARY KEY);
GRANT SELECT ON of_others TO app;
CREATE TABLE tv_user AS SELECT u.pk_user, u.id,
    jsonb_build_object('id', u.id, 'name', u.name) AS data FROM tb_user u;
CREATE TABLE tv_post AS SELECT p.pk_post, p.id, p.fk_user,
    jsonb_build_object('id', p.id, 'title', p.title, 'author', v_user.data) AS data
    FROM tb_post p JOIN v_user ON v_user.pk_user = p.fk_user;
GRANT SELECT ON tv_post TO app;
"""


@pytest.mark.slow
def test_an_old_generation_on_15_is_carried_to_the_current_one_on_18(tmp_path: Path) -> None:
    """Definitions that embed by views read tables afterwards; no row is rewritten."""
    binaries = require_real(15, "0.1.0-beta.19")
    with new_server(binaries, ("pg_tviews",)) as old, empty_cluster() as new:
        old.create_database("old")
        was, now = Database(old, "old"), Database(new, "old")
        was.sql(OLD)
        physical = was.sql(PHYSICAL)
        file = tmp_path / "before.json"
        detached(was, file)
        pg_upgrade(old, new)
        done = attached(now, file)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all equal, none written" in done.stdout
        assert now.sql(PHYSICAL) == physical
        assert now.snapshot().extension.generation == "current"
        now.sql("UPDATE tb_user SET name = 'new' WHERE pk_user = 2")
        assert now.sql(
            "SELECT DISTINCT data->'author'->>'name' FROM tv_post WHERE fk_user = 2"
        ) == ("new\n")
        assert differing(now) == {}
        assert now.pgtv("upgrade", "verify", "--before", str(file)).returncode == 0
        assert now.pgtv("doctor").returncode == 0
