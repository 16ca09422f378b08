"""A published TVIEW has no replica identity.

Meaning:
    The TVIEW's table is in a publication that publishes updates or deletes, and has neither a primary
    key under REPLICA IDENTITY DEFAULT nor another identity.

Impact:
    Every refresh that updates or deletes a row fails with SQLSTATE 55000 (does not have a replica
    identity and publishes updates), and with it the write to the base table.

Diagnosis:
    pg_class.relreplident and the primary key, for tables in pg_publication_rel, in published schemas,
    and in publications FOR ALL TABLES.

Mitigation:
    Give it an identity: the primary key where it has one, else the whole row. Or take TVIEWs out of the
    publication: a subscriber with TVIEWs of its own does not need them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for tview in snapshot.tviews:
        table = snapshot.by_oid.get(tview.table_oid)
        if table is None or table.persistence != "p":
            continue
        published = [
            p.name
            for p in snapshot.publications
            if p.updates and (p.all_tables or table.oid in p.relations)
        ]
        primary = any(i.primary and i.valid for i in snapshot.indexes_on.get(table.oid, ()))
        identified = table.replica_identity in "if" or (table.replica_identity == "d" and primary)
        if not published or identified:
            continue
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
                + ("NOTHING" if table.replica_identity == "n" else "DEFAULT"),
            ),
        )


CHECK = Check(
    id="replica-identity",
    title="A published TVIEW has no replica identity",
    group="storage",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations", "publications", "indexes"),
    where="primary",
    consequence_of=("unique-key",),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tv_category REPLICA IDENTITY NOTHING;"
        " CREATE PUBLICATION inserts FOR TABLE public.tv_category WITH (publish = 'insert');"
        " CREATE PUBLICATION fine FOR TABLE public.tv_product;",
        break_="ALTER TABLE public.tv_customer REPLICA IDENTITY NOTHING;"
        " CREATE PUBLICATION bad FOR TABLE public.tv_customer;",
        object="public.tv_customer",
    ),
)
