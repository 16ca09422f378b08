"""Roles other than the owner may write TVIEWs' tables directly.

Meaning:
    INSERT, UPDATE, DELETE, TRUNCATE or TRIGGER on a TVIEW's table was granted to a role, often by
    GRANT ALL ON ALL TABLES IN SCHEMA, or default privileges grant it for every TVIEW to come. The
    extension needs no such grant: it writes as the owner.

Impact:
    A row written directly differs from its definition until something refreshes just that row. The
    extension's health check never compares contents and says OK.

Diagnosis:
    pg_class.relacl, and pg_default_acl of roles that own TVIEWs. Owners, superusers and members of
    pg_write_all_data are not counted. Default privileges for a single role are information: they are
    how an application's role gets its tables, and each TVIEW that they opened is reported itself.

Mitigation:
    Revoke it, and verify the TVIEWs once.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity

WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER")


def run(context: Context) -> Iterator[Finding]:
    yield from _to_come(context)
    held: dict[str, dict[int, list[str]]] = {}
    for grant in context.snapshot.grants:
        if grant.relation in context.snapshot.tview_by_table and grant.privilege in WRITES:
            tables = held.setdefault(grant.grantee, {})
            tables.setdefault(grant.relation, []).append(grant.privilege)
    for role, tables in held.items():
        names = [context.snapshot.name_of(o) for o in tables]
        who = "PUBLIC" if role == "PUBLIC" else ident(role)
        yield context.finding(
            names[0] if len(names) == 1 else f"{len(names)} TVIEWs",
            f"{role} may write {', '.join(names[:3])}{' …' if len(names) > 3 else ''} beside the "
            "extension.",
            key=role,
            affects=context.affected(*tables),
            evidence=[
                {"role": role, "table": context.snapshot.name_of(o), "privileges": ", ".join(p)}
                for o, p in tables.items()
            ],
            remedy=Remedy(
                sql=tuple(
                    f"REVOKE {', '.join(p)} ON {context.snapshot.name_of(o)} FROM {who};"
                    for o, p in tables.items()
                ),
                role="the owner of the TVIEWs, or a superuser",
                undo="GRANT the same again",
                note="Then verify them once: pgtv verify.",
            ),
        )


def _to_come(context: Context) -> Iterator[Finding]:
    for grant in context.snapshot.default_grants:
        public = grant.grantee == "PUBLIC"
        where = f" IN SCHEMA {ident(grant.schema)}" if grant.schema else ""
        privileges = ", ".join(grant.privileges)
        alter = f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(grant.owner)}{where}"
        who = "PUBLIC" if public else ident(grant.grantee)
        yield context.finding(
            f"role {grant.owner}" + (f" in schema {grant.schema}" if grant.schema else ""),
            f"Tables that {grant.owner} makes{f' in {grant.schema}' if grant.schema else ''} from now "
            f"on, TVIEWs among them, may be written by {grant.grantee}.",
            key=grant.grantee,
            title="TVIEWs to come may be written directly",
            severity=Severity.WARNING if public else Severity.INFO,
            evidence=[{"owner": grant.owner, "role": grant.grantee, "privileges": privileges}],
            remedy=Remedy(
                sql=(f"{alter} REVOKE {privileges} ON TABLES FROM {who};",),
                role=f"{grant.owner} or a superuser",
                undo=f"{alter} GRANT {privileges} ON TABLES TO {who};",
                note="Base tables that are made later lose it too: grant it to them by name.",
            ),
        )


CHECK = Check(
    id="tview-writable",
    title="Roles may write TVIEWs directly",
    group="privileges",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("tviews", "grants", "relations"),
    consequence_of=("table-mismatch",),
    provoke=Provoke(
        near_miss="GRANT SELECT, REFERENCES ON public.tv_customer TO PUBLIC;"
        " ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner GRANT SELECT ON TABLES TO PUBLIC;"
        " ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner GRANT ALL ON TABLES TO pg_monitor;"
        " ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES TO PUBLIC;",
        break_="GRANT ALL ON public.tv_customer TO PUBLIC;",
        object="public.tv_customer",
    ),
)
