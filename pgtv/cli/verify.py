"""`pgtv verify`: contents against definitions, row by row."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import (
    color_wanted,
    comparing,
    connection_options,
    look,
    output_option,
    verbosity_options,
    width,
    write_output,
)
from pgtv.cli.paths import FILE
from pgtv.cli.progress import Progress, Proving
from pgtv.errors import Exit, UsageError
from pgtv.session import Target
from pgtv.shown import printable

if TYPE_CHECKING:
    from pgtv.catalog.model import Snapshot, Tview
    from pgtv.rows.compare import Wanted
    from pgtv.rows.result import Result


@click.command()
@connection_options
@click.argument("tviews", metavar="[TVIEW]...", nargs=-1)
@click.option("--exclude", multiple=True, metavar="TVIEW", help="Leave these out; may be repeated.")
@click.option(
    "--critical", multiple=True, metavar="TVIEW",
    help="Compare these first, with what they read, and tell after each TVIEW how much is proven so"
    " far; may be repeated, or several with commas.",
)  # fmt: skip
@click.option(
    "--key", metavar="KEY",
    help="Only this row of one TVIEW, and what it reads upstream: the key's value, a JSON array for "
    "a key of several columns, or COLUMN=VALUE.",
)  # fmt: skip
@click.option(
    "--since", type=click.Choice(["last"]),
    help="Only rows that may have changed since the last time that all were equal; every row where"
    " that cannot be told, and it says why. Needs the schema pgtv.",
)  # fmt: skip
@click.option(
    "--fast",
    is_flag=True,
    help="Compare logical hashes (1.0 equals 1.00); exactly only where they differ.",
)
@click.option("--sample", metavar="N%|ROWS", help="Only so many rows, by chance: 5% or 10000.")
@click.option("--seed", type=int, metavar="N", help="Draw the same sample again.")
@click.option(
    "--budget", metavar="TIME",
    help="Begin no TVIEW after so long, once one was verified: 30s, 10min, 2h.",
)  # fmt: skip
@click.option(
    "--oldest-first",
    is_flag=True,
    help="Never verified ones first, then the oldest; with --budget it passes over all in turn.",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N",
              help="TVIEWs at a time, each with a session of its own.")  # fmt: skip
@click.option(
    "--resume", metavar="FILE", type=FILE,
    help="Keep what is finished in FILE, and begin where an earlier run with it ended.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, metavar="ROWS",
              help="Differing rows of a TVIEW to show; all are counted.")  # fmt: skip
@click.option(
    "--format", "fmt", type=click.Choice(["human", "json", "html"]), default="human",
    show_default=True, help="How to print the results.",
)  # fmt: skip
@output_option
@verbosity_options
@click.option("--no-record", is_flag=True, help="Do not write the result down in the schema pgtv.")
@click.option("--unknown-ok", is_flag=True, help="What could not be told does not fail the run.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found; errors still exit 3.")
def verify(
    target: Target,
    tviews: tuple[str, ...],
    exclude: tuple[str, ...],
    critical: tuple[str, ...],
    key: str | None,
    since: str | None,
    fast: bool,
    sample: str | None,
    seed: int | None,
    budget: str | None,
    oldest_first: bool,
    jobs: int,
    resume: Path | None,
    limit: int,
    fmt: str,
    output: Path | None,
    verbosity: int,
    no_record: bool,
    unknown_ok: bool,
    exit_zero: bool,
) -> int:
    """Compare TVIEWs with their definitions, row by row.

    TVIEW is a name or selector: tv_order, +tv_order (with what it reads), tv_order+ (with what reads
    it); all without one. Each is compared in a snapshot of its own, as its owner and never with a
    superuser's rights. Nothing is written but one record in the schema pgtv, where that exists.

    Exit codes: 0 equal, 2 rows differ, 3 unknown or could not run.
    """
    target = comparing(target)
    parsed = None if budget is None else duration(budget)
    snapshot = look(replace(target, role=None), None)
    from pgtv.graph.select import select

    chosen = select(snapshot, tviews, exclude)
    if key is not None:
        others = (since, fast, sample, budget, oldest_first, resume, critical)
        return _one_row(target, snapshot, tviews, chosen, key, fmt, output, any(others))
    if since and (fast or sample or resume):
        raise UsageError(
            "--since last compares exactly, and is over soon",
            "leave --fast, --sample, --resume out",
        )
    if critical and (sample or oldest_first):
        raise UsageError(
            "--critical proves every row, in an order of its own",
            "leave --sample and --oldest-first out",
        )
    wanted = _wanted(fast, sample, seed, limit)
    chosen, first = _critical_first(snapshot, chosen, critical)
    results, not_recorded = _run(
        target, snapshot, chosen, wanted, parsed, oldest_first, jobs, resume, verbosity, no_record,
        since is not None, first,
    )  # fmt: skip
    write_output(_render(snapshot, results, not_recorded, fmt, output, verbosity), output)
    from pgtv.rows.result import exit_code

    # a probe that points at the wrong database must not be green
    code = exit_code(results) if snapshot.extension.installed else Exit.UNKNOWN
    if exit_zero or (unknown_ok and code is Exit.UNKNOWN):
        return Exit.HEALTHY
    return code


def _run(
    target: Target,
    snapshot: Snapshot,
    chosen: list[Tview],
    wanted: Wanted,
    budget: float | None,
    oldest: bool,
    jobs: int,
    resume: Path | None,
    verbosity: int,
    no_record: bool,
    since: bool,
    critical: frozenset[int] | None,
) -> tuple[list[Result], str | None]:
    """Verify, showing progress and keeping what is finished; results, and why they are not recorded.

    critical: those whose TVIEWs come first; None where how much is proven is not to be told.
    """
    from pgtv.rows import resume as runs
    from pgtv.rows import state
    from pgtv.rows.run import Plan, oldest_first, verify_all

    tviews = oldest_first(snapshot, chosen) if oldest else chosen
    finished = runs.load(resume, snapshot, wanted.mode) if resume else []
    progress = (
        Progress(snapshot, tviews, verbosity, wanted)
        if critical is None
        else Proving(snapshot, tviews, verbosity, wanted, critical=critical)
    )
    kept: list[Result] = []

    def on_result(result: Result) -> None:
        kept.append(result)
        progress.finished(result)
        if resume:
            runs.save(resume, snapshot, wanted.mode, kept)

    ours = replace(target, role=None)
    plan = Plan(
        snapshot, target, tviews, wanted, jobs, budget, progress.moment, on_result, finished,
        baselines=state.baselines(ours) if since else None,
        remember=not since and not no_record and wanted.mode == "exact" and state.remembers(ours),
    )  # fmt: skip
    reason: str | None = "asked not to"
    try:
        results = verify_all(plan)
    finally:
        progress.close()
        # what was finished before an interrupt is worth keeping too
        if not no_record:
            reason = state.record(ours, kept, _say_not_recorded)
    if resume and all(r.reason is None for r in results):
        resume.unlink(missing_ok=True)  # complete: the next run begins anew
    return results, reason


def _say_not_recorded(why: str) -> None:
    click.echo(f"not recorded: {printable(why)}", err=True)


def _critical_first(
    snapshot: Snapshot, chosen: list[Tview], critical: tuple[str, ...]
) -> tuple[list[Tview], frozenset[int] | None]:
    """`chosen` with those that count in front; their OIDs, None where none was named."""
    if not critical:
        return chosen, None
    from pgtv.rows.proving import check_names, split

    check_names(critical)
    first, others = split(snapshot, critical, chosen)
    return first + others, frozenset(t.table_oid for t in first)


def _one_row(
    target: Target,
    snapshot: Snapshot,
    tviews: tuple[str, ...],
    chosen: list[Tview],
    key: str,
    fmt: str,
    output: Path | None,
    others: bool,
) -> int:
    from pgtv.explain.row import render, render_json
    from pgtv.rows.keyed import look_up

    if others:
        raise UsageError("--key goes with no other way of choosing rows", "leave those out")
    if len(chosen) != 1 or not tviews:
        raise UsageError("--key needs exactly one TVIEW", "as in: pgtv verify tv_order --key 17")
    if fmt == "html":
        raise UsageError("--key gives human or json", "leave --format html out")
    report = look_up(target, snapshot, chosen[0], key)
    write_output(render_json(report) if fmt == "json" else render(report), output)
    return report.exit


def _wanted(fast: bool, sample: str | None, seed: int | None, limit: int) -> Wanted:
    from pgtv.rows.compare import Wanted

    if sample is None:
        if seed is not None:
            raise UsageError("--seed belongs to --sample", "add --sample 5%")
        return Wanted(fast, None, 0, limit)
    import secrets

    drawn = secrets.randbelow(2**31) if seed is None else seed
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", sample)
    if not found or not float(found[1]) or (found[2] and float(found[1]) > 100):
        raise UsageError(f"--sample {sample!r} is neither a share nor a number", "5% or 10000")
    click.echo(f"sample drawn with --seed {drawn}", err=True)
    if found[2]:
        return Wanted(fast, (max(round(float(found[1]) * 10_000), 1), drawn), 0, limit)
    return Wanted(fast, (0, drawn), max(round(float(found[1])), 1), limit)


def duration(text: str) -> float:
    """Seconds of a time as PostgreSQL writes it (seconds without a unit). Raises UsageError."""
    units = {"": 1, "ms": 0.001, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text)
    if not found or found[2] not in units:
        raise UsageError(f"{text!r} is no time", "as in 30s, 10min or 2h")
    return float(found[1]) * units[found[2]]


def _render(
    snapshot: Snapshot,
    results: list[Result],
    not_recorded: str | None,
    fmt: str,
    output: Path | None,
    verbosity: int,
) -> str:
    if fmt == "json":
        from pgtv.rows import document

        return document.render(snapshot, results, not_recorded)
    if fmt == "html":
        from pgtv.reports import verification_page as html

        return html.render(snapshot, results, not_recorded)
    from pgtv.reports import verification as report

    color = color_wanted() and output is None
    return report.render(
        snapshot, results, not_recorded, width=width(), color=color, verbosity=verbosity
    )
