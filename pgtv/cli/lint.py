"""`pgtv lint`: definitions and migrations in files, without a database."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgtv.cli.options import color_wanted
from pgtv.cli.paths import PATH
from pgtv.errors import Exit, UsageError

if TYPE_CHECKING:
    from pgtv.lint.source import Source

# what git tells its hooks of the repository that they run in
_OF_A_HOOK = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"}


@click.command()
@click.option(
    "--format", "fmt", type=click.Choice(["human", "json", "github"]), default="human",
    show_default=True, help="How to print the problems.",
)  # fmt: skip
@click.option(
    "--ignore", multiple=True, metavar="RULE", help="Leave this rule out (commas allowed)."
)
@click.option(
    "--schema", multiple=True, metavar="FILE", type=PATH,
    help="SQL that only tells which tables exist, such as pg_dump --schema-only.",
)  # fmt: skip
@click.option("--list", "list_", is_flag=True, help="List the rules and stop.")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=PATH)
def lint(
    fmt: str,
    ignore: tuple[str, ...],
    schema: tuple[Path, ...],
    list_: bool,
    files: tuple[Path, ...],
) -> int:
    """Check definitions and migrations in files, without a database.

    A folder stands for all *.sql below it that git does not ignore, - for standard input. Give all
    files together: cycles and duplicates are looked for across them. `-- pgtv: ignore RULE` silences a
    line and the next one.
    Exits 2 for errors, 1 for warnings, 3 for a file that cannot be read.
    """
    from pgtv.lint import rules

    if list_:
        width = max(map(len, rules.ALL))
        for rule in rules.ALL.values():
            click.echo(f"{rule.id:{width}}  {rule.level.value:7}  {rule.says}")
        return Exit.HEALTHY
    from pgtv.lint import report
    from pgtv.lint.check import lint as run

    ignored = [r for given in ignore for r in given.replace(",", " ").split()]
    for rule_id in ignored:
        if rule_id not in rules.ALL:
            raise UsageError(f"there is no rule {rule_id!r}", "list them with: pgtv lint --list")
    if not files:
        raise UsageError(
            "no file was given", "pgtv lint FILE… or a folder, or - for standard input"
        )
    sources, failed = read_files(files)
    known, failed_schema = read_files(schema)
    problems = run(sources, known, ignored)
    definitions = sum(s.definitions for s in sources)
    if fmt == "json":
        text = report.as_json(problems, len(sources), definitions)
    elif fmt == "github":
        text = report.github(problems)
        click.echo(report.summary(problems, len(sources), definitions), err=True)
    else:
        text = report.human(problems, len(sources), definitions, color_wanted())
    click.echo(text, nl=False)
    levels = {p.rule.level for p in problems}
    if rules.Level.ERROR in levels:
        return Exit.CRITICAL
    if failed or failed_schema:
        return Exit.UNKNOWN
    return Exit.WARNING if levels else Exit.HEALTHY


def read_files(files: tuple[Path, ...]) -> tuple[list[Source], bool]:
    """The files' texts; what cannot be read is said on stderr and the others go on."""
    from pgtv.lint.source import Source
    from pgtv.stdin import standard_input

    sources, failed = [], False
    for path in _expanded(files):
        try:
            raw = standard_input() if str(path) == "-" else path.read_bytes()
        except OSError as e:
            click.echo(f"pgtv: cannot read {path}: {e.strerror}", err=True)
            failed = True
            continue
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        if "\0" in text:
            click.echo(f"pgtv: cannot read {path}: it is not text", err=True)
            failed = True
            continue
        sources.append(Source("<stdin>" if str(path) == "-" else str(path), text))
    return sources, failed


def _expanded(files: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in files:
        if path.is_dir():
            inside = _not_ignored(path, sorted(path.rglob("*.sql")))
            if not inside:
                click.echo(f"pgtv: no *.sql below {path}", err=True)
            found += inside
        else:
            found.append(path)
    return found


def _not_ignored(folder: Path, inside: list[Path]) -> list[Path]:
    """Without what git ignores below `folder`: environments, builds. All, where there is no git.

    The folder's repository is asked, wherever this runs, also where it is a hook of another one's.
    """
    inside = [p for p in inside if ".git" not in p.relative_to(folder).parts]
    if not inside:
        return inside
    real = folder.resolve()  # git looks at nothing beyond a link
    named = {str(real / p.relative_to(folder)): p for p in inside}
    asked = "\0".join([str(real), *named])
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    try:
        done = subprocess.run(
            ["git", "-C", str(real), "check-ignore", "-z", "--stdin"], input=os.fsencode(asked),
            capture_output=True, check=False, env=environment,
        )  # fmt: skip
    except OSError:
        return inside
    ignored = set(os.fsdecode(done.stdout).split("\0"))
    if str(real) in ignored:  # asked for by name
        return inside
    return [p for name, p in named.items() if name not in ignored]
