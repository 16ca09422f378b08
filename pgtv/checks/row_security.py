"""Row-level security stands between a TVIEW and its rows.

Meaning:
    One of two things. FORCE ROW LEVEL SECURITY on the TVIEW's own table makes its owner, as whom the
    extension writes, subject to the policies. Or a relation that the definition reads has row-level
    security, and the role that reads it for the refresh is subject to it.

Impact:
    Forced on the TVIEW, writes to the base tables fail with SQLSTATE 42501 unless a policy lets the
    owner do everything, and TVIEWs that read this one see only what the policies show. On a relation
    that is read, the TVIEW holds only the rows that the owner may see, for all its readers; where a
    policy depends on a setting of the session, that is whatever the last writer had set.
    Under row_security = off, which some set for a role or a database, the same writes fail with 42501.
    Row-level security on a TVIEW without FORCE is the ordinary way to filter readers, and is fine.

Diagnosis:
    pg_class.relrowsecurity and relforcerowsecurity; the reading role's ownership, BYPASSRLS and
    superuser attribute. A policy that says true to that role is enough, where none restricts it.

Mitigation:
    Take FORCE off. Where another role owns what is read, decide whether the TVIEW is to hold all
    rows: then its owner needs a policy that shows it all of them (FOR SELECT TO that role USING (true))
    or BYPASSRLS, or a role that owns the relation has to own the TVIEW.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Access, Relation
from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.lasting import ON, lasting
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    bypass = {r.name for r in snapshot.roles if r.superuser or r.bypass_rls}
    forced = set()
    for tview in snapshot.tviews:
        table = snapshot.by_oid.get(tview.table_oid)
        if table and table.row_security and table.force_row_security and table.owner not in bypass:
            forced.add(table.oid)
            yield _forced(context, table)
    filtered: dict[tuple[int, str], list[Access]] = {}
    for access in snapshot.access:
        if not access.bypasses_rls and access.relation not in forced:
            filtered.setdefault((access.relation, access.role), []).append(access)
    for (oid, role), found in filtered.items():
        relation = snapshot.by_oid.get(oid)
        if relation and relation.row_security:
            if not found[0].shown_all:
                yield _filtered(context, relation, role, found)
            yield from _refused(context, relation, [a.reader for a in found])


def _forced(context: Context, table: Relation) -> Finding:
    fails = table.policies == 0
    affects = context.affected(table.oid)
    return context.finding(
        table.qualified,
        f"FORCE ROW LEVEL SECURITY on {table.qualified} holds for its owner {table.owner} too, as "
        "whom the extension writes: "
        + ("writes that reach it fail." if fails else "its policies decide what can be written."),
        severity=Severity.CRITICAL if fails else Severity.WARNING,
        effect=Effect.WRITES_FAIL if fails else Effect.RISK,
        affects=affects,
        evidence=[
            {"table": table.qualified, "forced": "yes", "policies": table.policies,
             "owner": table.owner}
        ],
        remedy=_no_force(context, table, [table.oid]),
    )  # fmt: skip


def _refused(context: Context, relation: Relation, readers: list[int]) -> Iterator[Finding]:
    """row_security = off turns what policies would filter into an error."""
    for setting in lasting(context, "row_security"):
        if setting.value.lower() in ON:
            continue
        yield context.finding(
            relation.qualified,
            f"row_security is off for {setting.scope}, and the policies of {relation.qualified} apply "
            "to whom TVIEWs are refreshed as: writes that reach them fail with SQLSTATE 42501.",
            key=f"off:{setting.scope}",
            affects=context.affected(*readers),
            evidence=[{"setting": "row_security", "value": setting.value, "for": setting.scope}],
            remedy=Remedy(
                sql=setting.reset,
                role=setting.who,
                undo=setting.undo,
                note="Counts for new sessions. The policies then filter instead: see the finding on "
                "them.",
            ),
        )


def _filtered(context: Context, relation: Relation, role: str, found: list[Access]) -> Finding:
    readers = [a.reader for a in found]
    affects = context.affected(*readers)
    names = ", ".join(context.snapshot.name_of(o) for o in readers[:3])
    owned = relation.owner == role  # subject to its own table's policies: FORCE
    return context.finding(
        relation.qualified,
        f"Row-level security of {relation.qualified} applies to {role}: "
        f"{names}{' …' if len(readers) > 3 else ''} hold{'s' if len(readers) == 1 else ''} only the "
        "rows that its policies show that role.",
        key=role,
        severity=Severity.WARNING,
        effect=Effect.ROWS_WRONG,
        affects=affects,
        evidence=[
            {
                "relation": relation.qualified, "read as": role, "policies": relation.policies,
                "forced": "yes" if relation.force_row_security else "no",
                "by": context.snapshot.name_of(a.reader),
            }
            for a in found
        ],
        remedy=replace(
            _no_force(context, relation, readers),
            decide="Whoever reads the TVIEWs then reads what the policies hid from their owner.",
        )
        if owned
        else Remedy(
            command=f"pgtv doctor --only {context.check.id} --write-baseline pgtv-baseline.json",
            role="a superuser",
            note="If it is meant so, the command accepts it: runs with --baseline pgtv-baseline.json "
            f"leave it out. If the TVIEWs are to hold every row, {ident(role)} needs BYPASSRLS "
            "(ALTER ROLE), and then a refresh. That lets it read everything else too: a role that "
            "owns nothing but TVIEWs is the better owner.",
        ),
    )  # fmt: skip


def _no_force(context: Context, table: Relation, readers: list[int]) -> Remedy:
    tviews = [t for o in readers if (t := context.snapshot.tview_by_table.get(o))]
    rows = bring(context, tviews)
    # the refresh writes every TVIEW below as well, and stops at the first that is forced
    below = (context.snapshot.by_oid.get(t.table_oid) for t in context.edges.affected(readers))
    forced = {t.oid: t for t in (table, *below) if t and t.row_security and t.force_row_security}
    statements = [
        f"ALTER TABLE {t.qualified} NO FORCE ROW LEVEL SECURITY;" for t in forced.values()
    ]
    return Remedy(
        sql=(
            "SET lock_timeout = '2s';",
            *statements,
            *rows.sql,
        ),
        role=f"the owner of {', '.join(t.qualified for t in forced.values())}, or a superuser",
        locks=(
            *(f"ACCESS EXCLUSIVE on {t.qualified}" for t in forced.values()),
            *rows.locks,
        ),
        undo="\n".join(
            f"ALTER TABLE {t.qualified} FORCE ROW LEVEL SECURITY;" for t in forced.values()
        ),
        note=f"Policies go on applying to every other role. {rows.note}".rstrip(),
    )


CHECK = Check(
    id="row-security",
    title="Row-level security in the way",
    group="privileges",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "relations", "access", "roles", "role_settings"),
    consequence_of=("table-mismatch",),
    provoke=Provoke(
        near_miss="ALTER TABLE public.tv_customer ENABLE ROW LEVEL SECURITY;"
        " ALTER TABLE public.tb_customer ENABLE ROW LEVEL SECURITY;"
        " ALTER TABLE public.tb_product ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        " CREATE POLICY whole ON public.tb_product TO shop_owner USING (true);",
        break_="ALTER TABLE public.tv_customer FORCE ROW LEVEL SECURITY;",
        object="public.tv_customer",
    ),
)
