"""What ends prepared transactions: `pgtv 2pc commit|rollback|cleanup`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import apply_option, comparing, connection_options, receipt_option
from pgtv.cli.pacing import pace_options
from pgtv.errors import Exit, NotPossible, UsageError
from pgtv.session import Target

if TYPE_CHECKING:
    from pgtv.repairs.ending import Receipt
    from pgtv.repairs.survey import Survey
    from pgtv.repairs.twophase import Transaction
    from pgtv.rows.merge import Pace

FORMAT = click.option(
    "--format", "fmt", type=click.Choice(["human", "json"]), default="human", show_default=True,
    help="How to print it.",
)  # fmt: skip
NO_KEYS = click.option(
    "--no-keys", is_flag=True,
    help="Read no tables first: it ends at once, and no record says which rows it touched.",
)  # fmt: skip
GIDS = click.argument("gids", nargs=-1, required=True, metavar="GID...")


def acting(command: Callable[..., Any]) -> Callable[..., Any]:
    """--apply, --receipt, --format and how rows are brought, for what ends transactions."""
    command = pace_options(FORMAT(command))
    command = apply_option(receipt_option(command), otherwise="nothing is ended")
    return connection_options(command)


@click.command()
@GIDS
@acting
def commit(
    target: Target,
    gids: tuple[str, ...],
    apply_: bool,
    receipt_path: Path | None,
    fmt: str,
    pace: Pace,
) -> int:
    """Commit prepared transactions by name, then verify and repair the TVIEWs that they touched.

    Shows what it would do; --apply does it.
    """
    return _end(target, "commit", gids, apply_, receipt_path, fmt, pace)


@click.command()
@GIDS
@NO_KEYS
@acting
def rollback(
    target: Target,
    gids: tuple[str, ...],
    no_keys: bool,
    apply_: bool,
    receipt_path: Path | None,
    fmt: str,
    pace: Pace,
) -> int:
    """Roll prepared transactions back by name, then verify and repair the TVIEWs that they touched.

    Shows what it would do; --apply does it. What a transaction wrote is lost.
    """
    return _end(target, "rollback", gids, apply_, receipt_path, fmt, pace, keys=not no_keys)


@click.command()
@click.option("--rollback", "roll_back", is_flag=True, help="Required: cleanup never commits.")
@click.option(
    "--older-than", default="1h", show_default=True, metavar="TIME",
    help="Only those prepared longer ago, as in 90min, 12h or 2d.",
)  # fmt: skip
@click.option(
    "--all", "everything", is_flag=True,
    help="Also those that touch no TVIEW and no table that one reads.",
)  # fmt: skip
@click.option(
    "--even-deciding", is_flag=True,
    help="With --apply and --older-than under a minute: also what a coordinator that runs may be"
    " about to commit.",
)  # fmt: skip
@NO_KEYS
@acting
def cleanup(
    target: Target,
    roll_back: bool,
    older_than: str,
    everything: bool,
    even_deciding: bool,
    no_keys: bool,
    apply_: bool,
    receipt_path: Path | None,
    fmt: str,
    pace: Pace,
) -> int:
    """Roll back what nobody came back for: old prepared transactions that touch TVIEWs.

    Shows which; --apply does it. Those of coordinators that recover by themselves are left alone.
    """
    from pgtv.cli.verify import duration
    from pgtv.repairs.ending import exit_code, plan
    from pgtv.repairs.twophase import DECIDING, choose

    if not roll_back:
        raise UsageError(
            "cleanup only rolls back, and wants to be told so",
            "pgtv 2pc cleanup --rollback; to commit one: pgtv 2pc commit GID",
        )
    limit = duration(older_than)
    if apply_ and limit < DECIDING and not even_deciding:
        raise UsageError(
            f"--older-than {older_than} would take what a coordinator that runs has just prepared",
            "leave the hour of the default, or end one by name: pgtv 2pc rollback GID --apply; "
            "where every coordinator is stopped for good: --even-deciding",
        )
    survey = survey_of(target, None)
    _on_primary(survey)
    chosen, left = choose(survey.transactions, limit, everything=everything)
    server = survey.snapshot.server
    receipt = plan(
        "rollback", chosen, by=server.user, system_identifier=server.system_identifier, left=left
    )
    if not chosen:
        _print(receipt, fmt)
        click.echo("nothing to roll back", err=True)
        return exit_code(receipt)
    return _run(target, survey, receipt, apply_, receipt_path, fmt, pace, keys=not no_keys)


def survey_of(target: Target, source: Path | None, dead_letters: int = 0) -> Survey:
    """What is seen now, or in the snapshot file `source`."""
    from pgtv.repairs import survey

    if source is None:
        return survey.look(target, dead_letters)
    from pgtv.catalog import codec

    return survey.of_snapshot(codec.load(source))


def named_in(survey: Survey, gids: tuple[str, ...]) -> list[Transaction]:
    """The transactions of these names, as given. Raises NotPossible for one that is not there."""
    from pgtv.repairs.twophase import named

    _on_primary(survey)
    chosen = {}
    for gid in gids:
        one = named(survey.transactions, gid)
        if one is None:
            raise NotPossible(*_missing(survey, gid))
        chosen[one.gid] = one
    return list(chosen.values())


def _missing(survey: Survey, gid: str) -> tuple[str, str]:
    import difflib

    close = difflib.get_close_matches(gid, [t.gid for t in survey.transactions], n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"there is no prepared transaction {gid!r}: it has ended, or is spelled differently",
        f"{hint}see: pgtv 2pc list",
    )


def _on_primary(survey: Survey) -> None:
    if survey.snapshot.server.in_recovery:
        raise NotPossible("this server is a standby", "prepared transactions are on the primary")


def _end(
    target: Target,
    action: str,
    gids: tuple[str, ...],
    apply_: bool,
    receipt_path: Path | None,
    fmt: str,
    pace: Pace,
    *,
    keys: bool = False,
) -> int:
    from pgtv.repairs.ending import plan
    from pgtv.repairs.touched import noted
    from pgtv.repairs.twophase import named
    from pgtv.reports.ending import still_owed

    survey = survey_of(target, None)
    there = [g for g in gids if named(survey.transactions, g)] if apply_ else gids
    absent = [g for g in gids if g not in there]
    chosen = named_in(survey, tuple(there))
    server = survey.snapshot.server
    receipt = plan(action, chosen, by=server.user, system_identifier=server.system_identifier)
    code: int = Exit.HEALTHY
    if chosen:
        code = _run(target, survey, receipt, apply_, receipt_path, fmt, pace, keys=keys)
    for gid in absent:  # no error: its coordinator may have been faster than the person
        click.echo(": ".join(_missing(survey, gid)), err=True)
    if absent and not chosen:  # or a run that died had ended it
        for line in still_owed(noted(survey.looked.values())):
            click.echo(line, err=True)
    return code if code or not absent else Exit.WARNING


def _run(
    target: Target,
    survey: Survey,
    receipt: Receipt,
    apply_: bool,
    path: Path | None,
    fmt: str,
    pace: Pace,
    *,
    keys: bool,
) -> int:
    """Show what is planned, or do it and tell how it went."""
    from pgtv.repairs.ending import exit_code
    from pgtv.reports.ending import applied
    from pgtv.resolving import apply

    _only_known(survey, receipt)
    if not apply_:
        _print(receipt, fmt, survey)
        click.echo("nothing was ended; --apply does it", err=True)
        return exit_code(receipt) or Exit.WARNING
    where = path or _receipt_path(receipt)
    click.echo(f"receipt: {where}", err=True)

    def show(line: str) -> None:
        click.echo(line, err=fmt == "json")

    apply(
        target, survey.looked, receipt, where, show, keys=keys, pace=pace,
        comparing=comparing(target).statement_timeout,
    )  # fmt: skip
    if fmt == "json":
        _print(receipt, fmt)
    else:
        for line in applied(receipt):
            click.echo(line)
    _hints(receipt)
    return exit_code(receipt)


def _print(receipt: Receipt, fmt: str, survey: Survey | None = None) -> None:
    from pgtv.repairs.tested import untested
    from pgtv.reports.ending import planned
    from pgtv.reports.twophase import as_json

    looked = survey.looked if survey else {}
    whys = {d: why for d, s in looked.items() if (why := untested(s.extension))}
    click.echo(as_json(receipt) if fmt == "json" else planned(receipt, whys), nl=False)


def _hints(receipt: Receipt) -> None:
    from pgtv.reports.ending import still_owed

    said = [e.hint for e in receipt.endings] + [r["hint"] for r in receipt.rows]
    for hint in dict.fromkeys(h for h in said if h):
        click.echo(f"hint: {hint}", err=True)
    for why in dict.fromkeys(e.no_dead_letter for e in receipt.endings if e.no_dead_letter):
        click.echo(f"the receipt is the only record: {why}", err=True)
    for line in still_owed(receipt.owed):
        click.echo(line, err=True)


def _only_known(survey: Survey, receipt: Receipt) -> None:
    """Raises NotPossible where a database has a catalog that pgtv only looks at."""
    from pgtv.catalog.dialects import named

    for ending in receipt.endings:
        snapshot = survey.looked.get(ending.transaction.database)
        if snapshot is None:
            continue
        extension = snapshot.extension
        if extension.installed and not named(extension.generation).acts:
            raise NotPossible(
                f"pgtv only looks at the catalog of the extension in {snapshot.server.database}",
                f"in psql there, outside a transaction block: {ending.statement}",
            )


def _receipt_path(receipt: Receipt) -> Path:
    stamp = receipt.started_at.replace(":", "").replace("-", "")[:15]
    n = 0
    while (found := Path.cwd() / f"pgtv-2pc-{stamp}-{n}.json").exists():
        n += 1
    return found
