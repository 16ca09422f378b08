"""The statements that write leases down, as they are printed and run; see sql/state/install.sql."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pgtv.catalog.dialects.base import literal
from pgtv.catalog.model import Lease


def take(
    names: Mapping[tuple[str, str], Sequence[str]],
    entities: Iterable[str],
    seconds: float,
    reason: str,
) -> str:
    """A new lease with the states that its triggers have now; their tables have to be locked before.

    names: names of triggers by (entity, qualified table).
    """
    rows = ",\n    ".join(
        f"({literal(entity)}, {literal(table)},\n     {array(triggers)})"
        for (entity, table), triggers in names.items()
    )
    return (
        "WITH lease AS (\n"
        "  INSERT INTO pgtv.lease (until, reason, entities, system_identifier, database_oid)\n"
        f"  SELECT pg_catalog.now() + {interval(seconds)}, {literal(reason)},\n"
        f"         {array(entities)}, c.system_identifier::text, d.oid\n"
        "  FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d\n"
        "  WHERE d.datname = pg_catalog.current_database()\n"
        "  RETURNING id, system_identifier, database_oid\n"
        ")\n"
        "INSERT INTO pgtv.lease_trigger (lease, entity, relation, relation_name, trigger,\n"
        "    trigger_name, enabled, system_identifier, database_oid)\n"
        "SELECT l.id, x.entity, t.tgrelid, x.relation, t.oid, t.tgname, t.tgenabled,\n"
        "       l.system_identifier, l.database_oid\n"
        f"FROM lease l CROSS JOIN (VALUES\n    {rows}\n"
        ") AS x(entity, relation, names)\n"
        "JOIN pg_catalog.pg_trigger t\n"
        "  ON t.tgrelid = x.relation::pg_catalog.regclass AND t.tgname = ANY (x.names);"
    )


def extend(lease: Lease, seconds: float, reason: str) -> tuple[str, str]:
    """The statement that gives a lease a new end, and the one that takes it back."""
    update = "UPDATE pgtv.lease SET until = {}, reason = {}\nWHERE id = {};"
    return (
        update.format(f"pg_catalog.now() + {interval(seconds)}", literal(reason), lease.id),
        update.format(literal(lease.until), literal(lease.reason), lease.id),
    )


def give_back(
    lease: Lease, entities: Iterable[str], owed: Iterable[str], *, whole: bool
) -> tuple[str, str]:
    """The lease holds the triggers of `entities` no more, and owes the rows of `owed`.

    whole: these were the last that it held.
    """
    only = "" if whole else f" AND entity = ANY ({array(entities)})"
    ended = ",\n    enabled_at = pg_catalog.now(), enabled_by = CURRENT_USER" if whole else ""
    return (
        f"DELETE FROM pgtv.lease_trigger WHERE lease = {lease.id}{only};",
        "UPDATE pgtv.lease SET owed = ARRAY(SELECT DISTINCT e FROM pg_catalog.unnest(\n"
        f"        owed || {array(owed)}) e ORDER BY 1){ended}\nWHERE id = {lease.id};",
    )


def settled(leases: Iterable[int], entities: Iterable[str]) -> str:
    """The rows of these entities are owed no more."""
    return (
        "UPDATE pgtv.lease SET owed = ARRAY(SELECT e FROM pg_catalog.unnest(owed) e\n"
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
