"""A base table has inheritance children, whose rows a TVIEW reads and whose writes it never sees.

Meaning:
    A table that a TVIEW reads is the parent of others by INHERITS (not by partitioning). Reading the
    parent reads the children too, but a statement on a child fires none of the parent's triggers.

Impact:
    Writes to a child never reach the TVIEW, silently. The extension refuses such tables while its
    library sees the statement; a table that came about without it (before the extension, or in a
    restore without the library) is not noticed, and the extension's health check says OK.

Diagnosis:
    pg_inherits, less partitions.

Mitigation:
    Take the child out (ALTER TABLE … NO INHERIT), or make the parent a partitioned table. Then
    refresh.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.bringing import bring
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.expected import expected_triggers
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    children: dict[int, list[str]] = {}
    for relation in context.snapshot.relations:
        for parent in relation.inherits:
            children.setdefault(parent, []).append(relation.qualified)
    readers: dict[int, list[str]] = {}
    for expected in expected_triggers(context):
        readers.setdefault(expected.relation.oid, []).append(expected.tview.entity)
    for oid, names in children.items():
        if oid not in readers:
            continue
        above = context.snapshot.name_of(oid)
        tviews = [context.snapshot.tview_by_entity[e] for e in readers[oid]]
        affects, rows = context.affected(*(t.table_oid for t in tviews)), bring(context, tviews)
        yield context.finding(
            above,
            f"Writes to {', '.join(names[:3])}{' …' if len(names) > 3 else ''} change what TVIEWs "
            f"read from {above} and fire no trigger.",
            affects=affects,
            evidence=[{"child": name, "of": above} for name in names],
            remedy=Remedy(
                sql=(
                    "SET lock_timeout = '2s';",
                    *(f"ALTER TABLE {name} NO INHERIT {above};" for name in names),
                    *rows.sql,
                ),
                role="the owner of the children and of the TVIEWs, or a superuser",
                locks=(
                    *(f"ACCESS EXCLUSIVE on {name}" for name in names),
                    f"SHARE UPDATE EXCLUSIVE on {above}",
                    *rows.locks,
                ),
                undo=" ".join(f"ALTER TABLE {name} INHERIT {above};" for name in names),
                decide=f"Rows of the children then leave {above} for everybody who reads it.",
                note="Rows of the children then leave the TVIEWs. Where they belong there, make "
                f"{above} a partitioned table instead. {rows.note}",
            ),
        )


CHECK = Check(
    id="inheritance-children",
    title="A base table has inheritance children",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.ROWS_WRONG,
    run=run,
    needs=("tviews", "relations"),
    consequence_of=("table-mismatch",),
    provoke=Provoke(elsewhere="test/integration/checks/test_inheritance_children.py::test_found"),
)
