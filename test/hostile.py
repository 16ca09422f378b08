"""Writers that do to a TVIEW's base tables what is hardest to merge beside, and who watches them.

One round: drift is planted, the writers run, pgtv brings the rows, the writers stop, and contents are
compared. The control is the same round with neither drift nor pgtv: what the extension itself throws
under such writers is not pgtv's doing.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pgtv.cluster.server import Server

READER, PGTV = "a reader", "pgtv"
EXCLUSIVE = ("LOCK TABLE", "ACCESS EXCLUSIVE", "TRUNCATE ", "ALTER TABLE", "DROP ")

SETUP = """
CREATE EXTENSION pg_tviews;
CREATE ROLE keeper;
CREATE TABLE tb_user (pk_user bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE tb_post (pk_post bigint PRIMARY KEY, fk_user bigint NOT NULL, title text NOT NULL);
INSERT INTO tb_user SELECT g, 'User ' || g FROM generate_series(1, {users}) g;
INSERT INTO tb_post SELECT g, 1 + (g::bigint * 7919) % {users}, 'Title ' || g
    FROM generate_series(1, {rows}) g;
CREATE INDEX ON tb_post (fk_user);
ANALYZE;
CREATE TABLE tv_user AS SELECT u.pk_user, jsonb_build_object('name', u.name) AS data FROM tb_user u;
CREATE TABLE tv_post AS SELECT p.pk_post, p.fk_user,
        jsonb_build_object('title', p.title, 'author', vu.data) AS data
    FROM tb_post p JOIN tv_user vu ON vu.pk_user = p.fk_user;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO keeper;
ALTER TABLE tv_user OWNER TO keeper; ALTER TABLE tv_post OWNER TO keeper;
ALTER VIEW tviews.public__tv_user OWNER TO keeper; ALTER VIEW tviews.public__tv_post OWNER TO keeper;
VACUUM ANALYZE;
"""

# a hundredth changed, some missing, some extra, the link column wrong too: races A and B of a merge
DRIFT = """
SET session_replication_role = replica;
UPDATE tv_post SET data = '"drifted"', fk_user = 1 WHERE pk_post % 100 = {seed} % 100;
DELETE FROM tv_post WHERE pk_post % 1000 = {seed} % 999;
INSERT INTO tv_post (pk_post, fk_user, data) SELECT -g, 1, '"extra"' FROM generate_series(1, 50) g
    ON CONFLICT DO NOTHING;
UPDATE tv_user SET data = '"drifted"' WHERE pk_user % 50 = {seed} % 50;
"""

WRONG = """
SELECT count(*) FROM tviews.public__tv_{e} v FULL JOIN tv_{e} t USING (pk_{e})
WHERE to_jsonb(v) IS DISTINCT FROM to_jsonb(t)
"""


@dataclass
class Round:
    """What one round showed. states: SQLSTATE of every failed transaction; waits: lock waits of
    readers that the server logged; asked: exclusive locks that pgtv's sessions asked for; deadlocks:
    those in which a session of pgtv had a part; left: rows that differ in the end."""

    seed: int
    transactions: int = 0
    states: Counter[str] = field(default_factory=Counter)
    left: int = 0
    waits: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    deadlocks: int = 0
    reads: int = 0
    worst_read: float = 0.0
    seconds: float = 0.0
    said: str = ""


class Writers:
    """So many sessions, each with a stream of random transactions of its own seed."""

    def __init__(self, server: Server, database: str, rows: int, seed: int, count: int = 4) -> None:
        self.server, self.database, self.rows = server, database, rows
        self.users, self.seed = max(rows // 100, 10), seed
        self.stop = threading.Event()
        self.done = 0
        self.states: Counter[str] = Counter()
        self._turn = threading.Lock()
        self._failures: list[Exception] = []
        self._threads = [
            threading.Thread(
                target=self._guarded, args=(random.Random(f"{seed}/{i}"), i), daemon=True
            )
            for i in range(count)
        ]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self._failures, self._failures

    def _guarded(self, dice: random.Random, number: int) -> None:
        try:
            self._run(dice, number)
        except Exception as e:
            self._failures.append(e)

    def _run(self, dice: random.Random, number: int) -> None:
        fresh = 10_000_000_000 + number * 1_000_000_000  # keys that no other writer makes
        with self.server.connect(self.database) as connection:
            while not self.stop.is_set():
                fresh += 1
                level = dice.choice(["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"])
                try:
                    with connection.transaction():
                        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
                        for _ in range(dice.choice([1, 1, 1, 2, 4])):
                            self._write(connection, dice, fresh)
                        if dice.random() < 0.05:
                            raise psycopg.Rollback
                        if dice.random() < 0.3:  # computed, and not yet committed: what races need
                            self.stop.wait(dice.uniform(0.005, 0.06))
                except psycopg.Error as e:
                    with self._turn:
                        self.states[e.sqlstate or "?"] += 1
                with self._turn:
                    self.done += 1

    def _post(self, dice: random.Random) -> int:
        """Mostly one of the rows that DRIFT changed or took away: those are being merged."""
        kind = dice.random()
        if kind < 0.3:
            return dice.randint(0, self.rows // 100 - 1) * 100 + self.seed % 100
        if kind < 0.8:
            return dice.randint(0, self.rows // 1000 - 1) * 1000 + self.seed % 999
        return dice.randint(1, self.rows)

    def _write(self, connection: psycopg.Connection[Any], dice: random.Random, fresh: int) -> None:
        post = self._post(dice)
        # the parent of the row as it was made, or any
        user = dice.choice([1 + post * 7919 % self.users, dice.randint(1, self.users)])
        kind = dice.choices(
            ["title", "parent", "rename", "delete", "insert", "key", "bulk", "savepoint"],
            [30, 20, 5, 8, 10, 6, 1, 10],
        )[0]
        word = f"{kind} {dice.random()}"
        run: Callable[..., Any] = connection.execute
        if kind == "title":
            run("UPDATE tb_post SET title = %s WHERE pk_post = %s", (word, post))
        elif kind == "parent":
            run("UPDATE tb_post SET fk_user = %s WHERE pk_post = %s", (user, post))
        elif kind == "rename":
            run("UPDATE tb_user SET name = %s WHERE pk_user = %s", (word, user))
        elif kind == "delete":
            run("DELETE FROM tb_post WHERE pk_post = %s", (post,))
        elif kind == "insert":
            run(
                "INSERT INTO tb_post VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (post, user, word)
            )
        elif kind == "key":
            run("UPDATE tb_post SET pk_post = %s WHERE pk_post = %s", (fresh, post))
        elif kind == "bulk":
            run(
                "UPDATE tb_post SET title = %s WHERE pk_post BETWEEN %s AND %s",
                (word, post, post + 200),
            )
        else:
            run("SAVEPOINT s")
            run("UPDATE tb_post SET fk_user = %s WHERE pk_post = %s", (user, post))
            run("ROLLBACK TO SAVEPOINT s" if dice.random() < 0.5 else "RELEASE SAVEPOINT s")
            run("UPDATE tb_post SET title = %s WHERE pk_post = %s", (word, post))


@contextlib.contextmanager
def reader(server: Server, database: str, rows: int, seed: int, told: Round) -> Iterator[None]:
    """One session that reads both TVIEWs all the time; the server logs it when it waits for a lock."""
    stop, dice = threading.Event(), random.Random(f"{seed}/reader")

    def run() -> None:
        with server.connect(database) as connection:
            connection.execute("SELECT set_config('application_name', %s, false)", (READER,))
            connection.execute("SET deadlock_timeout = '1ms'")  # from when on a wait is logged
            while not stop.is_set():
                started = time.monotonic()
                connection.execute(
                    "SELECT p.data, u.data FROM tv_post p JOIN tv_user u ON u.pk_user = p.fk_user"
                    " WHERE p.pk_post BETWEEN %(k)s AND %(k)s + 20",
                    {"k": dice.randint(1, rows)},
                ).fetchall()
                told.reads += 1
                told.worst_read = max(told.worst_read, time.monotonic() - started)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def settings() -> dict[str, str]:
    """The server must tell of every wait, with who waited, and what pgtv ran."""
    return {
        "log_lock_waits": "on",
        "log_line_prefix": "'<%a> %p '",
        "max_wal_size": "8GB",
        "max_connections": "50",
    }


def one_round(
    server: Server, database: str, rows: int, seed: int, *, pgtv: bool, seconds: float = 3.0,
    arguments: tuple[str, ...] = (), barrier: bool = True,
) -> Round:  # fmt: skip
    """Drift, writers, pgtv and the comparison; without pgtv the control, of so many seconds. Without
    its barrier, pgtv does not wait for anybody."""
    told = Round(seed)
    if pgtv:
        server.psql(DRIFT.format(seed=seed), database)
    before = len(server.log_text())
    with (
        reader(server, database, rows, seed, told),
        Writers(server, database, rows, seed) as writers,
    ):
        started = time.monotonic()
        if pgtv:
            told.said = _refresh(server, database, arguments, barrier)
        else:
            writers.stop.wait(seconds)
        told.seconds = time.monotonic() - started
    told.transactions, told.states = writers.done, writers.states
    log = server.log_text()[before:]
    told.waits = [
        x for x in log.splitlines() if x.startswith(f"<{READER}>") and "still waiting" in x
    ]
    told.asked = [
        x
        for x in log.splitlines()
        if x.startswith(f"<{PGTV}>") and any(w in x.upper() for w in EXCLUSIVE)
    ]
    ours = set(re.findall(rf"^<{PGTV}> (\d+) ", log, re.MULTILINE))
    # the lines "Process 1 waits for … blocked by process 2" stand in the error's detail
    told.deadlocks = sum(
        bool(ours & set(re.findall(r"[Pp]rocess (\d+)", detail)))
        for detail in re.findall(r"deadlock detected(.*?)HINT:", log, re.DOTALL)
    )
    told.left = sum(int(server.psql(WRONG.format(e=e), database)) for e in ("user", "post"))
    return told


def _refresh(server: Server, database: str, arguments: tuple[str, ...], barrier: bool) -> str:
    options = f"{server.env(database).get('PGOPTIONS', '')} -c log_statement=all"
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "pgtv" if barrier else "unguarded", "refresh", "--apply",
         "--statement-timeout", "10min", *arguments],
        env=server.env(database) | {"PGOPTIONS": options, "PYTHONPATH": path}, cwd=server.root,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
