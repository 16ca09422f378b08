"""Ordinary roles lack what the extension needs of every role that writes.

Meaning:
    The extension grants everybody USAGE on its schema, SELECT on its catalog, and EXECUTE on the
    functions that are not for operators. Somebody revoked some of it. Its trigger functions may be
    revoked: the server asks for EXECUTE on these when a trigger is created, not when it fires.

Impact:
    Writes to base tables by roles without these privileges fail with SQLSTATE 42501. Superusers and
    roles that were granted them by name notice nothing.

Diagnosis:
    The privileges of PUBLIC, as PostgreSQL decides them.

Mitigation:
    Grant them again, to PUBLIC or to each role that writes a base table. They let nobody change
    anything: functions that act on a TVIEW ask for its ownership.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    lacks = context.snapshot.extension.public_lacks
    if not lacks:
        return
    by_privilege: dict[str, list[str]] = {}
    for privilege, object_ in lacks:
        by_privilege.setdefault(privilege, []).append(object_)
    sql = []
    for privilege, objects in by_privilege.items():
        word = "FUNCTION " if privilege == "EXECUTE" else ""
        names = ", ".join(o.removeprefix("FUNCTION ") for o in objects)
        sql.append(f"GRANT {privilege} ON {word}{names} TO PUBLIC;")
    yield context.finding(
        f"schema {ident(context.extschema)}",
        f"PUBLIC lacks {len(lacks)} privileges that the extension grants it: writes by roles that "
        "were not granted them by name fail with SQLSTATE 42501.",
        affects=tuple(t.label for t in context.snapshot.tviews),
        evidence=[{"privilege": p, "on": o} for p, o in lacks],
        remedy=Remedy(
            sql=tuple(sql),
            role="the owner of the extension, or a superuser",
            undo="REVOKE the same from PUBLIC",
            note="Where PUBLIC is not to have them, grant them to every role that writes.",
        ),
    )


CHECK = Check(
    id="catalog-unreadable",
    title="Ordinary roles cannot reach the extension",
    group="privileges",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("public_access",),
    generations=("current",),
    provoke=Provoke(
        near_miss="REVOKE EXECUTE ON FUNCTION tviews.pg_tview_trigger_handler(),"
        " tviews.pg_tview_flush_trigger(), tviews.pg_tview_truncate_trigger(),"
        " tviews.pg_tview_delta_trigger() FROM PUBLIC;",
        break_="REVOKE USAGE ON SCHEMA tviews FROM PUBLIC;",
        object='schema "tviews"',
    ),
)
