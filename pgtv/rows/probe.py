"""Proves whether writes fail: changes one row of each base table and rolls it back.

An UPDATE that touches no row fires statement triggers only, and one that changes nothing is pruned by
the extension before any refresh; so one row is changed for real, in a column that a TVIEW reads, and
the transaction is always rolled back. Work that is still queued after the statement would make an
autocommit write fail at its COMMIT, so the queue is read too.

What it costs: for a moment the locks of such a write (ROW EXCLUSIVE on the table, one row, the rows of
the TVIEWs that follow), bounded by lock_timeout and by STATEMENT_TIMEOUT. A row that somebody else
holds is passed over. User triggers fire, so what they do outside of the transaction (sequences,
other connections) stays done.

Triggers are their table's owner's code. A login with more rights than SQL gives writes as the owner, inside
a function (see pgtv.rows.confined); the table of a superuser only where no code of others is on it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.catalog import dialects
from pgtv.catalog.model import Relation, Snapshot
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.graph.edges import Edges, edges
from pgtv.rows import confined, evaluate

if TYPE_CHECKING:
    import psycopg

CHECK_ID = "writes-fail"
STATEMENT_TIMEOUT = "5s"
_TRIES = 4  # columns that are tried before a table counts as not provable

# Errors of the probe itself, not of the TVIEWs: bad data for a constraint (22, 23), a generated or
# identity column (428C9), a wait that was cut (55P03, 57014), a conflict (40).
_OTHER_VALUE = ("22", "23", "428C9")
_WAITED = ("55P03", "57014", "40001", "40P01")


@dataclass(frozen=True)
class _As:
    """With whose rights a table is written: None for the session's own; problem: why by none."""

    owner: str | None = None
    superuser: bool = False
    problem: str | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One way to change a row: the column and the SQL for its new value."""

    column: str
    value: str


def probe(
    connection: psycopg.Connection[Any], snapshot: Snapshot, say: Callable[[str], None]
) -> Iterator[Finding]:
    """A finding for each base table on which a write fails or could not be tried.

    `connection` is in autocommit and may write; `say` gets one line a table.
    """
    reach = edges(snapshot)
    tables = [
        r for r in snapshot.relations
        if r.kind in "rp" and r.oid not in snapshot.tview_by_table and reach.affected([r.oid])
    ]  # fmt: skip
    who = evaluate.login(connection, {t.owner for t in tables})
    rights = _rights(connection, who, tables)
    owners = {oid: a.owner for oid, a in rights.items() if a.owner is not None}
    attempts = _attempts(connection, snapshot, tables, owners)
    for table in sorted(tables, key=lambda r: r.qualified):
        finding, line = _table(
            connection, snapshot, reach, table, rights[table.oid], attempts.get(table.oid)
        )
        say(f"probe {table.qualified}: {line}")
        if finding:
            yield finding


def _table(
    connection: psycopg.Connection[Any],
    snapshot: Snapshot,
    reach: Edges,
    table: Relation,
    as_: _As,
    attempts: list[Attempt] | None,
) -> tuple[Finding | None, str]:
    import psycopg

    affects = tuple(t.label for t in reach.affected([table.oid]))
    if as_.problem:
        return _unknown(table, affects, as_.problem, as_.needs), f"not tried: {as_.problem}"
    if attempts is None:
        needs = f"UPDATE on {table.qualified}"
        role = f"its owner {as_.owner}" if as_.owner else "this role"
        return _unknown(table, affects, f"{role} may not write {table.qualified}", (needs,)), (
            f"not tried, needs {needs}"
        )
    tried = ""
    for attempt in [*attempts[:_TRIES], None]:
        statement = _statement(table, attempt)
        try:
            changed, queued = _try(connection, snapshot, statement, as_)
        except psycopg.Error as e:
            state = e.sqlstate or ""
            if attempt and (state[:2] in _OTHER_VALUE or state in _OTHER_VALUE):
                tried = f"{attempt.column}: {_first_line(e)}"
                continue
            if state in _WAITED:
                text = f"the probe of {table.qualified} was cut short: {_first_line(e)}"
                return _unknown(table, affects, text), f"could not tell ({state})"
            if connection.closed:
                raise
            if as_.owner and state == "42501" and _has_triggers(snapshot, table):
                # what they do may take rights that a writer has and the owner has not
                text = (
                    f"written as its owner {as_.owner}, {table.qualified} fails by one of its triggers,"
                    f" or for whatever they do: {_first_line(e)}"
                )
                needs = f"to be tried as a role that writes {table.qualified}: -U ROLE"
                return _unknown(table, affects, text, (needs,)), f"could not tell ({state})"
            return _failed(table, affects, statement, state, _first_line(e)), f"FAILS ({state})"
        if queued not in ("", "[]"):
            text = "work stays queued after the statement: an autocommit write fails at COMMIT"
            return _failed(table, affects, statement, "55000", f"{text}: {queued}"), "FAILS (55000)"
        if attempt is None:
            why = f"no value fits ({tried})" if tried else "no row or no column to change"
            return None, f"statement triggers work; {why}"
        if changed:
            return None, f"a write works (one row's {attempt.column}, rolled back)"
    return None, "nothing could be tried"


def _try(
    connection: psycopg.Connection[Any], snapshot: Snapshot, statement: str, as_: _As
) -> tuple[int, str]:
    """Run it in a transaction that is rolled back: rows changed, and what stayed queued."""
    dialect = dialects.named(snapshot.extension.generation)
    schema = snapshot.extension.schema or dialect.schema
    queue = dialect.queue_query(schema) if schema and snapshot.extension.installed else None
    connection.execute("BEGIN")
    try:
        connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        if as_.owner is not None:
            return _try_confined(connection, statement, queue, as_.owner, as_.superuser)
        changed = connection.execute(statement.encode()).rowcount
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        row = connection.execute(queue.encode()).fetchone() if queue else None
        return changed, str(row[0]) if row and row[0] else ""
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")


def _try_confined(
    connection: psycopg.Connection[Any],
    statement: str,
    queue: str | None,
    owner: str,
    superuser: bool,
) -> tuple[int, str]:
    """The same, as the owner; nothing but ROLLBACK may follow in the transaction."""
    make = confined.made("pgtv_try", confined.TRY, owner, superuser=superuser, settings={})
    if superuser and connection.info.server_version >= confined.EVENT_TRIGGERS_SINCE:
        make = ["SET LOCAL event_triggers = off", *make, "SET LOCAL event_triggers TO DEFAULT"]
    connection.execute("; ".join(["SET LOCAL ROLE NONE", *make]).encode())
    rows = connection.execute(
        "SELECT x FROM pg_temp.pgtv_try(%s, %s) x", (statement, queue)
    ).fetchall()
    changed, *queued = (r[0] for r in rows)
    return int(changed), queued[0] or "" if queued else ""


_OWNERS = """
WITH RECURSIVE tree AS (
  SELECT t AS root, t AS oid FROM pg_catalog.unnest(%s::pg_catalog.oid[]) t
  UNION
  SELECT tree.root, h.inhrelid FROM tree JOIN pg_catalog.pg_inherits h ON h.inhparent = tree.oid
), code AS (
  SELECT tree.root, c.relowner AS owner FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
  UNION
  SELECT tree.root, p.proowner FROM tree
    JOIN pg_catalog.pg_trigger t ON t.tgrelid = tree.oid AND NOT t.tgisinternal
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
)
SELECT c.oid::int8, o.rolname::text, o.rolsuper,
       (SELECT pg_catalog.min(r.rolname::text) FROM code JOIN pg_catalog.pg_roles r ON r.oid = code.owner
         WHERE code.root = c.oid AND NOT r.rolsuper),
       pg_catalog.has_database_privilege(o.oid, d.oid, 'TEMP')
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
  JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
 WHERE c.oid = ANY (%s)
