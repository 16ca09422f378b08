"""The owner of a TVIEW may not write its own table.

Meaning:
    Refreshes read and write the TVIEW's table as its owner, whoever writes the base tables. An owner
    has every privilege unless somebody revokes it, and here one is revoked: SELECT, INSERT, UPDATE,
    DELETE or TRUNCATE on the table, or USAGE on its schema.

Impact:
    Writes to the base tables fail with SQLSTATE 42501 as soon as they reach a row of the TVIEW, for
    every role, the superuser included. Without TRUNCATE alone, writes go on and refreshes fail. The
    extension's health check says OK.

Diagnosis:
    The owner's privileges on its table, as PostgreSQL itself decides them.

Mitigation:
    Grant them again. Nothing was missed meanwhile: the writes failed.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    for tview in context.snapshot.tviews:
        table = context.snapshot.by_oid.get(tview.table_oid)
        if table is None or not table.owner_lacks:
            continue
        owner, schema = ident(table.owner), ident(table.schema)
        on_table = [p for p in table.owner_lacks if p != "USAGE"]
        grants = (
            [f"GRANT {', '.join(on_table)} ON {table.qualified} TO {owner};"] if on_table else []
        )
        if "USAGE" in table.owner_lacks:
            grants.append(f"GRANT USAGE ON SCHEMA {schema} TO {owner};")
        fails = on_table != ["TRUNCATE"] or len(grants) > 1
        lacks = ", ".join(f"{p} on its schema" if p == "USAGE" else p for p in table.owner_lacks)
        yield context.finding(
            table.qualified,
            f"{table.owner}, who owns {table.qualified} and as whom it is refreshed, lacks {lacks}: "
            + (
                "writes that reach it fail with SQLSTATE 42501."
                if fails
                else "refreshes fail with SQLSTATE 42501; writes go on."
            ),
            severity=Severity.CRITICAL if fails else Severity.WARNING,
            effect=Effect.WRITES_FAIL if fails else Effect.RISK,
            affects=context.affected(table.oid),
            evidence=[{"tview": table.qualified, "owner": table.owner, "lacks": lacks}],
            remedy=Remedy(
                sql=tuple(grants),
                role=_grantor(table, on_table),
                undo="\n".join(
                    g.replace("GRANT ", "REVOKE ", 1).replace(f" TO {owner};", f" FROM {owner};")
                    for g in grants
                ),
            ),
        )


def _grantor(table: Relation, on_table: list[str]) -> str:
    """An owner gives itself rights on its table, but not on the schema that it may not enter."""
    if "USAGE" not in table.owner_lacks:
        return f"{table.owner} or a superuser"
    return "a superuser" if on_table else "the owner of the schema, or a superuser"


CHECK = Check(
    id="owner-cannot-write",
    title="A TVIEW's owner may not write its table",
    group="privileges",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations"),
    consequence_of=("table-mismatch",),
    provoke=Provoke(
        near_miss="GRANT SELECT ON public.tv_customer TO PUBLIC;"
        " REVOKE REFERENCES, TRIGGER ON public.tv_customer FROM shop_owner;",
        break_="REVOKE INSERT, UPDATE ON public.tv_customer FROM shop_owner;",
        object="public.tv_customer",
    ),
)
