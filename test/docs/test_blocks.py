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
    session,
    shell,
    units,
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
    before = _names(real_server_18)
    yield made
    for database in made.values():
        for gid in database.sql(
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        ).splitlines():
            database.sql("ROLLBACK PREPARED '" + gid.replace("'", "''") + "'")
    for name in _names(real_server_18) - before:
        real_server_18.drop_database(name)


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
        rows = [line for line in out.splitlines() if line]
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
