"""The owner of a TVIEW may not read what its refresh reads.

Meaning:
    Refreshes run as the owner of the TVIEW's table, whoever writes. That role lacks SELECT on a table,
    a column or a view that the definition reads, USAGE on a schema, or EXECUTE on a function; or the
    owner of a view in between lacks SELECT below it.

Impact:
    Writes to the base tables of the TVIEW fail with SQLSTATE 42501 (permission denied), for every
    role, the superuser included. The extension's health check says OK.

Diagnosis:
    The privileges as PostgreSQL itself decides them, walked from the backing view through views: a
    view reads as its owner, a security_invoker view as whoever reads it, functions run as the
    TVIEW's owner. The extension also reads the tables themselves as that owner, by name, so views of
    another owner in between do not help.

Mitigation:
    Grant what is missing. Nothing was missed meanwhile: the writes failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Access
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


@dataclass(frozen=True)
class _Lacking:
    """One grant that is missing: on what, to whom, the statement, and who may say it."""

    object: str
    role: str
    privilege: str
    statement: str
    grantor: str


def run(context: Context) -> Iterator[Finding]:
    readers: dict[_Lacking, dict[int, Access]] = {}
    views = {t.view_oid for t in context.snapshot.tviews}
    for access in context.snapshot.access:
        if access.relation in views and access.owner != access.role:
            continue  # its own check: the view's owner is not the table's
        for lacking in _lacking(context, access):
            readers.setdefault(lacking, {})[access.reader] = access
    for lacking, found in readers.items():
        tviews = [t for o in found if (t := context.snapshot.tview_by_table.get(o))]
        columns = sorted({c for a in found.values() for c in a.columns})
        evidence: list[dict[str, str]] = []
        for tview in tviews:
            row = {"tview": tview.label, "role": lacking.role, "lacks": lacking.privilege}
            evidence.append(row | ({"columns": ", ".join(columns)} if columns else {}))
        yield context.finding(
            lacking.object,
            f"Role {lacking.role}, as which {', '.join(t.label for t in tviews[:3])}"
            f"{' …' if len(tviews) > 3 else ''} {'is' if len(tviews) == 1 else 'are'} refreshed, "
            f"lacks {lacking.privilege} on {lacking.object}: writes that reach "
            f"{'it' if len(tviews) == 1 else 'them'} fail with SQLSTATE 42501.",
            key=lacking.role,
            affects=context.affected(*found),
            evidence=evidence,
            remedy=Remedy(
                sql=(lacking.statement,),
                role=lacking.grantor,
                undo=_revoke(lacking)
                # takes what was granted on columns away too
                + (" then GRANT SELECT on the columns again that it had" if columns else ""),
            ),
        )


def _revoke(lacking: _Lacking) -> str:
    """By the statement's ends: names between them may hold anything."""
    role = ident(lacking.role)
    what = lacking.statement.removeprefix("GRANT ").removesuffix(f" TO {role};")
    return f"REVOKE {what} FROM {role};"


def _lacking(context: Context, access: Access) -> Iterator[_Lacking]:
    role = ident(access.role)
    if access.function:
        if not access.select:
            yield _Lacking(
                access.function, access.role, "EXECUTE",
                f"GRANT EXECUTE ON FUNCTION {access.function} TO {role};",
                f"{access.owner} or a superuser",
            )  # fmt: skip
        return
    relation = context.snapshot.by_oid.get(access.relation)
    if relation is None:
        return
    if not access.select:
        yield _Lacking(
            relation.qualified, access.role, "SELECT",
            f"GRANT SELECT ON {relation.qualified} TO {role};", f"{relation.owner} or a superuser",
        )  # fmt: skip
    if not access.usage:
        yield _Lacking(
            f"schema {relation.schema}", access.role, "USAGE",
            f"GRANT USAGE ON SCHEMA {ident(relation.schema)} TO {role};",
            "the owner of the schema, or a superuser",
        )  # fmt: skip


CHECK = Check(
    id="owner-cannot-read",
    title="A TVIEW's owner may not read what it needs",
    group="privileges",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "access", "relations"),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tb_category OWNER TO postgres;"
        " GRANT SELECT ON public.tb_category TO shop_owner;",
        break_="REVOKE SELECT ON public.tb_category FROM shop_owner;",
        object="public.tb_category",
    ),
)
