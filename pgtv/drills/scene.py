"""One database with a shop in it, on a server that may be broken: what a drill does there and sees."""

from __future__ import annotations

import contextlib
import io
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import Dialect
from pgtv.cluster.verbs import Verbs
from pgtv.drills.sessions import Sessions
from pgtv.drills.statements import Break, Refusal
from pgtv.errors import ClusterError
from pgtv.finding import Finding, Severity

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot
    from pgtv.checks.examine import Examination
    from pgtv.drills.contents import Table
    from pgtv.session import Target

APP = "drill_app"  # an ordinary role that writes base tables and owns nothing
LOCK_TIMEOUT = "500ms"
ROUNDS = 4  # a cure may uncover the next cause
_markers = itertools.count(1)

# What an application does all day, on every base table, through every kind of statement. Nothing that
# was there is deleted: what is gone afterwards was lost.
WRITES = (
    "UPDATE public.tb_category SET name = name || ' x' WHERE pk_category = 3",
    "INSERT INTO public.tb_product (fk_category, name, price) VALUES (1, 'new', 1), (2, 'new', 2)",
    "UPDATE public.tb_product SET price = price + 1, name = name || '!' WHERE pk_product IN (10, 11)",
    "UPDATE public.tb_customer SET name = name || ' jr' WHERE pk_customer IN (3, 4, 150)",
    "UPDATE \"Sales Dept\".tb_order SET status = 'paid' WHERE pk_order IN (3, 30, 300)",
    'UPDATE "Sales Dept".tb_order SET fk_customer = 9 WHERE pk_order = 31',
    'INSERT INTO "Sales Dept".tb_order (fk_customer) VALUES (2), (150)',
    'UPDATE "Sales Dept".tb_order_line SET quantity = quantity + 1 WHERE pk_order_line IN (5, 9)',
    "INSERT INTO public.tb_stock_move (fk_product, moved_on, amount) VALUES (1, '2026-07-07', 5)",
)
_KEYS = (
    "SELECT 'category', pk_category FROM public.tb_category UNION ALL"
    " SELECT 'product', pk_product FROM public.tb_product UNION ALL"
    " SELECT 'customer', pk_customer FROM public.tb_customer UNION ALL"
    " SELECT 'order', pk_order FROM \"Sales Dept\".tb_order UNION ALL"
    " SELECT 'line', pk_order_line FROM \"Sales Dept\".tb_order_line UNION ALL"
    " SELECT 'move', pk_stock_move FROM public.tb_stock_move"
)


