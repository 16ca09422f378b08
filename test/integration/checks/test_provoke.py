"""Every check, on the real extension: quiet, near miss quiet, break found, printed cure, quiet again.

The steps come from the check's own `Provoke`. After the cure the database has to be well, whatever
the check looks at: contents equal to the definitions, and writes to every base table arrive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from contents import differing, write_everywhere
from servers import ROOT, Database

from pgtv.checks.declare import Check
from pgtv.checks.examine import Outcome, State, examine
from pgtv.checks.registry import all_checks
from pgtv.finding import Finding, Severity

pytestmark = pytest.mark.sampled

CHECKS = all_checks()
HERE = [pytest.param(c, id=c.id) for c in CHECKS.values() if not c.provoke.elsewhere]
ELSEWHERE = [pytest.param(c, id=c.id) for c in CHECKS.values() if c.provoke.elsewhere]


@pytest.mark.parametrize("check", HERE)
def test_provoke(check: Check, shop: Database) -> None:
    provoke = check.provoke
    assert provoke.break_ or provoke.hold, (
        f"{check.id}: Provoke needs break_ or hold, or else elsewhere='test/…/test_x.py::test_y'"
    )
    _assert_quiet(check, shop, "the healthy shop")
    try:
        if provoke.near_miss:
            shop.sql(provoke.near_miss)
            _assert_quiet(check, shop, f"the near miss\n  {provoke.near_miss}")
        if provoke.break_:
            shop.sql(provoke.break_)
        with _held(shop, provoke.hold):
            finding = _found(check, shop)
            _assert_complete(check, finding)
            if finding.remedy and finding.remedy.sql:
                pasted = _cure(check, shop, finding)
                _assert_quiet(check, shop, "the cure\n  " + "\n  ".join(pasted))
        if finding.remedy and finding.remedy.sql:
            assert differing(shop) == {}, "contents differ after the cure (rows a TVIEW)"
            write_everywhere(shop)
            assert differing(shop) == {}, "writes after the cure do not arrive (rows a TVIEW)"
    finally:
        if provoke.undo:
            shop.sql(provoke.undo)


@pytest.mark.parametrize("check", ELSEWHERE)
def test_elsewhere_names_a_test(check: Check) -> None:
    provoke = check.provoke
    assert not (provoke.break_ or provoke.hold), "with elsewhere the SQL is empty"
    file, _, name = provoke.elsewhere.partition("::")
    path = ROOT / file
    assert path.is_file(), f"{check.id}: elsewhere={provoke.elsewhere!r}: there is no file {file}"
    assert re.search(rf"^\s*def {re.escape(name)}\(", path.read_text(), re.MULTILINE), (
        f"{check.id}: elsewhere={provoke.elsewhere!r}: no test {name!r} in {file}"
    )


def test_the_healthy_shop_has_no_finding_above_info(shop: Database) -> None:
    _assert_healthy(shop)


def test_the_healthy_lab_shop_has_no_finding_above_info(lab_shop: Database) -> None:
    _assert_healthy(lab_shop)


def _assert_healthy(shop: Database) -> None:
    examination = examine(shop.snapshot(), CHECKS.values())
    above = [f for f in examination.findings if f.severity is not Severity.INFO]
    assert not above, "on a healthy shop:\n" + "\n".join(map(_line, above))


@pytest.mark.parametrize("check", [pytest.param(c, id=c.id) for c in CHECKS.values()])
def test_declaration(check: Check) -> None:
    """What the documents, the baseline and the grouping rely on."""
    from pgtv.checks.registry import sections

    assert set(sections(check)) >= {"Meaning", "Impact", "Diagnosis", "Mitigation"}, (
        f"{check.id}: the docstring of its file lacks a section"
    )
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", check.id)
    module = check.run.__module__
    assert module == f"pgtv.checks.{check.id.replace('-', '_')}", f"{check.id} lives in {module}"
    # consequence_of may name a check that is not written yet only by mistake
    assert set(check.consequence_of) <= set(CHECKS), (
        f"{check.id}: consequence_of names {set(check.consequence_of) - set(CHECKS)}"
    )


def _look(check: Check, shop: Database) -> Outcome:
    (outcome,) = examine(shop.snapshot(), [check]).outcomes
    return outcome


def _line(finding: Finding) -> str:
    return f"  {finding.severity} {finding.id}  {finding.detail}"


def _said(outcome: Outcome) -> str:
    findings = "\n".join(map(_line, outcome.findings)) or "  no findings"
    return f"{outcome.state} {outcome.reason or ''}\n{findings}"


def _assert_quiet(check: Check, shop: Database, after: str) -> None:
    """No finding above info, and none at all about what Provoke names."""
    outcome = _look(check, shop)
    loud = [
        f
        for f in outcome.findings
        if f.severity is not Severity.INFO or f.object == check.provoke.object
    ]
    assert outcome.state is not State.NOT_APPLICABLE, f"{check.id} does not run: {outcome.reason}"
    assert not loud, f"{check.id} is not quiet after {after}\n{_said(outcome)}"


def _found(check: Check, shop: Database) -> Finding:
    outcome = _look(check, shop)
    wanted = check.provoke.object
    for finding in outcome.findings:
        if finding.severity is not Severity.UNKNOWN and wanted in (None, finding.object):
            return finding
    raise AssertionError(
        f"{check.id} did not find {wanted or 'anything'} after\n  {check.provoke.break_}"
        f"\ninstead: {_said(outcome)}"
    )


def _cure(check: Check, shop: Database, finding: Finding) -> list[str]:
    """Paste the finding's cure, then those of what else the break left; the statements pasted.

    A cure that leaves its own finding in place ends it: that is for the assertion to say.
    """
    pasted: list[str] = []
    cured: set[str] = set()
    current: Finding | None = finding
    while current and current.remedy and current.remedy.sql and current.id not in cured:
        cured.add(current.id)
        pasted += current.remedy.sql
        shop.sql("\n".join(current.remedy.sql))
        left = [f for f in _look(check, shop).findings if f.severity is not Severity.INFO]
        if any(f.id == current.id for f in left):
            break
        current = left[0] if left else None
    return pasted


def _assert_complete(check: Check, finding: Finding) -> None:
    """Whatever is above info says what proves it and what to do."""
    if finding.severity is Severity.INFO:
        return
    assert finding.evidence, f"{finding.id} has no evidence"
    remedy = finding.remedy
    assert remedy and (remedy.sql or remedy.command or remedy.note), f"{finding.id} has no cure"
    if remedy.locks:
        assert remedy.sql and remedy.sql[0].startswith("SET lock_timeout"), (
            f"{finding.id}: a cure that can block starts with SET lock_timeout"
        )
    for lock in remedy.locks:
        assert re.match(r"[A-Z][A-Z ]+ on \S", lock), f"{finding.id}: lock {lock!r}: MODE on what?"


@contextmanager
def _held(shop: Database, statements: str) -> Iterator[None]:
    """`statements` in a session whose transaction stays open; the cure may end that session."""
    if not statements:
        yield
        return
    connection = shop.connect(autocommit=False)
    try:
        connection.execute(statements.encode())
        yield
    finally:
        connection.close()
