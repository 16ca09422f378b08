"""rehearse upgrade on real servers: it works, it measures, and what would fail in production fails here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from contents import differing, write_everywhere
from servers import OLD_GENERATION, Database, require_real, shop_server, until

from pgtv.cluster.place import place
from pgtv.cluster.server import Server, new_server
from pgtv.lifecycle.restore.place import own
from pgtv.lifecycle.upgrade.same import compare

EVERYTHING = (Path(__file__).parent / "everything.sql").read_text(encoding="utf-8")
ROOT = Path(__file__).resolve().parents[4]
SCHEMA = json.loads((ROOT / "schemas" / "pgtv.rehearsal.1.json").read_text(encoding="utf-8"))
HOSTILE = "a/b 'c\" %s"
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Sources:
    """Dumps and a base backup of one shop."""

    folder: Path

    @property
    def dump(self) -> Path:
        return self.folder / "shop.dump"

    @property
    def backup(self) -> Path:
        return self.folder / "base"


def saved(server: Server, folder: Path, *options: str) -> Sources:
    """options: of pg_basebackup."""
    made = Sources(folder)
    for program, *args in (
        ("pg_dump", "-Fc", "-f", str(made.dump)),
        ("pg_basebackup", "-D", str(made.backup), "-X", "stream", "-c", "fast", *options),
    ):
        subprocess.run(
            [server.binaries / "bin" / program, *args], env=server.env("shop"), check=True,
            capture_output=True, timeout=120,
        )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def of_17(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    with shop_server(require_real(17)) as server:
        server.create_database("shop", "shop_template")
        server.create_database(HOSTILE, "shop_template")
        server.drop_database("shop_template")
        Database(server, "shop").sql(EVERYTHING)
        yield saved(server, tmp_path_factory.mktemp("of17"))


def rehearse(source: Path, *args: str, code: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "pgtv", "rehearse", "upgrade", str(source), "--format", "json", *args],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert ("-q" in args) == (done.stderr == "")
    told: dict[str, Any] = json.loads(done.stdout)
    assert (told["schema"], told["exit"]) == ("pgtv.rehearsal/1", code)
    jsonschema.validate(told, SCHEMA)
    return told


MAJOR = [
    "restore", "detach", "initdb", "stop", "pg_upgrade --check", "pg_upgrade", "start", "attach",
    "statistics", "verify",
]  # fmt: skip


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_a_base_backup_of_17_goes_to_18(of_17: Sources, mode: str) -> None:
    """Every phase measured, everything as before, and the backup itself untouched."""
    was = {p: p.stat().st_mtime_ns for p in of_17.backup.rglob("*")}
    told = rehearse(of_17.backup, "--to", "18", "--mode", mode)
    assert [p["name"] for p in told["phases"]] == MAJOR
    assert all(p["seconds"] > 0 and p["ok"] for p in told["phases"])
    assert told["facts"]["databases"] == f"{HOSTILE}, shop"
    assert told["points"] == []
    assert {p: p.stat().st_mtime_ns for p in of_17.backup.rglob("*")} == was


def test_a_dump_of_17_goes_to_18_by_the_commands_that_are_printed(of_17: Sources) -> None:
    with tempfile.TemporaryDirectory(dir=place()) as folder:  # a socket's path must be short
        Path(folder).chmod(0o755)  # the server's own user has to get in
        told = rehearse(of_17.dump, "--to", "18", "--keep", "--temp", folder)
        kept = [Path(p) for p in told["facts"]["kept"].split(", ")]
        assert sorted(kept) == sorted(Path(folder).iterdir())
        assert [(p / "data" / "PG_VERSION").read_text() for p in kept] == ["17\n", "18\n"]
        assert not list(Path(folder).glob("*/data/postmaster.pid"))  # stopped, and cleanly
    commands = " | ".join(c for p in told["phases"] for c in p["commands"])
    for expected in ("pg_restore --exit-on-error", "upgrade detach", "--check", "upgrade attach"):
        assert expected in commands
    assert told["points"] == []


# releases whose catalog pgtv does not know: rows are compared, registrations cannot be
RELEASES = [
    (30, ()), (33, ()), pytest.param(27, ("not-compared:shop",), marks=pytest.mark.whole),
]  # fmt: skip


@pytest.mark.parametrize(
    ("release", "more"), RELEASES, ids=lambda r: f"beta.{r}" if isinstance(r, int) else ""
)
def test_the_extensions_own_update_is_rehearsed_between_real_releases(
    tmp_path: Path, release: int, more: tuple[str, ...]
) -> None:
    """Updates drop two columns of every TVIEW's table: better read here than in production."""
    require_real(18)
    with shop_server(require_real(18, f"0.1.0-beta.{release}")) as server:
        server.create_database("shop", "shop_template")
        server.drop_database("shop_template")
        source = saved(server, tmp_path)
        server.stop()
        server.binaries = require_real(18)
        server.start()
        shop = Database(server, "shop")
        found = shop.pgtv("doctor")
        assert found.returncode == 2, "the new library above the old catalog: writes fail"
        assert re.search(r"library-mismatch(?s:.*)cure .*(?s:.*)ALTER EXTENSION", found.stdout)
        shop.sql("ALTER EXTENSION pg_tviews UPDATE")
        assert shop.pgtv("doctor").returncode == 0
        write_everywhere(shop)
        assert differing(shop) == {}
    told = rehearse(source.backup, "--to-extension", "0.1.0-beta.34", code=3 if more else 1)
    assert [p["name"] for p in told["phases"]] == [
        "restore", "snapshot", "package", "update", "verify"
    ]  # fmt: skip
    point, *others = told["points"]
    assert point["id"] == "other-than-before:shop"
    assert all("- created_at" in o for o in point["objects"])
    assert len(point["objects"]) == 9
    assert tuple(p["id"] for p in others) == more


