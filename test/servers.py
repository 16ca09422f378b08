"""pytest plugin: throwaway servers with the shop in them, one a session, one database a test.

`shop` runs on the real extension, on two majors; `lab_shop` on the stand-in. Both give a `Database`.
A lane whose binaries are missing is skipped with the reason and the command that installs them.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from forks import Forks

from pgtv.catalog.collect import collect
from pgtv.catalog.model import Snapshot
from pgtv.cluster import binaries, verbs
from pgtv.cluster.server import Server, new_server
from pgtv.session import Target, connect

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "sql" / "demo" / "shop.sql"
LAB = ROOT / "sql" / "lab" / "install.sql"
REAL_MAJORS = (18, 17)
# tools/test --all: what is otherwise sampled is tried whole
THOROUGH = bool(os.environ.get("PGTV_TEST_ALL"))
TEMPLATE = "shop_template"
_names = itertools.count(1)
FORKS = Forks()


@dataclass(frozen=True)
class Database:
    """One database of a throwaway server, and what tests do with it."""

    server: Server
    name: str

    @property
    def conninfo(self) -> str:
        return self.server.conninfo(self.name)

    @property
    def folder(self) -> Path:
        """Where its commands run: not the server's own, which outlives many databases."""
        folder = self.server.root / "run" / self.name
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o777)  # of the server's programs too, which another user may run
        return folder

    def target(self, **kw: Any) -> Target:
        return Target(dbname=self.server.conninfo(self.name, kw.pop("user", None)), **kw)

    def sql(self, text: str, user: str | None = None) -> str:
        """Run by psql, as people do; stops at the first error."""
        return self.server.psql(text, self.name, user)

    def program(self, name: str, *args: str, **kw: Any) -> str:
        """Run one of the server's programs, as `Server.program` does, on this database."""
        return self.server.program(
            name, *args, **({"database": self.name, "cwd": self.folder} | kw)
        )

    def connect(self, user: str | None = None, autocommit: bool = True) -> psycopg.Connection[Any]:
        return self.server.connect(self.name, user, autocommit)

    def snapshot(self, user: str | None = None) -> Snapshot:
        with connect(self.target(user=user)) as connection:
            return collect(connection)

    def pgtv(
        self, *args: str, user: str | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in a process of its own, forked from one that has its modules."""
        return FORKS.run(args, self.server.env(self.name, user) | env, self.folder, timeout=120)


# Two TVIEWs as beta.19 has them: one embeds the other through that one's backing view.
OLD_GENERATION = """
CREATE EXTENSION pg_tviews;
CREATE TABLE tb_user (pk_user bigint PRIMARY KEY, id uuid DEFAULT gen_random_uuid(), name text);
CREATE TABLE tb_post (pk_post bigint PRIMARY KEY, id uuid DEFAULT gen_random_uuid(),
                      fk_user bigint REFERENCES tb_user, title text);
INSERT INTO tb_user VALUES (1, DEFAULT, 'a'), (2, DEFAULT, 'b');
INSERT INTO tb_post VALUES (1, DEFAULT, 1, 'x'), (2, DEFAULT, 2, 'y');
CREATE TABLE tv_user AS SELECT u.pk_user, u.id,
    jsonb_build_object('id', u.id, 'name', u.name) AS data FROM tb_user u;
CREATE TABLE tv_post AS SELECT p.pk_post, p.id, p.fk_user,
    jsonb_build_object('id', p.id, 'title', p.title, 'author', vu.data) AS data
    FROM tb_post p JOIN v_user vu ON vu.pk_user = p.fk_user;
"""


@contextmanager
def old_database() -> Iterator[Database]:
    """A database of the old generation, on a server of its own."""
    with new_server(require_real(15, "0.1.0-beta.19"), ("pg_tviews",)) as server:
        server.create_database("old")
        server.psql(OLD_GENERATION, "old")
        yield Database(server, "old")


def until(condition: Callable[[], object], timeout: float = verbs.UNTIL) -> None:
    """Poll until `condition` holds; fails the test when it never does."""
    verbs.until(condition, "it never became so", timeout)


def _database(server: Server, template: str | None = TEMPLATE) -> Iterator[Database]:
    database = Database(server, f"t{next(_names)}")
    server.create_database(database.name, template)
    try:
        yield database
    finally:
        shutil.rmtree(server.root / "run" / database.name, ignore_errors=True)
        _resolve_prepared(server, database.name)
        server.drop_database(database.name)


def _resolve_prepared(server: Server, name: str) -> None:
    """A database with a prepared transaction cannot be dropped."""
    with server.connect(name) as connection:
        connection.execute("SET default_transaction_read_only = off")
        left = connection.execute(
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        ).fetchall()
        for (gid,) in left:
            connection.execute(psycopg.sql.SQL("ROLLBACK PREPARED {}").format(gid))


def shop_server(folder: Path, *, lab: bool = False) -> Server:
    """A running server with the template database of the shop."""
    server = new_server(folder, () if lab else ("pg_tviews",))
    try:
        server.create_database(TEMPLATE)
        server.psql(LAB.read_text() if lab else "CREATE EXTENSION pg_tviews", TEMPLATE)
        server.psql(SHOP.read_text(), TEMPLATE)
    except BaseException:
        server.destroy()
        raise
    return server


def require_real(major: int, release: str = binaries.RELEASE) -> Path:
    """The binaries, or a skip that says how to get them."""
    folder = binaries.real(major, release)
    if folder is None:
        pytest.skip(
            f"extension {release} for PostgreSQL {major} is not installed: tools/install-extension"
        )
    return folder


@pytest.fixture(scope="session", params=REAL_MAJORS, ids=lambda m: f"pg{m}")
def real_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The real extension with the shop, once a session and major."""
    with shop_server(require_real(request.param)) as server:
        yield server


@pytest.fixture
def shop(real_server: Server) -> Iterator[Database]:
    """A fresh database with the shop on the real extension."""
    yield from _database(real_server)


@pytest.fixture
def empty(real_server: Server) -> Iterator[Database]:
    """A fresh database without the extension, on a server that has it."""
    yield from _database(real_server, None)


@pytest.fixture(scope="session")
def lab_server() -> Iterator[Server]:
    folder = binaries.plain()
    if folder is None:
        pytest.skip("no PostgreSQL binaries: tools/install-servers")
    with shop_server(folder, lab=True) as server:
        yield server


@pytest.fixture
def lab_shop(lab_server: Server) -> Iterator[Database]:
    """A fresh database with the shop on the stand-in."""
    yield from _database(lab_server)


@pytest.fixture(scope="session")
def real_server_18() -> Iterator[Server]:
    """One major only, for what does not depend on it."""
    with shop_server(require_real(18)) as server:
        yield server


@pytest.fixture
def shop18(real_server_18: Server) -> Iterator[Database]:
    yield from _database(real_server_18)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by the fixtures used, so that lanes need no bookkeeping."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"real_server", "real_server_18"}:
            item.add_marker(pytest.mark.real)
        if "lab_server" in fixtures:
            item.add_marker(pytest.mark.lab)
        if not any(item.get_closest_marker(m) for m in ("real", "lab", "container")):
            # fixtures of their own, or servers made in the test: told by what the module imports
            imported = vars(getattr(item, "module", None) or object)
            if imported.keys() & {"require_real", "old_database", "copied"}:
                item.add_marker(pytest.mark.real)
            elif imported.keys() & {"new_server", "shop_server"}:
                item.add_marker(pytest.mark.lab)
        if _left_out(item):
            item.add_marker(pytest.mark.whole)


def _left_out(item: pytest.Item) -> bool:
    """Of tests on the older major three in four, but for those that say "both"; of those that say
    sampled(N) all but each N-th, and on the older one all but each 4N-th. By name: the same ones in
    every run."""
    given = getattr(item, "callspec", None)
    sampled = item.get_closest_marker("sampled")
    each = sampled.args[0] if sampled else 1
    older = set(REAL_MAJORS) - {max(REAL_MAJORS)}
    if given and item.get_closest_marker("real") and not item.get_closest_marker("both"):
        each *= 4 if older & {v for v in given.params.values() if isinstance(v, int)} else 1
    return zlib.crc32(item.name.encode()) % each != 0


os.environ.pop("PGTV_TRACEBACK", None)
