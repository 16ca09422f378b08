"""Each form of dump is judged, restored with the printed lines, and the verdict held against doctor."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from servers import Database

RESTORED = "came back"  # a name that a shell has to quote


@dataclass(frozen=True)
class Restored:
    """A source, and the database that its dumps are restored into."""

    source: Database
    copy: Database

    @property
    def folder(self) -> Path:
        return self.source.folder

    def dump(self, *options: str, name: str = "it.dump") -> str:
        self.source.program("pg_dump", *options, "-f", name, database=self.source.name)
        return name

    def judge(self, file: str, *options: str) -> tuple[dict[str, Any], int]:
        program = self.source.server.binaries / "bin" / "pg_restore"
        done = self.source.pgtv(
            "preflight", "dump", file, "--into", RESTORED, "--format", "json",
            "--pg-restore", str(program), *options,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return json.loads(done.stdout), done.returncode

    def run(self, *lines: str, ok: bool = True) -> str:
        """Shell lines as they were printed."""
        script = "set -eo pipefail\n" + "\n".join(lines)
        done = subprocess.run(
            ["bash", "-c", script], env=self.source.server.env(self.source.name), cwd=self.folder,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert not ok or done.returncode == 0, done.stderr
        return done.stderr

    def cure(self, verdict: dict[str, Any]) -> None:
        for point in verdict["points"]:
            for cure in point["cure"]:
                if cure.startswith("SELECT"):
                    self.copy.sql(cure)
                else:
                    self.run("python -m " + cure)

    def registered(self) -> int:
        return int(self.copy.sql("SELECT count(*) FROM tviews.registry").split()[0])

    def findings(self) -> set[str]:
        """What doctor says now, contents compared, of what a restore can break."""
        said = json.loads(self.copy.pgtv("doctor", "--verify", "--format", "json").stdout)
        return {f["check"] for f in said["findings"] if f["severity"] in ("critical", "warning")}

    def live(self) -> None:
        """Registered, right, and a write arrives."""
        assert self.registered() == 9
        assert not self.findings() & {
            "drift", "tview-empty", "unlogged-reset", "trigger-missing", "plan-disagrees",
            "registration-missing", "reads-disagree", "extension-missing",
        }  # fmt: skip
        self.copy.sql("UPDATE tb_customer SET name = 'after' WHERE pk_customer = 1")
        assert "after" in self.copy.sql("SELECT data FROM tv_customer WHERE pk_customer = 1")


def _restored(source: Database) -> Iterator[Restored]:
    try:
        yield Restored(source, Database(source.server, RESTORED))
    finally:
        source.sql(f'DROP DATABASE IF EXISTS "{RESTORED}" WITH (FORCE)')


@pytest.fixture
def both(shop: Database) -> Iterator[Restored]:
    yield from _restored(shop)


@pytest.fixture
def one(shop18: Database) -> Iterator[Restored]:
    yield from _restored(shop18)


def ids(verdict: dict[str, Any]) -> set[str]:
    return {p["id"] for p in verdict["points"]}


def test_full_dump_comes_back_live(both: Restored) -> None:
    verdict, code = both.judge(both.dump("-Fc"))
    assert (code, ids(verdict), verdict["facts"]["TVIEWs"]) == (0, set(), "9")
    both.run(*verdict["commands"])
    both.live()


@pytest.mark.parametrize("form", ["-Fd", "-Fd -j 2", "-Ft", "-Fp", "-Fp -Z gzip"])
def test_every_format_is_read(one: Restored, form: str) -> None:
    verdict, code = one.judge(one.dump(*form.split(), name=f"it's {form}"))
    assert (code, ids(verdict), verdict["facts"]["TVIEWs"]) == (0, set(), "9")
    one.run(*verdict["commands"])
    one.live()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--exclude-table-data=*.tv_*"], {"rows-absent", "unlogged-rows-absent"}),
        (["--no-unlogged-table-data"], {"unlogged-rows-absent"}),
    ],
)
@pytest.mark.parametrize("form", ["-Fc", "-Fp"])
def test_rows_left_out_are_named_and_their_cure_works(
    one: Restored, options: list[str], said: set[str], form: str
) -> None:
    verdict, code = one.judge(one.dump(form, *options))
    assert (code, ids(verdict)) == (1, said)
    one.run(*verdict["commands"])
    empty = {o for p in verdict["points"] for o in p["objects"]}
    for table in ("public.tv_search", "public.tv_customer", '"Sales Dept".tv_order'):
        rows = int(one.copy.sql(f"SELECT count(*) FROM {table}").split()[0])
        assert (rows == 0) == (table in empty)
    one.cure(verdict)
    one.live()


@pytest.mark.parametrize("form", ["-Fc", "-Fp"])
def test_a_renamed_table_loses_every_registration(one: Restored, form: str) -> None:
    one.source.sql("ALTER TABLE public.tb_customer RENAME TO tb_client")
    assert one.source.pgtv("snapshot", "save", "before.json").returncode == 0
    file = one.dump(form)
    verdict, code = one.judge(file, "--snapshot", "before.json")
    assert (code, ids(verdict)) == (2, {"catalog-fails"})
    assert verdict["points"][0]["objects"] == ["public.tb_customer"]
    # what the ordinary way would have done
    restore = "pg_restore -d naive" if form == "-Fc" else "psql -d naive -f"
    said = one.run("createdb naive", f"{restore} {file}", ok=False)
    try:
        assert "names tables that do not exist: public.tb_customer" in said
        naive = Database(one.source.server, "naive")
        assert naive.sql("SELECT count(*) FROM tviews.registry").split()[0] == "0"
    finally:
        one.source.sql("DROP DATABASE naive")
    one.run(*verdict["commands"])
    assert one.registered() == 0
    one.cure(verdict)
    one.copy.sql("ALTER TABLE public.tb_client RENAME TO tb_customer")
    one.live()


def test_a_table_left_out_loses_them_too(one: Restored) -> None:
    verdict, code = one.judge(one.dump("-Fc", "-T", "public.tv_segment"))
    assert (code, ids(verdict)) == (2, {"catalog-fails"})
    one.run(*verdict["commands"], ok=False)
    assert "public.tv_segment" in verdict["points"][0]["objects"]


def test_schema_only_then_attached_from_the_snapshot(one: Restored) -> None:
    assert one.source.pgtv("snapshot", "save", "before.json").returncode == 0
    verdict, code = one.judge(one.dump("-Fc", "-s"), "--snapshot", "before.json")
    assert (code, ids(verdict)) == (2, {"registrations-absent", "base-rows-absent"})
    one.run(*verdict["commands"])
    assert one.registered() == 0
    one.cure(verdict)
    assert one.registered() == 9
    assert one.copy.sql("SELECT count(*) FROM tb_customer").split()[0] == "0"


@pytest.mark.parametrize("form", ["-Fc", "-Fp", "-Fp --disable-triggers"])
def test_data_only_into_a_schema_of_the_same_moment(one: Restored, form: str) -> None:
    verdict, code = one.judge(one.dump(*form.split(), "-a"))
    assert (code, ids(verdict)) == (2, {"schema-absent"})
    one.dump("-Fc", "-s", name="schema.dump")
    one.run(f'createdb "{RESTORED}"', f'pg_restore -d "{RESTORED}" schema.dump')
    one.run(*verdict["commands"])
    one.live()


def test_rows_of_a_base_table_left_out(one: Restored) -> None:
    verdict, code = one.judge(
        one.dump(
            "-Fc", "--exclude-table-data=tb_stock_move_2025", "--exclude-table-data=tb_customer"
        )
    )
    assert (code, ids(verdict)) == (2, {"base-rows-absent"})
    assert set(verdict["points"][0]["objects"]) == {
        "public.tb_customer", "public.tb_stock_move_2025"
    }  # fmt: skip


@pytest.mark.parametrize("options", [["-n", "public"], ["-t", "tb_customer", "-t", "tv_customer"]])
def test_parts_of_a_database_are_plain_tables(one: Restored, options: list[str]) -> None:
    verdict, code = one.judge(one.dump("-Fc", *options))
    assert (code, ids(verdict)) == (2, {"extension-absent"})
    said = one.run(*verdict["commands"], ok=False)
    assert "trg_tview" in said or "tviews" in said
    missing = one.copy.sql(
        "SELECT to_regclass('tviews.registry') IS NULL, count(*) FROM tv_customer"
    )
    assert missing.strip().splitlines()[-1].split("|")[0].strip() == "t"


def test_without_post_data(one: Restored) -> None:
    verdict, code = one.judge(one.dump("-Fc", "--section=pre-data", "--section=data"))
    assert (code, ids(verdict)) == (2, {"post-data-absent"})
    one.run(*verdict["commands"])
    assert "trigger-missing" in one.findings()


def test_inserts_need_the_snapshot(one: Restored) -> None:
    file = one.dump("-Fc", "--inserts")
    verdict, code = one.judge(file)
    assert (code, ids(verdict)) == (3, {"catalog-unread"})
    assert one.source.pgtv("snapshot", "save", "before.json").returncode == 0
    verdict, code = one.judge(file, "--snapshot", "before.json")
    assert (code, ids(verdict)) == (0, set())
    one.run(*verdict["commands"])
    one.live()


def test_a_tview_that_only_the_snapshot_knows(one: Restored) -> None:
    assert one.source.pgtv("snapshot", "save", "before.json").returncode == 0
    one.source.sql("SELECT tviews.pg_tviews_drop('tv_segment')")
    verdict, code = one.judge(one.dump("-Fc"), "--snapshot", "before.json")
    assert (code, ids(verdict)) == (2, {"registrations-fewer"})
    assert verdict["points"][0]["objects"] == ["public.tv_segment"]


def test_what_is_no_dump(one: Restored) -> None:
    (one.folder / "text.sql").write_text("SELECT 1;\n")
    (one.folder / "short.dump").write_bytes(b"PGDMP\x01")
    (one.folder / "bytes").write_bytes(b"\0" * 600)
    for name in ("text.sql", "short.dump", "bytes", "absent", "."):
        done = one.source.pgtv("preflight", "dump", name)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("pgtv: ") and "Traceback" not in done.stderr
    one.source.program("pg_dumpall", "-f", "all.sql")
    done = one.source.pgtv("preflight", "dump", "all.sql")
    assert done.returncode == 3 and "whole cluster" in done.stderr
    one.source.program("pg_dump", "-Fc", "-f", "none.dump", database="postgres")
    verdict, code = one.judge("none.dump")
    assert (code, ids(verdict)) == (3, {"no-tviews"})
