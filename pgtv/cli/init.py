"""`pgtv init`: the schema where pgtv keeps what has to outlive a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import connection_options, lock_limit
from pgtv.errors import Exit, NotPossible
from pgtv.session import Target, connected

if TYPE_CHECKING:
    import psycopg

    from pgtv.rows.state import Standing


@click.command()
@connection_options
@click.option("--apply", is_flag=True, help="Run the statements; without it they are shown.")
@click.option("--drop", is_flag=True, help="Drop the schema and everything in it instead.")
def init(target: Target, apply: bool, drop: bool) -> int:
    """Show, make or drop the schema pgtv.

    It keeps when which TVIEW was verified and with what result, which triggers are disabled until
    when and what their states were, and which prepared transactions pgtv ended. Nothing else creates
    it, and every command that looks works without it. An older version is brought to this one.
    Without --apply nothing is written: the SQL is printed as it would run, and runs in psql as it
    stands.
    """
    from pgtv.rows.state import script, standing

    with connected(target, read_only=not apply) as connection:
        found = standing(connection)
        if drop:
            return _drop(connection, found, apply)
        if found is not None:
            return _standing(connection, found, apply)
        return _act(connection, script("install"), ["made the schema pgtv"], apply)


def _standing(connection: psycopg.Connection[Any], found: Standing, apply: bool) -> int:
    """The schema is there: say whose it is, bring an older version to this one, and take a restored
    copy as this database's own."""
    from pgtv.rows.state import ADOPT, VERSION, foreign, upgrade

    if found.version is None:
        raise foreign(found)
    if found.version > VERSION:
        raise NotPossible(
            f"the schema pgtv has version {found.version}, this pgtv knows {VERSION}",
            "use the newer pgtv",
        )
    if found.here and found.version == VERSION:
        click.echo(f"the schema pgtv is there, version {VERSION}, owner {found.owner}")
        return Exit.HEALTHY
    text = upgrade(found.version)
    if text and not found.mine:  # what is new belongs to the schema's owner, whoever runs this
        text = f"SET LOCAL ROLE {found.owner};\n{text}"
    if not found.here:
        click.echo("-- the schema pgtv was restored from another server or database", err=True)
        text += ADOPT
    done = []
    if found.version != VERSION:
        done.append(f"the schema pgtv went from version {found.version} to {VERSION}")
    if not found.here:
        done.append(
            "the schema pgtv now belongs to this database; old records stay and do not count"
        )
    return _act(connection, text, done, apply, locking="installation")


def _act(
    connection: psycopg.Connection[Any], text: str, done: list[str], apply: bool,
    command: str = "pgtv init --apply", locking: str | None = None,
) -> int:  # fmt: skip
    """Run `text` and say what was done; without `apply` print it instead. locking: a table that it
    writes, which somebody else may have made."""
    if apply:
        _refuse_standby(connection)
        _transaction(connection, text, locking)
        click.echo("\n".join(done))
    else:
        click.echo(f"BEGIN;\nSET LOCAL lock_timeout = {lock_limit()};\n" + text + "COMMIT;")
        click.echo(f"nothing was written; {command} runs this", err=True)
    return Exit.HEALTHY


def _drop(connection: psycopg.Connection[Any], found: Standing | None, apply: bool) -> int:
    from pgtv.rows.state import DROP, foreign

    if found is None:
        click.echo("there is no schema pgtv")
        return Exit.HEALTHY
    if found.version is None:
        raise NotPossible(foreign(found).message, "it is left alone")
    return _act(connection, DROP, ["dropped the schema pgtv"], apply, "pgtv init --drop --apply")


def _refuse_standby(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
    if row and row[0]:
        raise NotPossible("this server is a standby", "run it on the primary")


def _transaction(connection: psycopg.Connection[Any], text: str, locking: str | None) -> None:
    from pgtv import kept

    with connection.transaction():
        connection.execute("SET TRANSACTION READ WRITE")
        if locking:
            kept.lock(connection, kept.CHANGES, locking)
        connection.execute(text.encode())
