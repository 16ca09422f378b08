"""One database with a fault in it: injection, what it really does, what sees it, what cures it."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from declare import Does, Fault

from pgtv.catalog import collect as collecting
from pgtv.catalog.collect import collect
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import Examination, examine
from pgtv.checks.registry import all_checks
from pgtv.cli import main as command_line
from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server, run_as
from pgtv.finding import Finding, Severity
from pgtv.session import Target, connect

ROOT = Path(__file__).resolve().parent.parent.parent
SHOP = ROOT / "sql" / "demo" / "shop.sql"
TEMPLATE = "fault_template"
WRITER = "fault_writer"
ROUNDS = 3  # a cure may uncover the next cause
LOCK_TIMEOUT = "300ms"
PATIENT = "10s"  # where nothing is to be waited for: what just passes is no fault
# what the extension refreshes under, whatever a database or a role sets for its sessions
PINNED = (
    "SET search_path = pg_catalog, pg_temp; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD';"
    " SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'"
)
_names = itertools.count(1)

# What an application does all day, on every base table, through every kind of statement.
WRITES = (
    "UPDATE public.tb_category SET name = name || ' x' WHERE pk_category = 3",
    "INSERT INTO public.tb_category (name) VALUES ('new')",
    "UPDATE public.tb_product SET price = price + 1, name = name || '!'"
    " WHERE pk_product IN (10, 11)",
    "UPDATE public.tb_product SET fk_category = 4 WHERE pk_product = 12",
    "INSERT INTO public.tb_product (fk_category, name, price) VALUES (1, 'new', 1), (2, 'bad', 2)",
    "DELETE FROM public.tb_product WHERE name = 'bad'",
    "UPDATE public.tb_customer SET name = name || ' jr' WHERE pk_customer IN (3, 4, 150)",
    "INSERT INTO public.tb_customer (name, email) VALUES ('new', 'n@x'), ('bad', 'b@x')",
    "DELETE FROM public.tb_customer WHERE name = 'bad'",
    "UPDATE \"Sales Dept\".tb_order SET status = 'paid' WHERE pk_order IN (3, 30, 300)",
    'UPDATE "Sales Dept".tb_order SET fk_customer = 9 WHERE pk_order = 31',
    'INSERT INTO "Sales Dept".tb_order (fk_customer) VALUES (2), (150)',
    'DELETE FROM "Sales Dept".tb_order o WHERE fk_customer = 150 AND NOT EXISTS'
    ' (SELECT 1 FROM "Sales Dept".tb_order_line l WHERE l.fk_order = o.pk_order)',
    'UPDATE "Sales Dept".tb_order_line SET quantity = quantity + 1 WHERE pk_order_line IN (5, 9)',
    'INSERT INTO "Sales Dept".tb_order_line (fk_order, fk_product) VALUES (1, 2), (2, 3)',
    'DELETE FROM "Sales Dept".tb_order_line WHERE pk_order_line = 100',
    "INSERT INTO public.tb_stock_move (fk_product, moved_on, amount)"
    " VALUES (1, '2025-07-07', 5), (2, '2026-07-07', 6)",
    "INSERT INTO public.tb_stock_move_2026 (fk_product, moved_on, amount)"
    " VALUES (3, '2026-08-08', 7)",
    "UPDATE public.tb_stock_move SET amount = amount + 1 WHERE fk_product = 4",
    "DELETE FROM public.tb_stock_move WHERE fk_product = 5",
)
BASE_TABLES = (
    "tb_category", "tb_product", "tb_customer", "tb_order", "tb_order_line", "tb_stock_move_2025",
    "tb_stock_move_2026",
)  # fmt: skip
# the statement itself names something that is gone: no fault of a TVIEW
_NO_SUCH_NAME = {"42P01", "42703", "3F000"}

_REGISTERED = """
SELECT m.entity, m.table_oid::oid::int8, m.table_oid::text, m.view_oid::oid::int8,
       m.view_oid::text, m.definition,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = m.view_oid
              AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       ARRAY(SELECT c->>'name' FROM jsonb_array_elements(m.identity->'columns') c)
