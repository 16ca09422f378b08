"""A server that somebody else runs: databases of one's own in it, and nothing that others could feel."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgtv.cluster.reaper import Reaper, of_existing
from pgtv.cluster.verbs import Can, Verbs
from pgtv.errors import ClusterError, UsageError

_OTHERS = "other people use this server"


@dataclass
class Existing(Verbs):
    """The server that `dsn` (a conninfo string or URI) leads to. Nothing destructive is done to it."""

    dsn: str
    superuser: str = field(init=False)
    small: None = None
    keep: bool = False
    _reaper: Reaper = field(init=False, repr=False)

    def __post_init__(self) -> None:
        import psycopg

        try:
            given = psycopg.conninfo.conninfo_to_dict(self.dsn)
        except psycopg.ProgrammingError:
            # libpq's message repeats its input, in which there may be a password
            raise UsageError("--dsn is no conninfo string or URI", "postgresql://db1/") from None
        self.password = given.pop("password", None)  # type: ignore[assignment]
        self._given: dict[str, Any] = {k: v for k, v in given.items() if k != "dbname"}
        self.superuser = str(given.get("user") or os.environ.get("PGUSER") or "")
        self.cannot = {can: _OTHERS for can in Can if can is not Can.BACKUP}
        self.cannot[Can.BACKUP] = "a base backup would copy everybody's databases"
        self.place = self.scratch = tempfile.mkdtemp(prefix="pgtv-")
        self._roles: list[str] = []
        self._databases: set[str] = set()
        self._reaper = of_existing(self.conninfo(), self.env(), Path(self.place))

    def conninfo(self, database: str = "postgres", user: str | None = None) -> str:
        from psycopg.conninfo import make_conninfo

        more = {"user": user} if user else {}
        return make_conninfo("", **(self._given | {"dbname": database} | more))

    def env(self, database: str = "postgres", user: str | None = None) -> dict[str, str]:
        kept = dict(os.environ) | {"PGDATABASE": database}
        for key, name in (("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER"),
                          ("sslmode", "PGSSLMODE"), ("service", "PGSERVICE")):  # fmt: skip
            if self._given.get(key):
                kept[name] = str(self._given[key])
        if self.password:
            kept["PGPASSWORD"] = self.password
        return kept | ({"PGUSER": user} if user else {})

    def program(self, name: str, *args: str, timeout: float = 300, **kw: Any) -> str:
        found = shutil.which(name)
        if found is None:
            raise ClusterError(f"{name} is not on PATH", "install PostgreSQL's client programs")
        done = subprocess.run(
            [found, *args],
            env=self.env(kw.get("database", "postgres"), kw.get("user")), input=kw.get("input", ""),
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ClusterError(f"{name} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
        return str(done.stdout)

    def create_database(self, name: str, template: str | None = None) -> None:
        # before it is noted: if we are killed then, what was noted is dropped
        with self.connect() as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is not None:
                raise ClusterError(
                    f"database {name} already exists, and is not ours", "drop or rename it"
                )
        self._reaper.note("database", name)
        try:
            super().create_database(name, template)
        except Exception:
            # of another's making, if it is there
            self._reaper.note("database", name, there=False)
            raise
        self._databases.add(name)

    def drop_database(self, name: str) -> None:
        """Raises ClusterError for one that was not made here: it is somebody's."""
        if name not in self._databases:
            raise ClusterError(f"database {name} was not made here: {_OTHERS}")
        super().drop_database(name)
        self._databases.remove(name)
        self._reaper.note("database", name, there=False)

    def makes_role(self, name: str) -> None:
        self._roles.append(name)
        self._reaper.note("role", name)

    def keeps_database(self, name: str) -> None:
        self._reaper.note("database", name, there=False)
        for role in self._roles:
            self._reaper.note("role", role, there=False)

    def log_text(self) -> str:
        raise self.refuse(Can.LOG)

    def kept_as(self, database: str) -> str:
        return f"database {database} of the existing server"

    def destroy(self) -> None:
        """The server stays; databases are dropped by whoever made them."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self.place)
        self._reaper.dismiss()

    def __enter__(self) -> Existing:
        return self
