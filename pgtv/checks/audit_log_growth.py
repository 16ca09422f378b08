"""The extension's audit log has grown large.

Meaning:
    With auditing on, the extension writes a row for every operation and removes none.

Impact:
    It grows without end, is in every base backup, and is not in a dump.

Diagnosis:
    Estimated rows and pages of the table, from pg_class.

Mitigation:
    Delete what is older than you need, and vacuum. Do it on a timer.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.finding import Effect, Finding, Remedy, Severity

_PAGE = 8192  # bytes; a server built with other pages is off by a factor that does not matter here


def run(context: Context) -> Iterator[Finding]:
    growth, table = context.snapshot.growth, context.dialect.audit_table(context.extschema)
    if growth is None or table is None:
        return
    rows, size = growth.audit_log_rows or 0, (growth.audit_log_pages or 0) * _PAGE
    if rows < context.threshold("rows") and size < context.threshold("bytes"):
        return
    yield context.finding(
        table,
        f"The audit log holds about {max(rows, 0):,} rows in {size // 2**20:,} MiB and is never "
        "cleaned.",
        evidence=[{"table": table, "rows": rows, "MiB": size // 2**20}],
        remedy=Remedy(
            sql=(
                "SET lock_timeout = '2s';",
                f"DELETE FROM {table} WHERE performed_at < now() - interval '90 days';",
                f"VACUUM (ANALYZE) {table};",
            ),
            role="the owner of the extension, or a superuser",
            locks=(f"ROW EXCLUSIVE on {table}", f"SHARE UPDATE EXCLUSIVE on {table}"),
            note="Copy it out first if it has to be kept; deleted rows cannot be brought back.",
        ),
    )


CHECK = Check(
    id="audit-log-growth",
    title="The audit log is large",
    group="storage",
    severity=Severity.WARNING,
    effect=Effect.NONE,
    run=run,
    needs=("audit_log",),
    generations=("current",),
    thresholds={
        "rows": Threshold(1_000_000, "rows", "a year of one operation every 30 seconds"),
        "bytes": Threshold(2**30, "bytes", "1 GiB: what a base backup should not carry for this"),
    },
    provoke=Provoke(
        break_="UPDATE pg_class SET relpages = 200000, reltuples = 2000000"
        " WHERE relname LIKE '%audit_log' AND relkind = 'r';",
    ),
)
