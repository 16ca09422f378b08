"""Runs definitions without a superuser's rights, in one snapshot that cannot be written in.

A definition may call functions, operators, casts and policies that somebody else wrote. SET ROLE
does not confine them: planted code calls set_config('role', 'none') and is the login role again. So:

- A login that is no superuser, and has none of the rights that reach beyond the database, neither by
  inheritance nor by SET ROLE, runs definitions itself, as the TVIEW's owner where it may.
- Any other login runs them inside a function that belongs to the owner, see pgtv.rows.confined. (An
  owner who is a superuser is replaced by pg_read_all_data.) It is made in the transaction that
  evaluates, which then turns read-only and is always rolled back: nothing stays, but one transaction
  id is used. Where such a login may not act as the owner it is refused, and on a standby, where no
  function can be made.

A read-only transaction that has its snapshot cannot be made writable again, so nobody puts another
function in place of ours; rolling back undoes the settings that a definition left. Until then the login
itself asks nothing: questions about catalogs go through `ask` too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import ident
from pgtv.errors import NotPossible
from pgtv.rows import confined, queries
from pgtv.rows.stopping import Stop
from pgtv.rows.subject import Subject
from pgtv.session import Target, connected

if TYPE_CHECKING:
    import psycopg

READER = "pg_read_all_data"
_READER_SINCE = 140000


@dataclass(frozen=True)
class Login:
    """Who logged in, and what code run by that login could become."""

    login: str
    superuser: bool
    powers: tuple[str, ...]
    may_be: frozenset[str]
    in_recovery: bool
    version_num: int

    @property
    def confined(self) -> bool:
        """Whether this login's own rights are less than a superuser's, whatever it runs."""
        return not self.superuser and not self.powers


@dataclass
class Evaluation:
    """An open transaction in which definitions may be evaluated."""

    _connection: psycopg.Connection[Any]
    roles: dict[str, str]  # TVIEW's owner -> the role that evaluates for it
    functions: dict[str, str]  # role -> its function in pg_temp; empty for a confined login
    lsn: str
    at: str
    stop: Stop = field(default_factory=Stop)
    role: str = ""

    def ask(self, subject: Subject, query: str) -> list[str]:
        """Rows of a query of one text column, run as the subject's owner. Raises psycopg.Error, and
        KeyboardInterrupt once the run is to stop: what was cancelled for that is nobody's result."""
        import psycopg

        self.stop.check()
        try:
            return self._ask(subject, query)
        except psycopg.Error:
            self.stop.check()
            raise

    def _ask(self, subject: Subject, query: str) -> list[str]:
        owner = subject.owner or ""
        role = self.roles[owner]
        if role in self.functions:
            statement = f"SELECT x FROM {self.functions[role]}(%s) x"
            return [r[0] for r in self._connection.execute(statement.encode(), (query,))]
        if role != self.role:
            self._connection.execute(f"SET LOCAL ROLE {ident(role)}".encode())
            self.role = role
        return [r[0] for r in self._connection.execute(query.encode())]

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Errors inside leave the transaction usable."""
        import psycopg

        self._connection.execute("SAVEPOINT ask")
        try:
            yield
        except psycopg.Error:
            if not self._connection.closed:
                self._connection.execute("ROLLBACK TO SAVEPOINT ask")
                self.role = ""
            raise
        self._connection.execute("RELEASE SAVEPOINT ask")

    def evaluated_as(self, subject: Subject) -> str:
        return self.roles[subject.owner or ""]


def session(target: Target) -> AbstractContextManager[psycopg.Connection[Any]]:
    """A session for verifying: as who logged in, because --role only says who evaluates."""
    return connected(replace(target, role=None))


def login(
    connection: psycopg.Connection[Any], owners: Iterable[str], asked: str | None = None
) -> Login:
    """What the session's login is, and whom of these and READER it may become. Raises psycopg.Error."""
    roles = {*owners, READER, *([asked] if asked else [])}
    row = connection.execute(queries.LOGIN.encode(), {"roles": sorted(roles)}).fetchone()
    assert row is not None
    name, superuser, powers, may_be, in_recovery, version = row
    return Login(name, bool(superuser), tuple(powers), frozenset(may_be), in_recovery, version)


