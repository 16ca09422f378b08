"""Without the extension, without its library, with another release's: looked at all the same."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import SHOP, Database, require_real

from pgtv.cluster import binaries
from pgtv.cluster.server import new_server

COMMANDS = (["doctor"], ["status"], ["snapshot", "save", "-"])


def no_defect(database: Database) -> None:
    """Every looking command ends in an orderly way."""
    for command in COMMANDS:
        done = database.pgtv(*command)
        assert "Traceback" not in done.stderr, done.stderr
        assert "unexpectedly" not in done.stderr, done.stderr
        assert "itself failed" not in done.stdout, done.stdout


def test_database_without_the_extension(empty: Database) -> None:
    snapshot = empty.snapshot()
    assert not snapshot.extension.installed
    assert snapshot.tviews == snapshot.extension.leftovers == snapshot.gaps == ()
    assert snapshot.extension.default_version  # what CREATE EXTENSION would install
    assert "is not installed" in empty.pgtv("status").stdout
    assert empty.pgtv("refresh").stderr == "there is no TVIEW to refresh\n"
    assert "0 TVIEWs: nothing to verify" in empty.pgtv("verify").stdout
    for command in ("doctor", "verify", "refresh"):
        assert empty.pgtv(command).returncode == 3, "a probe at the wrong database is not green"
    no_defect(empty)


def test_dropped_with_cascade(shop: Database) -> None:
    before = shop.folder / "before.json"
    before.write_text(shop.pgtv("snapshot", "save", "-").stdout)
    shop.sql("SET client_min_messages = error; DROP EXTENSION pg_tviews CASCADE")
    snapshot = shop.snapshot()
    assert not snapshot.extension.installed
    assert "public.tv_customer" in snapshot.extension.leftovers
    assert snapshot.gaps == ()
    no_defect(shop)
    done = shop.pgtv("snapshot", "diff", str(before), "--format", "json")
    assert done.returncode == 1
    removed = {
        c["object"]: c["before"]
        for c in json.loads(done.stdout)["changes"]
        if c["change"] == "removed" and c["kind"] == "TVIEW"
    }
    assert len(removed) == 9
    # the definition that brings it back
    assert "jsonb_build_object" in removed["public.tv_customer"]["definition"]


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    """A private copy of the binaries whose library may be taken away or exchanged."""
    folder = Path(tempfile.mkdtemp(prefix="pgtv-tree-", dir="/tmp"))
    folder.chmod(0o755)  # the server runs as another user when the tests run as root
    copy = folder / "pg"
    shutil.copytree(require_real(18), copy, symlinks=True)
    yield copy
    shutil.rmtree(folder)


def library(tree: Path) -> Path:
    (found,) = tree.rglob("pg_tviews.so")
    return found


@pytest.fixture
def unloaded(tree: Path) -> Iterator[Database]:
    """The shop on a server that has just lost its preload setting."""
    with new_server(tree, ("pg_tviews",)) as server:
        server.create_database("shop")
        server.psql("CREATE EXTENSION pg_tviews", "shop")
        server.psql(SHOP.read_text(), "shop")
        server.configure({"shared_preload_libraries": ""})
        server.restart()
        yield Database(server, "shop")


@pytest.mark.real
def test_library_not_preloaded_then_gone(unloaded: Database, tree: Path) -> None:
    snapshot = unloaded.snapshot()
    assert snapshot.extension.preloaded is False
    assert snapshot.extension.library_version  # it can be loaded, by this session alone
    assert len(snapshot.tviews) == 9
    gap = snapshot.gap("counters")
    assert gap and "shared_preload_libraries" in gap.reason
    # loading it changed nothing for others, and burnt no transaction id
    with unloaded.connect() as connection:
        hidden = "SELECT count(*) FROM pg_settings WHERE name LIKE 'pg\\_tviews.%'"
        assert connection.execute(hidden).fetchone() == (0,)
    no_defect(unloaded)

    away = tree / "away.so"
    library(tree).rename(away)
    try:
        snapshot = unloaded.snapshot()
        assert snapshot.extension.library_version is None
        assert "could not access file" in (snapshot.extension.library_error or "")
        assert len(snapshot.tviews) == 9
        assert len(snapshot.triggers) > 9
        assert all(t.plan_error is None for t in snapshot.tviews)
        no_defect(unloaded)
    finally:
        away.rename(_lib_dir(tree) / "pg_tviews.so")


def _lib_dir(tree: Path) -> Path:
    (found,) = {p.parent for p in tree.rglob("plpgsql.so")}
    return found


def exchange(tree: Path, release: str) -> None:
    """Put another release's library where this one's was, as a half-done upgrade leaves it."""
    (other,) = require_real(18, release).rglob("pg_tviews.so")
    here = _lib_dir(tree) / "pg_tviews.so"
    new = here.with_suffix(".new")
    shutil.copy(other, new)
    new.replace(here)


@pytest.mark.real
def test_library_of_another_release(tree: Path) -> None:
    with new_server(tree, ("pg_tviews",)) as server:
        server.create_database("shop")
        server.psql("CREATE EXTENSION pg_tviews", "shop")
        server.psql(SHOP.read_text(), "shop")
        database = Database(server, "shop")
        exchange(tree, "0.1.0-beta.33")
        try:
            server.restart()
            snapshot = database.snapshot()
            assert snapshot.extension.version == "0.1.0-beta.34"
            assert snapshot.extension.library_version == "0.1.0-beta.33"
            assert len(snapshot.tviews) == 9
            no_defect(database)
        finally:
            exchange(tree, "0.1.0-beta.34")


@pytest.mark.real
def test_an_older_release_of_the_current_generation() -> None:
    with new_server(require_real(18, "0.1.0-beta.33"), ("pg_tviews",)) as server:
        server.create_database("shop")
        server.psql("CREATE EXTENSION pg_tviews", "shop")
        server.psql(SHOP.read_text(), "shop")
        database = Database(server, "shop")
        snapshot = database.snapshot()
        assert snapshot.extension.generation == "current"
        assert snapshot.extension.version == "0.1.0-beta.33"
        assert len(snapshot.tviews) == 9 and snapshot.gaps == ()
        assert all(t.plan_error is None and t.table_name for t in snapshot.tviews)
        assert {t.entity for t in snapshot.triggers if t.kind} >= {"customer", "order"}
        no_defect(database)


@pytest.mark.parametrize("major", [15, 16, 17, 18])
def test_every_query_runs_on_every_major(major: int) -> None:
    folder = binaries.plain(major)
    if folder is None:
        pytest.skip(f"no PostgreSQL {major}: tools/install-servers")
    with new_server(folder) as server:
        server.psql(
            "CREATE TABLE tb_a (a int PRIMARY KEY) PARTITION BY RANGE (a);"
            "CREATE TABLE tb_a1 PARTITION OF tb_a DEFAULT;"
            "CREATE TABLE tv_a AS SELECT a AS pk_a FROM tb_a; CREATE VIEW v AS TABLE tv_a;"
            "CREATE PUBLICATION p FOR TABLE tv_a"
        )
        database = Database(server, "postgres")
        with database.connect(autocommit=False) as holder:
            holder.execute("LOCK TABLE tv_a IN SHARE MODE")
            snapshot = database.snapshot()
        assert snapshot.gaps == ()
        assert snapshot.server.version_num // 10000 == major
        assert "public.tv_a" in snapshot.extension.leftovers
        assert {k.mode for k in snapshot.locks} >= {"ShareLock"}
        assert len(snapshot.publications) == 1