@pytest.mark.whole
def test_the_first_release_that_updates_does_so_and_definitions_are_carried_on(
    tmp_path: Path,
) -> None:
    """A definition that embeds by a view names one that the update moves: repair stores the new name."""
    require_real(18)
    with new_server(require_real(18, "0.1.0-beta.20"), ("pg_tviews",)) as server:
        server.create_database("shop")
        server.psql(OLD_GENERATION, "shop")
        source = saved(server, tmp_path)
        shop = Database(server, "shop")
        told = shop.pgtv("upgrade", "detach", "--snapshot", "before.json", "--apply")
        assert told.returncode == 3 and "update the extension first, in place" in told.stderr
        found = shop.pgtv("doctor").stdout
        assert "is updated in place" in found
        assert not re.search("^(CRITICAL|WARNING)", found, re.M), (
            "what is sound was taken for a fault"
        )
        server.stop()
        server.binaries = require_real(18)
        server.start()
        assert re.search(r"CRITICAL +library-mismatch", shop.pgtv("doctor").stdout)
        shop.sql("ALTER EXTENSION pg_tviews UPDATE")
        assert re.search(r"(?s)RISK\n.*names-stale +public.tv_post", shop.pgtv("doctor").stdout)
        done = shop.pgtv("repair", "--apply")
        assert done.returncode == 0, done.stdout + done.stderr
        assert shop.pgtv("doctor").returncode == 0
        shop.sql("UPDATE tb_user SET name = 'z'; INSERT INTO tb_post VALUES (3, DEFAULT, 1, 'n')")
        assert differing(shop) == {}
    point = rehearse(source.backup, "--to-extension", "0.1.0-beta.34", code=3)["points"][-1]
    assert point["id"] == "not-compared:shop"


def test_an_update_that_would_fail_fails_in_its_rehearsal(tmp_path: Path) -> None:
    """A view of one's own reads the columns that the update takes away."""
    require_real(18)
    with shop_server(require_real(18, "0.1.0-beta.33")) as server:
        server.create_database("shop", "shop_template")
        server.drop_database("shop_template")
        Database(server, "shop").sql(EVERYTHING)
        source = saved(server, tmp_path)
    told = rehearse(source.backup, "--to-extension", "0.1.0-beta.34", "-q", code=2)
    assert [(p["name"], p["ok"]) for p in told["phases"]][-1] == ("update", False)
    (point,) = told["points"]
    assert point["id"] == "failed-update"
    assert "view public.reader depends on column created_at" in point["text"]


