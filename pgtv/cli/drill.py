"""`pgtv drill`: the failure modes on throwaway servers: provoked, seen, cured, verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgtv.cli.options import output_option, verbosity_options, width, write_output
from pgtv.cli.paths import FILE
from pgtv.cli.throwaway import clean_up_when_ended
from pgtv.errors import Exit, NotPossible, UsageError

if TYPE_CHECKING:
    from pgtv.cluster.provider import Provider
    from pgtv.drills.model import Mode, Outcome, Report, Variant

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("text", "json", "junit", "html")


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Completion: modes, and their variants after a slash."""
    from pgtv.drills.registry import all_modes

    known = [
        n for m in all_modes().values() for n in (m.id, *(f"{m.id}/{v.id}" for v in m.variants))
    ]
    return [n for n in known if n.startswith(incomplete)]


def _file(name: str, what: str) -> Callable[[F], F]:
    return click.option(
        f"--{name}", f"{name}_file", type=FILE, metavar="FILE",
        help=f"Write {what} to FILE too.",
    )  # fmt: skip


def _format(command: F) -> F:
    return click.option(
        "--format", "fmt", type=click.Choice(FORMATS), default="text", show_default=True,
        help="How to print the results.",
    )(command)  # fmt: skip


@click.group()
def drill() -> None:
    """Provoke failures on throwaway servers, and see them detected, cured and verified.

    Nothing of yours is touched: each drill has a database of its own, on a server that is made for it
    and removed afterwards.
    """


@drill.command("list")
@click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="How to print the list.",
)  # fmt: skip
def list_(fmt: str) -> int:
    """List the modes and their variants."""
    from pgtv.drills.registry import all_modes

    modes = all_modes().values()
    if fmt == "json":
        document = [
            {
                "number": m.number, "mode": m.id, "title": m.title, "script": f"{m.script}.sh",
                "variants": [
                    {"variant": v.id, "title": v.title, "needs": [str(n) for n in v.needs]}
                    for v in m.variants
                ],
            }
            for m in modes
        ]  # fmt: skip
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return Exit.HEALTHY
    for m in modes:
        click.echo(f"{m.number:2}  {m.id}: {m.title}")
        for v in m.variants:
            click.echo(f"      {v.id:26} {v.title}")
    return Exit.HEALTHY


@drill.command()
@click.argument("drills", nargs=-1, metavar="[MODE[/VARIANT]]...", shell_complete=_names)
@click.option(
    "--provider", type=click.Choice(["local", "docker", "existing", "both"]),
    help="Where servers come from; told by --image and --dsn, else local. both: local, and in containers"
    " what local servers cannot do, where their image is here.",
)  # fmt: skip
@click.option("--image", help="Container image with PostgreSQL and the extension.")
@click.option(
    "--dsn", metavar="CONNINFO",
    help="An existing server: a database is made and dropped there; nothing destructive is done.",
)  # fmt: skip
@click.option(
    "--major", "majors", type=click.IntRange(16, 99), multiple=True,
    help="PostgreSQL major of local servers; may be repeated. Default: the newest with the extension.",
)  # fmt: skip
@_format
@output_option
@_file("json", "the report as JSON")
@_file("junit", "JUnit XML")
@_file("html", "the report as HTML")
@click.option(
    "--keep",
    is_flag=True,
    help="Leave the database of a drill that failed, and its server.",
)
@verbosity_options
def run(
    drills: tuple[str, ...],
    provider: str | None,
    image: str | None,
    dsn: str | None,
    majors: tuple[int, ...],
    fmt: str,
    output: Path | None,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
    keep: bool,
    verbosity: int,
) -> int:
    """Run drills: all of them, or the modes and variants named.

    Exit codes: 0 all that could run passed, 2 one failed, 3 nothing could run.
    """
    from pgtv.cluster import binaries
    from pgtv.drills import store
    from pgtv.drills.engine import run as run_one
    from pgtv.drills.registry import select
    from pgtv.drills.stage import Stage
    from pgtv.shown import plural

    chosen = select(drills)
    outcomes: list[Outcome] = []
    commit = store.commit()  # as it is now: work may go on beside
    clean_up_when_ended()
    try:
        for one, drills_of_it in _shared_out(chosen, provider, image, dsn, majors):
            if verbosity >= 0:
                click.echo(f"{plural(len(drills_of_it), 'drill')}: {one.label}", err=True)
            with Stage(one, keep) as stage:
                for mode, variant in drills_of_it:
                    outcomes.append(run_one(stage, mode, variant))
                    if verbosity >= 0:
                        _tell(outcomes[-1], verbosity)
    finally:
        if outcomes:  # what was done is told, also when it was interrupted
            release = binaries.RELEASE if dsn is None and not image else None
            report = store.made_now(outcomes, release, commit)
            for file, form in ((json_file, "json"), (junit_file, "junit"), (html_file, "html")):
                if file:
                    write_output(_render(report, form), file)
            write_output(_render(report, fmt), output)
    return report.exit


