"""The command `pgtv`: a lazy group (a command's module is imported when it is called) and its errors.

Exit codes: see pgtv.errors.Exit. Usage errors exit 3: click's own 2 would read as CRITICAL.
"""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from pgtv import __version__
from pgtv.cli.pipe import patient
from pgtv.errors import Exit, PgtvError

# command -> (module, attribute, short help); the short help is here so that `pgtv --help` imports none
COMMANDS: dict[str, tuple[str, str, str]] = {
    "status": ("pgtv.cli.status", "status", "One line a TVIEW: state, rows, size, triggers, waits"),
    "doctor": (
        "pgtv.cli.doctor",
        "doctor",
        "Find what is wrong, what it affects and what cures it",
    ),
    "graph": ("pgtv.cli.graph", "graph", "Who reads whom: order, cycles, impact of a change"),
    "lint": (
        "pgtv.cli.lint",
        "lint",
        "Check definitions and migrations in files, without a database",
    ),
    "explain": (
        "pgtv.cli.explain",
        "explain",
        "What a check, SQLSTATE, message, old name or row (tv_x:KEY) means",
    ),
    "repair": ("pgtv.cli.repair", "repair", "Show or apply the cure of what doctor finds"),
    "refresh": ("pgtv.cli.refresh", "refresh", "Make rows right beside readers and writers"),
    "triggers": ("pgtv.cli.triggers", "triggers", "See, disable for a time and enable triggers"),
    "preflight": (
        "pgtv.cli.preflight",
        "preflight",
        "Know what a restore, promotion, upgrade or migration would do",
    ),
    "rehearse": (
        "pgtv.cli.rehearse",
        "rehearse",
        "Try an upgrade or a restore on throwaway servers: measured and verified",
    ),
    "upgrade": ("pgtv.cli.upgrade", "upgrade", "Take TVIEWs through a major upgrade, and back"),
    "2pc": ("pgtv.cli.twophase", "twophase", "See and end prepared transactions"),
    "snapshot": ("pgtv.cli.snapshot", "snapshot", "Save, show and compare snapshots"),
    "verify": ("pgtv.cli.verify", "verify", "Compare contents with definitions, row by row"),
    "drill": (
        "pgtv.cli.drill",
        "drill",
        "Provoke failures on throwaway servers, and see them cured",
    ),
    "init": ("pgtv.cli.init", "init", "Show, make or drop the schema where pgtv keeps its state"),
    "sql": ("pgtv.cli.sql", "sql", "List or print the SQL files that need psql alone"),
    "completion": ("pgtv.cli.completion", "completion", "Print the completion script of a shell"),
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Command names with their help, without importing any of them."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=text)
            for name, (_, _, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else " See: pgtv --help"
            raise click.UsageError(f"there is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["--help"]})
@click.version_option(__version__, prog_name="pgtv")
def cli() -> None:
    """Operations toolkit for pg_tviews: see, explain and verify incrementally maintained views."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script: runs the command and ends the process."""
    code = run(argv)
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)  # Python tells why, as it always does
    # Else Python would now look for garbage once more and take everything apart, object by object:
    # a tenth of the time of looking at a thousand TVIEWs, for memory that the kernel takes at once.
    os._exit(code)


def run(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit code, prints errors without traceback."""
    for name in ("stdout", "stderr"):  # closed by who started us (`>&-`): the exit code still tells
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name must print in any locale
            setattr(sys, name, patient(stream))
    # A command is one short process that keeps nearly all it makes: looking for garbage as often as
    # Python does by default takes half the time of examining a thousand TVIEWs.
    gc.set_threshold(1_000_000, 20, 50)
    try:
        # the program's name also names the variable of shell completion, `_PGTV_COMPLETE`
        result = cli.main(
            args=list(argv) if argv is not None else None, prog_name="pgtv", standalone_mode=False
        )
        return int(result) if isinstance(result, int) else 0
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except click.ClickException as e:
        e.show(sys.stderr)
        return Exit.UNKNOWN
    except PgtvError as e:
        _say(e.message, e.hint)
        return e.exit_code
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO) or e.filename is not None:
            return _unexpected(e)
        # what is still buffered goes there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _say(f"cannot write to standard output: {e.strerror}", None)
        return Exit.UNKNOWN
    except Exception as e:
        return _unexpected(e)


def _unexpected(error: Exception) -> int:
    """A driver's error that nobody translated, or a defect of ours: never a traceback unasked."""
    if type(error).__module__.startswith("psycopg"):
        from pgtv.session import translate

        translated = translate(error)  # type: ignore[arg-type]
        _say(translated.message, translated.hint)
        return translated.exit_code
    if os.environ.get("PGTV_TRACEBACK"):
        raise error
    _say(
        f"pgtv failed unexpectedly: {type(error).__name__}: {error}",
        "this is a defect of pgtv; PGTV_TRACEBACK=1 shows where",
    )
    return Exit.UNKNOWN


def _say(message: str, hint: str | None) -> None:
    click.echo(f"pgtv: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


if __name__ == "__main__":
    main()
