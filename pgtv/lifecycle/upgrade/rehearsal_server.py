"""Throwaway servers made of a dump or a base backup, and what is asked of them in a rehearsal."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from pgtv.catalog.collect import collect
from pgtv.catalog.dialects.base import EXTENSION, ident
from pgtv.catalog.model import Snapshot
from pgtv.cluster import binaries
from pgtv.cluster.server import Server
from pgtv.errors import ClusterError, UsageError
from pgtv.lifecycle.restore import load as restore_load
from pgtv.lifecycle.restore import place as restore_place
from pgtv.lifecycle.restore import preflight as preflight_dump
from pgtv.lifecycle.restore import roles as restore_roles
from pgtv.lifecycle.restore import server as restore_server
from pgtv.lifecycle.restore.backup import Backup
from pgtv.lifecycle.unfilled import filling
from pgtv.session import connect

# durable, so that what is measured says something; a subscription would take its publisher's changes
SETTINGS = restore_server.settings((EXTENSION,), {"max_logical_replication_workers": "0"})


@dataclass(frozen=True)
class Said:
    """What a program answered."""

    code: int
    text: str

    @property
    def last(self) -> str:
        lines = [x.strip() for x in self.text.splitlines() if x.strip()]
        return lines[-1] if lines else f"exit code {self.code}"

    @property
    def complaint(self) -> str:
        """The error and its hint, without what was shown before them."""
        lines = [" ".join(x.split()) for x in self.text.splitlines()]
        at = next((n for n, x in enumerate(lines) if x.startswith("pgtv: ")), None)
        return self.last if at is None else " ".join(lines[at:]).removeprefix("pgtv: ")


def databases(server: Server) -> list[str]:
    """Those that have the extension."""
    with server.connect() as connection:
        names = [
            str(r[0]) for r in connection.execute(
                "SELECT datname::text FROM pg_catalog.pg_database WHERE datallowconn ORDER BY 1"
            )
        ]  # fmt: skip
    return [n for n in names if extension_version(server, n)]


def extension_version(server: Server, database: str) -> str | None:
    """The release that is installed in the database, or None."""
    with server.connect(database) as connection:
        row = connection.execute(
            "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = %s", (EXTENSION,)
        ).fetchone()
    return str(row[0]) if row else None


def look(server: Server, database: str) -> Snapshot:
    """A snapshot of the database."""
    with connect(server.target(database)) as connection:
        return collect(connection)


def pgtv(server: Server, database: str, *args: str) -> Said:
    """Run a command of pgtv on a database of the server; what goes wrong is in what it says."""
    from pgtv.cli.main import run

    said = io.StringIO()
    command, *rest = args
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run([command, *rest, "-d", server.conninfo(database)])
    return Said(code, said.getvalue())


def restored(
    backup: Backup, folder: Path, temp: Path, roles: Path | None = None, superuser: str = "postgres"
) -> tuple[Server, tuple[str, ...]]:
    """A running server with what the backup holds, and the lines that restore it.

    folder: of the binaries. temp: where the server's folder is made. roles: what pg_dumpall wrote of
    them; without it, a dump's roles are plain ones that may not log in. Raises PgtvError where it does
    not restore; nothing is left behind then.
    """
    server = Server(
        folder, SETTINGS, superuser if not backup.is_dump else "postgres", within=str(temp)
    )
    try:
        if backup.is_dump:
            return server, _of_dump(server, backup, roles)
        restore_place.unpack(backup, server)
        found = restore_place.control(server)
        if why := restore_place.unsafe(backup, found):
            raise UsageError(why, "take base backups with pg_basebackup or a backup tool")
        restore_place.disconnect(server, found, server.settings)
        try:
            restore_server.start(server, _unheard)
        except ClusterError as e:
            if e.hint:
                raise
            raise ClusterError(restore_server.why_not(server.log_text())) from None
        _match(server)
        _refill(server)
    except BaseException:
        server.destroy()
        raise
    return server, ()


def _unheard(progress: str) -> None:
    """Phases are told once they have ended."""


def _of_dump(server: Server, backup: Backup, roles: Path | None) -> tuple[str, ...]:
    assert backup.contents is not None
    verdict = preflight_dump.judge(
        backup.contents, str(backup.path), database=restore_load.DATABASE
    )
    server.init().start()
    make_roles(server, backup, roles)
    restore_load.create(backup, server)
    breaks = any(p.id == "catalog-fails" for p in verdict.points)
    loaded = restore_load.load(backup, server, breaks=breaks, jobs=1)
    if loaded.error:
        raise ClusterError(loaded.error)
    return verdict.commands


def make_roles(
    server: Server, backup: Backup, given: Path | None, superusers: frozenset[str] = frozenset()
) -> list[str]:
    """Roles and tablespaces that a dump names, as `given` (pg_dumpall's) has them.

    What it lacks is made up and told: roles that may not log in, superusers where named so.
    Raises UsageError where `given` cannot be read.
    """
    if given:
        try:
            lines = given.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise UsageError(f"cannot read {given}: {e}") from None
        text = "\n".join(restore_roles.safe_globals(lines))
        # the superuser is there already, which is an error to it
        server.program("psql", "-X", "-q", "-f", "-", input=text)
    needed = restore_load.needed(backup, server)
    with server.connect() as connection:
        there = {r[0] for r in connection.execute("SELECT rolname::text FROM pg_catalog.pg_roles")}
        lacking = [r for r in needed.roles if r not in there]
        for role in lacking:
            power = " SUPERUSER" if role in superusers else ""
            connection.execute(f"CREATE ROLE {ident(role)} NOLOGIN{power}".encode())
        connection.execute("SET allow_in_place_tablespaces = on")
        for space in needed.tablespaces:
            connection.execute(f"CREATE TABLESPACE {ident(space)} LOCATION ''".encode())
    return lacking


def _match(server: Server) -> None:
    """Go on with the library of the release that the copy has, where that is here."""
    releases = {extension_version(server, name) for name in databases(server)}
    for release in releases - {None}:
        found = binaries.real(server.major, str(release))
        if found and found != server.binaries and len(releases) == 1:
            server.stop()
            server.binaries = found
            server.start()


def _refill(server: Server) -> None:
    """UNLOGGED TVIEWs are empty in a base backup; the extension fills them when asked."""
    for name in databases(server):
        if statement := filling(look(server, name)):
            server.psql(statement, name)