def _shared_out(
    chosen: list[tuple[Mode, Variant]],
    provider: str | None,
    image: str | None,
    dsn: str | None,
    majors: tuple[int, ...],
) -> list[tuple[Provider, list[tuple[Mode, Variant]]]]:
    """Which provider runs which drills: each all of them, but for what is done in containers instead."""
    from pgtv.cluster.container import IMAGE, image_here
    from pgtv.cluster.provider import Docker

    if provider != "both":
        return [(one, chosen) for one in providers(provider, image, dsn, majors)]
    if image or dsn:
        raise UsageError("--provider both goes with neither --image nor --dsn")
    local, container = providers("local", None, None, majors), Docker(IMAGE)
    beside = [
        (m, v) for m, v in chosen
        if local[0].missing(v.needs) and not container.missing(v.needs)
    ]  # fmt: skip
    if not beside or not image_here():
        return [(one, chosen) for one in local]
    rest = [c for c in chosen if c not in beside]
    return [*((one, rest) for one in local if rest), (container, beside)]


def _tell(outcome: Outcome, verbosity: int) -> None:
    """Progress, on stderr: the matrix comes at the end."""
    from pgtv.reports.drills import line

    click.echo(line(outcome, width()), err=True)
    if verbosity > 0:
        for refusal in outcome.errors:
            click.echo(f"         {refusal.sqlstate} {refusal.message}", err=True)
        for finding in outcome.findings:
            click.echo(f"         doctor: {finding}", err=True)
        for step in outcome.steps:
            click.echo("         " + step.replace("\n", "\n         "), err=True)
    if outcome.kept:
        click.echo(f"         kept: {outcome.kept}", err=True)


def providers(
    provider: str | None,
    image: str | None,
    dsn: str | None,
    majors: tuple[int, ...],
    *,
    images: bool = True,
) -> list[Provider]:
    """As the options say. Raises UsageError, NotPossible where nothing can be started.

    images: whether the command has --image.
    """
    from pgtv.cluster import binaries
    from pgtv.cluster.container import IMAGE
    from pgtv.cluster.provider import Docker, Local, OnExisting

    told = {"docker": image, "existing": dsn}
    given = [name for name, value in told.items() if value]
    provider = provider or (given[0] if given else "local")
    if [n for n in given if n != provider]:
        raise UsageError("--image goes with --provider docker, --dsn with --provider existing")
    if majors and provider != "local":
        raise UsageError("--major is for local servers", "an image or a server has one already")
    if provider == "docker":
        return [Docker(image or IMAGE)]
    if provider == "existing":
        if not dsn:
            raise UsageError("--provider existing needs --dsn")
        return [OnExisting(dsn)]
    install = _INSTALL + (", or use --image" if images else "")
    found: list[Provider] = []
    for major in majors or (18, 17, 16):
        folder = binaries.extended(major)
        if folder:
            found.append(Local(folder))
            if not majors:
                break
        elif majors:
            raise NotPossible(f"no PostgreSQL {major} with the extension is here", install)
    if not found:
        raise NotPossible("no PostgreSQL with the extension is here", install)
    return found


