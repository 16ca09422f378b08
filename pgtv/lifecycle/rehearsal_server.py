"""Throwaway servers made of a dump or a base backup, as far as production as data goes.

Settings that decide about speed are PostgreSQL's own, so that what is measured says something; those
that reach out (archiving, replication, subscriptions) are off, and nobody but the caller can connect.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pgtv.catalog.collect import collect
from pgtv.catalog.dialects.base import EXTENSION, ident
from pgtv.catalog.model import Snapshot
from pgtv.cluster.server import Server
from pgtv.errors import ClusterError, UsageError
from pgtv.lifecycle import archive_program, dump_contents, preflight_dump
from pgtv.session import connect

DATABASE = "restored"  # what a dump is restored into
SETTINGS: Mapping[str, str] = {
    "shared_preload_libraries": EXTENSION,
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "archive_mode": "off",
    "max_logical_replication_workers": "0",  # a subscription would take its publisher's changes
    "max_prepared_transactions": "1000",  # a base backup may hold some
    "max_locks_per_transaction": "256",
}


@dataclass(frozen=True)
class Said:
    """What a program answered."""

    code: int
    text: str

    @property
    def last(self) -> str:
        lines = [x.strip() for x in self.text.splitlines() if x.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


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


def shell(server: Server, line: str, database: str = "postgres", timeout: float = 86400) -> str:
    """A line for the shell, as the caller and not as the server's user: files may be the caller's.

    Raises ClusterError with what it said where it fails.
    """
    done = subprocess.run(
        ["/bin/sh", "-c", f"set -e\n{line}"], env=server.env(database), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode:
        said = [x for x in (done.stderr or done.stdout).splitlines() if x.strip()]
        errors = [x for x in said if "error" in x.lower()] or said
        raise ClusterError("; ".join(errors[:3]) or f"exit code {done.returncode}: {line}")
    return done.stdout


def dumped_major(file: Path) -> int:
    """The major release that a dump was taken from. Raises UsageError where it does not tell."""
    told = re.match(r"\d+", dump_contents.read(file).dumped_from or "")
    if told is None:
        raise UsageError(f"{file} does not tell the release that it was taken from")
    return int(told.group())


def from_dump(
    binaries: Path, file: Path, roles: Path | None = None, settings: Mapping[str, str] | None = None
) -> tuple[Server, tuple[str, ...]]:
    """A running server with the dump in database `restored`, and the lines that restored it.

    roles: what `pg_dumpall --roles-only` wrote. Without it, roles that the dump names are made as
    plain ones that may not log in. Raises UsageError for what is no dump, ClusterError where it does
    not restore; nothing is left behind then.
    """
    lines = preflight_dump.judge(dump_contents.read(file), str(file), None, None, DATABASE).commands
    server = Server(binaries, {**SETTINGS, **(settings or {})})
    try:
        server.init().start()
        if roles:
            # what is there already (the superuser) fails, and psql goes on
            shell(server, f"psql -X -q -f {shlex.quote(str(roles))}")
        _make(server, roles_named(file))
        shell(server, "\n".join(lines))
    except BaseException:
        server.destroy()
        raise
    return server, lines


def _make(server: Server, names: Iterable[str]) -> None:
    with server.connect() as connection:
        there = {r[0] for r in connection.execute("SELECT rolname::text FROM pg_catalog.pg_roles")}
        for name in names:
            if name not in there:
                connection.execute(f"CREATE ROLE {ident(name)}".encode())


_NAME = r'("(?:[^"]|"")+"|[a-z_][\w$]*)'
_ROLES = (
    re.compile(rf"OWNER TO {_NAME};$"),
    re.compile(rf"^(?:GRANT|ALTER DEFAULT PRIVILEGES) .* TO {_NAME}(?: WITH GRANT OPTION)?;$"),
    re.compile(rf"^REVOKE .* FROM {_NAME};$"),
    re.compile(rf"^ALTER DEFAULT PRIVILEGES FOR ROLE {_NAME} "),
    re.compile(rf"^SET SESSION AUTHORIZATION {_NAME};$"),
    re.compile(rf"^CREATE POLICY .* TO ({_NAME}(?:, {_NAME})*)(?: USING| WITH|;)"),
)
_NO_ROLES = frozenset({"PUBLIC", "public", "CURRENT_USER", "SESSION_USER", "DEFAULT"})


def roles_named(file: Path) -> list[str]:
    """Roles that have to exist before the dump can be restored as it was."""
    if archive_program.form(file).startswith("plain"):
        with file.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            source = gzip.GzipFile(fileobj=raw) if packed else raw
            return sorted(set(_roles(_schema(x.decode(errors="replace") for x in source))))
    lines = archive_program.run(archive_program.find(), "-s", "-f", "-", str(file))
    return sorted(set(_roles(lines)))


def _schema(lines: Iterable[str]) -> Iterator[str]:
    """A plain dump without the rows of its tables."""
    rows = iter(lines)
    for line in rows:
        yield line.rstrip("\r\n")
        if line.startswith("COPY ") and line.rstrip().endswith(" FROM stdin;"):
            for row in rows:
                if row.rstrip("\r\n") == "\\.":
                    break


def _roles(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        for pattern in _ROLES:
            if found := pattern.search(line):
                for text in re.findall(_NAME, found[1]):
                    name = text[1:-1].replace('""', '"') if text.startswith('"') else text
                    if name not in _NO_ROLES:
                        yield name
