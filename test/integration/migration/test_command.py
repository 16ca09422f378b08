"""`pgtv preflight migration` as people call it: files, folders, standard input, snapshots."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from servers import Database

DROPS = "ALTER TABLE tb_customer DROP COLUMN email;\n"
HARMLESS = "SET lock_timeout = '2s';\nALTER TABLE tb_customer ADD COLUMN note text;\n"


@pytest.fixture
def files(shop18: Database) -> Database:
    """Two migrations in a folder of where the command runs."""
    folder = shop18.folder / "deploy"
    folder.mkdir()
    (folder / "1.sql").write_text(HARMLESS)
    (folder / "2.sql").write_text(DROPS)
    return shop18


def test_a_folder_in_order(files: Database) -> None:
    done = files.pgtv("preflight", "migration", "--format", "json", "deploy")
    made = json.loads(done.stdout)
    assert done.returncode == made["exit"] == 2
    assert [s["file"] for s in made["statements"]] == ["deploy/1.sql"] * 2 + ["deploy/2.sql"]
    (effect,) = made["statements"][2]["effects"]
    assert (effect["what"], effect["sqlstate"], effect["tviews"]) == (
        "fails", "2BP01", ["public.tv_customer"],
    )  # fmt: skip
    assert made["against"].startswith(files.name)


def test_what_hurts_nobody(files: Database) -> None:
    done = files.pgtv("preflight", "migration", "deploy/1.sql")
    assert done.returncode == 0, done.stdout
    assert "no TVIEW is hurt" in done.stdout and "Safer order" not in done.stdout


def test_a_snapshot_says_the_same(files: Database) -> None:
    live = files.pgtv("preflight", "migration", "deploy/2.sql")
    assert files.pgtv("snapshot", "save", "m.json").returncode == 0
    saved = files.pgtv("preflight", "migration", "--from", "m.json", "deploy/2.sql")
    assert saved.returncode == live.returncode == 2
    assert saved.stdout.splitlines()[1:] == live.stdout.splitlines()[1:]


def test_standard_input_and_one_transaction(files: Database) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pgtv", "preflight", "migration", "-1", "--format", "github", "-"],
        input="CREATE INDEX CONCURRENTLY i ON tb_customer (name);", env=files.server.env(files.name),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout.startswith("::error file=<stdin>,line=1,col=1,title=pgtv fails::25001")


@pytest.mark.parametrize(
    ("args", "said"), [((), "no file was given"), (("nowhere.sql",), "cannot read nowhere.sql")]
)
def test_what_cannot_be_read(files: Database, args: tuple[str, ...], said: str) -> None:
    done = files.pgtv("preflight", "migration", *args)
    assert done.returncode == 3
    assert said in done.stderr and "Traceback" not in done.stderr


def test_nothing_is_run(files: Database) -> None:
    before = files.sql("SELECT md5(string_agg(c::text, ',')) FROM information_schema.columns c")
    files.pgtv("preflight", "migration", "deploy")
    assert (
        files.sql("SELECT md5(string_agg(c::text, ',')) FROM information_schema.columns c")
        == before
    )


@pytest.mark.parametrize("order", [False, True])
def test_the_safer_order_can_be_pasted(files: Database, order: bool) -> None:
    """As printed it runs to its end, where the file itself fails; TVIEWs then are as before."""
    text = (
        "ALTER TABLE tb_product ALTER COLUMN price TYPE numeric(12, 2);\n"
        "CREATE INDEX ON tb_customer (name);\n"
        "ALTER TABLE tb_product ADD CONSTRAINT sane CHECK (price < 100000);\n"
    )
    (files.folder / "deploy" / "3.sql").write_text(text)
    made = json.loads(
        files.pgtv("preflight", "migration", "--format", "json", "deploy/3.sql").stdout
    )
    if not order:
        with pytest.raises(Exception, match="cannot alter type of a column used by a view"):
            files.sql(text)
        return
    before = files.sql("SELECT count(*) FROM tviews.registry")
    for stage in made["order"]:
        for sql in stage["sql"]:
            if not sql.startswith("pgtv"):
                files.sql(sql)
    assert files.sql("SELECT count(*) FROM tviews.registry") == before
    assert files.pgtv("verify").returncode == 0
