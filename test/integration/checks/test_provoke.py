"""Every check, on the real extension: quiet, near miss quiet, break found, printed cure, quiet again.

The steps come from the check's own `Provoke`. After the cure the database has to be well, whatever
the check looks at: contents equal to the definitions, and writes to every base table arrive.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

import pytest
from contents import differing, write_everywhere
from pasting import paste, superuser
from servers import REAL_MAJORS, ROOT, Database

from pgtv.checks.declare import Check
from pgtv.checks.examine import Outcome, State, examine
from pgtv.checks.registry import all_checks
from pgtv.finding import Finding, Severity

CHECKS = all_checks()
HERE = [pytest.param(c, id=c.id) for c in CHECKS.values() if not c.provoke.elsewhere]
ELSEWHERE = [pytest.param(c, id=c.id) for c in CHECKS.values() if c.provoke.elsewhere]

# What is printed as an owner's is a superuser's here, so that pasting proves nothing about the role.
_EXTENSION = "only a superuser can own the extension"
_PREPARED = "its steps prepare as the superuser who runs them"
SUPERUSERS_OWN = {
    "audit-log-growth": _EXTENSION,
    "catalog-filtered": _EXTENSION,
    "catalog-triggers": "only a superuser can own an event trigger",
    "catalog-unreadable": _EXTENSION,
    "catalog-writable": _EXTENSION,
    "owner-cannot-read": "its steps give the table to a superuser",
    "prepared-blocks": _PREPARED,
    "prepared-unlogged": _PREPARED,
}
# Proven elsewhere: pasted there as the role that is printed, or not, and why.
PASTED = {
    "drift", "drift-recorded", "inheritance-children", "replication-slot", "room",
    "subscription-writes",
}  # fmt: skip
_NONE, _SUPERUSERS = "prints no SQL", "its cure is a superuser's"
_LOOKS = "its SQL only looks"
_SESSIONS = "the sessions that it ends are a superuser's"
NOT_PASTED = {
    **dict.fromkeys(
        ("catalog-unknown", "feed-gap", "jsonb-delta-missing", "lab-in-use", "library-unloadable",
         "never-verified", "refresh-slow", "server-unsupported", "trigger-lease",
         "unlogged-standby", "verification-old", "verification-untrimmed", "writes-fail"),
        _NONE,
    ),
    **dict.fromkeys(("extension-missing", "not-preloaded"), _SUPERUSERS),
    **dict.fromkeys(("library-mismatch", "unlogged-reset", "update-available"), _EXTENSION),
    **dict.fromkeys(
        ("archiving", "connections", "notify-queue", "prepared-slots", "replica-lag"), _LOOKS
    ),
    **dict.fromkeys(("idle-in-transaction", "lock-wait", "long-transaction"), _SESSIONS),
    **dict.fromkeys(("prepared-orphan", "prepared-vacuum"), _PREPARED),
}  # fmt: skip


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
            _assert_shown(check, shop)
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


def test_every_check_has_its_cure_pasted_as_the_printed_role_or_a_reason() -> None:
    assert set(SUPERUSERS_OWN) <= {c.id for c in CHECKS.values() if not c.provoke.elsewhere}
    assert not PASTED & set(NOT_PASTED)
    assert PASTED | set(NOT_PASTED) == {c.id for c in CHECKS.values() if c.provoke.elsewhere}


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


def _assert_shown(check: Check, shop: Database) -> None:
    """What the check's page shows is what doctor says."""
    page = (ROOT / "docs/operations/checks" / f"{check.id}.md").read_text()
    shown = re.search(r"```text\n(.*?)\n```", page, re.DOTALL)
    if shown is None or shop.server.major != max(REAL_MAJORS):
        return
    docs = _gen_docs()
    seen = docs.example(examine(shop.snapshot(), [check])) or ""
    assert docs.settled(seen.replace(shop.name, "shop")) == docs.settled(shown[1]), (
        f"the page shows\n{shown[1]}\nand doctor says\n{seen}\nrun tools/gen_docs --examples BINARIES"
    )


@cache
def _gen_docs() -> Any:
    loader = SourceFileLoader("gen_docs", str(ROOT / "tools/gen_docs"))
    module = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    before = list(sys.path)
    loader.exec_module(module)
    sys.path[:] = (
        before  # it puts the checkout first, and what is tested may be installed elsewhere
    )
    return module


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

    Each as the role that it prints. A cure that leaves its own finding in place ends it: that is for
    the assertion to say.
    """
    pasted: list[str] = []
    cured: set[str] = set()
    current: Finding | None = finding
    while current and current.remedy and current.remedy.sql and current.id not in cured:
        cured.add(current.id)
        pasted += current.remedy.sql
        role = paste(shop, current)
        owned = not re.match(r"(a )?superuser(?!, or )", current.remedy.role or "")
        assert (owned and superuser(shop, role)) is (check.id in SUPERUSERS_OWN), (
            f"{current.id}: its cure is for {current.remedy.role!r} and was pasted as {role}"
        )
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
    assert remedy.role or not remedy.sql, f"{finding.id}: who may run its cure?"
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
