"""`pgtv doctor`: look, examine, report; writes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import (
    color_wanted,
    comparing,
    connection_options,
    connection_text,
    look,
    output_option,
    snapshot_option,
    threshold_settings,
    verbosity_options,
    width,
    write_output,
)
from pgtv.cli.paths import FILE
from pgtv.errors import Exit, NotPossible, UsageError
from pgtv.session import Target, connected

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot
    from pgtv.checks.declare import Check
    from pgtv.checks.examine import Examination
    from pgtv.finding import Finding
    from pgtv.reports.layout import Layout

FORMATS = ("human", "json", "nagios", "prometheus", "markdown", "html")
FAIL_ON = ("info", "warning", "critical", "never")
BASELINE = "pgtv.baseline/1"


def _check_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Completion: checks and groups."""
    from pgtv.checks.registry import GROUPS, all_checks

    return [n for n in (*GROUPS, *all_checks()) if n.startswith(incomplete)]


@click.command()
@connection_options
@snapshot_option
@click.option(
    "--only", multiple=True, metavar="CHECK", shell_complete=_check_names,
    help="Only this check or group; may be repeated.",
)  # fmt: skip
@click.option(
    "--skip", multiple=True, metavar="CHECK", shell_complete=_check_names,
    help="Not this check or group; may be repeated.",
)  # fmt: skip
@click.option("--list", "list_", is_flag=True, help="List the checks and stop.")
@click.option(
    "--format", "fmt", type=click.Choice(FORMATS), default="human", show_default=True,
    help="How to print the findings.",
)  # fmt: skip
@output_option
@verbosity_options
@click.option("--all", "all_", is_flag=True, help="Every finding in full, none folded.")
@click.option(
    "--threshold", "thresholds", multiple=True, metavar="CHECK.NAME=VALUE",
    help="Set a check's threshold; may be repeated. Names: --list -v.",
)  # fmt: skip
@click.option(
    "--baseline", metavar="FILE", type=FILE,
    help="Leave out the findings that FILE accepts (a baseline, or a report in JSON).",
)  # fmt: skip
@click.option(
    "--write-baseline", metavar="FILE", type=FILE,
    help="Accept what is found now: write its ids to FILE and exit 0.",
)  # fmt: skip
@click.option(
    "--fail-on", type=click.Choice(FAIL_ON), default="warning", show_default=True,
    help="The mildest finding that makes the exit code non-zero.",
)  # fmt: skip
@click.option("--unknown-ok", is_flag=True, help="What could not be seen does not fail the run.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found; errors still exit 3.")
@click.option("--verify", is_flag=True, help="Compare contents with definitions too; reads rows.")
@click.option(
    "--probe-write", is_flag=True,
    help="Change one row of each base table and roll it back, to prove whether writes fail. Takes "
    "the locks of such a write for a moment; user triggers fire too.",
)  # fmt: skip
def doctor(
    target: Target,
    source: Path | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    list_: bool,
    fmt: str,
    output: Path | None,
    verbosity: int,
    all_: bool,
    thresholds: tuple[str, ...],
    baseline: Path | None,
    write_baseline: Path | None,
    fail_on: str,
    unknown_ok: bool,
    exit_zero: bool,
    verify: bool,
    probe_write: bool,
) -> int:
    """Find what is wrong, what it affects and what cures it.

    Looks at catalogs only, in one read-only transaction, and writes nothing. Exit codes: 0 healthy,
    1 warning, 2 critical, 3 unknown or could not run.
    """
    from pgtv.checks.examine import examine
    from pgtv.checks.registry import all_checks

    if source is not None and (verify or probe_write):
        raise UsageError("--verify and --probe-write need a server", "leave out --from")
    only, skip = _names(only), _names(skip)
    asked = [o for o, on in (("--verify", verify), ("--probe-write", probe_write)) if on]
    if list_:
        _emit_list(_chosen(only, skip, asked), fmt, verbosity, output)
        return Exit.HEALTHY
    if only or skip:  # a name that nothing has is told before anything is looked at
        _chosen(only, skip, asked)
    settings = threshold_settings(thresholds)
    accepted = _read_baseline(baseline) if baseline else frozenset[str]()
    snapshot = look(target, source, meanwhile=all_checks)
    checks = _chosen(only, skip, asked)
    given: dict[str, list[Finding]] = {c.id: [] for c in checks if c.option in asked}
    if probe_write:
        _collect(given, _probe(target, snapshot, verbosity))
    if verify:
        from pgtv.checks.contents import findings

        _collect(given, findings(comparing(target), snapshot))
    declared = {c.id for c in checks}
    checks += [_adopted(found) for check, found in given.items() if check not in declared]
    examination = examine(snapshot, checks, settings, accepted, given)
    if write_baseline:
        _save_baseline(examination, write_baseline)
        return Exit.HEALTHY
    code = decide(examination, fail_on, unknown_ok=unknown_ok, exit_zero=exit_zero)
    from pgtv.cli.main import COMMANDS
    from pgtv.reports.layout import layout

    shown = layout(
        examination, code, connection_text(target), str(source) if source else None, COMMANDS
    )
    write_output(render(shown, fmt, verbosity, all_, to_file=output is not None), output)
    return code