FROM tviews.pg_tview_meta m ORDER BY 1
"""


# what cannot run in a transaction, or ends one
_ALONE = re.compile(
    r"CONCURRENTLY|^VACUUM|^ALTER SYSTEM|PREPARED|\\\\|COMMIT;|pg_terminate_backend"
)
_HEAVY = """
SELECT DISTINCT format('%I.%I', n.nspname, c.relname), l.mode FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind IN ('r', 'p', 'm')
  AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'tviews')
"""


@dataclass(frozen=True)
class Healthy:
    """A TVIEW as it was before the fault."""

    entity: str
    table_oid: int
    table: str
    view_oid: int
    view: str
    definition: str
    columns: tuple[str, ...]
    identity: tuple[str, ...]


@dataclass
class Bench:
    """A database on a server, with what has to be closed and undone afterwards."""

    server: Server
    name: str
    lock_timeout: str = LOCK_TIMEOUT  # of writes
    moved: bool = False  # restored into another database: OIDs mean nothing there
    standby: Server | None = None  # where people look and paste instead; writes go to `server`
    open_sessions: list[psycopg.Connection[Any]] = field(default_factory=list)
    more_databases: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def looked_at(self) -> Server:
        return self.standby or self.server

    # verbs for injections

    def sql(self, text: str) -> str:
        return self.server.psql(text, self.name)

    def program(self, name: str, *args: str) -> str:
        return self.server.program(name, *args, env=self.server.env(self.name))

    def file(self, name: str) -> str:
        return str(self.server.root / f"{self.name}.{name}")

    def open(self) -> psycopg.Connection[Any]:
        """A session that stays open until the end."""
        connection = self.server.connect(self.name)
        self.open_sessions.append(connection)
        return connection

    def wait_for_lock(self, statement: str, server: Server | None = None) -> None:
        """Run `statement` in a session of its own and return once it waits for a lock."""
        connection = (server or self.server).connect(self.name)
        self.open_sessions.append(connection)
        pid = connection.info.backend_pid

        def run() -> None:
            with contextlib.suppress(psycopg.Error):
                connection.execute(statement.encode())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.threads.append(thread)
        self.until(
            f"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {pid}", "postgres",
            server=server,
        )  # fmt: skip

    def until(
        self,
        query: str,
        database: str | None = None,
        seconds: float = 30,
        server: Server | None = None,
    ) -> None:
        """Poll until `query` gives true."""
        deadline = time.monotonic() + seconds
        with (server or self.server).connect(database or self.name) as connection:
            while not (connection.execute(query.encode()).fetchone() or (False,))[0]:
                if time.monotonic() > deadline:
                    raise TimeoutError(query)
                time.sleep(0.02)

    def restore(
        self, dump: tuple[str, ...], restore: tuple[str, ...], before: str, after: str
    ) -> None:
        """Dump with options, restore into a new database, and go on there."""
        if before:
            self.sql(before)
        self.program("pg_dump", "-Fc", *dump, "-f", self.file("dump"))
        other = f"{self.name}_r"
        self.server.create_database(other)
        self.more_databases.append(other)
        options = [o for o in restore if o not in ("SPLIT", "BASE")]
        phases: list[list[str]] = [options]
        if "SPLIT" in restore:
            phases = [["--section=pre-data"], ["--section=post-data"], ["-a", *options]]
        if "BASE" in restore:
            rows = [part for table in BASE_TABLES for part in ("-t", table)]
            phases = [["-s"], ["-a", "--disable-triggers", *rows]]
        for phase in phases:
            # errors are part of the fault: pg_restore goes on after them
            subprocess.run(
                [str(self.server.binaries / "bin/pg_restore"), "-d", other, *phase,
                 self.file("dump")],
                env=self.server.env(other), capture_output=True, check=False, cwd=self.server.root,
                **run_as(),
            )  # fmt: skip
        self.name, self.moved = other, True
        if "BASE" in restore:  # data of single tables comes without their sequences
            self.sql(
                "SELECT setval(c.oid, 100000) FROM pg_class c WHERE relkind = 'S'"
                " AND relname LIKE 'tb\\_%'"
            )
        if after:
            self.sql(after)

    def make_standby(self) -> None:
        """A standby of the server that has replayed all, and is looked at from now on."""
        self.standby = self.server.standby()
        self.standby.start()
        self.replayed()

    def replayed(self) -> None:
        """Wait until the standby has what the server has."""
        assert self.standby
        with self.server.connect(self.name) as c:
            # what is committed may not be written yet
            (position,) = c.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone() or ("",)
        self.until(
            f"SELECT pg_last_wal_replay_lsn() >= '{position}' AND EXISTS"
            " (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')",
            server=self.standby,
        )

    def other_binaries(self, release: str) -> None:
        found = binaries.real(self.server.major, release)
        assert found, f"{release} is not installed"
        self.server.stop()
        self.server.binaries = found
        self.server.start()

    def subscribe(self, table: str, change: str) -> None:
        """Replicate `change` of a copy of `table` in another database into this one."""
        source = f"{self.name}_source"
        self.server.create_database(source)
        self.more_databases.append(source)
        self.server.psql(
            f"CREATE TABLE {table} (pk_customer bigint PRIMARY KEY, id uuid, name text, email text);"
            f"INSERT INTO {table} VALUES (44, gen_random_uuid(), 'a', 'b');"
            f"CREATE PUBLICATION p FOR TABLE {table};"
            f"SELECT pg_create_logical_replication_slot('fault_feed', 'pgoutput')",
            source,
        )
        self.sql(
            f"CREATE SUBSCRIPTION feed CONNECTION 'host={self.server.root} port=5432"
            f" user=postgres dbname={source}' PUBLICATION p"
            " WITH (create_slot = false, copy_data = false, slot_name = 'fault_feed')"
        )
        self.server.psql(change.format(table), source)
        self.until(f"SELECT name = 'applied' FROM {table} WHERE pk_customer = 44")

    # what is true

    def registered(self) -> tuple[Healthy, ...]:
        with self.server.connect(self.name) as c:
            return tuple(
                Healthy(*r[:6], tuple(r[6]), tuple(r[7])) for r in c.execute(_REGISTERED).fetchall()
            )

    def drift(self, healthy: tuple[Healthy, ...]) -> dict[str, str]:
        """TVIEW -> how it differs from what it should be; only those that do.

        Compared as record images, with its backing view where one stands and with its healthy
        definition where that can still be evaluated.
        """
        found: dict[str, str] = {}
        with self.server.connect(self.name) as c:
            c.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'; {PINNED}")
            for tview in healthy:
                said = self._drift_of(c, tview)
                if said:
                    found[tview.table] = said
        return found

    def _drift_of(self, c: psycopg.Connection[Any], tview: Healthy) -> str | None:
        table = self._relation(c, tview.table_oid, tview.table)
        if table is None:
            return "no table"
        view = self._relation(c, tview.view_oid, tview.view)
        worst = None
        for source in (view, f"({tview.definition})"):
            if source is None:
                continue
            try:
                (differing,) = c.execute(_compare(table, source, tview).encode()).fetchone() or (0,)
            except psycopg.Error as e:
                if source == view:
                    worst = worst or (None if e.sqlstate == "55P03" else f"fails {e.sqlstate}")
                continue
            if differing:
                worst = f"{differing} rows"
        return worst

    def _relation(self, c: psycopg.Connection[Any], oid: int, name: str) -> str | None:
        if not self.moved:
            row = c.execute(
                "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = %s", (oid,),
            ).fetchone()  # fmt: skip
            if row:
                return str(row[0])
        qualified = name if "." in name else f"public.{name}"
        row = c.execute("SELECT to_regclass(%s) IS NOT NULL", (qualified,)).fetchone()
        return qualified if row and row[0] else None

    def write(self, statements: tuple[str, ...], role: str | None) -> list[tuple[str, str, str]]:
        """Run each by itself, in autocommit; gives (statement, SQLSTATE, message) of the refused."""
        refused = []
        try:
            connection = self.server.connect(self.name, role)
        except psycopg.OperationalError as e:
            return [("connect", e.sqlstate or "08006", str(e))]
        with connection as c:
            with contextlib.suppress(psycopg.Error):
                c.execute(f"SET lock_timeout = '{self.lock_timeout}'")
                c.execute("SET statement_timeout = '20s'")
            for statement in statements:
                for part in statement.split("; "):
                    try:
                        c.execute(part.encode())
                    except psycopg.Error as e:
                        code = e.sqlstate or "08006"
                        if code in _NO_SUCH_NAME and e.diag.statement_position:
                            break
                        refused.append((part, code, str(e).split("\n")[0]))
                        for back in ("ROLLBACK", "RESET session_replication_role"):
                            with contextlib.suppress(psycopg.Error):
                                c.execute(back.encode())
                        if c.closed:
                            return refused
                        break
        return refused

    # what sees it

    def health(self) -> tuple[str, ...] | None:
        """What the extension's health check complains about; None when it cannot run."""
        try:
            with self.looked_at.connect(self.name) as c:
                c.execute("SET statement_timeout = '5s'; SET lock_timeout = '300ms'")
                rows = c.execute(
                    "SELECT component, message FROM tviews.pg_tviews_health_check()"
                    " WHERE status <> 'OK' AND component <> 'jsonb_delta'"
                ).fetchall()
        except psycopg.Error:
            return None
        return tuple(f"{r[0]}: {r[1]}" for r in rows)

    def snapshot(self, aged: float = 0.0) -> Snapshot:
        with connect(Target(dbname=self.looked_at.conninfo(self.name))) as connection:
            found = collect(connection)
        return older(found, aged) if aged else found

    def doctor(self, aged: float = 0.0) -> Examination:
        return examine(self.snapshot(aged), all_checks().values())

    def pgtv(self, *args: str, aged: float = 0.0) -> tuple[int, str]:
        """The command, in a process of its own; gives its exit code and what it said on stderr.

        Forked, which saves a second of imports; receipts go to the server's folder.
        """
        said = Path(self.file("said"))
        child = os.fork()
        if child == 0:
            code = 70
            try:
                with said.open("wb") as file:
                    os.dup2(file.fileno(), 2)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.environ.update(self.server.env(self.name))
                os.chdir(self.server.root)
                signal.alarm(120)
                if aged:
                    collecting.collect = lambda *a, **kw: older(collect(*a, **kw), aged)
                code = command_line.run(args)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        text = said.read_text(errors="replace")
        said.unlink()
        return os.waitstatus_to_exitcode(status), text

    def paste(self, statements: tuple[str, ...]) -> list[str]:
        """Statements into psql as they were printed; gives the errors."""
        done = subprocess.run(
            [str(self.looked_at.binaries / "bin/psql"), "-X", "-q", "-f", "-"],
            input="\n".join(statements), env=self.looked_at.env(self.name), cwd=self.looked_at.root,
            capture_output=True, text=True, timeout=90, check=False, **run_as(),
        )  # fmt: skip
        return [e for e in done.stderr.splitlines() if "ERROR" in e or "FATAL" in e]

    def unprinted(self, finding: Finding) -> list[str]:
        """Locks that the cure takes on tables, and that make others wait, but does not print.

        The cure runs in a transaction that is rolled back; one that cannot, or that needs another
        cure first, says nothing.
        """
        assert finding.remedy
        statements = [s for s in finding.remedy.sql if not re.match(r"SET |BEGIN|COMMIT;", s)]
        if any(_ALONE.search(s) for s in statements):
            return []
        printed = " ".join(finding.remedy.locks)
        with self.looked_at.connect(self.name, autocommit=False) as c:
            try:
                c.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL search_path = ''")
                for statement in statements:
                    c.execute(statement.encode())
                held = c.execute(_HEAVY).fetchall()
            except psycopg.Error:
                held = []
            c.rollback()
        return [f"{finding.id}: {mode} on {name}" for name, mode in held if name not in printed]

    def close(self, undo: str) -> None:
        for connection in self.open_sessions:
            with contextlib.suppress(psycopg.Error):
                connection.cancel()
        if self.standby:
            self.standby.destroy()
            self.standby = None
        for thread in self.threads:
            thread.join(10)
        for connection in self.open_sessions:
            with contextlib.suppress(psycopg.Error):
                connection.close()
        if undo:
            self.paste((undo + ";",))  # what is undone already makes an error, and that is fine


