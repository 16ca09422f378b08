"""Every shell and SQL block of the documents runs, and its result is what the document says."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import FORKS, TEMPLATE, Database

from pgtv.cluster.server import Server

sys.path.insert(0, str(Path(__file__).parent))

from blocks import (  # noqa: E402
    EXECUTED,
    Block,
    agrees,
    blocks,
    commands,
    exits,
    queries,
    session,
    shell,
    units,
    unsaid,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETUPS = ROOT / "test" / "docs" / "setups"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def looked_at(real_server_18: Server) -> Iterator[Database]:
    """A healthy shop for console blocks that name no database: looking writes nothing."""
    database = _fresh(real_server_18)
    yield database
    real_server_18.drop_database(database.name)


@pytest.fixture
def databases(real_server_18: Server) -> Iterator[dict[str, Database]]:
    """Databases by the name that blocks give them; all, and those that blocks made, are dropped after."""
    made: dict[str, Database] = {}
    before, slots = _names(real_server_18), _slots(real_server_18)
    yield made
    for slot in _slots(real_server_18) - slots:
        real_server_18.psql(f"SELECT pg_drop_replication_slot('{slot}')")
    for database in made.values():
        for gid in database.sql(
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        ).splitlines():
            database.sql("ROLLBACK PREPARED '" + gid.replace("'", "''") + "'")
    for name in _names(real_server_18) - before:
        real_server_18.drop_database(name)


def test_every_block_that_gives_rows_says_which() -> None:
    """Else a query that finds nothing passes for one that works."""
    silent = [b.name for f in FILES for b in blocks(f) if unsaid(b)]
    assert not silent, "rows= or expect= is missing:\n" + "\n".join(silent)


def test_what_gives_rows_is_told_from_what_does_not() -> None:
    one = "-- SELECT\nSET a = 'b;'; UPDATE t SET n = 1 RETURNING n; INSERT INTO t SELECT 1;"
    assert queries(one) == 1
    assert queries("SELECT 1 AS made \\gset\nSELECT format('DROP %I', 'x;') \\gexec\n") == 0
    assert queries("-- of whom\nWITH a AS (SELECT 1) SELECT * FROM a") == 1
    assert queries("SELECT f('x', $d$SELECT 1; SELECT 2$d$);\nDO $$ BEGIN SELECT; END $$;") == 1
    for language, text, attributes, silent in (
        ("sql", "SELECT 1;", {}, True), ("sql", "SELECT 1;", {"rows": "0"}, False),
        ("sql", "UPDATE t SET n = 1;", {}, False), ("text", "SELECT 1;", {}, False),
        ("console", "$ psql -c 'SELECT 1'", {}, True),
        ("console", "$ psql -c 'SELECT 1'\n1", {}, False),
        ("console", "$ psql -c 'SELECT 1'\n1\n$ psql -c 'SELECT 2'", {}, True),
        ("console", "$ psql -c 'SELECT 1' | grep -q 1", {}, False),
        ("console", "$ psql -f a.sql", {}, False), ("console", "$ pgtv doctor", {}, False),
        ("console", "$ pgtv sql a/b | psql", {}, True), ("sh", "psql -c 'SELECT 1'", {}, True),
        ("console", "$ psql", {"elsewhere": "test/x.py"}, False),
    ):  # fmt: skip
        assert unsaid(Block(ROOT, 1, language, text, attributes)) is silent, (language, text)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_blocks(
    file: Path,
    real_server_18: Server,
    looked_at: Database,
    databases: dict[str, Database],
    tmp_path: Path,
) -> None:
    (tmp_path / "sql").symlink_to(ROOT / "sql")  # as in a checkout, where people run them
    exported: dict[str, dict[str, str]] = {}
    for block in blocks(file):
        if block.language not in EXECUTED:
            continue
        if "elsewhere" in block.attributes:
            _only_parse(block)
            continue
        name = block.attributes.get("database") or f"(block {block.line})"
        alone = block.language == "console" and not {"database", "setup"} & set(block.attributes)
        if not alone and name not in databases:
            databases[name] = _fresh(real_server_18)
        database = looked_at if alone else databases[name]
        if files := block.attributes.get("files"):
            shutil.copytree(ROOT / "test/docs/files" / files, tmp_path, dirs_exist_ok=True)
        kept = exported.setdefault(name, {})
        if setup := block.attributes.get("setup"):
            _set_up(setup, database, tmp_path)
        if block.language == "sql":
            _sql(block, database, kept)
        else:
            _shell(block, database, tmp_path, kept)


def _fresh(server: Server) -> Database:
    name = f"doc{next(_numbers)}"
    server.create_database(name, TEMPLATE)
    return Database(server, name)


def _names(server: Server) -> set[str]:
    return set(server.psql("SELECT datname FROM pg_database", "postgres").splitlines())


def _slots(server: Server) -> set[str]:
    return set(server.psql("SELECT slot_name FROM pg_replication_slots").splitlines())


def _set_up(name: str, database: Database, folder: Path) -> None:
    """What has to be there before a block, and has no place on a page that people paste from."""
    found = [f for f in (SETUPS / f"{name}.sql", SETUPS / f"{name}.sh") if f.exists()]
    assert found, f"no set-up {name}"
    for file in found:
        if file.suffix == ".sql":
            # also where an earlier block has stopped writes
            database.sql("SET default_transaction_read_only = off;\n" + file.read_text())
            continue
        done = subprocess.run(
            ["sh", "-eu", str(file)], env=_environment(database), cwd=folder,
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{file}: {done.stdout}{done.stderr}"


def _environment(database: Database) -> dict[str, str]:
    env = database.server.env(database.name)
    # what pgtv lays out for when there is no terminal; runners set their own
    env["COLUMNS"] = "100"
    # the command under test, not one that happens to be installed
    env["PATH"] = (
        f"{FORKS.program(env)}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    )
    return env


def _sql(block: Block, database: Database, exported: dict[str, str]) -> None:
    expected = int(block.attributes.get("exit", 0))
    done = subprocess.run(
        ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"],
        input=block.text, env=database.server.env(database.name) | exported, cwd=database.folder,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == expected, f"{block.name}: {done.stderr}\n{block.text}"
    _check(block, done.stdout, done.stdout + done.stderr)


def _shell(block: Block, database: Database, folder: Path, exported: dict[str, str]) -> None:
    console = block.language == "console"
    parsed = list(commands(block.text)) if console else [(u, "") for u in units(block.text)]
    assert parsed, f"{block.name}: a block without a command"
    expected = exits(block, len(parsed))
    env = _environment(database)
    seen = ""
    for number, (command, output) in enumerate(parsed):
        done = subprocess.run(
            shell(command), env=env | exported, cwd=folder, capture_output=True, text=True,
            timeout=180, check=False,
        )  # fmt: skip
        shown = f"{block.name}: {command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, shown
        seen += done.stdout + done.stderr
        session(command, exported)
        assert done.returncode == expected[number], f"exit {done.returncode}\n{shown}"
        if number == len(parsed) - 1:
            _check(block, done.stdout, seen)
        if output.strip():
            assert agrees(output, done.stdout), f"another output than the document's\n{shown}"


def _check(block: Block, out: str, seen: str) -> None:
    """`out` is the last command's, `seen` all that the block's commands said."""
    if "expect" in block.attributes:
        assert block.attributes["expect"] in seen, f"{block.name}:\n{seen}"
    if "rows" in block.attributes:
        rows = [line for line in out.splitlines() if line or block.language == "sql"]
        assert len(rows) == int(block.attributes["rows"]), f"{block.name}: {len(rows)} rows\n{out}"


def _only_parse(block: Block) -> None:
    """For what another lane runs: it has to be shell, and what it names has to be there."""
    text = "\n".join(c for c, _ in commands(block.text)) or block.text
    done = subprocess.run(["sh", "-n", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.name}: {done.stderr}"
    where = block.attributes["elsewhere"]
    assert not where.startswith("test/") or (ROOT / where).exists(), f"{block.name}: {where}"
    for line in text.splitlines():
        word = line.split()[0] if line.split() else ""
        if word.startswith("tools/"):
            assert os.access(ROOT / word, os.X_OK), f"{block.name}: {word}"