def _chosen(only: tuple[str, ...], skip: tuple[str, ...], asked: list[str]) -> list[Check]:
    from pgtv.checks.registry import all_checks, select

    checks = select(only, skip)
    if only:  # an option that was given is not deselected by --only
        checks += [c for c in all_checks().values() if c.option in asked and c not in checks]
    if not checks:
        raise UsageError("no check is left to run", "see: pgtv doctor --list")
    return checks


def render(shown: Layout, fmt: str, verbosity: int, all_: bool, *, to_file: bool) -> str:
    """The report in the format asked for."""
    if fmt == "json":
        from pgtv.reports import json as as_json

        return as_json.render(shown.examination, shown.exit)
    if fmt == "human":
        from pgtv.reports import human

        color = color_wanted() and not to_file
        return human.render(shown, width=width(), color=color, verbosity=verbosity, all=all_)
    import importlib

    text = importlib.import_module(f"pgtv.reports.{fmt}").render(shown)
    assert isinstance(text, str)
    return text


def decide(
    examination: Examination, fail_on: str, *, unknown_ok: bool = False, exit_zero: bool = False
) -> Exit:
    """The exit code: the worst finding that counts, precedence critical, unknown, warning."""
    from pgtv.finding import Severity

    if exit_zero or fail_on == "never":
        return Exit.HEALTHY
    found = {f.severity for f in examination.findings}
    if Severity.CRITICAL in found:
        return Exit.CRITICAL
    if Severity.UNKNOWN in found and not unknown_ok:
        return Exit.UNKNOWN
    if Severity.WARNING in found and fail_on != "critical":
        return Exit.WARNING
    return Exit.WARNING if Severity.INFO in found and fail_on == "info" else Exit.HEALTHY


def _probe(target: Target, snapshot: Snapshot, verbosity: int) -> Iterable[Finding]:
    from pgtv.rows.probe import probe

    if snapshot.server.in_recovery:
        raise NotPossible(
            "--probe-write is refused on a standby", "run it on the primary; nothing was tried"
        )

    def say(line: str) -> None:
        if verbosity >= 0:
            click.echo(line, err=True)

    with connected(target, read_only=False) as connection:
        return list(probe(connection, snapshot, say))


def _names(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Options may be repeated, and each may hold several names with commas between."""
    return tuple(n.strip() for text in texts for n in text.split(",") if n.strip())


def _collect(given: dict[str, list[Finding]], findings: Iterable[Finding]) -> None:
    for finding in findings:
        given.setdefault(finding.check, []).append(finding)


def _adopted(findings: list[Finding]) -> Check:
    """A declaration for findings of a check that no file declares."""
    from pgtv.checks.declare import Check

    first = findings[0]
    return Check(
        id=first.check, title=first.title, group="contents", severity=first.severity,
        effect=first.effect, run=lambda _: (), needs=(),
    )  # fmt: skip


def _emit_list(checks: list[Check], fmt: str, verbosity: int, output: Path | None) -> None:
    if fmt == "json":
        rows = [_declared(check) for check in checks]
        write_output(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", output)
        return
    lines = []
    for check in checks:
        note = f"  ({check.option})" if check.option else ""
        lines.append(f"{check.group:12}  {check.id:28}  {check.severity:8}  {check.title}{note}")
        if verbosity > 0:
            lines += [
                f"{'':14}{check.id}.{name}={t.default:g} {t.unit}"
                for name, t in check.thresholds.items()
            ]
    write_output("".join(f"{line}\n" for line in lines), output)


def _declared(check: Check) -> dict[str, Any]:
    return {
        "id": check.id, "group": check.group, "title": check.title,
        "severity": check.severity.value, "effect": check.effect.value, "where": check.where,
        "needs": list(check.needs), "option": check.option,
        "thresholds": {
            name: {"default": t.default, "unit": t.unit} for name, t in check.thresholds.items()
        },
    }  # fmt: skip


def _read_baseline(file: Path) -> frozenset[str]:
    """Ids that a baseline, or an earlier report in JSON, holds. Raises UsageError."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        entries = document["accepted" if document.get("schema") == BASELINE else "findings"]
        return frozenset(str(e["id"]) for e in entries)
    except FileNotFoundError:
        raise UsageError(
            f"there is no baseline {file}", f"make one: pgtv doctor --write-baseline {file}"
        ) from None
    except OSError as e:
        raise UsageError(f"cannot read {file}: {e.strerror or e}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # no hint to write over it: it is somebody's file
        raise UsageError(
            f"{file} is neither a baseline nor a report of doctor in JSON",
            "make a baseline: pgtv doctor --write-baseline FILE",
        ) from None


def _save_baseline(examination: Examination, file: Path) -> None:
    accepted = [
        {"id": f.id, "severity": f.severity.value, "title": f.title} for f in examination.findings
    ] + [{"id": i, "severity": None, "title": None} for i in examination.silenced]
    document = {
        "schema": BASELINE,
        "database": examination.snapshot.server.database,
        "taken_at": examination.snapshot.taken_at,
        "accepted": sorted(accepted, key=lambda a: str(a["id"])),
    }
    write_output(json.dumps(document, indent=2, ensure_ascii=False) + "\n", file)
    click.echo(f"{len(accepted)} accepted in {os.fspath(file)}", err=True)