_INSTALL = "install the extension for a server on PATH (pg_config)"


def _render(report: Report, fmt: str) -> str:
    from pgtv.drills import store
    from pgtv.reports import drills

    if fmt == "json":
        return store.dumps(report)
    return {"junit": drills.junit, "html": drills.html}.get(fmt, lambda r: drills.text(r, width()))(
        report
    )


@drill.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="REPORT...",
    type=FILE,
)  # fmt: skip
@_format
@output_option
def report(files: tuple[Path, ...], fmt: str, output: Path | None) -> int:
    """Print saved reports (drill run --json) as one, in any format.

    Where the same drill ran on the same kind of server again, the later outcome counts, unless it was
    skipped: so a report can be brought up to date by the drills that are new. Exit codes are those of
    what is printed.
    """
    from pgtv.drills import store

    merged = store.merged(store.load(f) for f in files)
    write_output(_render(merged, fmt), output)
    return merged.exit


@drill.command()
@click.option(
    "--points", "count", type=click.IntRange(1), default=20, show_default=True,
    help="How many crashes on each major.",
)  # fmt: skip
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same points and kills again."
)
@click.option(
    "--major", "majors", type=click.IntRange(16, 99), multiple=True,
    help="PostgreSQL major; may be repeated. Default: the newest with the extension.",
)  # fmt: skip
@click.option(
    "--at", "only", multiple=True, metavar="POINT", help="Only at this named point, or random."
)
@output_option
def crash(
    count: int, seed: int, majors: tuple[int, ...], only: tuple[str, ...], output: Path | None
) -> int:
    """Kill backends and servers at named points and at random; look what is left.

    Each crash is recorded with statement and WAL position; -o writes them as JSON. After each,
    contents are compared and what was acknowledged must be there.

    Exit codes: 0 nothing lost, 2 a crash left something wrong.
    """
    from pgtv.drills import store
    from pgtv.drills.crashes import run as run_crashes

    commit = store.commit()  # as it is now: work may go on beside
    clean_up_when_ended()
    done, wrong = [], 0
    try:
        for provider in providers("local", None, None, majors, images=False):
            for one in run_crashes(provider, count, seed, only):
                done.append(one)
                wrong += one.failed
                where = f"{one.number:5}  {one.major}  {one.point:22}  {one.kill:7}"
                click.echo(f"{where}  {one.lsn:12}  {one.outcome}")
    finally:
        if output and done:  # what was done is told, also when it was interrupted
            write_output(store.dump_crashes(done, seed, commit), output)
    click.echo(f"{len(done):,} crashes, {wrong} wrong", err=True)
    return Exit.CRITICAL if wrong else Exit.HEALTHY


@drill.command()
@click.option("--minutes", type=click.FloatRange(min=0.01), default=5.0, show_default=True,
              help="Begin no round after so long.")  # fmt: skip
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same faults in the same order."
)
@click.option("--major", type=click.IntRange(16, 99), help="PostgreSQL major; default: the newest.")
def soak(minutes: float, seed: int, major: int | None) -> int:
    """Load, random faults beside it, pgtv's own repairs; after each round everything is verified.

    Exit codes: 0 every round ended with equal contents and nothing lost, 2 one did not.
    """
    from pgtv.drills.soak import run as run_soak

    clean_up_when_ended()
    (provider,) = providers("local", None, None, (major,) if major else (), images=False)
    rounds, committed = 0, 0
    for one in run_soak(provider, minutes, seed):
        rounds, committed = rounds + 1, committed + one.committed
        click.echo(
            f"{one.number:5}  {one.fault:28}  {one.committed:6,} committed  {one.seconds:5.1f} s  "
            + (f"WRONG: {one.problem}" if one.problem else "equal")
        )
        if one.problem:
            return Exit.CRITICAL
    told = f"{rounds:,} round{'' if rounds == 1 else 's'}"
    click.echo(f"{told}, {committed:,} acknowledged transactions, none lost", err=True)
    return Exit.HEALTHY
