"""The statements that write leases down, as they are printed and run; see sql/state/install.sql."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pgtv.catalog.dialects.base import literal
from pgtv.catalog.model import Lease


def take(entities: Iterable[str], seconds: float, reason: str) -> str:
    """A new lease, which holds no trigger yet."""
    return (
        "INSERT INTO pgtv.lease (until, reason, entities, system_identifier, database_oid)\n"
        f"SELECT pg_catalog.now() + {interval(seconds)}, {literal(reason)},\n"
        f"       {array(entities)}, c.system_identifier::text, d.oid\n"
        "FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d\n"
        "WHERE d.datname = pg_catalog.current_database();"
    )


def hold(names: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """The lease that this session took holds these triggers, with the states that they have now.

    names: names of triggers by (entity, qualified table); the tables have to be locked before.
    """
    rows = ",\n    ".join(
        f"({literal(entity)}, {literal(table)},\n     {array(triggers)})"
        for (entity, table), triggers in names.items()
    )
    return (
        "INSERT INTO pgtv.lease_trigger (lease, entity, relation, relation_name, trigger,\n"
        "    trigger_name, enabled, system_identifier, database_oid)\n"
        "SELECT l.id, x.entity, t.tgrelid, x.relation, t.oid, t.tgname, t.tgenabled,\n"
        "       l.system_identifier, l.database_oid\n"
        f"FROM ONLY pgtv.lease l CROSS JOIN (VALUES\n    {rows}\n"
        ") AS x(entity, relation, names)\n"
        "JOIN pg_catalog.pg_trigger t\n"
        "  ON t.tgrelid = x.relation::pg_catalog.regclass AND t.tgname = ANY (x.names)\n"
        "WHERE l.id = pg_catalog.currval('pgtv.lease_id_seq');"
    )


def extend(lease: Lease, seconds: float, reason: str) -> tuple[str, str]:
    """The statement that gives a lease a new end, and the one that takes it back."""
    update = "UPDATE ONLY pgtv.lease SET until = {}, reason = {}\nWHERE id = {};"
    return (
        update.format(f"pg_catalog.now() + {interval(seconds)}", literal(reason), lease.id),
        update.format(literal(lease.until), literal(lease.reason), lease.id),
    )


def owe(lease: Lease, owed: Iterable[str]) -> str:
    """From now on the rows of these entities are owed."""
    return (
        "UPDATE ONLY pgtv.lease SET owed = ARRAY(SELECT DISTINCT e FROM pg_catalog.unnest(\n"
        f"        owed || {array(owed)}) e ORDER BY 1)\nWHERE id = {lease.id};"
    )


def let_go(lease: Lease, entities: Iterable[str], relations: Iterable[int] | None) -> str:
    """The lease holds these triggers no more; relations: on these tables only."""
    on = "" if relations is None else f"\n    AND relation IN ({', '.join(map(str, relations))})"
    return (
        f"DELETE FROM ONLY pgtv.lease_trigger WHERE lease = {lease.id}"
        f" AND entity = ANY ({array(entities)}){on};"
    )


def end(lease: Lease) -> str:
    """Who gave the last trigger back, and when."""
    return (
        "UPDATE ONLY pgtv.lease SET enabled_at = pg_catalog.now(), enabled_by = CURRENT_USER\n"
        f"WHERE id = {lease.id} AND NOT EXISTS (\n"
        f"        SELECT FROM ONLY pgtv.lease_trigger t WHERE t.lease = {lease.id});"
    )


def settled(leases: Iterable[int], entities: Iterable[str]) -> str:
    """The rows of these entities are owed no more."""
    return (
        "UPDATE ONLY pgtv.lease SET owed = ARRAY(SELECT e FROM pg_catalog.unnest(owed) e\n"
        f"        WHERE e <> ALL ({array(entities)}))\n"
        f"WHERE id IN ({', '.join(str(i) for i in sorted(leases))});"
    )


def array(texts: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(literal(t) for t in sorted(texts))}]::text[]"


def interval(seconds: float) -> str:
    return f"interval '{words(seconds)}'"


def words(seconds: float) -> str:
    """As people and PostgreSQL both read it; a fraction of a second is none."""
    whole = round(seconds)
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if whole % size == 0 and whole:
            n = whole // size
            return f"{n} {unit if n > 1 else unit[:-1]}"
    return f"{whole} seconds"
