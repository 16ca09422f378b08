"""A write to a base table was tried, and failed.

Meaning:
    `pgtv doctor --probe-write` changed one row of each base table in a transaction that it rolled
    back. On this table the server refused the statement, or work stayed queued that would have made
    the COMMIT of an autocommit write fail.

Impact:
    The application's writes to this table fail now, with the SQLSTATE that is shown.

Diagnosis:
    One row that nobody holds is changed in a column that a TVIEW reads, under lock_timeout and a
    statement_timeout of 5 s, and rolled back. A statement that touches no row proves little: it fires
    statement triggers only. A superuser writes as the table's owner, confined to that one's rights.
    Without the option nothing is tried and the check does not run.

Mitigation:
    The probe shows that writes fail, other findings show why: cure those that name the same table or
    one of its TVIEWs. `pgtv explain` followed by the SQLSTATE or the message tells what it means.
"""

from __future__ import annotations

from pgtv.checks.declare import Check, Provoke
from pgtv.finding import Effect, Severity

CHECK = Check(
    id="writes-fail",
    title="Writes fail",
    group="contents",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=lambda _: (),
    needs=("tviews", "relations"),
    where="primary",
    option="--probe-write",
    provoke=Provoke(
        elsewhere="test/integration/test_probe.py"
        "::test_a_write_that_fails_is_found_with_its_sqlstate"
    ),
)
