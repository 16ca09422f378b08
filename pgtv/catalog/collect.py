"""Fill a Snapshot: a fixed number of catalog queries in one read-only REPEATABLE READ transaction.

Collecting never waits and never writes. Nothing here locks a user relation but what
pgtv.catalog.printed asks, which comes last. What cannot be seen becomes a Gap.

Queries are queued by `ask` and `all` and sent together when the first answer is needed: see
pgtv.catalog.asking.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgtv import __version__, kept
from pgtv.catalog import installation, model, printed, queries, remembered
from pgtv.catalog.access import ACCESS, PUBLIC_LACKS
from pgtv.catalog.asking import Answer, Asking, array
from pgtv.catalog.dialects import base, lab
from pgtv.catalog.dialects.base import Dialect
from pgtv.catalog.model import Snapshot
from pgtv.catalog.printed import Printed
from pgtv.catalog.room import DATA_DIRECTORY, room
from pgtv.errors import QueryError
from pgtv.session import pooled, snapshot_transaction

if TYPE_CHECKING:
    import psycopg

MONITOR = ("pg_monitor",)
Params = Mapping[str, Any]


def collect(connection: psycopg.Connection[Any]) -> Snapshot:
    """Look at the database of `connection`, a session of pgtv.session.

    Raises psycopg.Error only when the connection itself fails, and QueryError when not even the
    server and the extension can be recognised; what else cannot be seen is a Gap.
    """
    started = time.monotonic()
    with snapshot_transaction(connection):
        snapshot = _collect(Asking(connection))
    elapsed = (time.monotonic() - started) * 1000
    return replace(snapshot, elapsed_ms=round(elapsed, 1))


def _collect(run: Asking) -> Snapshot:
    # First what needs no other answer …
    server_rows = _ask_server(run)
    installed = run.ask(
        "extension", queries.EXTENSION,
        {"extension": base.EXTENSION, "usual_schema": base.Dialect("").schema,
         "lab_relations": list(lab.DIALECT.relations_read)},
    )  # fmt: skip
    event_triggers = run.all("event_triggers", model.EventTrigger, queries.EVENT_TRIGGERS)
    leftovers = run.ask("leftovers", queries.LEFTOVERS)
    state = run.ask("state_schema", queries.KEPT, {"schema": kept.SCHEMA})
    settings = run.all("settings", model.Setting, queries.SETTINGS, {"prefix": base.SETTING_PREFIX})
    role_settings = run.all("role_settings", model.RoleSetting, queries.ROLE_SETTINGS)
    prepared = run.all("prepared", model.Prepared, queries.PREPARED)
    slots = run.all("slots", model.Slot, queries.SLOTS)
    replicas = run.all("replicas", model.Replica, queries.REPLICAS, None, MONITOR)
    archiver = run.all("archiver", model.Archiver, queries.ARCHIVER)
    directory = run.ask("data_directory", DATA_DIRECTORY)
    server = _server(run, server_rows)
    # without these two everything below would read as "there is none"
    _require(server_rows[0], "the server")
    _require(installed, "the extension")

    # … then the extension's own catalog …
    extension, dialect, held = installation.recognise(run, installed)
    schema = extension.schema
    standby = run.all("standby", model.Standby, queries.STANDBY if server.in_recovery else None)
    verifications = remembered.verifications(run, state, server)
    leases = remembered.leases(run, state, server)
    catalog = installation.ask(run, dialect, extension, held, in_recovery=server.in_recovery)
    extension, dialect = installation.describe(catalog, dialect, extension)
    extension = replace(
        extension,
        event_triggers=event_triggers.all(),
        leftovers=tuple(r["name"] for r in leftovers.rows() or ()),
    )
    registered = installation.tviews(run, catalog, dialect)

    # … and last what stands around the TVIEWs.
    seeds: Params = {
        "known": array(installation.named_oids(registered)),
        "named": installation.names(registered),
        # after DROP EXTENSION backing views may still stand in its schema
        "ext_schema": schema or (extension.schema_left and dialect.schema) or "",
        "extension": base.EXTENSION,
        "tables": array(t.table_oid for t in registered),
        "views": array(t.view_oid for t in registered),
        "written": queries.WRITTEN,
    }
    reach = run.ask("relations", queries.REACH, seeds)
    oids: Params = {"rels": array(r["oid"] for r in reach.rows() or ()), **seeds}
    relation_rows = run.ask("relations", queries.RELATIONS, oids)
    column_rows = run.ask("relations", queries.COLUMNS, oids)
    reads = run.all("reads", model.Read, queries.READS, oids)
    functions = run.all("functions", model.Function, queries.FUNCTIONS, oids)
    trigger_rows = run.ask("triggers", queries.TRIGGERS, oids)
    indexes = run.all("indexes", model.Index, queries.INDEXES, oids)
    table_stats = run.all("table_stats", model.TableStats, queries.TABLE_STATS, oids)
    grants = run.all("grants", model.Grant, queries.GRANTS, oids)
    default_grants = run.all("grants", model.DefaultGrant, queries.DEFAULT_GRANTS, seeds)
    public = run.ask(
        "public_access", PUBLIC_LACKS if dialect.public_tables else None,
        {**seeds, "public_tables": list(dialect.public_tables),
                 "operator_functions": list(dialect.operator_functions)},
    )  # fmt: skip
    access = run.all("access", model.Access, ACCESS, oids)
    roles = run.all("roles", model.Role, queries.ROLES, oids)
    locks = run.all("locks", model.Lock, queries.LOCKS, oids)
    session_rows = run.ask("sessions", queries.SESSIONS, oids, MONITOR)
    subscriptions = run.all("subscriptions", model.Subscription, queries.SUBSCRIPTIONS, oids)
    publications = run.all("publications", model.Publication, queries.PUBLICATIONS, oids)
    locked, read = locks.all(), reads.all()
    prints = printed.ask(
        run, relation_rows.rows() or (), trigger_rows.rows() or (), read, locked, registered
    )
    relations = _relations(relation_rows, column_rows, prints)
    snapshot = Snapshot(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        pgtv_version=__version__,
        server=server,
        extension=replace(
            extension,
            public_lacks=tuple((r["privilege"], r["object"]) for r in public.rows() or ()),
        ),
        tviews=installation.with_names(registered, relations),
        relations=relations,
        reads=read,
        functions=functions.all(),
        triggers=_triggers(trigger_rows, prints, dialect, schema, [t.entity for t in registered]),
        indexes=indexes.all(),
        table_stats=table_stats.all(),
        settings=settings.all(),
        role_settings=role_settings.all(),
        grants=grants.all(),
        default_grants=default_grants.all(),
        access=access.all(),
        roles=roles.all(),
        locks=locked,
        sessions=_sessions(session_rows),
        prepared=prepared.all(),
        slots=slots.all(),
        replicas=replicas.all(),
        standby=standby.one(),
        subscriptions=subscriptions.all(),
        publications=publications.all(),
        archiver=archiver.one(),
        counters=installation.counters(catalog),
        verifications=verifications,
        leases=leases,
        growth=_with_room(installation.growth(catalog), server.host, directory),
    )
    if server.host.startswith("/") and directory.row().get("path") is None:
        # on its host: only the path of the data directory is missing
        run.gap("room", "data_directory is hidden", ("pg_read_all_settings",))
    if not server.monitors:
        run.gap("sessions", "other roles' sessions are hidden", MONITOR)
        if snapshot.replicas:
            run.gap("replicas", "the progress of standbys is hidden", MONITOR)
    return replace(snapshot, gaps=tuple(run.gaps))


def _require(answer: Answer, what: str) -> None:
    if answer.error:
        hint = "raise --statement-timeout" if answer.sqlstate == "57014" else None
        raise QueryError(f"cannot look at {what}: {answer.error}", hint, answer.sqlstate)


def _with_room(growth: model.Growth, host: str, directory: Answer) -> model.Growth:
    left = room(host, directory.row().get("path"))
    return replace(growth, data_total_bytes=left[0], data_free_bytes=left[1]) if left else growth


def _ask_server(run: Asking) -> tuple[Answer, Answer, Answer]:
    return (
        run.ask("server", queries.SERVER),
        run.ask("wal", queries.WAL_LSN),
        run.ask("system_identifier", queries.SYSTEM_IDENTIFIER),
    )


def _server(run: Asking, answers: tuple[Answer, Answer, Answer]) -> model.Server:
    server, wal, system = answers
    info = run.connection.info
    return model.Server(
        **server.row(),
        host=info.host or "",
        port=info.port,
        pooler="PgBouncer" if pooled(run.connection) else None,
        wal_lsn=wal.row().get("lsn"),
        timeline=wal.row().get("timeline"),
        system_identifier=system.row().get("id"),
    )


def _relations(rows: Answer, column_rows: Answer, prints: Printed) -> tuple[model.Relation, ...]:
    columns: dict[int, list[model.Column]] = {}
    for row in column_rows.rows() or ():
        columns.setdefault(row.pop("relation"), []).append(model.Column(**row))
    found = []
    for row in rows.rows() or ():
        constraints = tuple(model.Constraint(**c) for c in row.pop("constraints") or ())
        oid = row["oid"]
        size, more = prints.bytes.get(oid, (None, None))
        found.append(
            model.Relation(
                **row, columns=tuple(columns.get(oid, ())), constraints=constraints,
                definition=prints.views.get(oid), bytes=size, more_bytes=more,
            )
        )  # fmt: skip
    return tuple(found)


def _triggers(
    rows: Answer, prints: Printed, dialect: Dialect, schema: str | None, entities: Sequence[str]
) -> tuple[model.Trigger, ...]:
    found = []
    for row in rows.rows() or ():
        function_schema, function_name = row.pop("function_schema"), row.pop("function_name")
        ours = function_schema == (schema or dialect.schema)
        kind = dialect.trigger_functions.get(function_name) if ours else None
        args = _trigger_args(row.pop("args"))
        if row["when"]:
            row["definition"] = _masked(prints.triggers.get(row["oid"]))
        if not kind:  # somebody else's arguments: connection strings and tokens are among them
            args = ("?",) * len(args)
            row["definition"] = _masked(row["definition"])
        found.append(
            model.Trigger(
                **row,
                function=f"{function_schema}.{function_name}",
                kind=kind,
                entity=dialect.trigger_entity(row["name"], kind, args, entities) if kind else None,
                args=args,
            )
        )
    return tuple(found)


def _masked(definition: str | None) -> str | None:
    from pgtv.catalog.scrub import without_literals

    return None if definition is None else without_literals(definition)


def _trigger_args(raw: bytes | None) -> tuple[str, ...]:
    if not raw:
        return ()
    return tuple(part.decode("utf-8", "replace") for part in bytes(raw).split(b"\0")[:-1])


def _sessions(rows: Answer) -> tuple[model.Session, ...]:
    from pgtv.catalog.scrub import scrub

    return tuple(model.Session(**{**r, "query": scrub(r["query"])}) for r in rows.rows() or ())
