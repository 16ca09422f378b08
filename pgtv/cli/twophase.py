"""`pgtv 2pc list|show|commit|rollback|cleanup`: prepared transactions, seen and ended."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import (
    connection_options,
    connection_text,
    output_option,
    snapshot_option,
    verbosity_options,
    width,
    write_output,
)
from pgtv.cli.twophase_end import FORMAT, GIDS, cleanup, commit, named_in, rollback, survey_of
from pgtv.errors import Exit, UsageError
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.repairs.survey import Survey
    from pgtv.repairs.twophase import Transaction


@click.group()
def twophase() -> None:
    """See and end prepared transactions, in every database of the cluster."""


@twophase.command("list")
@connection_options
@snapshot_option
@click.option(
    "--ended", is_flag=True,
    help="Also those that pgtv ended: the newest 20 dead letters of each database looked into.",
)  # fmt: skip
@FORMAT
@output_option
@verbosity_options
def list_(
    target: Target,
    source: Path | None,
    ended: bool,
    fmt: str,
    output: Path | None,
    verbosity: int,
) -> int:
    """List prepared transactions: how old, whose, what they touch, who waits for them.

    Looks into every database that has one. Exit codes: 2 where sessions or readers wait for one, 1
    where one is older than an hour or wrote an UNLOGGED TVIEW, or an early release's queue stands.
    """
    from pgtv.reports import twophase as report

    if ended and source:
        raise UsageError("--ended reads a table: it needs a server", "leave out --from")
    survey = survey_of(target, source, 20 if ended else 0)
    code = _exit(survey, survey.transactions)
    document = report.listing(survey, survey.transactions, code)
    if fmt == "json":
        text = report.as_json(document)
    elif verbosity < 0:
        text = report.quiet(document)
    elif verbosity > 0:
        on = connection_text(target)
        whole = [_detail(survey, t, on) for t in survey.transactions]
        text = "\n".join([report.summary(document, width()), *whole])
    else:
        text = report.summary(document, width())
    write_output(text, output)
    return code


@twophase.command()
@connection_options
@snapshot_option
@GIDS
@click.option("--no-keys", is_flag=True, help="Read no tables: leave out which rows it touched.")
@FORMAT
@output_option
def show(
    target: Target,
    source: Path | None,
    gids: tuple[str, ...],
    no_keys: bool,
    fmt: str,
    output: Path | None,
) -> int:
    """Show all that can be known of prepared transactions, and the statements that end them.

    Which rows one touched is read from the tables that it wrote; those that it inserts nobody can see
    before it commits. A gid that cannot be typed is named xid:NUMBER.
    """
    from pgtv.repairs.survey import with_keys
    from pgtv.reports import twophase as report

    survey = survey_of(target, source)
    chosen = named_in(survey, gids)
    if source is None and not no_keys:
        chosen = with_keys(target, survey, [t.gid for t in chosen])
    code = _exit(survey, chosen)
    if fmt == "json":
        text = report.as_json(report.listing(survey, chosen, code))
    else:
        on = connection_text(target)
        text = "\n".join(_detail(survey, t, on) for t in chosen)
    write_output(text, output)
    return code


def _detail(survey: Survey, one: Transaction, connection: str) -> str:
    from pgtv.catalog.dialects import named
    from pgtv.reports.twophase import detail

    snapshot = survey.looked.get(one.database)
    known = not snapshot or named(snapshot.extension.generation).acts
    return detail(one, connection, width(), acts=known)


def _exit(survey: Survey, transactions: Iterable[Transaction]) -> Exit:
    from pgtv.finding import Severity, exit_code, worst

    found = [Severity(t.severity) for t in transactions]
    if survey.snapshot.server.in_recovery or survey.snapshot.gap("prepared"):
        found.append(Severity.UNKNOWN)
    if survey.pending:
        found.append(Severity.WARNING)
    return exit_code(worst(found))


for ending in (commit, rollback, cleanup):
    twophase.add_command(ending)
