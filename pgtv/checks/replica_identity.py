"""A published TVIEW has no replica identity, or one that its publication does not fit.

Meaning:
    The TVIEW's table is in a publication that publishes updates or deletes, and has neither a primary
    key under REPLICA IDENTITY DEFAULT nor another identity; or the publication's row filter reads a
    column outside that identity, or its list of columns leaves out one of the identity.

Impact:
    Every refresh that updates or deletes a row fails, and with it the write to the base table: with
    SQLSTATE 55000 (does not have a replica identity and publishes updates), with 42P10 for a filter or
    a list of columns.

Diagnosis:
    pg_class.relreplident, the key or index that it means, and pg_publication_rel, for tables that are
    published by name, in published schemas, and in publications FOR ALL TABLES.

Mitigation:
    Give it an identity: the primary key where it has one, else the whole row; a filter needs the whole
    row. Or take TVIEWs out of the publication: a subscriber with TVIEWs of its own does not need them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        if table := context.snapshot.by_oid.get(tview.table_oid):
            yield from _unidentified(context, table)
            yield from _misfits(context, table)


def _unidentified(context: Context, table: Relation) -> Iterator[Finding]:
    snapshot = context.snapshot
    published = [
        p.name
        for p in snapshot.publications
        if p.updates and (p.all_tables or table.oid in p.relations)
    ]
    primary = any(i.primary and i.valid for i in snapshot.indexes_on.get(table.oid, ()))
    identified = table.replica_identity in "if" or (table.replica_identity == "d" and primary)
    if not published or identified or table.persistence != "p":
        return
    identity = "DEFAULT" if primary else "FULL"
    found = "nothing" if table.replica_identity == "n" else "default, without a primary key"
    yield context.finding(
        table.qualified,
        f"{table.qualified} is published by {', '.join(published)} without a replica identity: "
        "writes that update or delete its rows fail with SQLSTATE 55000.",
        affects=context.affected(table.oid),
        evidence=[{"publication": p, "replica identity": found} for p in published],
        remedy=Remedy(
            sql=(
                "SET lock_timeout = '2s';",
                f"ALTER TABLE {table.qualified} REPLICA IDENTITY {identity};",
            ),
            role=f"the owner of {table.qualified}",
            locks=(f"ACCESS EXCLUSIVE on {table.qualified}",),
            undo=f"ALTER TABLE {table.qualified} REPLICA IDENTITY "
            + ("NOTHING;" if table.replica_identity == "n" else "DEFAULT;"),
        ),
    )


def _misfits(context: Context, table: Relation) -> Iterator[Finding]:
    for publication in context.snapshot.publications:
        if not publication.updates:
            continue
        if table.oid in publication.columns_lack:
            what = "list of columns leaves out part of its replica identity"
            name = ident(publication.name)
            # SET TABLE would need every other table of the publication as well
            remedy = Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    "BEGIN;",
                    f"ALTER PUBLICATION {name} DROP TABLE {table.qualified};",
                    f"ALTER PUBLICATION {name} ADD TABLE {table.qualified};",
                    "COMMIT;",
                ),
                role=f"the owner of the publication and of {table.qualified}, or a superuser",
                locks=(f"SHARE UPDATE EXCLUSIVE on {table.qualified}",),
                decide="It publishes every column and every row from then on: subscribers need all "
                "columns.",
                note="To keep the list of columns, name the key in it too.",
            )
        elif table.oid in publication.filters_other:
            what = "row filter reads a column outside its replica identity"
            before = {"n": "NOTHING", "d": "DEFAULT"}.get(table.replica_identity)
            remedy = Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    f"ALTER TABLE {table.qualified} REPLICA IDENTITY FULL;",
                ),
                role=f"the owner of {table.qualified}",
                locks=(f"ACCESS EXCLUSIVE on {table.qualified}",),
                undo=f"ALTER TABLE {table.qualified} REPLICA IDENTITY {before};"
                if before
                else "REPLICA IDENTITY USING INDEX, with the index that it was",
                note="Updates and deletes then log the whole old row. To keep the key alone, filter by "
                "columns of the key.",
            )
        else:
            continue
        yield context.finding(
            table.qualified,
            f"{table.qualified} is published by {publication.name}, whose {what}: writes that update "
            "or delete its rows fail with SQLSTATE 42P10.",
            key=publication.name,
            affects=context.affected(table.oid),
            evidence=[{"publication": publication.name, "its": what}],
            remedy=remedy,
        )


CHECK = Check(
    id="replica-identity",
    title="A published TVIEW has no fitting replica identity",
    group="storage",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations", "publications", "indexes"),
    where="primary",
    consequence_of=("table-mismatch", "unique-key"),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tv_category REPLICA IDENTITY NOTHING;"
        " CREATE PUBLICATION inserts FOR TABLE public.tv_category WITH (publish = 'insert');"
        " CREATE PUBLICATION fine FOR TABLE public.tv_product;"
        " CREATE PUBLICATION part FOR TABLE public.tv_product (pk_product, data)"
        " WHERE (pk_product > 5);",
        break_="ALTER TABLE public.tv_customer REPLICA IDENTITY NOTHING;"
        " CREATE PUBLICATION bad FOR TABLE public.tv_customer;",
        object="public.tv_customer",
    ),
)
