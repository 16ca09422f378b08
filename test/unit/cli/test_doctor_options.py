"""doctor's options: exit codes, thresholds, baseline, what is refused, without a server."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import jsonschema
import pytest

from pgtv.catalog import codec
from pgtv.catalog.model import Extension, Server, Snapshot
from pgtv.checks.declare import Check
from pgtv.checks.examine import Examination, Outcome, State
from pgtv.checks.registry import all_checks
from pgtv.cli.doctor import decide
from pgtv.cli.main import run
from pgtv.cli.options import connection_text
from pgtv.errors import Exit
from pgtv.finding import Effect, Finding, Severity
from pgtv.session import Target


def examined(*severities: Severity) -> Examination:
    findings = tuple(Finding(f"c:{s}", "c", s, Effect.RISK, "o", "t", "d") for s in severities)
    check = Check("c", "t", "graph", Severity.CRITICAL, Effect.RISK, run=lambda _: ())
    snapshot = Snapshot("2026-01-01T00:00:00+00:00", "0", Server(), Extension("current"))
    return Examination(snapshot, (Outcome(check, State.FOUND, findings),), findings)


@pytest.mark.parametrize(
    ("severities", "fail_on", "expected"),
    [
        ((), "warning", 0),
        ((Severity.INFO,), "warning", 0),
        ((Severity.INFO,), "info", 1),
        ((Severity.WARNING,), "warning", 1),
        ((Severity.WARNING,), "critical", 0),
        ((Severity.WARNING, Severity.UNKNOWN), "warning", 3),
        ((Severity.WARNING, Severity.UNKNOWN), "critical", 3),
        ((Severity.CRITICAL, Severity.UNKNOWN), "warning", 2),
        ((Severity.CRITICAL,), "critical", 2),
        ((Severity.CRITICAL, Severity.UNKNOWN), "never", 0),
    ],
)
def test_precedence_is_critical_unknown_warning(
    severities: tuple[Severity, ...], fail_on: str, expected: int
) -> None:
    assert decide(examined(*severities), fail_on) == expected


def test_unknown_ok_changes_nothing_but_unknown() -> None:
    for a, b in product(Severity, Severity):
        found = examined(a, b)
        relaxed = decide(found, "warning", unknown_ok=True)
        strict = decide(found, "warning")
        without = decide(examined(*(s for s in (a, b) if s is not Severity.UNKNOWN)), "warning")
        assert relaxed == without
        assert strict == (
            relaxed
            if Severity.UNKNOWN not in (a, b)
            else max(strict if relaxed == Exit.CRITICAL else Exit.UNKNOWN, Exit.CRITICAL)
        )


def test_exit_zero_is_zero() -> None:
    assert decide(examined(Severity.CRITICAL), "warning", exit_zero=True) == 0


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A snapshot in which the extension is not preloaded."""
    file = tmp_path / "s.json"
    server = Server(database="shop", host="db1", port=5432, version="18.6", version_num=180006)
    extension = Extension("current", installed=True, version="1", schema="s", preloaded=False)
    codec.save(Snapshot("2026-01-01T00:00:00+00:00", "0", server, extension), file)
    return str(file)


def test_a_baseline_silences_what_it_accepted(
    saved: str, tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run(["doctor", "--from", saved, "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert before != 0
    assert report["findings"]
    baseline = tmp_path / "accepted.json"
    assert run(["doctor", "--from", saved, "--write-baseline", str(baseline)]) == 0
    schema = json.loads((root / "schemas/pgtv.baseline.1.json").read_text())
    jsonschema.validate(json.loads(baseline.read_text()), schema)
    for accepted in (baseline, _written(tmp_path / "report.json", report)):
        capsys.readouterr()
        assert (
            run(["doctor", "--from", saved, "--baseline", str(accepted), "--format", "json"]) == 0
        )
        after = json.loads(capsys.readouterr().out)
        assert after["findings"] == []
        assert sorted(after["silenced"]) == sorted(f["id"] for f in report["findings"])


def _written(file: Path, document: object) -> Path:
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"findings": [1]}', "\x00"])
def test_what_is_no_baseline_is_refused_with_a_hint(
    saved: str, tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "b.json"
    if content is not None:
        file.write_text(content)
    assert run(["doctor", "--from", saved, "--baseline", str(file)]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "--write-baseline" in said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "trigger-mising"], "did you mean trigger-missing"),
        (["--skip", "nope"], "pgtv doctor --list"),
        (["--threshold", "x"], "CHECK.NAME=VALUE"),
        (["--threshold", "nope.x=1"], "no check or group"),
        (["--threshold", "triggers.x=1"], "group"),
        (["--threshold", "trigger-missing.x=1"], "no threshold"),
        (["--format", "yaml"], "yaml"),
        (["--verify"], "--from"),
        (["--probe-write"], "--from"),
        (["-q", "-v"], "exclude"),
        (["extra"], "extra"),
    ],
)
def test_usage_errors_exit_3_and_say_what_is_right(
    saved: str, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--from", saved, *arguments]) == Exit.UNKNOWN
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err


def test_a_threshold_that_is_no_number_names_its_unit(
    saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check = next(c for c in all_checks().values() if c.thresholds)
    name, threshold = next(iter(check.thresholds.items()))
    assert run(["doctor", "--from", saved, "--threshold", f"{check.id}.{name}=many"]) == 3
    assert threshold.unit in capsys.readouterr().err
    assert (
        run(["doctor", "--from", saved, "--threshold", f"{check.id}.{name}=1", "--exit-zero"]) == 0
    )


def test_list_names_every_check_and_its_thresholds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--list", "-v"]) == 0
    text = capsys.readouterr().out
    for check in all_checks().values():
        assert check.id in text
        for name in check.thresholds:
            assert f"{check.id}.{name}=" in text
    assert run(["doctor", "--list", "--format", "json", "--only", "triggers,graph"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {c["group"] for c in listed} == {"triggers", "graph"}


@pytest.mark.parametrize("fmt", ["human", "json", "nagios", "prometheus", "markdown", "html"])
def test_every_format_to_a_file_is_what_goes_to_stdout(
    saved: str, fmt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out"
    code = run(["doctor", "--from", saved, "--format", fmt])
    shown = capsys.readouterr().out
    assert run(["doctor", "--from", saved, "--format", fmt, "-o", str(file)]) == code
    assert capsys.readouterr().out == ""
    assert _untimed(file.read_text()) == _untimed(shown)
    assert file.stat().st_mode & 0o444 == 0o444 & ~_umask()
    assert list(tmp_path.glob(".out*")) == []


def _untimed(text: str) -> str:
    """Without how long it took, which differs."""
    return re.sub(r"[\d.e-]+( ms)?(?=s;;;0|,?$| s\b|,?\n)", "T", text)


def _umask() -> int:
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_unwritable_file_is_an_error_not_a_traceback(
    saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--from", saved, "-o", "/nonexistent/x"]) == 3
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (Target(), ""),
        (Target(dbname="shop", host="db 1"), "-d shop -h 'db 1'"),
        (Target(dbname="postgresql://u:secret@db1/shop"), "-d 'user=u dbname=shop host=db1'"),
        (Target(dbname="dbname=shop password=secret", password="secret"), "-d dbname=shop"),
    ],
)
def test_printed_commands_reach_the_same_database_without_its_password(
    target: Target, shown: str
) -> None:
    assert connection_text(target) == shown
