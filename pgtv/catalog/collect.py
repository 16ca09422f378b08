"""Fill a Snapshot: a fixed number of catalog queries in one read-only REPEATABLE READ transaction.

Collecting never waits and never writes. Nothing here locks a user relation but `pg_get_viewdef`,
which comes last, leaves out what somebody holds ACCESS EXCLUSIVE, and gives its locks back at once.
Each section stands in a savepoint: one that fails becomes a Gap and hides no other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pgtv import __version__
from pgtv.catalog import dialects, model, queries
from pgtv.catalog.dialects import base
from pgtv.catalog.dialects.base import Dialect
from pgtv.catalog.model import Gap, Snapshot
from pgtv.session import snapshot_transaction

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")


class _Collector:
    """One run: the connection, and what could not be collected so far."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        from psycopg.rows import dict_row

        self.cursor = connection.cursor(row_factory=dict_row)
        self.gaps: list[Gap] = []

    def rows(
        self,
        section: str,
        query: str | None,
        params: Mapping[str, Any] | None = None,
        needs: tuple[str, ...] = (),
    ) -> list[dict[str, Any]] | None:
        """The section's rows, or None and a Gap. One round trip for query and savepoints each."""
        import psycopg

        if query is None:
            return None
        self.cursor.execute("SAVEPOINT section")
        try:
            self.cursor.execute(query.encode(), params or {})
            found = self.cursor.fetchall()
        except psycopg.Error as e:
            if e.sqlstate is None or self.cursor.connection.closed:
                raise
            self.cursor.execute("ROLLBACK TO SAVEPOINT section")
            reason = f"{e.diag.message_primary} (SQLSTATE {e.sqlstate})"
            self.gaps.append(Gap(section, reason, needs if e.sqlstate == "42501" else ()))
            return None
        self.cursor.execute("RELEASE SAVEPOINT section")
        return found

    def all(
        self,
        section: str,
        kind: Callable[..., T],
        query: str | None,
        params: Mapping[str, Any] | None = None,
        needs: tuple[str, ...] = (),
    ) -> tuple[T, ...]:
        rows = self.rows(section, query, params, needs)
        return tuple(kind(**_frozen(row)) for row in rows or ())


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as tuples, so that the model stays immutable and hashable where it can be."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}


def collect(connection: psycopg.Connection[Any]) -> Snapshot:
    """Look at the database of `connection`, a session of pgtv.session.

    Raises psycopg.Error only when the connection itself fails; what cannot be seen is a Gap.
    """
    started = time.monotonic()
    with snapshot_transaction(connection):
        snapshot = _collect(_Collector(connection), connection)
    elapsed = (time.monotonic() - started) * 1000
    return replace(snapshot, elapsed_ms=round(elapsed, 1))


def _collect(run: _Collector, connection: psycopg.Connection[Any]) -> Snapshot:
    server = _server(run, connection)
    extension, dialect, schema = _extension(run)
    registered = _tviews(run, dialect, schema) if schema else ()
    seeds = {
        "known": sorted(
            {t.table_oid for t in registered}
            | {t.view_oid for t in registered}
            | {o for t in registered for o in t.uncascaded}
            | {o for t in registered for _, o in t.function_reads if o}
            | {o for t in registered for o in _plan_relations(t.plan)}
        ),
        "ext_schema": schema or "",
        "extension": base.EXTENSION,
    }
    found = run.rows("relations", queries.REACH, seeds)
    oids = {"rels": [r["oid"] for r in found or ()], **seeds}
    relations = _relations(run, oids)
    tviews = _with_names(registered, relations)
    monitor = ("pg_monitor",)
    snapshot = Snapshot(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        pgtv_version=__version__,
        server=server,
        extension=extension,
        tviews=tviews,
        relations=relations,
        reads=run.all("reads", model.Read, queries.READS, oids),
        functions=run.all("functions", model.Function, queries.FUNCTIONS, oids),
        triggers=_triggers(run, dialect, schema, oids),
        indexes=run.all("indexes", model.Index, queries.INDEXES, oids),
        table_stats=run.all("table_stats", model.TableStats, queries.TABLE_STATS, oids),
        settings=run.all(
            "settings", model.Setting, queries.SETTINGS, {"prefix": base.SETTING_PREFIX}
        ),
        role_settings=run.all("role_settings", model.RoleSetting, queries.ROLE_SETTINGS, oids),
        grants=run.all("grants", model.Grant, queries.GRANTS, oids),
        access=run.all("access", model.Access, queries.ACCESS, oids),
        roles=run.all("roles", model.Role, queries.ROLES, oids),
        locks=run.all("locks", model.Lock, queries.LOCKS, oids),
        sessions=_sessions(run, oids, monitor),
        prepared=run.all("prepared", model.Prepared, queries.PREPARED),
        slots=run.all("slots", model.Slot, queries.SLOTS),
        replicas=run.all("replicas", model.Replica, queries.REPLICAS, None, monitor),
        standby=_one(run.all("standby", model.Standby, queries.STANDBY))
        if server.in_recovery
        else None,
        subscriptions=run.all("subscriptions", model.Subscription, queries.SUBSCRIPTIONS, oids),
        publications=run.all("publications", model.Publication, queries.PUBLICATIONS, oids),
        archiver=_one(run.all("archiver", model.Archiver, queries.ARCHIVER)),
        counters=_counters(run, dialect, schema),
        verifications=_verifications(run),
        growth=_growth(run, dialect, schema),
    )
    relations = _view_definitions(run, snapshot)
    if not server.monitors:
        run.gaps.append(Gap("sessions", "other roles' sessions are hidden", monitor))
    return replace(snapshot, relations=relations, gaps=tuple(run.gaps))


