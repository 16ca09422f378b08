"""What the installation checks say of snapshots that no server here gives."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pgtv.catalog.model import Extension, Server, Snapshot
from pgtv.checks.examine import Outcome, State, examine
from pgtv.checks.registry import all_checks
from pgtv.checks.versions import newer
from pgtv.finding import Effect, Severity

HEALTHY = Snapshot(
    taken_at="2026-01-01T00:00:00+00:00",
    pgtv_version="0",
    server=Server(version_num=180006, version="18.6"),
    extension=Extension(
        generation="current", installed=True, version="0.1.0-beta.34",
        default_version="0.1.0-beta.34", schema="tviews", preloaded=True,
        library_version="0.1.0-beta.34", catalog_revision=10, contract_version=2,
    ),
)  # fmt: skip


def said(check: str, snapshot: Snapshot) -> Outcome:
    (outcome,) = examine(snapshot, [all_checks()[check]]).outcomes
    return outcome


def test_unsupported_server() -> None:
    assert said("server-unsupported", HEALTHY).state is State.OK
    old = replace(HEALTHY, server=Server(version_num=150004, version="15.4"))
    (finding,) = said("server-unsupported", old).findings
    assert finding.severity is Severity.WARNING
    assert "15.4" in finding.detail


def test_a_library_after_all_known_ones_is_only_suspected() -> None:
    later = replace(HEALTHY.extension, library_version="0.1.0", default_version="0.1.0")
    (finding,) = said("library-mismatch", replace(HEALTHY, extension=later)).findings
    assert finding.severity is Severity.WARNING
    assert finding.remedy
    assert finding.remedy.sql


def test_a_later_release_that_agrees_with_itself_is_fine() -> None:
    later = replace(
        HEALTHY.extension, library_version="0.2.0", version="0.2.0", catalog_revision=12
    )
    assert said("library-mismatch", replace(HEALTHY, extension=later)).state is State.OK


def test_an_update_that_did_not_reach_the_catalog() -> None:
    """Names agree, revisions do not: what counts for writes is the revision."""
    half = replace(HEALTHY.extension, catalog_revision=9)
    (finding,) = said("library-mismatch", replace(HEALTHY, extension=half)).findings
    assert finding.severity is Severity.CRITICAL


def of_another_generation(extension: Extension) -> Snapshot:
    return replace(HEALTHY, extension=replace(extension, generation="unknown"))


def test_a_release_before_those_that_pgtv_knows_is_led_to_its_update() -> None:
    """beta.20 to beta.27: looked at as a catalog not known, and updated in place."""
    older = of_another_generation(
        replace(HEALTHY.extension, version="0.1.0-beta.27", catalog_revision=5, contract_version=1)
    )
    (finding,) = said("catalog-unknown", older).findings
    assert finding.remedy and finding.remedy.note
    assert "ALTER EXTENSION pg_tviews UPDATE; then pgtv knows" in finding.remedy.note
    (finding,) = said("update-available", older).findings
    assert finding.remedy and "ALTER EXTENSION pg_tviews UPDATE;" in finding.remedy.sql
    (finding,) = said("library-mismatch", older).findings
    assert (finding.severity, finding.effect) == (Severity.CRITICAL, Effect.WRITES_FAIL)
    later = of_another_generation(replace(HEALTHY.extension, version="0.2.0", contract_version=3))
    (finding,) = said("catalog-unknown", later).findings
    assert finding.remedy and "Look for a newer pgtv" in (finding.remedy.note or "")


def test_release_names_are_compared_by_number() -> None:
    assert newer("0.1.0-beta.34", "0.1.0-beta.9")
    assert newer("0.1.0", "0.1.0-beta.34")
    assert newer("0.2.0-beta.1", "0.1.0")
    assert not newer("0.1.0-beta.34", "0.1.0-beta.34")
    assert not newer(None, "0.1.0")


@given(st.text(), st.text())
def test_any_two_names_have_an_order(a: str, b: str) -> None:
    assert not (newer(a, b) and newer(b, a))
