"""`pgtv init`: the schema where pgtv keeps what has to outlive a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import click

from pgtv.cli.options import connection_options, lock_limit
from pgtv.errors import Exit, NotPossible, UsageError
from pgtv.session import Target, connected

if TYPE_CHECKING:
    import psycopg

    from pgtv.catalog.model import Lease
    from pgtv.rows.state import Standing


@click.command()
@connection_options
@click.option("--apply", is_flag=True, help="Run the statements; without it they are shown.")
@click.option("--drop", is_flag=True, help="Drop the schema and everything in it instead.")
@click.option(
    "--forget", type=int, multiple=True, metavar="LEASE",
    help="With --drop: drop it although this lease of `triggers disable` is open; may be repeated. Its"
    " triggers stay as they are, and the rows that it owes wrong.",
)  # fmt: skip
def init(target: Target, apply: bool, drop: bool, forget: tuple[int, ...]) -> int:
    """Show, make or drop the schema pgtv.

    It keeps when which TVIEW was verified and with what result, which triggers are disabled until
    when and what their states were, and which prepared transactions pgtv ended. Nothing else creates
    it, and every command that looks works without it. An older version is brought to this one.
    Without --apply nothing is written: the SQL is printed as it would run, and runs in psql as it
    stands.
    """
    from pgtv.applying import acting_session
    from pgtv.rows.state import script, standing

    if forget and not drop:
        raise UsageError(
            "--forget goes with --drop", "a lease ends by: pgtv triggers enable --apply"
        )
    with acting_session(target) if apply else connected(target) as connection:
        found = standing(connection)
        if drop:
            return _drop(connection, found, forget, apply)
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
    altered = ["installation"]
    if found.version != VERSION:
        altered.append("verification")
        done.append(f"the schema pgtv went from version {found.version} to {VERSION}")
    if not found.here:
        done.append(
            "the schema pgtv now belongs to this database; old records stay and do not count"
        )
    return _act(connection, text, done, apply, altered=altered)


def _act(
    connection: psycopg.Connection[Any], text: str, done: list[str], apply: bool,
    command: str = "pgtv init --apply", altered: Sequence[str] = (),
) -> int:  # fmt: skip
    """Run `text` and say what was done; without `apply` print it instead. altered: all tables that it
    alters or writes and that stand already: somebody else may have made them. Raises NotPossible."""
    from pgtv import kept

    if altered and not apply:
        kept.check(connection)
    if apply:
        _transaction(connection, text, altered)
        click.echo("\n".join(done))
    else:
        click.echo(f"BEGIN;\nSET LOCAL lock_timeout = {lock_limit()};\n" + text + "COMMIT;")
        click.echo(f"nothing was written; {command} runs this", err=True)
    return Exit.HEALTHY


def _drop(
    connection: psycopg.Connection[Any],
    found: Standing | None,
    forget: tuple[int, ...],
    apply: bool,
) -> int:
    """Drop the schema, unless that loses what nobody could find out again. Raises NotPossible."""
    from pgtv.rows.state import DROP, foreign

    if found is None:
        click.echo("there is no schema pgtv")
        return Exit.HEALTHY
    if found.version is None:
        raise NotPossible(foreign(found).message, "it is left alone")
    _require_no_lease(connection, forget)
    words = "".join(f" --forget {n}" for n in forget)
    command = f"pgtv init --drop{words} --apply"
    return _act(connection, DROP, ["dropped the schema pgtv"], apply, command)


def _require_no_lease(connection: psycopg.Connection[Any], forget: Collection[int]) -> None:
    """Raises NotPossible while leases are open that are not named."""
    from pgtv.catalog.collect import collect

    snapshot = collect(connection)
    if gap := snapshot.gap("leases"):
        raise NotPossible(
            f"whether leases are open is not known: {gap.reason}",
            f"run it as a role that may: {', '.join(gap.needs)}" if gap.needs else None,
        )
    left = [lease for lease in snapshot.leases if lease.id not in forget]
    if not left:
        return
    words = " ".join(f"--forget {lease.id}" for lease in snapshot.leases)
    raise NotPossible(
        f"the schema is needed: {'; '.join(_told(lease) for lease in left)}",
        "first: pgtv triggers enable --apply; or, to leave triggers and rows as they are:"
        f" pgtv init --drop {words} --apply",
    )


def _told(lease: Lease) -> str:
    """What is lost with one that is open."""
    text = f"lease {lease.id} ({lease.reason})"
    if n := len(lease.triggers):
        text += f" keeps the states that {n} disabled trigger{'' if n == 1 else 's'} had"
    if lease.owed:
        text += f"{' and' if lease.triggers else ''} owes rows of {', '.join(lease.owed)}"
    return text


def _transaction(connection: psycopg.Connection[Any], text: str, altered: Sequence[str]) -> None:
    from pgtv import kept

    with connection.transaction():
        connection.execute("SET TRANSACTION READ WRITE")
        if altered:
            kept.lock(connection, kept.CHANGES, *altered)
        connection.execute(text.encode())