def choose_role(who: Login, owner: str, owner_superuser: bool, asked: str | None) -> str:
    """The role that evaluates a TVIEW of `owner`. Raises NotPossible where none is safe."""
    if who.confined:
        return asked or (owner if owner in who.may_be else who.login)
    if who.in_recovery:
        reason = (
            f"the login {who.login} is a superuser"
            if who.superuser
            else f"the login {who.login} may become {', '.join(who.powers)}"
        )
        raise NotPossible(
            f"{reason}, and on a standby nothing can confine what a definition runs",
            "log in with -U as a role that is no superuser and may read the TVIEW and its view",
        )
    if owner_superuser and not asked and who.version_num < _READER_SINCE:
        raise NotPossible(
            f"its owner {owner} is a superuser, and this release has no role {READER}",
            "name a role that may read it with --role, or log in as one",
        )
    role = asked or (READER if owner_superuser else owner)
    if not who.superuser and role not in who.may_be:
        raise NotPossible(
            f"the login {who.login} has the rights of {', '.join(who.powers)}, which no definition may"
            f" use, and may not act as {role}",
            f"GRANT {ident(role)} TO {ident(who.login)}, name another role with --role, or log in as a"
            " role without such rights",
        )
    return role


@contextmanager
def evaluation(
    connection: psycopg.Connection[Any],
    target: Target,
    who: Login,
    involved: Iterable[Subject],
    stop: Stop | None = None,
) -> Iterator[Evaluation]:
    """One snapshot in which the definitions of `involved` may run; always rolled back. stop: of the run.

    Raises NotPossible where they cannot be run safely, and psycopg.Error.
    """
    owners = {s.owner: s.owner_superuser for s in involved if s.owner}
    roles = {
        owner: choose_role(who, owner, superuser, target.role)
        for owner, superuser in owners.items()
    }
    refuse_powers(connection, target.role)
    mode = "READ ONLY" if who.confined else "READ WRITE"
    connection.execute(f"BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ {mode}".encode())
    try:
        _pin(connection, target)
        functions = {} if who.confined else _functions(connection, who, sorted(set(roles.values())))
        connection.execute("SET TRANSACTION READ ONLY")
        row = connection.execute(queries.MOMENT.encode()).fetchone()
        assert row is not None
        yield Evaluation(connection, roles, functions, row[0], row[1], stop or Stop())
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")


def refuse_powers(connection: psycopg.Connection[Any], role: str | None) -> None:
    """--role must not bring back what this module keeps out. Raises NotPossible."""
    if role is None:
        return
    row = connection.execute(queries.RIGHTS.encode(), {"role": role}).fetchone()
    if row is None:
        raise NotPossible(f"there is no role {role}", "see: \\du in psql")
    superuser, powers = row
    if superuser or powers:
        what = "is a superuser" if superuser else f"has the rights of {', '.join(powers)}"
        raise NotPossible(
            f"--role {role} {what}: definitions are never evaluated as one",
            "name a role that may read the TVIEW and its view",
        )


def _pin(connection: psycopg.Connection[Any], target: Target) -> None:
    """What the extension's refresh computes under, for this transaction: also behind a pooler."""
    from psycopg import sql

    settings = confined.RENDERED | {
        "jit": "off",
        "statement_timeout": target.statement_timeout, "lock_timeout": target.lock_timeout,
        "idle_in_transaction_session_timeout": "10min",
    }  # fmt: skip
    statements: list[sql.Composable] = [sql.SQL("SET LOCAL search_path = pg_catalog, pg_temp")]
    statements += [
        sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(k), sql.Literal(v))
        for k, v in settings.items()
    ]
    connection.execute(sql.SQL("; ").join(statements))


def _functions(connection: psycopg.Connection[Any], who: Login, roles: list[str]) -> dict[str, str]:
    """One function a role; event triggers of the database have no business with them."""
    statements = []
    if who.superuser and who.version_num >= confined.EVENT_TRIGGERS_SINCE:
        statements.append("SET LOCAL event_triggers = off")
    functions = {}
    for i, role in enumerate(roles):
        name = f"pgtv_ask_{i}"
        functions[role] = f"pg_temp.{name}"
        # its own settings, as what another owner's definition set lasts as long as the transaction
        statements += confined.made(
            name, confined.ASK, role, superuser=who.superuser, settings=confined.RENDERED
        )
    connection.execute("; ".join(statements).encode())
    return functions
