"""What is said of a migration is what the server then does: errors, locks, files, rows, registrations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from migration_cases import CASES, Case
from psycopg import sql
from servers import TEMPLATE, Database, Server

from pgtv.catalog.model import Snapshot
from pgtv.lint.source import Source
from pgtv.migration.judge import judge
from pgtv.migration.model import Migration, Mode, What
from pgtv.migration.rules import RULES

pytestmark = pytest.mark.sampled(2)

LOCKS = """
SELECT relation::int8, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
"""
NODES = "SELECT oid::int8, relfilenode::int8 FROM pg_class WHERE relkind IN ('r', 'm')"
REGISTERED = "SELECT table_oid::oid::int8 FROM tviews.pg_tview_meta"
CONTENTS = """
SELECT m.table_oid::oid::int8, m.table_oid::text, m.view_oid::text,
       (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = m.view_oid AND attnum > 0 AND NOT attisdropped)
FROM tviews.pg_tview_meta m
"""
WRITES = """
SELECT DISTINCT ON (c.oid) c.oid::regclass::text, a.attname::text, t.typcategory
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid AND t.typcategory IN ('S', 'N')
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname ~ '^(tb_|p25)'
  AND a.attname !~ '^(pk|fk)_|^id$' AND a.attgenerated = ''
ORDER BY c.oid, a.attnum
"""


# Rules of what no server can confirm: they say that something is not known, or lasts beyond a database.
UNSEEN = {r.id for r in RULES.values() if r.what is What.UNKNOWN} | {
    "replication-role/lasting", "setting/lasting", "down-part", "suspend", "reregister",
    "write/many", "alter-other",
}  # fmt: skip

# Rules of what only another major does.
ELSEWHERE = {
    18: {"add-foreign-key/partitioned", "add-unique/partitioned", "set-logged/root"},
    17: {"set-logged/partitioned"},
}


@dataclass
class Seen:
    """What the server did. Relations by OID; sqlstate of the first error of the statements."""

    sqlstate: str | None = None
    locks: dict[int, Mode] = field(default_factory=dict)
    rewritten: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    differing: set[int] = field(default_factory=set)
    differing_after: set[int] = field(default_factory=set)
    writes: set[str | None] = field(default_factory=set)
    deaf: bool = True  # the extension is gone


def modes(connection: psycopg.Connection[Any]) -> dict[int, Mode]:
    found: dict[int, Mode] = {}
    for oid, name in connection.execute(LOCKS):
        words = "".join(
            f" {c}" if c.isupper() else c.upper() for c in name.removesuffix("Lock")
        ).strip()
        mode = Mode(" ".join(words.upper().split()))
        if oid not in found or found[oid].rank < mode.rank:
            found[oid] = mode
    return found


def differing(connection: psycopg.Connection[Any]) -> set[int]:
    """TVIEWs whose rows are not what their view gives now; those that cannot be compared count."""
    found = set()
    for oid, table, view, columns in connection.execute(CONTENTS).fetchall():
        if not columns:
            continue
        row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, columns)))
        a = sql.SQL("SELECT {} FROM ").format(row) + sql.SQL(view)
        b = sql.SQL("SELECT {} FROM ").format(row) + sql.SQL(table)
        # sums of hashes: a third of the time that comparing the rows takes
        query = sql.SQL(
            "SELECT (SELECT (count(*), sum(hashtextextended(r, 0))) FROM ({a}) x(r))"
            " IS DISTINCT FROM (SELECT (count(*), sum(hashtextextended(r, 0))) FROM ({b}) x(r))"
        ).format(a=a, b=b)
        try:
            with connection.transaction():
                if connection.execute(query).fetchone() == (True,):
                    found.add(oid)
        except psycopg.errors.InsufficientPrivilege:
            pass
    return found


def write(connection: psycopg.Connection[Any]) -> set[str | None]:
    """Change a row in each base table; SQLSTATEs of the writes that fail."""
    failed = set()
    for table, column, category in connection.execute(WRITES).fetchall():
        change = sql.SQL(
            "UPDATE {t} SET {c} = {c} {change} WHERE (tableoid, ctid) ="
            " (SELECT tableoid, ctid FROM {t} WHERE {c} IS NOT NULL LIMIT 1)"
        ).format(t=sql.SQL(table), c=sql.Identifier(column),
                 change=sql.SQL("|| 'x'" if category == "S" else "+ 1"))  # fmt: skip
        try:
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                connection.execute(change)
            else:
                with connection.transaction():
                    connection.execute(change)
        except psycopg.errors.IntegrityError:
            pass  # the value, not the migration
        except psycopg.Error as e:
            failed.add(e.sqlstate)
    with contextlib.suppress(psycopg.Error), connection.transaction():
        connection.execute('UPDATE "Sales Dept".tb_order SET fk_customer = 3 WHERE pk_order = 1')
    return failed


def run(connection: psycopg.Connection[Any], case: Case, autocommit: bool) -> Seen:
    """Run the case's statements one by one, and look before the commit that never comes."""
    seen = Seen()
    before = dict(connection.execute(NODES).fetchall())
    registered = {o for (o,) in connection.execute(REGISTERED)}
    if not autocommit:
        connection.execute("BEGIN")
    try:
        connection.execute(case.sql)
        seen.locks = modes(connection) if not autocommit else {}
    except psycopg.Error as e:
        seen.sqlstate = e.sqlstate
        connection.execute("ROLLBACK")
        return seen
    after = dict(connection.execute(NODES).fetchall())
    seen.rewritten = {o for o in before if o in after and after[o] != before[o]}
    if (connection.execute("SELECT to_regclass('tviews.pg_tview_meta')").fetchone() or (None,))[0]:
        seen.deaf = False
        seen.gone = registered - {o for (o,) in connection.execute(REGISTERED)}
        seen.differing = differing(connection)
        seen.writes = write(connection)
        seen.differing_after = differing(connection)
    connection.execute("ROLLBACK")
    return seen


