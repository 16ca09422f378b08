"""Mode 12: definitions and tables change while others read and write."""

from __future__ import annotations

from pgtv.drills.crash_recovery import HEALTH
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import LOCK_TIMEOUT, Scene
from pgtv.drills.statements import Break
from pgtv.drills.steps import nothing

_UPDATE = "UPDATE public.tb_customer SET name = 'open' WHERE pk_customer = 5"
_LINE = '"Sales Dept".tv_order_line'
_NOW = {
    "lock-wait.warning_seconds": 0.0, "idle-in-transaction.seconds": 0.0,
    "long-transaction.seconds": 0.0,
}  # fmt: skip
DROP = Break("SELECT tviews.pg_tviews_drop('public.tv_customer', true, true)")
DROP_LEAF = Break("SELECT tviews.pg_tviews_drop('public.tv_basket')")
REFRESH = Break("SELECT tviews.pg_tviews_refresh('public.tv_customer')")
ALTER_BASE = "ALTER TABLE public.tb_customer ADD COLUMN note text"
REPLACE = Break(
    """SELECT tviews.pg_tviews_create_or_replace('public.tv_category', $$
    SELECT c.pk_category, c.id, jsonb_build_object('id', c.id, 'called', c.name) AS data
    FROM public.tb_category c $$)"""
)


def drop_waits(scene: Scene) -> None:
    """DROP of a TVIEW waits behind a writer that does not end, and all others wait behind it."""
    scene.remembered["writer"] = writer = scene.open()
    writer.execute(f"BEGIN; {_UPDATE}".encode())
    scene.remembered["waits"] = scene.wait_behind(DROP_LEAF.sql)
    scene.try_("UPDATE public.tb_customer SET name = 'behind' WHERE pk_customer = 7")


def cancel_the_drop(scene: Scene) -> None:
    """The DDL gives way; with a lock_timeout it would have done so by itself. Then once more."""
    scene.paste(f"SELECT pg_cancel_backend({scene.remembered['waits']});")
    scene.settle()
    scene.remembered["writer"].execute("COMMIT")


def drop_with_timeout(scene: Scene) -> None:
    """The same with a bound: the DDL loses, nobody queues behind it for long."""
    scene.remembered["writer"] = writer = scene.open()
    writer.execute(f"BEGIN; {_UPDATE}".encode())
    scene.try_(f"SET lock_timeout = '{LOCK_TIMEOUT}'; {DROP_LEAF.sql}", role=None)


def retry_after_the_writer(scene: Scene) -> None:
    scene.remembered["writer"].execute("COMMIT")
    scene.paste("SET lock_timeout = '2s';", "BEGIN;", DROP_LEAF.sql + ";", "ROLLBACK;")


def alter_during_refresh(scene: Scene) -> None:
    """A refresh is open: it holds ACCESS EXCLUSIVE on TVIEWs, and DDL on one of them waits."""
    scene.remembered["refresh"] = session = scene.open()
    session.execute(f"BEGIN; {REFRESH.sql}".encode())
    scene.try_(
        f"SET lock_timeout = '{LOCK_TIMEOUT}';"
        ' ALTER TABLE "Sales Dept".tv_order SET (fillfactor = 90)', role=None,
    )  # fmt: skip
    scene.try_(_UPDATE)


def retry_after_refresh(scene: Scene) -> None:
    scene.remembered["refresh"].execute("COMMIT")
    scene.paste(
        "SET lock_timeout = '2s';", 'ALTER TABLE "Sales Dept".tv_order SET (fillfactor = 90);'
    )


def alter_base_during_refresh(scene: Scene) -> None:
    """A refresh reads the base tables until it ends: DDL on one waits, and all others behind the DDL."""
    scene.remembered["refresh"] = session = scene.open()
    session.execute(f"BEGIN; {REFRESH.sql}".encode())
    scene.remembered["waits"] = scene.wait_behind(ALTER_BASE)
    scene.try_("SELECT count(*) FROM public.tb_customer")


