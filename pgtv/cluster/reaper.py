"""Removes what a throwaway server leaves behind when its maker dies without a word.

A process of its own waits at the end of a pipe that only the maker holds open. When the pipe closes
without the word `done` (SIGKILL, a crash, a lost terminal), it cleans up; in every other case the
maker has done so itself.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_SERVER = r"""
read -r word || word=dead
[ "$word" = dead ] || exit 0
pid=$(head -n 1 "$2/postmaster.pid" 2>/dev/null) && {
    kill -QUIT "$pid"
    waited=0
    while kill -0 "$pid" && [ $waited -lt 100 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    kill -KILL "$pid"
}
umount -l "$1/room"
# a process that is just ending may still write into it
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1" && break
    sleep 0.3
done
"""

_FOLDER = r"""
read -r word || word=dead
[ "$word" = dead ] || exit 0
rm -rf "$1"
"""

# The engine may still be making the container when its maker dies.
_CONTAINER = """
import shutil, sys, time
if not sys.stdin.readline():
    import docker
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    for _ in range(20):
        try:
            docker.from_env().containers.get(sys.argv[1]).remove(force=True, v=True)
        except docker.errors.NotFound:
            time.sleep(0.5)
        else:
            break
"""

# Told a line at a time what is about to be made (`+`) or was not made after all (`-`). A session of the
# maker's may still be at work: it is ended before its database goes, which comes before the roles.
_EXISTING = """
import json, shutil, sys, time
left, last = {}, ""
for last in sys.stdin:
    if last[0] in "+-":
        what, name = json.loads(last[1:])
        left.setdefault(what, {})[name] = last[0] == "+"
if last != "done\\n":
    import psycopg
    from psycopg import sql
    folder, conninfo = sys.argv[1:]
    shutil.rmtree(folder, ignore_errors=True)
    names = [n for n, there in left.get("database", {}).items() if there]

    def connect(database):
        return psycopg.connect(conninfo, dbname=database, autocommit=True)

    def tried(connection, statement, name):
        try:
            connection.execute(sql.SQL(statement).format(name))
        except psycopg.Error:
            return False
        return True

    def end_prepared(name):
        try:
            with connect(name) as c:
                for (gid,) in c.execute("SELECT gid FROM pg_prepared_xacts"
                                        " WHERE database = current_database()").fetchall():
                    tried(c, "ROLLBACK PREPARED {}", sql.Literal(gid))
        except psycopg.Error:
            pass

    with connect("postgres") as c:
        for _ in range(50):
            c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                      " AND (datname = ANY(%s) OR EXISTS (SELECT 1 FROM unnest(%s::text[]) n"
                      " WHERE query LIKE 'CREATE DATABASE %%' AND strpos(query, n) > 0"
                      " AND state = 'active'))", [names, names])
            for name in names:
                end_prepared(name)
                tried(c, "DROP DATABASE IF EXISTS {} WITH (FORCE)", sql.Identifier(name))
            there = c.execute("SELECT count(*) FROM pg_database WHERE datname = ANY(%s)", [names])
            if there.fetchone() == (0,):
                break
            time.sleep(0.2)
        for name, there in left.get("role", {}).items():
            if there:
                tried(c, "DROP ROLE IF EXISTS {}", sql.Identifier(name))
"""


class Reaper:
    """The waiting process. `dismiss` sends it home once there is nothing left to do."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        # a session of its own: Ctrl-C at the terminal is for the maker
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/", env=env,
        )  # fmt: skip

    def note(self, what: str, name: str, *, there: bool = True) -> None:
        """Something is about to be made; or it was not made after all, or is to stay."""
        if self.process.stdin and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                line = ("+" if there else "-") + json.dumps([what, name]) + "\n"
                self.process.stdin.write(line.encode())
                self.process.stdin.flush()

    def dismiss(self, done: bool = True) -> None:
        """Everything is cleaned up, or is to be kept. Not `done`: what may be half made is its to remove."""
        if self.process.stdin and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                if done:
                    self.process.stdin.write(b"done\n")
                self.process.stdin.close()
        if not done:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)


def of_server(root: Path, data: Path) -> Reaper:
    """Ends the postmaster of `data`, then removes `root`."""
    return Reaper(["/bin/sh", "-c", _SERVER, "reaper", str(root), str(data)])


def of_container(identifier: str, folder: Path) -> Reaper:
    """Removes a container, by its name or id, with its volumes, and a folder of this machine."""
    return Reaper([sys.executable, "-c", _CONTAINER, identifier, str(folder)])


def of_folder(folder: Path) -> Reaper:
    """Removes a folder."""
    return Reaper(["/bin/sh", "-c", _FOLDER, "reaper", str(folder)])


def of_existing(conninfo: str, env: Mapping[str, str], folder: Path) -> Reaper:
    """Removes what it was noted of on a server that stays, and a folder. env: holds the password."""
    return Reaper([sys.executable, "-c", _EXISTING, str(folder), conninfo], env)
