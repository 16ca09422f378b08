"""An index of a TVIEW or of a table that it reads is invalid.

Meaning:
    CREATE INDEX CONCURRENTLY or REINDEX CONCURRENTLY failed or was cancelled and left the index
    behind, marked invalid.

Impact:
    Every write maintains it and no query uses it. If it is the unique index on a TVIEW's identity,
    writes fail (a finding of its own).

Diagnosis:
    pg_index.indisvalid and indisready.

Mitigation:
    Rebuild it, or drop what REINDEX left (names that end in _ccnew or _ccold).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for oid, indexes in snapshot.indexes_on.items():
        relation = snapshot.by_oid.get(oid)
        broken = [i for i in indexes if not (i.valid and i.ready)]
        if relation is None or relation.kind not in "rm" or not broken:
            continue
        sql = []
        for index in broken:
            leftover = re.search(r"_cc(new|old)\d*$", index.name)
            verb = "DROP INDEX CONCURRENTLY" if leftover else "REINDEX INDEX CONCURRENTLY"
            sql.append(f"{verb} {ident(relation.schema)}.{ident(index.name)};")
        yield context.finding(
            relation.qualified,
            f"{len(broken)} index{'es are' if len(broken) > 1 else ' is'} invalid on "
            f"{relation.qualified}: written by every write, used by no query.",
            affects=context.affected(oid),
            evidence=[{"index": i.name, "columns": ", ".join(i.columns)} for i in broken],
            remedy=Remedy(
                sql=("SET lock_timeout = '2s';", *sql),
                role=f"the owner of {relation.qualified}",
                locks=(f"SHARE UPDATE EXCLUSIVE on {relation.qualified}",),
                note="Outside a transaction; it waits for transactions that are open.",
            ),
        )


CHECK = Check(
    id="invalid-index",
    title="An index is invalid",
    group="storage",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "indexes"),
    consequence_of=("unique-key", "lookup-index"),
    provoke=Provoke(
        near_miss="CREATE INDEX mine ON public.tb_customer (email);",
        break_="UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.mine'::regclass;",
        object="public.tb_customer",
    ),
)
