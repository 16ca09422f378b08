"""Backups are restored on throwaway servers; the certificate says what is so, and nothing is left."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from servers import TEMPLATE, Database, require_real, shop_server, until

from pgtv.cluster.server import Server
from pgtv.lifecycle.restore.certificate import schema
from pgtv.lifecycle.restore.place import own

Said = subprocess.CompletedProcess[str]


def rehearse(source: Database, backup: str, *options: str) -> Said:
    """As a user would, in the database's folder; throwaway servers of it are made in a folder below."""
    temp = source.folder / "t"
    temp.mkdir(exist_ok=True)
    temp.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-m", "pgtv", "rehearse", "restore", backup, "--temp", str(temp),
         "--bindir", str(source.server.binaries / "bin"), *options],
        env=source.server.env(source.name), cwd=source.folder, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "--keep" in options or not list(temp.iterdir())
    return done


def certified(source: Database, backup: str, *options: str) -> tuple[dict[str, Any], int]:
    return certificate(rehearse(source, backup, "--format", "json", *options))


def certificate(done: Said) -> tuple[dict[str, Any], int]:
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, schema())
    assert document["exit"] == done.returncode
    return document, done.returncode


def dump(source: Database, *options: str, name: str = "it.dump") -> str:
    source.program("pg_dump", *options, "-f", name, database=source.name)
    return name


def saved(source: Database, name: str) -> None:
    done = source.pgtv("snapshot", "save", name)
    assert done.returncode == 0, done.stderr


def ids(document: dict[str, Any]) -> set[str]:
    """Points that count."""
    return {p["id"] for p in document["points"] if p["severity"] != "info"}


def phases(document: dict[str, Any]) -> list[str]:
    return [p["name"] for p in document["phases"]]


def test_a_good_dump_is_proven_critical_tviews_first(shop: Database) -> None:
    file = dump(shop, "-Fc")
    saved(shop, f"{file}.snapshot.json")  # beside it, so found
    done = rehearse(shop, file, "--format", "json", "--critical", "tv_order", "-o", "certificates")
    document, code = certificate(done)
    assert (code, ids(document), document["verdict"]) == (0, set(), "proven")
    names = [t["tview"] for t in document["tviews"]]
    assert names[:2] == ["public.tv_customer", '"Sales Dept".tv_order'] and len(set(names)) == 9
    assert [t["critical"] for t in document["tviews"]] == [True] * 2 + [False] * 7
    assert {t["state"] for t in document["tviews"]} == {"equal"}
    told = re.findall(
        r"^ *([\d.]+) s  proven  (.+?)( \(critical\))?: (\d+) of 9 TVIEWs, ([\d,]+) rows \((\d+) %\)$",
        done.stderr, re.M,
    )  # fmt: skip
    at, proven, critical, count, rows, share = zip(*told, strict=True)
    # how much is proven so far, as each TVIEW is
    assert list(proven) == names and [bool(c) for c in critical] == [True] * 2 + [False] * 7
    assert list(map(int, count)) == list(range(1, 10))
    sums = itertools.accumulate(t["rows"] for t in document["tviews"])
    assert [int(r.replace(",", "")) for r in rows] == list(sums)
    assert [float(a) for a in at] == pytest.approx([t["at"] for t in document["tviews"]], abs=0.06)
    shares = [int(s) for s in share]
    assert shares == sorted(shares) and 0 < shares[-1] <= 100
    assert all(said.startswith("a write works") for said in document["writes"].values())
    assert len(document["writes"]) == 8
    assert document["source"]["tviews"] == 9 and document["restored"]["database"] == shop.name
    counted = sum(p["seconds"] for p in document["phases"] if p["counts"])
    assert document["rto"]["measured"] == pytest.approx(counted, abs=0.01)
    assert 0 < document["serving_seconds"] < document["rto"]["measured"]
    assert 0 <= document["rpo"]["measured"] < 3600
    made = sorted(p.name for p in (shop.folder / "certificates").iterdir())
    assert [n.rpartition(".")[2] for n in made] == ["html", "json"]
    page = (shop.folder / "certificates" / made[0]).read_text()
    assert document["restored"]["sha256"] in page and "public.tv_customer (critical)" in page
    subprocess.run(
        ["sha256sum", "--check", "--status"], check=True, text=True, cwd=shop.folder,
        input=f"{document['restored']['sha256']}  {file}\n",
    )  # fmt: skip