def _one(found: tuple[T, ...]) -> T | None:
    return found[0] if found else None


def _server(run: _Collector, connection: psycopg.Connection[Any]) -> model.Server:
    row = (run.rows("server", queries.SERVER) or [{}])[0]
    info = connection.info
    lsn = run.rows("wal", queries.WAL_LSN) or [{}]
    # PgBouncer answers start-up parameters itself and passes no backend pid of its own making;
    # what gives it away is that the pid it announced is not the backend's.
    pooled = row.get("backend_pid") not in (None, info.backend_pid)
    system = run.rows("system_identifier", queries.SYSTEM_IDENTIFIER) or [{}]
    row.pop("backend_pid", None)
    return model.Server(
        **_frozen(row),
        host=info.host or "",
        port=info.port,
        pooler="PgBouncer" if pooled else None,
        wal_lsn=lsn[0].get("lsn"),
        system_identifier=system[0].get("id"),
    )


def _extension(run: _Collector) -> tuple[model.Extension, Dialect, str | None]:
    """Which generation stands here, and in which schema."""
    row = (run.rows("extension", queries.EXTENSION, {"extension": base.EXTENSION}) or [{}])[0]
    installed = bool(row.get("installed"))
    schema = row.get("schema")
    probes = run.rows(
        "probes",
        queries.PROBES,
        {
            "schema": schema or "",
            "keys": list(base.PROBES),
            "relations": [r for r, _ in base.PROBES.values()],
            "columns": [c for _, c in base.PROBES.values()],
        },
    )
    present = frozenset(r["key"] for r in probes or ())
    lab = bool(row.get("lab"))
    dialect = dialects.choose(present, installed, lab)
    extension = model.Extension(
        generation=dialect.name,
        installed=installed or lab,
        version=row.get("version"),
        default_version=row.get("default_version"),
        versions=tuple(row.get("versions") or ()),
        schema=schema,
        owner=row.get("owner"),
        preloaded=row.get("preloaded"),
        jsonb_delta=bool(row.get("jsonb_delta")),
        event_triggers=run.all(
            "event_triggers", model.EventTrigger, queries.EVENT_TRIGGERS,
            {"extension": base.EXTENSION, "names": list(dialect.event_triggers)},
        ),
        leftovers=tuple(
            r["name"] for r in run.rows("leftovers", queries.LEFTOVERS) or ()
        ),
    )  # fmt: skip
    if not schema:
        return extension, dialect, None
    missing = run.rows(
        "catalog_objects", queries.MISSING_OBJECTS,
        {"schema": schema, "names": list(dialect.required_tables)},
    )  # fmt: skip
    revision = run.rows("catalog_revision", dialect.revision_query(schema))
    contract = run.rows("contract", dialect.contract_query(schema))
    gaps_before = len(run.gaps)
    library = run.rows("library", dialect.library_query(schema))
    error = run.gaps[-1].reason if len(run.gaps) > gaps_before else None
    extension = replace(
        extension,
        tables_missing=tuple(r["name"] for r in missing or ()),
        catalog_revision=_scalar(revision),
        contract_version=_scalar(contract),
        library_version=_scalar(library),
        library_error=error,
    )
    return extension, dialect, schema if "meta" in present or lab else None


def _scalar(rows: list[dict[str, Any]] | None) -> Any:
    return next(iter(rows[0].values())) if rows else None


