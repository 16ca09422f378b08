"""Every threshold that operators were promised is a check's, or stands among those that cannot be watched."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from servers import Database

from pgtv.checks.registry import all_checks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations" / "FAILURE_MODES.md"
PROMISED = {
    ("prepared-orphan", "age_seconds"): 3600,
    ("refresh-slow", "ms"): 1000,
    ("replica-lag", "seconds"): 10,
    ("room", "warning"): 0.8,
    ("room", "critical"): 0.85,
    ("connections", "warning"): 0.7,
    ("connections", "critical"): 0.9,
    ("verification-old", "hours"): 24,
    ("hot-ratio", "hot_ratio"): 0.5,
    ("bloat", "dead_ratio"): 0.2,
    ("notify-queue", "warning"): 0.5,
    ("notify-queue", "critical"): 0.8,
}
SEVERITIES = {
    "prepared-orphan": "warning", "prepared-unlogged": "warning", "refresh-slow": "info",
    "replica-lag": "warning", "verification-old": "warning", "never-verified": "info",
    "drift": "critical",
}  # fmt: skip
# what cannot be watched: how its row begins, and the checks that are watched instead
INSTEAD = {
    "the queue over 1,000 entries": {"write-limits", "propagation-limit"},
    "more than 10 orphans": {"prepared-orphan", "prepared-slots"},
    "fan-out: p99 over 1,000": set(),
}


@pytest.mark.parametrize(("check", "name"), PROMISED)
def test_a_threshold_is_the_one_promised(check: str, name: str) -> None:
    assert all_checks()[check].thresholds[name].default == PROMISED[check, name]


def test_what_is_found_counts_as_promised() -> None:
    assert {c: str(all_checks()[c].severity) for c in SEVERITIES} == SEVERITIES


def test_what_cannot_be_watched_is_told_with_what_can() -> None:
    part = PAGE.read_text(encoding="utf-8").partition("Early plans wanted these as well")[2]
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in part.partition("\n## ")[0].splitlines()
        if line.startswith("| ")
    ]
    for begins, checks in INSTEAD.items():
        ((_, why, instead),) = [r for r in rows if r[0].startswith(begins)]
        assert why
        assert checks <= set(re.findall(r"`([\w-]+)`", instead)) & set(all_checks())


def test_why_doctor_does_not_ask_for_fan_out(shop18: Database) -> None:
    """The extension's profile waits for whoever holds a TVIEW, and tells little to one who may only look."""
    profile = "SELECT count(fanout) FROM tviews.pg_tviews_profile()"
    assert shop18.sql(profile) == "3\n"
    with shop18.connect(autocommit=False) as holder, shop18.connect() as other:
        holder.execute("LOCK TABLE public.tv_product IN ACCESS EXCLUSIVE MODE")
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(profile.encode())
        holder.rollback()
    role = f"looker_{shop18.name}"
    shop18.sql(f"CREATE ROLE {role} LOGIN IN ROLE pg_monitor; GRANT USAGE ON SCHEMA tviews TO {role};"
               f" GRANT SELECT ON ALL TABLES IN SCHEMA tviews TO {role}")  # fmt: skip
    try:
        assert shop18.sql(profile, user=role) == "0\n"
    finally:
        shop18.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
