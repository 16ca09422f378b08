"""What people who write base tables get while TVIEWs are broken: measured by one who writes two rows.

Neither row is one that drills break or hold: one of the table that most of them break, one of another.
Each write is committed, for some are refused only then, and its TVIEW is looked at afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.drills.readers import NO_LOGIN, WAITS
from pgtv.drills.scene import APP, LOCK_TIMEOUT
from pgtv.errors import ClusterError

if TYPE_CHECKING:
    import psycopg

    from pgtv.drills.scene import Scene

ARRIVES, SILENT = "right rows", "not brought"


@dataclass(frozen=True)
class Write:
    """A statement of an application, and a query whether its TVIEW has what it wrote."""

    tview: str
    statement: str
    arrived: str


OTHER_ROW = Write(
    "public.tv_customer",
    "UPDATE public.tb_customer SET name = 'written beside' WHERE pk_customer = 150",
    "SELECT data->>'name' = 'written beside' FROM public.tv_customer WHERE pk_customer = 150",
)
OTHER_TABLE = Write(
    "public.tv_stock",
    "UPDATE public.tb_stock_move SET amount = amount + 1 WHERE fk_product = 40",
    "SELECT (data->>'amount')::numeric = (SELECT sum(amount) FROM public.tb_stock_move"
    " WHERE fk_product = 40) FROM public.tv_stock WHERE pk_stock = 40",
)
# where a release before the current generation has no TVIEW of these moves
OTHER_TABLE_EARLY = Write(
    "public.tv_category",
    "UPDATE public.tb_category SET name = 'written beside' WHERE pk_category = 7",
    "SELECT data->>'name' = 'written beside' FROM public.tv_category WHERE pk_category = 7",
)


def write(scene: Scene, role: str | None) -> str | None:
    """What the application's role gets, logged in as `role`; None where nothing was noted before."""
    import psycopg

    known = {table.table for table in scene.read_before}
    if not known:
        return None
    other = OTHER_TABLE if OTHER_TABLE.tview in known else OTHER_TABLE_EARLY
    try:
        session = scene.server.connect(scene.name, role, connect_timeout=5)
    except (psycopg.OperationalError, ClusterError):  # as for readers
        return NO_LOGIN
    with session:
        session.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'".encode())
        here, there = (_write(session, one) for one in (OTHER_ROW, other))
    return here if here == there else f"{here}; another table: {there}"


def _write(session: psycopg.Connection[Any], one: Write) -> str:
    """One of the constants, or the SQLSTATE that it was refused with."""
    import psycopg

    try:
        session.execute(f"SET ROLE {APP}".encode())
        session.execute(one.statement.encode())
    except psycopg.Error as e:
        return _refused(e)
    try:
        session.execute("RESET ROLE")
        row = session.execute(one.arrived.encode()).fetchone()
    except psycopg.Error:  # whoever reads it is told of that; it was not brought to anybody
        return SILENT
    return ARRIVES if row == (True,) else SILENT


def _refused(error: psycopg.Error) -> str:
    return WAITS if error.sqlstate == "55P03" else error.sqlstate or "08006"