def _tviews(run: _Collector, dialect: Dialect, schema: str) -> tuple[model.Tview, ...]:
    rows = run.rows("tviews", dialect.tviews_query(schema), needs=("SELECT on the catalog",))
    options = {
        r["entity"]: r["options"]
        for r in run.rows("registry", dialect.registry_query(schema)) or ()
    }
    valid_rows = run.rows("valid", dialect.valid_query(schema))
    valid = None if valid_rows is None else {r["entity"] for r in valid_rows}
    return tuple(_tview(row, options.get(row["entity"]) or {}, valid) for row in rows or ())


def _tview(row: dict[str, Any], options: dict[str, Any], valid: set[str] | None) -> model.Tview:
    raw = row["raw"] or {}
    plan, plan_error = None, None
    if row["plan"] is not None:
        try:
            plan = json.loads(row["plan"])
        except ValueError as e:  # pragma: no cover - jsonb always parses
            plan_error = str(e)
        if plan_error is None:
            plan_error = plan_problem(plan)
    identity = raw.get("identity") if isinstance(raw.get("identity"), dict) else {}
    columns = identity.get("columns") if isinstance(identity, dict) else None
    names = tuple(
        c["name"]
        for c in (columns if isinstance(columns, list) else ())
        if isinstance(c, dict) and isinstance(c.get("name"), str)
    ) or (f"pk_{row['entity']}",)
    return model.Tview(
        entity=row["entity"],
        schema=None,
        name=f"tv_{row['entity']}",
        table_oid=row["table_oid"],
        view_oid=row["view_oid"],
        definition=row["definition"] or "",
        identity=names,
        identity_kind=identity.get("kind") if isinstance(identity, dict) else None,
        plan=plan,
        plan_error=plan_error,
        options=options,
        needs_reregister=bool(raw.get("needs_reregister")),
        time_dependent=bool(raw.get("time_dependent")),
        time_refresh=raw.get("time_refresh"),
        uncascaded_policy=raw.get("uncascaded_policy"),
        managed_indexes=_strings(raw.get("managed_index_names")),
        created_at=raw.get("created_at"),
        registered_age=row["registered_age"],
        valid=None if valid is None else row["entity"] in valid,
        raw=raw,
    )