"""


def _rights(
    connection: psycopg.Connection[Any], who: evaluate.Login, tables: list[Relation]
) -> dict[int, _As]:
    """By table."""
    oids = [t.oid for t in tables]
    if who.confined:
        return dict.fromkeys(oids, _As())
    found = {oid: _As(problem="it was dropped meanwhile") for oid in oids}
    for oid, owner, superuser, other, temp in connection.execute(_OWNERS, (oids, oids)):
        if owner == who.login or superuser:
            found[oid] = _As()
            if other and (superuser or who.superuser):
                why = f"its owner {owner} is a superuser, and code of {other} would run with those rights"
                found[oid] = _As(
                    problem=why, needs=("to be tried as a role that writes it: -U ROLE",)
                )
        elif not who.superuser and owner not in who.may_be:
            found[oid] = _As(
                problem=f"{who.login} has the rights of {', '.join(who.powers)}, which no trigger may"
                f" use, and may not act as {owner}",
                needs=(f"membership in {owner}",),
            )
        elif not who.superuser and not temp:
            found[oid] = _As(
                problem=f"{owner} lacks TEMP on the database, by which its triggers are confined",
                needs=(f"TEMP on the database for {owner}",),
            )
        else:
            found[oid] = _As(owner, who.superuser)
    return found


def _has_triggers(snapshot: Snapshot, table: Relation) -> bool:
    """Whether others than the extension's are on it, or on its partitions."""
    return any(
        not t.kind and table.oid in (t.relation, _root(snapshot, t.relation))
        for t in snapshot.triggers
        if t.relation in snapshot.by_oid
    )


def _statement(table: Relation, attempt: Attempt | None) -> str:
    """One row that nobody holds; `None` touches none and fires statement triggers only."""
    if attempt is None:
        column = _quoted(table.columns[0].name) if table.columns else "ctid"
        return f"DELETE FROM {table.qualified} WHERE {column} IS NULL AND false"
    return (
        f"UPDATE {table.qualified} AS t SET {_quoted(attempt.column)} = {attempt.value}"
        f" WHERE (t.tableoid, t.ctid) = (SELECT p.tableoid, p.ctid FROM {table.qualified} AS p"
        " LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)"
    )