def test_a_running_database_is_dumped_and_its_upgrade_rehearsed(
    tmp_path: Path,
) -> None:
    """With its roles; and a reader of the report gets HTML as well."""
    with shop_server(require_real(17)) as server:
        shop = Database(server, "shop_template")
        shop.sql(EVERYTHING)
        before = shop.snapshot()
        report = tmp_path / "r.html"
        done = subprocess.run(
            [sys.executable, "-m", "pgtv", "rehearse", "upgrade", shop.conninfo, "--to", "18",
             "--format", "html", "-o", str(report)],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert compare(before, shop.snapshot()).changes == ()
    heard = [re.fullmatch(r" *[\d.]+ s  ([^:]+?)(?: …|: .+)", x) for x in done.stderr.splitlines()]
    # each as it begins, and as it ends
    assert [m and m[1] for m in heard] == [n for name in ("dump", *MAJOR) for n in (name, name)]
    page = report.read_text()
    assert "the upgrade works" in page
    assert all(f"<td>{name}<td" in page for name in ("dump", *MAJOR))


def test_what_would_stop_the_upgrade_stops_the_rehearsal_with_the_reason(tmp_path: Path) -> None:
    with shop_server(require_real(17)) as server:
        server.create_database("shop", "shop_template")
        server.drop_database("shop_template")
        Database(server, "shop").sql(
            "BEGIN; UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1;"
            " PREPARE TRANSACTION 'left over'"
        )
        source = saved(server, tmp_path)
        Database(server, "shop").sql("ROLLBACK PREPARED 'left over'")
    told = rehearse(source.backup, "--to", "18", "-q", code=2)
    assert [(p["name"], p["ok"]) for p in told["phases"]] == [("restore", True), ("detach", False)]
    (point,) = told["points"]
    assert "left over is prepared" in point["text"]


def test_nothing_is_left_of_a_rehearsal_that_is_killed(of_17: Sources) -> None:
    with tempfile.TemporaryDirectory(dir=place()) as name:  # a socket's path must be short
        folder = Path(name)
        folder.chmod(0o755)  # the server's own user has to get in
        process = subprocess.Popen(
            [sys.executable, "-m", "pgtv", "rehearse", "upgrade", str(of_17.dump), "--to", "18",
             "--temp", name],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            # a server that runs: initdb has a postmaster.pid too
            until(lambda: list(folder.glob("pgtv-*/.s.PGSQL.5432")), 150)
            assert list(folder.glob("pgtv-rehearsal-*"))
            process.kill()
            until(lambda: not list(folder.iterdir()), 150)
        finally:
            process.kill()
            process.wait()


def test_a_source_that_is_none_is_refused(tmp_path: Path) -> None:
    for source, why in ((tmp_path / "absent", "cannot read"), (tmp_path, "holds neither")):
        done = subprocess.run(
            [sys.executable, "-m", "pgtv", "rehearse", "upgrade", str(source), "--to", "18"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert why in done.stderr


@pytest.mark.whole
def test_a_dump_of_16_goes_to_17_and_on_to_18(tmp_path: Path) -> None:
    with shop_server(require_real(16)) as server:
        server.create_database("shop", "shop_template")
        server.drop_database("shop_template")
        Database(server, "shop").sql(EVERYTHING)
        source = saved(server, tmp_path)
    told = rehearse(source.dump, "--to", "17", "--to", "18")
    assert [p["name"] for p in told["phases"]] == [*MAJOR, *MAJOR[1:]]
    assert told["points"] == []


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What lies below it, and of which file each name is one."""
    return {str(f): (f.read_bytes(), f.stat().st_ino) for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("mode", ["copy", pytest.param("link", marks=pytest.mark.whole)])
def test_a_base_backup_of_16_goes_to_17_and_on_to_18_and_its_links_are_never_written_through(
    tmp_path: Path, mode: str
) -> None:
    """rsync -a and clones of a file system keep links: production's own files are behind them."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with tempfile.TemporaryDirectory(dir=place()) as name, shop_server(require_real(16)) as server:
        space = Path(name) / "space"  # where the server's own user gets in
        space.mkdir()
        own(Path(name))
        server.psql(f"CREATE TABLESPACE side LOCATION '{space}'")
        server.create_database("shop", "shop_template")
        server.drop_database("shop_template")
        Database(server, "shop").sql(
            EVERYTHING
            + "ALTER TABLE tb_product SET TABLESPACE side; ALTER TABLE tv_product SET TABLESPACE side"
        )
        source = saved(server, tmp_path, f"--tablespace-mapping={space}={theirs}/mapped")
    for part in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "pg_xact", "pg_wal", "base"):
        (source.backup / part).rename(theirs / part)
        (source.backup / part).symlink_to(theirs / part)
    before = files(theirs), files(source.backup)
    with tempfile.TemporaryDirectory(dir=place()) as temp:  # a socket's path must be short
        Path(temp).chmod(0o755)
        told = rehearse(source.backup, "--to", "17", "--to", "18", "--mode", mode, "--temp", temp)
        assert not list(Path(temp).iterdir()), "tablespaces of the first server are left"
    assert (files(theirs), files(source.backup)) == before
    assert [p["name"] for p in told["phases"]] == [*MAJOR, *MAJOR[1:]]
    assert told["points"] == []


OLD = """
CREATE EXTENSION pg_tviews;
CREATE ROLE app NOLOGIN;
GRANT CREATE ON SCHEMA public TO app;
SET ROLE app;
CREATE TABLE tb_user (pk_user bigint PRIMARY KEY, id uuid DEFAULT gen_random_uuid(), name text);
INSERT INTO tb_user SELECT g, gen_random_uuid(), 'user ' || g FROM generate_series(1, 20) g;
RESET ROLE;
CREATE TABLE tv_user AS SELECT u.pk_user, u.id,
    jsonb_build_object('id', u.id, 'name', u.name) AS data FROM tb_user u;
"""


# to 18 without a rehearsal: test_detach_attach
@pytest.mark.parametrize("to", [16, *(pytest.param(n, marks=pytest.mark.whole) for n in (17, 18))])
def test_the_old_generation_on_15_goes_to_each_later_release(tmp_path: Path, to: int) -> None:
    """pg_upgrade carries the tables, attaching makes the TVIEWs of the current generation."""
    require_real(to)
    with new_server(require_real(15, "0.1.0-beta.19"), ("pg_tviews",)) as server:
        server.create_database("shop")
        server.psql(OLD, "shop")
        source = saved(server, tmp_path)
    bindir = str(require_real(15, "0.1.0-beta.19") / "bin")
    told = rehearse(source.backup, "--to", str(to), "--old-bindir", bindir)
    assert [p["name"] for p in told["phases"]] == MAJOR
    assert told["points"] == []