def test_targets_that_are_missed_are_remarks(shop18: Database) -> None:
    file = dump(shop18, "-Fd", name="folder.dump")
    document, code = certified(shop18, file, "--rto", "1ms", "--rpo", "1ms", "-j", "2")
    assert (code, ids(document)) == (1, {"rto-missed", "rpo-missed"})
    assert document["source"] is None
    assert any("no snapshot" in s for s in document["not_proven"])
    done = rehearse(shop18, file, "--critical", "tv_absent")
    assert done.returncode == 3 and "tv_absent" in done.stderr


def test_registrations_that_a_dump_loses_are_brought_back_and_measured(shop18: Database) -> None:
    shop18.sql("ALTER TABLE public.tb_customer RENAME TO tb_client")
    file = dump(shop18, "-Fc")
    document, code = certified(shop18, file)
    assert code == 2 and "registrations-missing" in ids(document)
    assert "cure: registrations" not in phases(document)
    saved(shop18, "before.json")
    document, code = certified(shop18, file, "--before", "before.json")
    # the names are the source's own trouble, and the next dump's
    assert (code, ids(document)) == (1, {"registrations-cured", "names-stale"})
    assert document["cures"][0]["command"].startswith("pgtv upgrade attach -d restored --from ")
    assert "cure: registrations" in phases(document)
    assert {t["state"] for t in document["tviews"]} == {"equal"} and len(document["tviews"]) == 9


def test_rows_that_did_not_come_back_are_counted_and_written(shop18: Database) -> None:
    file = dump(shop18, "-Fp", "-Z", "gzip", "--exclude-table-data=*.tv_*", name="it.sql.gz")
    document, code = certified(shop18, file)
    assert (code, ids(document)) == (1, {"rows-cured"})
    differed = {t["tview"]: t["differed"] for t in document["tviews"]}
    assert differed["public.tv_customer"] == 200 and sum(differed.values()) > 500
    assert {t["state"] for t in document["tviews"]} == {"equal"}
    assert any(c["command"].startswith("pgtv refresh -d restored ") for c in document["cures"])


def test_rows_that_are_not_in_it_are_never_proven(shop18: Database) -> None:
    shop18.sql("ANALYZE")
    saved(shop18, "before.json")
    file = dump(shop18, "-Fc", "-s")
    document, code = certified(shop18, file, "--before", "before.json")
    assert code == 2
    assert ids(document) == {
        "base-rows-absent", "base-rows-missing", "all-empty", "registrations-cured"
    }  # fmt: skip
    assert not any("equal their definitions" in s for s in document["proven"])
    # every row of one table alone
    file = dump(shop18, "-Fc", "--exclude-table-data=*.tb_order_line")
    document, code = certified(shop18, file, "--before", "before.json")
    assert code == 2 and {"base-rows-absent", "base-rows-missing"} <= ids(document)
    missing = next(p for p in document["points"] if p["id"] == "base-rows-missing")
    assert missing["objects"] == ['"Sales Dept".tb_order_line']


def test_what_the_source_had_and_the_dump_has_not(shop18: Database) -> None:
    shop18.sql("GRANT SELECT ON tv_customer TO pg_monitor")
    saved(shop18, "before.json")
    shop18.sql(
        "SELECT tviews.pg_tviews_drop('tv_segment'); REVOKE SELECT ON tv_customer FROM pg_monitor"
    )
    document, code = certified(shop18, dump(shop18, "-Ft"), "--before", "before.json")
    assert (code, ids(document)) == (2, {"registrations-cured", "source-lost"})
    cured = next(p for p in document["points"] if p["id"] == "registrations-cured")
    assert cured["objects"] == ["public.tv_segment"]
    assert {c["of"] for c in document["cures"]} <= {"registrations", "unlogged"}
    differs = next(p for p in document["points"] if p["id"] == "source-lost")
    assert "removed grant public.tv_customer: SELECT to pg_monitor" in differs["objects"]


def test_a_damaged_dump_is_not_proven(shop18: Database) -> None:
    file = shop18.folder / dump(shop18, "-Fp", name="it.sql")
    text = file.read_text()
    file.write_text(text.replace("\t", "", 1))  # a row of the first table lacks a column
    document, code = certified(shop18, file.name)
    assert (code, ids(document)) == (2, {"restore-failed"})
    assert "invalid input syntax" in document["points"][0]["text"]
    assert document["tviews"] == [] and document["proven"] == []