_COLUMNS = """
SELECT a.attrelid::int8, a.attname::text, t.typname::text,
       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype <> 'n'
               AND a.attnum = ANY (k.conkey)) AS constrained,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique
               AND a.attnum = ANY (i.indkey::int2[]))
       OR EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid IN (
              SELECT h.relid FROM pg_partition_ancestors(a.attrelid::regclass) h(relid))
              AND (p.partattrs::text = '0' OR EXISTS (
                  SELECT FROM pg_attribute r WHERE r.attrelid = p.partrelid
                  AND r.attname = a.attname AND r.attnum = ANY (p.partattrs::int2[])))) AS keyed
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_roles r ON r.oid = c.relowner
 CROSS JOIN LATERAL (SELECT CASE WHEN a.attrelid = ANY (%s) THEN r.rolname ELSE CURRENT_USER END) w(role)
 WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped
   AND a.attidentity = '' AND a.attgenerated = ''
   AND has_column_privilege(w.role, a.attrelid, a.attnum, 'UPDATE')
   AND has_any_column_privilege(w.role, a.attrelid, 'SELECT')
   AND has_schema_privilege(w.role, c.relnamespace, 'USAGE')
 ORDER BY a.attrelid, a.attnum
"""

_NEXT = {
    "text": "coalesce({c}, '') || ' '",
    "citext": "coalesce({c}, '') || ' '",
    "int2": "coalesce({c}, 0) + 1",
    "int4": "coalesce({c}, 0) + 1",
    "int8": "coalesce({c}, 0) + 1",
    "numeric": "coalesce({c}, 0) + 1",
    "float4": "coalesce({c}, 0) + 1",
    "float8": "coalesce({c}, 0) + 1",
    "bool": "NOT coalesce({c}, false)",
    "date": "coalesce({c}, CURRENT_DATE) + 1",
    "timestamp": "coalesce({c}, LOCALTIMESTAMP) + interval '1 second'",
    "timestamptz": "coalesce({c}, CURRENT_TIMESTAMP) + interval '1 second'",
}


def _attempts(
    connection: psycopg.Connection[Any],
    snapshot: Snapshot,
    tables: list[Relation],
    owners: Collection[int],
) -> dict[int, list[Attempt]]:
    """By table, the columns to change, best first; no entry where the role may write none. owners:
    tables that are written as their owner."""
    read: dict[int, set[str]] = {}
    for edge in snapshot.reads:
        if edge.relation is not None:
            read.setdefault(edge.relation, set()).update(edge.columns)
    found: dict[int, list[tuple[int, Attempt]]] = {}
    for relid, name, type_, constrained, keyed in connection.execute(
        _COLUMNS, (list(owners), [t.oid for t in tables])
    ):
        ways = found.setdefault(relid, [])
        column, table = f"t.{_quoted(name)}", snapshot.by_oid[relid].qualified
        unread = 0 if name in read.get(_root(snapshot, relid), set()) else 10
        if not keyed and not constrained and type_ in _NEXT:
            ways.append((unread, Attempt(name, _NEXT[type_].format(c=column))))
        elif not keyed:
            other = (
                f"(SELECT o.{_quoted(name)} FROM {table} AS o"
                f" WHERE o.{_quoted(name)} IS DISTINCT FROM {column} LIMIT 1)"
            )
            ways.append((unread + 1, Attempt(name, f"coalesce({other}, {column})")))
    return {k: [a for _, a in sorted(v, key=lambda w: w[0])] for k, v in found.items()}


def _root(snapshot: Snapshot, oid: int) -> int:
    relation = snapshot.by_oid[oid]
    return relation.partition_root or oid


def _failed(
    table: Relation, affects: tuple[str, ...], statement: str, sqlstate: str, message: str
) -> Finding:
    return Finding(
        id=f"{CHECK_ID}:{table.qualified}",
        check=CHECK_ID,
        severity=Severity.CRITICAL,
        effect=Effect.WRITES_FAIL,
        object=table.qualified,
        title=f"Writes to {table.qualified} fail with SQLSTATE {sqlstate}",
        detail=f"A write to {table.qualified} was tried, rolled back, and failed: {message}",
        affects=affects,
        evidence=({"sqlstate": sqlstate, "message": message}, {"statement": statement}),
        remedy=Remedy(
            command=f"pgtv explain {shlex.quote(message)}",
            note="The cure is that of the finding that names the same table or TVIEW.",
        ),
    )


def _unknown(
    table: Relation, affects: tuple[str, ...], detail: str, needs: tuple[str, ...] = ()
) -> Finding:
    return Finding(
        id=f"{CHECK_ID}:{table.qualified}:unknown",
        check=CHECK_ID,
        severity=Severity.UNKNOWN,
        effect=Effect.NONE,
        object=table.qualified,
        title=f"Could not try a write to {table.qualified}",
        detail=detail,
        affects=affects,
        needs=needs,
    )


def _first_line(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip().split("\n")[0]


def _quoted(name: str) -> str:
    from pgtv.catalog.dialects.base import ident

    return ident(name)