@dataclass
class Scene(Sessions):
    """A database of a throwaway server. `server` and `name` change when a drill moves on to others.

    keep: leave the database to be looked at. reader: the role that reads TVIEWs, by default the one
    that drills run as. read_before: what it would have read before anything was broken.
    """

    steps: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    more_servers: list[Verbs] = field(default_factory=list)
    more_databases: list[str] = field(default_factory=list)
    remembered: dict[str, Any] = field(default_factory=dict)
    keep: bool = False
    reader: str | None = None
    read_before: dict[Table, str] = field(default_factory=dict)
    _keys: set[tuple[Any, ...]] = field(default_factory=set)
    _log_from: int = 0
    _was: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Remember what must not be lost and what doctor said before."""
        self._keys = set(self.rows(_KEYS))
        with contextlib.suppress(ClusterError):
            self._log_from = len(self.server.log_text())
        self._was = frozenset(f.id for f in loud(self.doctor()))

    # verbs for injections

    def sql(self, text: str) -> str:
        """By psql, as people do; stops at the first error. Raises ClusterError."""
        return self.server.psql(text, self.name)

    def break_(self, how: Break) -> None:
        self.sql(how.sql)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def commit_marker(self) -> str:
        """Rows of two base tables under a name of their own, committed and acknowledged."""
        marker = f"marker {next(_markers)}"
        with self.connect() as connection:
            connection.execute(insert_marker(marker).encode())
        self.acknowledged.append(marker)
        return marker

    def try_(self, statement: str, connection: Any = None, role: str | None = APP) -> bool:
        """Run it in autocommit; a refusal is remembered and False."""
        import psycopg

        try:
            with contextlib.ExitStack() as stack:
                if connection is None:
                    connection = stack.enter_context(self.connect())
                    connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
                    if role:
                        connection.execute(f"SET ROLE {role}")
                connection.execute(statement.encode())
        except psycopg.Error as e:
            self.refuse(e, statement)
            return False
        return True

    def fresh_database(self, suffix: str, template: str | None = None) -> str:
        """Another database, dropped at the end."""
        name = f"{self.name}_{suffix}"
        self.server.create_database(name, template)
        self.more_databases.append(name)
        return name

    def log(self) -> str:
        """What the server logged since the beginning."""
        return self.server.log_text()[self._log_from :]

    def forget_log(self) -> None:
        """The server is another one by now, and so is its log."""
        self._log_from = 0

    # what sees it

    @property
    def dialect(self) -> Dialect:
        """The statements of the release that drills run on."""
        return dialects.current.DIALECT

    def target(self) -> Target:
        return self.server.target(self.name)

    def snapshot(self) -> Snapshot:
        from pgtv.catalog.collect import collect
        from pgtv.session import connect

        with contextlib.closing(connect(self.target())) as connection:
            return collect(connection)

    def doctor(
        self, *, verify: bool = False, thresholds: dict[str, float] | None = None
    ) -> Examination:
        """What `pgtv doctor` examines; thresholds by `check.name`."""
        from pgtv.checks.contents import findings
        from pgtv.checks.examine import examine
        from pgtv.checks.registry import all_checks

        settings: dict[str, dict[str, float]] = {}
        for key, value in (thresholds or {}).items():
            check, _, name = key.partition(".")
            settings.setdefault(check, {})[name] = value
        snapshot = self.snapshot()
        given = {"drift": findings(self.target(), snapshot)} if verify else None
        return examine(snapshot, all_checks().values(), settings, given=given)

    def new_findings(self, examination: Examination) -> list[Finding]:
        return [f for f in loud(examination) if f.id not in self._was]

    def pgtv(self, *args: str, connected: bool = True) -> tuple[int, str]:
        """Run a command of pgtv, on this database; gives its exit code and what it printed."""
        from psycopg.conninfo import make_conninfo

        from pgtv.cli.main import run

        target = make_conninfo(self.server.conninfo(self.name), password=self.server.password)
        said = io.StringIO()
        command, *rest = args
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run([command, *rest, *(["-d", target] if connected else [])])
        return code, said.getvalue()

    # what cures it

    def paste(self, *statements: str) -> None:
        """Statements as they are printed, into psql. Raises ClusterError at the first error."""
        self.steps.extend(statements)
        self.sql("\n".join(statements))

    def do(self, *args: str, ok: tuple[int, ...] = (0,)) -> str:
        """A command of pgtv as documented. Raises ClusterError when it exits otherwise than `ok`."""
        self.steps.append(f"pgtv {' '.join(args)}")
        more: list[str] = []
        if args[0] in ("repair", "refresh", "upgrade", "triggers", "2pc") and "--apply" in args:
            # else it would be written to the caller's directory
            more = ["--receipt", str(Path(self.folder()) / "receipt.json")]
        code, said = self.pgtv(*args, *more)
        if code not in ok:
            raise ClusterError(f"pgtv {' '.join(args)} exited {code}: {said[-800:]}")
        return said

    def paste_cures(self, thresholds: dict[str, float] | None = None) -> None:
        """Paste what doctor prints until it prints nothing more, causes first."""
        pasted: set[tuple[str, ...]] = set()  # a cure that counts after a restart is not repeated
        for _ in range(ROUNDS):
            found = self.new_findings(self.doctor(thresholds=thresholds))
            if not found:
                found = self.new_findings(self.doctor(verify=True, thresholds=thresholds))
            todo = [f for f in found if f.remedy and f.remedy.sql and f.remedy.sql not in pasted]
            todo = [f for f in todo if f.caused_by is None] or todo
            if not todo:
                return
            for finding in todo:
                assert finding.remedy
                pasted.add(finding.remedy.sql)
                with contextlib.suppress(ClusterError):  # a cause's cure may have made it needless
                    self.paste(*finding.remedy.sql)

    # what must be true again

    def lost(self) -> int:
        """Rows that were there, or were acknowledged since, and are gone from their base tables."""
        gone = len(self._keys - set(self.rows(_KEYS)))
        if self.acknowledged:
            names = {r[0] for r in self.rows(
                "SELECT name FROM public.tb_customer WHERE name LIKE 'marker %' AND name IN"
                " (SELECT name FROM public.tb_product)"
            )}  # fmt: skip
            gone += len(set(self.acknowledged) - names)
        return gone

    def differing(self) -> dict[str, int]:
        """TVIEW -> rows that differ, by pgtv's own verification; -1 where it could not tell."""
        from pgtv.graph.select import select
        from pgtv.rows.result import State
        from pgtv.rows.run import Plan, verify_all

        snapshot = self.snapshot()
        results = verify_all(Plan(snapshot, self.target(), select(snapshot)))
        return {
            r.tview: r.differing if r.state is State.DIFFERS else -1
            for r in results
            if r.state is not State.EQUAL
        }

    def write(self) -> list[Refusal]:
        """An application's ordinary writes, each in autocommit; gives those refused."""
        before = len(self.refused)
        for statement in WRITES:
            self.try_(statement)
        refused = self.refused[before:]
        del self.refused[before:]
        return refused

    def close(self) -> None:
        """Let everything go."""
        kept = list(self.refused)
        self.release()
        self.refused += kept
        for server in self.more_servers:
            server.destroy()


def insert_marker(marker: str) -> str:
    """One transaction's writes to two base tables, under a name that is looked for afterwards."""
    return (
        f"INSERT INTO public.tb_customer (name, email) VALUES ('{marker}', 'm@example.com');"
        f"INSERT INTO public.tb_product (fk_category, name, price) VALUES (1, '{marker}', 1)"
    )


def loud(examination: Examination) -> list[Finding]:
    """Findings above info."""
    return [f for f in examination.findings if f.severity is not Severity.INFO]
