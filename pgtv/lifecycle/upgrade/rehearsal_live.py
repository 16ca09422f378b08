"""A running database as the source of a rehearsal: it is dumped first, which only reads."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pgtv.catalog.collect import collect
from pgtv.catalog.dialects.base import EXTENSION
from pgtv.cluster import binaries
from pgtv.errors import NotPossible, PgtvError
from pgtv.session import Target, connect


@dataclass(frozen=True)
class Dumped:
    """file, roles: what pg_dump and pg_dumpall wrote. binaries: those of the source's release."""

    file: Path
    roles: Path
    binaries: Path


def dump(target: Target, folder: Path, given: Path | None = None) -> Dumped:
    """Dump the database and the cluster's roles, without passwords, into `folder`.

    given: binaries to use; else those with the release of the extension that the database has. Raises
    ConnectError, NotPossible where there are no binaries, PgtvError where dumping fails.
    """
    with connect(target) as connection:
        seen = collect(connection)
    major = seen.server.version_num // 10000
    release = seen.extension.version or ""
    found = given or binaries.real(major, release) or binaries.extended(major)
    if found is None:
        raise NotPossible(
            f"no PostgreSQL {major} with {EXTENSION} is here", "name its programs: --old-bindir DIR"
        )
    file, roles = folder / "source.dump", folder / "roles.sql"
    _run(found, target, "pg_dump", "-Fc", "-f", str(file))
    _run(found, target, "pg_dumpall", "--roles-only", "--no-role-passwords", "-f", str(roles))
    return Dumped(file, roles, found)


def _run(folder: Path, target: Target, program: str, *args: str) -> None:
    """With the password in the environment: the command line can be read by everybody."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = conninfo_to_dict(target.conninfo())
    password = parts.pop("password", None)
    secret = {"PGPASSWORD": str(password)} if password else {}
    done = subprocess.run(
        [str(folder / "bin" / program), *args, "-d", make_conninfo("", **parts)],
        env={**os.environ, **secret}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        raise PgtvError(f"{program}: {done.stderr.strip()[-500:]}")