class Said:
    """What was said of it, by OID."""

    def __init__(self, snapshot: Snapshot, migration: Migration) -> None:
        self.migration = migration
        oids = {t.label: t.table_oid for t in snapshot.tviews}
        names = {r.qualified: r.oid for r in snapshot.relations} | oids
        self.fails = next((s.fails.sqlstate for s in migration.statements if s.fails), None)
        self.locks: dict[int, Mode] = {}
        for statement in migration.statements:
            for name, mode in statement.locks:
                oid = names.get(name)
                if oid is not None and (oid not in self.locks or self.locks[oid].rank < mode.rank):
                    self.locks[oid] = mode
        self.rewritten = {names[n] for s in migration.statements for n in s.rewrites if n in names}
        self.upto = {names[n] for s in migration.statements for n in s.upto if n in names}

        def of(*whats: What) -> set[int]:
            return {oids[t] for _, e in migration.of(*whats) for t in e.tviews if t in oids}

        self.stale, self.dropped = of(What.STALE), of(What.DROPS) | self._ended(of)
        self.untracked = of(What.UNTRACKED)
        self.writes = {e.sqlstate for _, e in migration.of(What.WRITES_FAIL)}

    def _ended(self, of: Any) -> set[int]:
        ends = any(r in ("tview-drop",) for s in self.migration.statements for r in s.rules)
        rebuilt = any("tview-rebuilt" in s.rules for s in self.migration.statements)
        return (of(What.NOTE) if ends else set()) | (of(What.REBUILDS) if rebuilt else set())


def held(snapshot: Snapshot, seen: Seen, said: Said) -> None:
    """Hold one against the other."""
    assert seen.sqlstate == said.fails
    if said.fails:
        return
    kinds = {r.oid: r for r in snapshot.relations if r.schema != snapshot.extension.schema}
    strong = {
        kinds[o].qualified: m for o, m in seen.locks.items()
        if o in kinds and m.rank >= Mode.ROW_EXCLUSIVE.rank
    }  # fmt: skip
    expected = {kinds[o].qualified: m for o, m in said.locks.items() if o in kinds}
    allowed = {kinds[o].qualified for o in said.upto if o in kinds}
    beyond = {
        n: m
        for n, m in strong.items()
        if n not in expected and n in allowed and m is Mode.ROW_EXCLUSIVE
    }
    if seen.locks:
        assert {n: m for n, m in strong.items() if n not in beyond} == expected
    name = snapshot.name_of
    assert set(map(name, seen.rewritten & kinds.keys())) == set(map(name, said.rewritten))
    assert set(map(name, seen.gone)) == set(map(name, said.dropped))
    assert set(map(name, seen.differing)) == set(map(name, said.stale))
    if said.writes:
        assert seen.writes & said.writes
        return
    assert not seen.writes
    if seen.deaf:
        assert said.untracked == {t.table_oid for t in snapshot.tviews}
        return
    late = seen.differing_after - seen.differing
    assert late <= said.untracked
    assert bool(late) == bool(said.untracked - seen.differing)


def judged(snapshot: Snapshot, case: Case) -> Migration:
    """What is said of a case."""
    return judge([Source("m.sql", case.sql + ";\n")], snapshot, "", single=not case.autocommit)


@pytest.fixture(scope="session")
def common(real_server: Server) -> Iterator[tuple[Database, Snapshot]]:
    """A shop that no case changes, with its snapshot."""
    real_server.create_database("migrations", TEMPLATE)
    database = Database(real_server, "migrations")
    yield database, database.snapshot()
    real_server.drop_database("migrations")


def _ids(cases: list[Case]) -> list[str]:
    return [c.name for c in cases]


SHARED = [c for c in CASES if not c.setup and not c.autocommit]
OWN = [c for c in CASES if c.setup or c.autocommit]


@pytest.mark.parametrize("case", SHARED, ids=_ids(SHARED))
def test_as_said(common: tuple[Database, Snapshot], case: Case) -> None:
    database, snapshot = common
    if database.server.major not in case.majors:
        pytest.skip(f"not on PostgreSQL {database.server.major}")
    with database.connect() as connection:
        seen = run(connection, case, False)
    held(snapshot, seen, Said(snapshot, judged(snapshot, case)))


@pytest.mark.parametrize("case", OWN, ids=_ids(OWN))
def test_as_said_after_a_setup(shop: Database, case: Case) -> None:
    if case.setup:
        shop.sql(case.setup)
    snapshot = shop.snapshot()
    with shop.connect() as connection:
        seen = run(connection, case, case.autocommit)
    held(snapshot, seen, Said(snapshot, judged(snapshot, case)))


def test_every_rule_has_a_case(common: tuple[Database, Snapshot]) -> None:
    """Judged anew: cases run in several processes, and none of them knows what the others met."""
    server, snapshot = common[0].server, common[1]
    left = RULES.keys() - UNSEEN - ELSEWHERE[server.major]
    for case in [*SHARED, *OWN]:
        if not left:
            break
        if case.setup:
            with scratch(server, case.setup) as database:
                left -= met(database.snapshot(), case)
        else:
            left -= met(snapshot, case)
    assert not left


def met(snapshot: Snapshot, case: Case) -> set[str]:
    return {r for s in judged(snapshot, case).statements for r in s.rules}


@contextlib.contextmanager
def scratch(server: Server, setup: str) -> Iterator[Database]:
    server.create_database("migrations_met", TEMPLATE)
    try:
        database = Database(server, "migrations_met")
        database.sql(setup)
        yield database
    finally:
        server.drop_database("migrations_met")