def _compare(table: str, source: str, tview: Healthy) -> str:
    columns = ", ".join(_quoted(c) for c in tview.columns)
    on = " AND ".join(f"t.{_quoted(c)} = v.{_quoted(c)}" for c in tview.identity)
    return (
        f"SELECT count(*) FROM (SELECT {columns} FROM {table}) t"
        f" FULL JOIN (SELECT {columns} FROM {source} s) v ON {on}"
        " WHERE t IS NULL OR v IS NULL OR NOT (t *= v)"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def older(snapshot: Snapshot, seconds: float) -> Snapshot:
    """What doctor would have seen had the same state lasted for `seconds` more."""

    def more(value: float | None) -> float | None:
        return None if value is None else value + seconds

    def earlier(moment: str | None) -> str | None:
        if moment is None:
            return None
        at = datetime.fromisoformat(moment.replace(" ", "T"))
        return (at - timedelta(seconds=seconds)).isoformat(" ")

    return replace(
        snapshot,
        prepared=tuple(
            replace(p, age_seconds=p.age_seconds + seconds, prepared_at=earlier(p.prepared_at) or "")
            for p in snapshot.prepared
        ),
        sessions=tuple(
            replace(
                s, xact_seconds=more(s.xact_seconds), state_seconds=more(s.state_seconds),
                query_seconds=more(s.query_seconds),
            )
            for s in snapshot.sessions
        ),
        locks=tuple(replace(k, wait_seconds=more(k.wait_seconds)) for k in snapshot.locks),
    )  # fmt: skip


def above_info(examination: Examination) -> list[Finding]:
    return [f for f in examination.findings if f.severity is not Severity.INFO]


def prepare(folder: Path, settings: dict[str, str] | None = None) -> Server:
    """A server with the template: the shop, and an ordinary role that writes its base tables."""
    server = new_server(folder, ("pg_tviews",), settings)
    try:
        server.create_database(TEMPLATE)
        server.psql("CREATE EXTENSION pg_tviews", TEMPLATE)
        server.psql(SHOP.read_text(), TEMPLATE)
        server.psql(
            f"""CREATE ROLE {WRITER} LOGIN;
            GRANT USAGE ON SCHEMA "Sales Dept" TO {WRITER};
            GRANT SELECT, INSERT, UPDATE, DELETE ON public.tb_category, public.tb_product,
                public.tb_customer, public.tb_stock_move, public.tb_stock_move_2026,
                "Sales Dept".tb_order, "Sales Dept".tb_order_line TO {WRITER};""",
            TEMPLATE,
        )
    except BaseException:
        server.destroy()
        raise
    return server


@contextlib.contextmanager
def bench(shared: Server, fault: Fault) -> Iterator[Bench]:
    """A fresh database for `fault`, on the shared server or on one of its own."""
    own = prepare(shared.binaries, dict(fault.settings)) if fault.settings is not None else None
    server = own or shared
    name = f"f{next(_names)}"
    made = None
    try:
        server.create_database(name, TEMPLATE)
        made = Bench(server, name)
        if fault.does is not Does.WRITES_WAIT:
            made.lock_timeout = PATIENT
        if fault.standby:
            made.make_standby()
        yield made
    finally:
        if made:
            made.close(fault.undo)
        if own:
            own.destroy()
        else:
            for database in (*(made.more_databases if made else ()), name):
                with contextlib.suppress(psycopg.Error):
                    server.drop_database(database)
            if fault.undo.startswith("DROP ROLE"):  # what it owned is gone with the database
                server.psql(fault.undo)
