"""Prepared transactions, suspension, locks and sessions that stay."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from declare import ANYWHERE, CUSTOMER, LINE, ORDER, RISK, SEARCH, WAITS, WRONG, Beyond, Fault

if TYPE_CHECKING:
    from bench import Bench

_BASE = "public.tb_customer"
_UPDATE = f"UPDATE {_BASE} SET name = 'prepared' WHERE pk_customer = 5"


def _prepare(gid: str, *statements: str) -> str:
    return "; ".join(("BEGIN", *statements, f"PREPARE TRANSACTION '{gid}'"))


def _rollback(*gids: str) -> str:
    return "; ".join(f"ROLLBACK PREPARED '{g}'" for g in gids)


def idle_holder(bench: Bench) -> None:
    """A session that wrote and went to lunch."""
    bench.open().execute(f"BEGIN; {_UPDATE}")


def exclusive_holder(bench: Bench) -> None:
    """A session holds ACCESS EXCLUSIVE, as pg_tviews_refresh does."""
    bench.open().execute('BEGIN; LOCK TABLE "Sales Dept".tv_order IN ACCESS EXCLUSIVE MODE')


def waiter(bench: Bench) -> None:
    """One holds a row, another one waits for it."""
    bench.open().execute(f"BEGIN; {_UPDATE}")
    bench.wait_for_lock(_UPDATE)


def prepared_waiter(bench: Bench) -> None:
    """Nobody is connected, and still a writer waits: for a prepared transaction."""
    bench.sql(_prepare("fault-holder", _UPDATE))
    bench.wait_for_lock(_UPDATE)


def ddl_waiter(bench: Bench) -> None:
    """A queue: an open reader, a DDL statement behind it, and everybody else behind that."""
    bench.open().execute("BEGIN; SELECT count(*) FROM public.tv_customer")
    bench.wait_for_lock("ALTER TABLE public.tv_customer ADD CHECK (pk_customer > -9)")
    bench.wait_for_lock("SELECT count(*) FROM public.tv_customer")


def refill_before_commit(bench: Bench) -> None:
    """The trio: prepared transaction, crash, UNLOGGED TVIEW, then COMMIT PREPARED."""
    bench.sql(
        _prepare(
            "fault-trio",
            "INSERT INTO public.tb_product (fk_category, name, price) VALUES (1, 'lost', 1)",
        )
    )
    bench.server.kill()
    bench.server.start()
    # the first write refills the TVIEW from what is committed
    bench.sql("UPDATE public.tb_product SET price = price + 1 WHERE pk_product = 1")
    bench.sql("COMMIT PREPARED 'fault-trio'")


def crash_logged_over_unlogged(bench: Bench) -> None:
    """After a crash the UNLOGGED base table is empty and the logged TVIEW is not."""
    bench.sql('ALTER TABLE "Sales Dept".tb_order_line SET UNLOGGED; CHECKPOINT')
    bench.server.kill()
    bench.server.start()


def crash_without_refill(bench: Bench) -> None:
    """No worker refills UNLOGGED TVIEWs in this database."""
    bench.server.kill()
    bench.server.start()


def many_sessions(bench: Bench) -> None:
    """The room for connections is nearly used up."""
    import psycopg

    with contextlib.suppress(psycopg.OperationalError):
        for _ in range(14):
            bench.open()


FAULTS = (
    Fault(
        "prepared-orphan", "A prepared transaction that nobody resolves", 7,
        (CUSTOMER, ORDER, "*"), WAITS, _prepare("fault-orphan", _UPDATE), aged=7200,
        writes=(f"UPDATE {_BASE} SET name = 'waits' WHERE pk_customer = 5",),
        undo=_rollback("fault-orphan"), sqlstate="55P03",
    ),
    Fault(
        "prepared-gid-quoted", "An old prepared transaction whose gid needs quoting", 7,
        (CUSTOMER, "*"), WAITS, _prepare("it''s; DROP \\ ''x''", _UPDATE), aged=7200,
        writes=(f"UPDATE {_BASE} SET name = 'waits' WHERE pk_customer = 5",),
        undo=_rollback("it''s; DROP \\ ''x''"), sqlstate="55P03",
    ),
    Fault(
        "prepared-suspended", "A transaction was prepared while triggers were suspended", 7,
        (CUSTOMER, ORDER, "*"), WAITS,
        _prepare("fault-suspended", "SELECT tviews.pg_tviews_suspend_triggers()", _UPDATE),
        undo=_rollback("fault-suspended"), sqlstate="55P03",
    ),
    Fault(
        "prepared-unlogged", "A prepared transaction has written an UNLOGGED TVIEW", 1,
        (SEARCH, "*"), RISK,
        _prepare("fault-unlogged",
                 "INSERT INTO public.tb_product (fk_category, name, price) VALUES (1, 'two', 2)"),
        undo=_rollback("fault-unlogged"),
    ),
    Fault(
        "prepared-many", "More than ten prepared transactions", 7, ANYWHERE, RISK,
        "; ".join(_prepare(f"fault-{n}", "INSERT INTO public.tb_category (name) VALUES ('p')")
                  for n in range(12)),
        undo=_rollback(*(f"fault-{n}" for n in range(12))),
    ),
    Fault(
        "prepared-elsewhere", "An old prepared transaction of another database holds vacuum back",
        7, ANYWHERE, RISK,
        "\\connect postgres\n" + _prepare("fault-far", "CREATE TABLE fault_far (id int)"),
        aged=90000, undo="\\connect postgres\n" + _rollback("fault-far"),
    ),
    Fault(
        "trio-drift", "UNLOGGED TVIEW, prepared transaction, crash, COMMIT PREPARED", 1, (SEARCH,),
        WRONG, refill_before_commit, settings={},
    ),
    Fault(
        "unlogged-base-crash", "A crash emptied an UNLOGGED base table under a logged TVIEW", 1,
        (LINE, '"Sales Dept".tb_order_line'), WRONG, crash_logged_over_unlogged, settings={},
    ),
    Fault(
        "unlogged-not-refilled", "A crash emptied an UNLOGGED TVIEW and no worker refills it", 1,
        (SEARCH,), WRONG, crash_without_refill,
        settings={"pg_tviews.auto_rebuild_databases": ""},
    ),
    Fault(
        "session-idle", "A session idle in transaction holds rows of TVIEWs", 4,
        (CUSTOMER, ORDER, _BASE, "*"), WAITS, idle_holder, aged=7200,
        writes=(f"UPDATE {_BASE} SET name = 'waits' WHERE pk_customer = 5",), sqlstate="55P03",
    ),
    Fault(
        "session-exclusive", "A session holds ACCESS EXCLUSIVE on a tv_ table", 12, (ORDER, "*"),
        WAITS, exclusive_holder, aged=7200, sqlstate="55P03",
    ),
    Fault(
        "session-waits", "A writer waits for another one", 12, (CUSTOMER, ORDER, _BASE, "*"),
        WAITS, waiter, aged=600,
        writes=(f"UPDATE {_BASE} SET name = 'waits' WHERE pk_customer = 5",), sqlstate="55P03",
    ),
    Fault(
        "session-waits-for-prepared", "A writer waits for a prepared transaction", 7,
        (CUSTOMER, ORDER, _BASE, "*"), WAITS, prepared_waiter, aged=600,
        writes=(f"UPDATE {_BASE} SET name = 'waits' WHERE pk_customer = 5",),
        undo=_rollback("fault-holder"), sqlstate="55P03",
    ),
    Fault(
        "ddl-queue", "DDL on a tv_ table waits behind a reader, and everybody waits behind it", 12,
        (CUSTOMER, "*"), WAITS, ddl_waiter, aged=600, sqlstate="55P03",
    ),
    Fault(
        "connections-nearly-full", "The room for connections is nearly used up", 4, ANYWHERE, RISK,
        many_sessions, settings={"max_connections": "18", "superuser_reserved_connections": "1"},
        beyond=(Beyond.DECISION, "Which sessions may be ended."),
    ),
)  # fmt: skip
