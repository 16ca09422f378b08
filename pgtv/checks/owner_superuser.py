"""A superuser owns a TVIEW, so its definition runs with a superuser's rights.

Meaning:
    Refreshes run as the owner of the TVIEW's table. If that is a superuser, every function that the
    definition calls runs as a superuser, whoever writes to the base tables.

Impact:
    None on rows. But where such a function belongs to somebody who is no superuser, that role can
    change it and have its own code run as a superuser at the next write.

Diagnosis:
    pg_roles of the owners, of the TVIEW's table and of the functions that its definition calls,
    through views.

Mitigation:
    Give the TVIEW to a role made for owning TVIEWs (NOLOGIN is fine): ALTER TABLE … OWNER TO. The role
    needs SELECT on what the definition reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    superusers = {r.name for r in snapshot.roles if r.superuser}
    calls: dict[int, list[tuple[str, str]]] = {}
    for access in snapshot.access:
        if access.function and access.role in superusers and access.owner not in superusers:
            calls.setdefault(access.reader, []).append((access.function, access.owner or "?"))
    plain: list[str] = []
    for tview in snapshot.tviews:
        table = snapshot.by_oid.get(tview.table_oid)
        if table is None or table.owner not in superusers:
            continue
        if tview.table_oid not in calls:
            plain.append(table.qualified)
            continue
        yield context.finding(
            table.qualified,
            f"{table.qualified} belongs to the superuser {table.owner} and calls functions of roles "
            "that are none: they can run their own code as a superuser.",
            affects=context.affected(table.oid),
            evidence=[{"function": f, "owner": o} for f, o in calls[tview.table_oid]],
            remedy=_remedy(table.qualified),
        )
    if plain:
        yield context.finding(
            "(owners)",
            f"{len(plain)} TVIEW{'s belong' if len(plain) > 1 else ' belongs'} to a superuser: "
            + ", ".join(plain[:5]) + (" …" if len(plain) > 5 else "") + ".",
            severity=Severity.INFO,
            effect=Effect.NONE,
            evidence=[{"tview": name} for name in plain],
            remedy=_remedy(plain[0]),
        )  # fmt: skip


def _remedy(table: str) -> Remedy:
    return Remedy(
        role="a superuser",
        note=f"ALTER TABLE {table} OWNER TO a role that owns nothing but TVIEWs, after granting it "
        "SELECT on what the definition reads; the backing view follows.",
    )


CHECK = Check(
    id="owner-superuser",
    title="A superuser owns a TVIEW",
    group="privileges",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "relations", "roles", "access"),
    provoke=Provoke(
        near_miss="CREATE FUNCTION public.loud(t text) RETURNS text LANGUAGE sql IMMUTABLE"
        " AS 'SELECT upper(t)'; ALTER FUNCTION public.loud(text) OWNER TO shop_owner;",
        break_="CREATE TABLE public.tv_shout AS SELECT c.pk_category AS pk_shout,"
        " jsonb_build_object('n', public.loud(c.name)) AS data FROM public.tb_category c;",
        object="public.tv_shout",
    ),
)
