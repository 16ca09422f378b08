"""What one fault of the catalogue declares.

A fault is written from what breaks TVIEWs, not from what a check looks for. The runner (bench.py,
run.py) injects it into a fresh shop, proves what it does, and only then asks pgtv.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench import Bench

MAJORS = (17, 18)


class Does(StrEnum):
    """What a fault does to the application, as the runner has to see it."""

    WRITES_FAIL = "writes fail"  # a write to a base table is refused
    WRITES_WAIT = "writes wait"  # … or waits for a lock until somebody else ends
    ROWS_WRONG = "rows wrong"  # a TVIEW differs from its definition
    RISK = "risk"  # neither yet: the next crash, restore, failover or statement of a kind does it


class Beyond(StrEnum):
    """What a cure needs that no SQL of an acting role can give."""

    RESTART = "needs a restart"
    FILE = "needs a file on disk"
    ELSEWHERE = "needs something outside this server"
    DECISION = "needs a person's decision"


@dataclass(frozen=True)
class Fault:
    """One way to break TVIEWs.

    mode: number of the failure mode, 1 to 12.
    damages: names of TVIEWs and tables; a finding counts only when its object or what it affects is
        among them. `*` stands for the whole database or server.
    inject: SQL for psql, or a function for what needs a second session, a restart or a standby.
    setup: a healthy shape that the shop lacks, made before anybody looks.
    writes: writes of its own that show the effect, before the ordinary ones.
    writer: the role that writes; an ordinary one with DML on the base tables, or None for the superuser.
    settings: of a server of its own; None shares one server with other faults.
    undo: what it left outside its database.
    aged: seconds by which prepared transactions and sessions are made older in what doctor sees,
        because nobody can wait for hours.
    unseen: why nothing in any catalog tells it, for what stays missed.
    beyond: of what `pgtv repair --apply` cannot cure, why not, and what it takes.
    standby: whether people look, and paste cures, on a standby of the server that is written to.
    redefines: whether the injection means the definitions that it leaves: those are right then.
    again: whether the fault's own writes must work after the cure; False where they are the harm.
    """

    id: str
    title: str
    mode: int
    damages: tuple[str, ...]
    does: Does
    inject: str | Callable[[Bench], None]
    sqlstate: str | None = None
    setup: str = ""
    writes: tuple[str, ...] = ()
    writer: str | None = None
    settings: Mapping[str, str] | None = None
    undo: str = ""
    aged: float = 0.0
    again: bool = True
    redefines: bool = False
    standby: bool = False
    unseen: str = ""
    beyond: tuple[Beyond, str] | None = None
    majors: tuple[int, ...] = field(default=MAJORS)


CATEGORY = "public.tv_category"
PRODUCT = "public.tv_product"
CUSTOMER = "public.tv_customer"
ORDER = '"Sales Dept".tv_order'
LINE = '"Sales Dept".tv_order_line'
STOCK = "public.tv_stock"
BASKET = "public.tv_basket"
SEARCH = "public.tv_search"
SEGMENT = "public.tv_segment"
EVERY = (CATEGORY, PRODUCT, CUSTOMER, ORDER, LINE, STOCK, BASKET, SEARCH, SEGMENT)
ANYWHERE = ("*",)

FAILS, WAITS, WRONG, RISK = Does.WRITES_FAIL, Does.WRITES_WAIT, Does.ROWS_WRONG, Does.RISK