def test_roles_come_from_a_file_and_tablespaces_stay_where_they_are(shop18: Database) -> None:
    shop18.program("pg_dumpall", "--globals-only", "-f", "globals.sql")
    place = shop18.folder / "elsewhere"
    place.mkdir()
    with (shop18.folder / "globals.sql").open("a") as file:
        file.write(f"CREATE TABLESPACE elsewhere OWNER postgres LOCATION '{place}';\n")
    document, code = certified(shop18, dump(shop18, "-Fc"), "--roles", "globals.sql",
                               "--preload", "pg_stat_statements")  # fmt: skip
    assert (code, ids(document)) == (0, set())
    assert document["place"]["preload"] == "pg_tviews, pg_stat_statements"
    assert not any("made up" in s for s in document["not_proven"])
    assert not list(place.iterdir())
    (shop18.folder / "none.sql").write_text("")
    document, code = certified(shop18, dump(shop18, "-Fc"), "--roles", "none.sql")
    assert code == 2 and "roles-missing" in ids(document)


# base backups


@pytest.fixture(scope="module", params=[18, 17], ids=lambda m: f"pg{m}")
def archived(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A server of its own that archives WAL, with a tablespace, a database that a restore may be of."""
    with shop_server(require_real(request.param)) as server:
        database = Database(server, TEMPLATE)
        for name in ("archive", "space"):
            (database.folder / name).mkdir()
        own(database.folder)
        server.configure(
            {"archive_mode": "on", "archive_command": f"cp %p {database.folder}/archive/%f",
             "track_commit_timestamp": "on"}
        )  # fmt: skip
        server.restart()
        server.psql(f"CREATE TABLESPACE side LOCATION '{database.folder}/space'")
        server.psql("ALTER TABLE tb_product SET TABLESPACE side", TEMPLATE)
        yield database


def _backup(source: Database, name: str, *options: str) -> str:
    source.program("pg_basebackup", "-D", name, "-c", "fast", *options)
    return name


def _listing(folder: Path) -> dict[str, int]:
    return {
        str(f.relative_to(folder)): f.stat().st_mtime_ns for f in folder.rglob("*") if f.is_file()
    }


def _moment(source: Database, statement: str) -> str:
    with source.connect() as connection:
        connection.execute(statement.encode())
        row = connection.execute("SELECT clock_timestamp()::text").fetchone()
    assert row
    return str(row[0])


def test_a_base_backup_to_a_moment(archived: Database, tmp_path: Path) -> None:
    server: Server = archived.server
    root = archived.folder
    space = root / "space"
    folder = _backup(archived, "base", f"--tablespace-mapping={space}={root}/mapped")
    saved(archived, "base.snapshot.json")
    wanted = _moment(archived, "UPDATE tb_customer SET name = 'kept' WHERE pk_customer = 3")
    _moment(archived, "UPDATE tb_customer SET name = 'too late' WHERE pk_customer = 3")
    server.psql("SELECT pg_switch_wal()")
    with server.connect() as connection:
        while connection.execute(
            "SELECT last_archived_wal < pg_walfile_name(pg_current_wal_lsn() - 1)"
            " FROM pg_stat_archiver"
        ).fetchone() == (True,):
            pass
    theirs = _listing(root / "archive"), _listing(space), _listing(root / "mapped")
    document, code = certified(
        archived, folder, "--archive", "archive", "--target-time", wanted, "--keep"
    )
    assert (code, ids(document)) == (0, set())
    assert theirs == (
        _listing(root / "archive"), _listing(space), _listing(root / "mapped")
    )  # fmt: skip
    assert "timeline 2" in document["restored"]["recovered_to"]
    assert document["restored"]["data_from_by"] == "the last commit that was replayed"
    assert document["restored"]["data_from"][:19] <= wanted[:19].replace(" ", "T")
    assert any("checksum of its manifest" in s for s in document["proven"])
    kept = Path(document["place"]["kept"])
    again = Server(server.binaries, within=str(root / "t"))
    again.root.rmdir()
    again.root = kept  # as it was left, it starts
    try:
        again.start()
        with again.connect(TEMPLATE) as connection:
            found = connection.execute(
                "SELECT data->>'name' FROM tv_customer WHERE pk_customer = 3"
            ).fetchone()
        assert found == ("kept",)
    finally:
        again.destroy()


def test_a_moment_that_the_archive_does_not_reach(archived: Database) -> None:
    folder = _backup(archived, "early", "-Ft", "-z")
    document, code = certified(
        archived, folder, "--archive", "archive", "--target-time", "2999-01-01 00:00:00+00",
        "--database", TEMPLATE,
    )  # fmt: skip
    assert (code, ids(document)) == (2, {"recovery-failed"})
    assert "recovery target" in document["points"][0]["text"]
    document, code = certified(archived, folder)
    assert (code, ids(document)) == (0, set())
    assert document["restored"]["form"] == "tar" and len(document["tviews"]) == 9


def test_wal_that_is_in_the_archive_alone(archived: Database) -> None:
    space, mapped = archived.folder / "space", archived.folder / "m3"
    folder = _backup(
        archived, "bare", f"--tablespace-mapping={space}={mapped}", "-X", "none", "--no-manifest"
    )
    document, code = certified(archived, folder)
    assert (code, ids(document)) == (2, {"recovery-failed"})
    assert "could not locate required checkpoint record" in document["points"][0]["text"]
    assert "--archive" in document["points"][0]["cure"][0]
    document, code = certified(archived, folder, "--archive", "archive")
    assert (code, ids(document)) == (0, set())
    assert "timeline 2" in document["restored"]["recovered_to"]
    assert any("files are as they were" in s for s in document["not_proven"])


def test_a_damaged_file_of_a_base_backup(archived: Database) -> None:
    folder = archived.folder / _backup(
        archived,
        "bad",
        f"--tablespace-mapping={archived.folder}/space={archived.folder}/m2",
    )
    with archived.connect() as connection:
        row = connection.execute("SELECT pg_relation_filepath('tb_category')").fetchone()
    assert row
    with (folder / row[0]).open("r+b") as file:
        file.seek(4000)
        file.write(b"damaged")
    document, code = certified(archived, folder.name)
    assert code == 2 and "files-damaged" in ids(document)
    if archived.server.major < 18:
        return  # no checksums of pages by default: only the manifest tells
    assert {"rows-unknown", "proof-stopped", "writes-fail"} <= ids(document)
    assert document["rto"]["measured"] is None
    assert "invalid page" in json.dumps(document["points"])
    equal = [t["tview"] for t in document["tviews"] if t["state"] == "equal"]
    assert "public.tv_customer" in equal and "public.tv_category" not in equal


@pytest.mark.parametrize("archived", [18, 17, 16], indirect=True, ids=lambda m: f"pg{m}")
def test_links_of_a_base_backup_are_never_written_through(archived: Database) -> None:
    """rsync -a and clones of a file system keep links: production's own files are behind them."""
    root, theirs = archived.folder, archived.folder / "etc"
    theirs.mkdir()
    backup = root / _backup(archived, "linked", f"--tablespace-mapping={root}/space={root}/m5")
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "pg_xact", "pg_wal"):
        (backup / name).rename(theirs / name)
        (backup / name).symlink_to(theirs / name)
    before = _contents(theirs), _contents(backup)
    document, code = certified(archived, backup.name)
    assert (_contents(theirs), _contents(backup)) == before
    assert (code, ids(document)) == (0, set())


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_what_is_no_backup(archived: Database) -> None:
    root = archived.folder
    (root / "nothing").mkdir(exist_ok=True)
    saved(archived, "other.json")
    snapshot = root / "other.json"
    held = json.loads(snapshot.read_text())
    held["server"]["system_identifier"] = "1"
    snapshot.write_text(json.dumps(held))
    _backup(archived, "whole", f"--tablespace-mapping={root}/space={root}/m4")
    done = rehearse(archived, "whole", "--before", "other.json")
    assert done.returncode == 3 and "is of another cluster" in done.stderr
    for backup, said in (
        (str(archived.server.data), "postmaster.pid"),
        ("nothing", "neither toc.dat"),
        ("absent", "No such file"),
    ):
        done = rehearse(archived, backup)
        assert (done.returncode, done.stdout) == (3, "") and said in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_it_ends(shop18: Database, how: signal.Signals) -> None:
    temp = shop18.folder / f"ended-{how.name}"
    temp.mkdir()
    temp.chmod(0o777)
    file = dump(shop18, "-Fc")
    process = subprocess.Popen(
        [sys.executable, "-m", "pgtv", "rehearse", "restore", file, "--temp", str(temp),
         "--bindir", str(shop18.server.binaries / "bin")],
        env=shop18.server.env(shop18.name), cwd=shop18.folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: list(temp.glob("*/data/postmaster.pid")))
        process.send_signal(how)
        process.wait(150)
        assert process.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130)
        until(lambda: not list(temp.iterdir()), 150)
        until(lambda: not [c for c in _cwds() if c.is_relative_to(temp)])
    finally:
        process.kill()
        assert process.stderr
        process.stderr.close()


def _cwds() -> Iterator[Path]:
    """Where processes are at work."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            yield (entry / "cwd").readlink()
