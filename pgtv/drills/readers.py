"""What people who read TVIEWs get while they are broken: measured by one who logs in and reads them all."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pgtv.drills import contents
from pgtv.drills.scene import LOCK_TIMEOUT
from pgtv.errors import ClusterError

if TYPE_CHECKING:
    import psycopg

    from pgtv.drills.scene import Scene

READER = "drill_reader"  # an ordinary role: superusers have connections of their own in reserve
RIGHT, BEFORE, OTHER, WRONG = "right rows", "rows of before", "other rows", "wrong rows"
WAITS, NO_LOGIN = "waits", "no login"


def read(scene: Scene, role: str | None) -> str | None:
    """The worst that `role` gets, and of how many TVIEWs; None where nothing was noted before."""
    import psycopg

    if not scene.read_before:
        return None
    try:
        session = scene.server.connect(scene.name, role, connect_timeout=5)
    except (psycopg.OperationalError, ClusterError):  # a container that was killed has no address
        return NO_LOGIN
    with session:
        contents.same_texts(session)
        session.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'".encode())
        got = [_read(session, table, before) for table, before in scene.read_before.items()]
    worst = max(got, key=_badness)
    return _told(worst, got.count(worst), len(got))


def note(scene: Scene) -> dict[contents.Table, str]:
    """The rows of each TVIEW before anything is broken; nothing where a release has no list of them."""
    import psycopg

    with scene.connect() as connection, contextlib.suppress(psycopg.errors.UndefinedTable):
        contents.same_texts(connection)
        return {t: contents.digest(connection, t) for t in contents.tables(connection)}
    return {}


def _read(session: psycopg.Connection[Any], table: contents.Table, before: str) -> str:
    """One of the constants, or the SQLSTATE that it was refused with."""
    import psycopg

    try:
        rows = contents.digest(session, table)
    except psycopg.Error as e:
        return WAITS if e.sqlstate == "55P03" else e.sqlstate or "08006"
    try:
        if not contents.differing(session, table):
            return RIGHT
    except psycopg.Error:  # without its definition nobody can tell
        return BEFORE if rows == before else OTHER
    return BEFORE if rows == before else WRONG


def _badness(got: str) -> int:
    known = (RIGHT, BEFORE, OTHER, WRONG, WAITS)
    return known.index(got) if got in known else len(known)


def _told(got: str, tviews: int, of: int) -> str:
    return got if tviews == of else f"{got}: {tviews} of {of} TVIEWs"
