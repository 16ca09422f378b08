"""Options of every command that brings rows up to date: how it is held back for the sake of others."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgtv.cli.paths import FILE
from pgtv.errors import UsageError

if TYPE_CHECKING:
    from pgtv.rows.merge import Pace

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--max-writer-wait", type=click.IntRange(10, 60_000), default=500, show_default=True,
        metavar="MS", help="How long a writer of the same rows may wait; sizes the batches.",
    ),
    click.option(
        "--batch", type=click.IntRange(1, 100_000), metavar="ROWS",
        help="Rows a transaction, instead of what --max-writer-wait allows.",
    ),
    click.option(
        "--max-rate", type=click.FloatRange(min=0.1), metavar="ROWS", help="Rows a second at most."
    ),
    click.option(
        "--max-lag", type=click.FloatRange(min=0), metavar="SECONDS",
        help="Wait while a standby lags further behind.",
    ),
    click.option(
        "--control", type=FILE, metavar="FILE",
        help="Read before each batch: lines max-rate=N, max-lag=S, pause.",
    ),
    click.option(
        "--barrier-timeout", type=click.FloatRange(min=0), default=300.0, show_default=True,
        metavar="SECONDS", help="Bound on each wait for writers that were running.",
    ),
)  # fmt: skip


def pace_options(command: F) -> F:
    """--max-writer-wait, --batch, --max-rate, --max-lag, --control and --barrier-timeout, given to the
    command as `pace`."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        max_writer_wait: int,
        batch: int | None,
        max_rate: float | None,
        max_lag: float | None,
        control: Path | None,
        barrier_timeout: float,
        **kwargs: Any,
    ) -> Any:
        from pgtv.rows.merge import Pace
        from pgtv.rows.throttle import Limits

        pace = Pace(
            batch=batch, longest=max_writer_wait / 2000, barrier_timeout=barrier_timeout,
            limits=Limits(max_rate, max_lag), control=control,
            say=lambda text: click.echo(text, err=True),
        )  # fmt: skip
        return command(*args, pace=pace, **kwargs)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def jobs_option(command: F) -> F:
    """--jobs, for a command with pace_options above it: how many sessions its `pace` has."""

    @functools.wraps(command)
    def wrapped(*args: Any, pace: Pace, jobs: int, **kwargs: Any) -> Any:
        return command(*args, pace=replace(pace, jobs=jobs), **kwargs)

    return click.option(
        "--jobs", type=click.IntRange(1, 32), default=1, show_default=True,
        help="Sessions: TVIEWs that do not read each other, or parts of one, side by side.",
    )(wrapped)  # type: ignore[return-value]  # fmt: skip


PACING = ("jobs", "max_writer_wait", "batch", "max_rate", "max_lag", "control", "barrier_timeout")


def refuse(why: str, *names: str) -> None:
    """Raises UsageError where the command line has one of these, by parameter name, itself."""
    if found := given(*names):
        raise UsageError(why, f"leave out {', '.join(found)}")


def refuse_with_rebuild(strategy: str, *names: str) -> None:
    """Raises UsageError where something is asked of a rebuild that only a merge does."""
    if strategy == "rebuild":
        refuse(
            "--strategy rebuild is one statement of the extension's own, which knows no rows",
            *names, *PACING,
        )  # fmt: skip


def given(*names: str) -> list[str]:
    """Which of these parameters the command line has itself, as it spells them."""
    context = click.get_current_context()
    found = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        # up to click 8.2 an argument that takes any number counts as given where it has none
        none = context.params.get(parameter.name or "") in ((), None)
        default = none or source is click.core.ParameterSource.DEFAULT
        if parameter.name in names and not default:
            option = isinstance(parameter, click.Option)
            found.append(max(parameter.opts, key=len) if option else parameter.human_readable_name)
    return found


def pacing_given() -> list[str]:
    """Words of a command line that asks for the same pace as this one."""
    context = click.get_current_context()
    return [
        word
        for name in PACING
        for option in given(name)
        for word in (option, str(context.params[name]))
    ]