def plan_problem(plan: Any) -> str | None:
    """Why the extension could not read a plan, as far as its shape shows it; None when fine."""
    if not isinstance(plan, dict):
        return f"the plan is a JSON {_json_kind(plan)}, not an object"
    for key, kind in (("tables", list), ("paths", list), ("embeds", list)):
        if key not in plan:
            return f"the plan has no {key}"
        if not isinstance(plan[key], kind):
            return f"{key} of the plan is a JSON {_json_kind(plan[key])}, not an array"
    for i, entry in enumerate(plan["tables"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("relid"), int):
            return f"entry {i} of the plan's tables has no relid"
    return None


def _json_kind(value: Any) -> str:
    return {
        dict: "object", list: "array", str: "string", bool: "boolean", int: "number",
        float: "number", type(None): "null",
    }.get(type(value), "value")  # fmt: skip


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _plan_relations(plan: Any) -> Iterable[int]:
    tables = plan.get("tables") if isinstance(plan, dict) else None
    for entry in tables if isinstance(tables, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("relid"), int):
            relid = entry["relid"]
            if 0 < relid < 2**32:
                yield relid


def _relations(run: _Collector, oids: Mapping[str, Any]) -> tuple[model.Relation, ...]:
    rows = run.rows("relations", queries.RELATIONS, oids) or []
    found = []
    for row in rows:
        columns = tuple(model.Column(**c) for c in row.pop("columns") or ())
        found.append(model.Relation(**_frozen(row), columns=columns))
    return tuple(found)


def _with_names(
    tviews: tuple[model.Tview, ...], relations: tuple[model.Relation, ...]
) -> tuple[model.Tview, ...]:
    """The names that the OIDs of the catalog rows have now, and relation lists by OID."""
    by_oid = {r.oid: r for r in relations}
    by_name = {r.qualified: r.oid for r in relations}
    by_name |= {f"{r.schema}.{r.name}": r.oid for r in relations}
    named = []
    for t in tviews:
        table, view = by_oid.get(t.table_oid), by_oid.get(t.view_oid)
        oids = [_as_oid(v, by_name) for v in t.raw.get("uncascaded_oids") or ()]
        functions = t.raw.get("function_read_functions") or []
        tables = t.raw.get("function_read_tables") or []
        named.append(
            replace(
                t,
                schema=table.schema if table else None,
                name=table.name if table else t.name,
                table_name=table.qualified if table else None,
                view_name=view.qualified if view else None,
                uncascaded=tuple(o for o in oids if o),
                function_reads=tuple(
                    (f, _as_oid(r, by_name)) for f, r in zip(functions, tables, strict=False)
                ),
            )
        )
    return tuple(named)


def _as_oid(regclass: Any, by_name: Mapping[str, int]) -> int | None:
    """A regclass as to_jsonb wrote it: a name, or digits where it points nowhere."""
    if not isinstance(regclass, str):
        return None
    if regclass.isdigit():
        return int(regclass)
    return by_name.get(regclass) or by_name.get(regclass.replace('"', ""))


def _triggers(
    run: _Collector, dialect: Dialect, schema: str | None, oids: Mapping[str, Any]
) -> tuple[model.Trigger, ...]:
    rows = run.rows("triggers", queries.TRIGGERS, oids) or []
    found = []
    for row in rows:
        function_schema, function_name = row.pop("function_schema"), row.pop("function_name")
        ours = function_schema == (schema or dialect.schema)
        kind = dialect.trigger_functions.get(function_name) if ours else None
        args = _trigger_args(row.pop("args"))
        found.append(
            model.Trigger(
                **_frozen(row),
                function=f"{function_schema}.{function_name}",
                kind=kind,
                entity=args[0] if kind and len(args) == 1 else None,
                args=args,
            )
        )
    return tuple(found)


def _trigger_args(raw: bytes | None) -> tuple[str, ...]:
    if not raw:
        return ()
    return tuple(part.decode("utf-8", "replace") for part in bytes(raw).split(b"\0")[:-1])


def _sessions(
    run: _Collector, oids: Mapping[str, Any], needs: tuple[str, ...]
) -> tuple[model.Session, ...]:
    from pgtv.catalog.scrub import scrub

    rows = run.rows("sessions", queries.SESSIONS, oids, needs) or []
    return tuple(model.Session(**_frozen({**r, "query": scrub(r["query"])})) for r in rows)


def _counters(run: _Collector, dialect: Dialect, schema: str | None) -> tuple[model.Counters, ...]:
    if not schema:
        return ()
    rows = run.rows("counters", dialect.stats_query(schema)) or []
    found = []
    for row in rows:
        values = row["values"] or {}
        found.append(
            model.Counters(
                row["entity"],
                {k: float(v) for k, v in values.items() if isinstance(v, int | float)},
                values.get("stats_reset"),
            )
        )
    return tuple(found)


def _verifications(run: _Collector) -> tuple[model.Verification, ...]:
    if not (run.rows("state_schema", queries.HAS_STATE) or [{}])[0].get("present"):
        return ()
    return run.all(
        "verifications", model.Verification, queries.VERIFICATIONS,
        needs=("USAGE on schema pgtv",),
    )  # fmt: skip


def _growth(run: _Collector, dialect: Dialect, schema: str | None) -> model.Growth:
    audit = (run.rows("audit_log", dialect.audit_query(schema)) if schema else None) or [{}]
    gaps = run.rows("feed_gaps", dialect.feed_gaps_query(schema)) if schema else None
    return model.Growth(
        audit_log_rows=audit[0].get("rows"),
        audit_log_pages=audit[0].get("pages"),
        feed_gaps=_scalar(gaps) if isinstance(_scalar(gaps), int) else None,
    )


def _view_definitions(run: _Collector, snapshot: Snapshot) -> tuple[model.Relation, ...]:
    """Definitions of views, left out where pg_get_viewdef would wait for somebody's lock."""
    held = {
        lock.relation
        for lock in snapshot.locks
        if lock.mode == "AccessExclusiveLock" and lock.relation
    }
    wanted: list[model.Relation] = []
    skipped: list[model.Relation] = []
    for relation in snapshot.relations:
        if relation.kind not in "vm":
            continue
        reads = {r.relation for r in snapshot.reads_of.get(relation.oid, ())} | {relation.oid}
        (skipped if reads & held else wanted).append(relation)
    run.gaps.extend(
        Gap("view_definition", "ACCESS EXCLUSIVE is held on what it reads", (), r.qualified)
        for r in skipped
    )
    if not wanted:
        return snapshot.relations
    run.cursor.execute("SAVEPOINT viewdef")
    run.cursor.execute("SET LOCAL lock_timeout = '100ms'")
    rows = run.rows("view_definition", queries.VIEWDEFS, {"views": [r.oid for r in wanted]})
    run.cursor.execute("ROLLBACK TO SAVEPOINT viewdef")  # gives the locks back
    definitions = {r["oid"]: r["definition"] for r in rows or ()}
    return tuple(
        replace(r, definition=definitions[r.oid].rstrip().removesuffix(";"))
        if definitions.get(r.oid)
        else r
        for r in snapshot.relations
    )
