"""sql/ runs by psql on PostgreSQL 16 too: on the stand-in, which needs no build of the extension."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import ROOT, Database, _database, shop_server

from pgtv.cluster import binaries
from pgtv.cluster.server import Server

# leans on the extension's own reconciling: see test_sql_files
REAL_ONLY = {"refresh-all"}
FILES = [
    f
    for folder in ("emergency", "monitoring")
    for f in sorted((ROOT / "sql" / folder).glob("*.sql"))
    if f.stem not in REAL_ONLY
]


@pytest.fixture(scope="module")
def server_16() -> Iterator[Server]:
    folder = binaries.plain(16)
    if folder is None:
        pytest.skip("PostgreSQL 16 is not installed: tools/install-servers")
    with shop_server(folder, lab=True) as server:
        yield server


@pytest.fixture
def shop_16(server_16: Server) -> Iterator[Database]:
    yield from _database(server_16)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_each_file_runs(shop_16: Database, path: Path) -> None:
    if path.stem == "enable-triggers":
        _run(shop_16, path.parent / "disable-triggers.sql")
    _run(shop_16, path)
    if path.stem == "stop-writes":
        _run(shop_16, path.parent / "allow-writes.sql")


def _run(database: Database, path: Path) -> None:
    """In the database's own folder, where what it saves stays."""
    database.program("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(path))


def test_init_and_roles(shop_16: Database) -> None:
    """What `pgtv init` and the DBA paste: the schema, its upgrades, and the roles."""
    done = shop_16.pgtv("init", "--apply")
    assert done.returncode == 0, done.stderr
    for path in sorted((ROOT / "sql" / "roles").glob("*.sql")):
        shop_16.server.program(
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(path),
            env=shop_16.server.env(shop_16.name),
        )  # fmt: skip


def test_where_states_are_kept_is_looked_at_alike_by_both_files() -> None:
    blocks = {
        re.findall(
            r"(?s)DO \$check\$.*?\$check\$;", (ROOT / "sql" / "emergency" / name).read_text()
        )[0]
        for name in ("disable-triggers.sql", "enable-triggers.sql")
    }
    assert len(blocks) == 1
