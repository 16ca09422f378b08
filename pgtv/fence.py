"""The fence: every table of TVIEWs refuses writes while nobody keeps the TVIEWs up to date.

A statement trigger on each table raises an error. It is made in the transaction that takes the
extension away, so no write slips in between; it binds sessions that were there before, superusers,
replication's apply and cascades of foreign keys; and pg_upgrade and pg_dump carry it along. It stands
in a schema of its own, so that dropping that schema opens every table at once, and its comment says
what happened to whoever finds it.

What it does not stop: a table's owner who disables or drops the trigger, DDL that rewrites a table,
partitions attached meanwhile, and views and functions replaced that definitions read. Rows are
therefore compared after attaching all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgtv.catalog.dialects.base import literal
from pgtv.catalog.model import Relation, Snapshot
from pgtv.graph.edges import edges

SCHEMA = "pgtv_fence"
FUNCTION = "refuse"
TRIGGER = "0_pgtv_fence"  # triggers fire by name: before anybody else's


def tables(snapshot: Snapshot) -> list[Relation]:
    """What has to be fenced: tables that TVIEWs read, with partitions and heirs, and their own.

    In the order in which they are to be locked: upstream first.
    """
    graph = edges(snapshot)
    ordered: dict[int, Relation] = {}
    for tview in graph.in_order(graph.tviews.values()):
        for oid in reversed(graph.upstream([tview.table_oid])):
            relation = snapshot.by_oid.get(oid)
            if relation and relation.kind in "rp":
                ordered.setdefault(oid, relation)
    more = True
    while more:
        heirs = [
            r
            for r in snapshot.relations
            if r.kind in "rp"
            and r.oid not in ordered
            and (ordered.keys() & set(r.inherits) or r.partition_of in ordered)
        ]
        more = bool(heirs)
        ordered |= {r.oid: r for r in heirs}
    return list(ordered.values())


def raise_(fenced: Sequence[Relation], comment: str) -> list[str]:
    """Statements that refuse writes to `fenced`; to be run in a transaction that has locked them."""
    function = f"{SCHEMA}.{FUNCTION}()"
    return [
        f"CREATE SCHEMA {SCHEMA};",
        f"COMMENT ON SCHEMA {SCHEMA} IS {literal(comment)};",
        f"CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql\n"
        "  SET search_path = pg_catalog, pg_temp AS $fence$ BEGIN\n"
        "  RAISE EXCEPTION 'writes to %.% are refused while its TVIEWs are detached',\n"
        "    pg_catalog.quote_ident(TG_TABLE_SCHEMA), pg_catalog.quote_ident(TG_TABLE_NAME)\n"
        "    USING ERRCODE = 'read_only_sql_transaction',\n"
        "    HINT = 'pgtv upgrade attach brings them back and opens the table.';\n"
        "END $fence$;",
        "DO $raise$ DECLARE fenced regclass; BEGIN\n"
        "  FOREACH fenced IN ARRAY ARRAY[\n    "
        + ",\n    ".join(literal(r.qualified) for r in fenced)
        + "]::regclass[] LOOP\n"
        "    EXECUTE pg_catalog.format('CREATE TRIGGER %I BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE'\n"
        f"      ' ON %s FOR EACH STATEMENT EXECUTE FUNCTION {function}', {literal(TRIGGER)}, fenced);\n"
        "    EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', fenced,\n"
        f"      {literal(TRIGGER)});\n"
        "  END LOOP;\nEND $raise$;",
    ]


def lower() -> str:
    """Opens every table: the triggers go with their function."""
    return f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;"


def fenced(snapshot: Snapshot) -> list[Relation]:
    """Tables of the snapshot that the fence stands on."""
    oids = {t.relation for t in snapshot.triggers if t.function == f"{SCHEMA}.{FUNCTION}"}
    return [r for r in snapshot.relations if r.oid in oids]