def alter_after_refresh(scene: Scene) -> None:
    """The DDL gives way until the refresh has ended; then with a bound."""
    scene.paste(f"SELECT pg_cancel_backend({scene.remembered['waits']});")
    scene.settle()
    scene.remembered["refresh"].execute("COMMIT")
    scene.paste("SET lock_timeout = '2s';", ALTER_BASE + ";")


def dropped_meanwhile(scene: Scene) -> None:
    """A reader waits behind a DROP that commits: it loses, and its retry says so at once."""
    dropper = scene.open()
    dropper.execute(f"BEGIN; {DROP_LEAF.sql}".encode())
    scene.wait_behind("SELECT count(*) FROM public.tv_basket")
    scene.remembered["definition"] = next(
        t.definition for t in scene.snapshot().tviews if t.entity == "basket"
    )
    dropper.execute("COMMIT")
    scene.settle()


def create_again(scene: Scene) -> None:
    from pgtv.catalog.dialects.registering import create

    statement = create("public.tv_basket", scene.remembered["definition"], {})
    scene.paste("SET ROLE shop_owner;", statement)


def column_used(scene: Scene) -> None:
    """A column that a TVIEW reads cannot go: PostgreSQL knows it from the backing view."""
    scene.try_("ALTER TABLE public.tb_customer DROP COLUMN email", role=None)


def helper_replaced(scene: Scene) -> None:
    """A plain view in between is replaced: nothing fires, rows stay as they were."""
    scene.sql(
        "CREATE OR REPLACE VIEW public.v_open_order AS SELECT o.pk_order, o.fk_customer, o.placed_at"
        " FROM \"Sales Dept\".tb_order o WHERE o.status IN ('open', 'paid')"
    )


def upstream_replaced(scene: Scene) -> None:
    """Direct readers are brought, their readers are not, and the extension's health check says OK."""
    scene.commit_marker()
    answer = scene.sql(REPLACE.sql)
    assert "replaced" in answer, f"the extension says {answer.strip()!r}"
    assert scene.rows(HEALTH.sql) == [(0,)], (
        "the health check sees it by now: say so in the documents"
    )


MODE = Mode(
    12, "concurrent-ddl", "Concurrent DDL", "operational/test-concurrent-ddl",
    (
        Variant(
            "drop-waits", "DROP of a TVIEW waits behind a writer; all others wait behind the DROP",
            drop_waits,
            Sees(errors=(("55P03", "lock timeout"),), findings=("lock-wait",), thresholds=_NOW),
            cancel_the_drop,
        ),
        Variant(
            "drop-with-timeout", "DROP of a TVIEW with a lock_timeout gives up, and works later",
            drop_with_timeout,
            Sees(errors=(("55P03", "lock timeout"),), findings=("idle-in-transaction",),
                 thresholds=_NOW),
            retry_after_the_writer,
        ),
        Variant(
            "alter-during-refresh", "ALTER TABLE and writes meet a refresh that is not committed",
            alter_during_refresh,
            Sees(errors=(("55P03", "lock timeout"),), findings=("idle-in-transaction",),
                 thresholds=_NOW),
            retry_after_refresh,
        ),
        Variant(
            "alter-base-during-refresh", "ALTER of a base table waits for a refresh, others behind it",
            alter_base_during_refresh,
            Sees(errors=(("55P03", "lock timeout"),), findings=("lock-wait",), thresholds=_NOW),
            alter_after_refresh,
        ),
        Variant(
            "dropped-meanwhile", "A reader waited while its TVIEW was dropped",
            dropped_meanwhile, Sees(errors=(("42P01", "does not exist"),)), create_again,
        ),
        Variant(
            "column-used", "A column that a TVIEW reads is to be dropped: refused",
            column_used, Sees(errors=(("2BP01", "other objects depend"),), equal=True), nothing,
        ),
        Variant(
            "helper-view-replaced", "A plain view in between is replaced: silent drift",
            helper_replaced,
            Sees(findings=("changed-since:public.tv_basket", "drift:public.tv_basket"), verify=True),
        ),
        Variant(
            "upstream-replaced", "A TVIEW is replaced; those two steps away keep old rows: silent drift",
            upstream_replaced,
            Sees(findings=(f"upstream-replaced:{_LINE}", f"drift:{_LINE}"), verify=True),
        ),
    ),
)  # fmt: skip
