"""Roles other than the owner may write the extension's catalog.

Meaning:
    INSERT, UPDATE, DELETE or TRUNCATE on one of the extension's own tables was granted to a role, or
    CREATE on its schema. The extension grants neither.

Impact:
    Whoever can write the catalog can make every write to every base table fail (an unreadable plan),
    make TVIEWs drift silently (a row deleted), and have SQL run as the owners of TVIEWs (a definition
    or mapping changed). Whoever can create objects in the schema can put a view or function where the
    extension looks for its own.

Diagnosis:
    pg_class.relacl of the catalog tables and pg_namespace.nspacl of the schema. Superusers and
    members of pg_write_all_data are not counted.

Mitigation:
    Revoke it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity

WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER")


def grantee(name: str) -> str:
    """A grantee as GRANT and REVOKE spell it."""
    return "PUBLIC" if name == "PUBLIC" else ident(name)


def run(context: Context) -> Iterator[Finding]:
    snapshot, schema = context.snapshot, context.extschema
    protected = {
        r.oid: r
        for r in snapshot.relations
        if r.schema == schema and r.name in context.dialect.protected_tables
    }
    held: dict[int, dict[str, list[str]]] = {}
    for grant in snapshot.grants:
        if grant.relation in protected and grant.privilege in WRITES:
            roles = held.setdefault(grant.relation, {})
            roles.setdefault(grant.grantee, []).append(grant.privilege)
    for oid, roles in held.items():
        table = protected[oid].qualified
        yield context.finding(
            table,
            f"{', '.join(roles)} may write {table}, on which every TVIEW depends.",
            evidence=[{"role": r, "privileges": ", ".join(p)} for r, p in roles.items()],
            remedy=Remedy(
                sql=tuple(
                    f"REVOKE {', '.join(p)} ON {table} FROM {grantee(r)};" for r, p in roles.items()
                ),
                role="the owner of the extension, or a superuser",
                undo="GRANT the same again",
            ),
        )
    if snapshot.extension.creators:
        creators = snapshot.extension.creators
        yield context.finding(
            f"schema {schema}",
            f"{', '.join(creators)} may create objects in the extension's schema.",
            evidence=[{"role": r, "privileges": "CREATE"} for r in creators],
            remedy=Remedy(
                sql=tuple(
                    f"REVOKE CREATE ON SCHEMA {ident(schema)} FROM {grantee(r)};" for r in creators
                ),
                role="the owner of the extension, or a superuser",
                undo="GRANT the same again",
            ),
        )


CHECK = Check(
    id="catalog-writable",
    title="Roles may write the extension's catalog",
    group="privileges",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("grants", "relations"),
    # up to beta.19 the extension lives in whatever schema, often one that everybody creates in
    generations=("current", "lab"),
    provoke=Provoke(
        near_miss="GRANT USAGE ON SCHEMA tviews TO PUBLIC;",
        break_="GRANT CREATE ON SCHEMA tviews TO PUBLIC;",
        object="schema tviews",
    ),
)
