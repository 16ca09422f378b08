"""Mode 7: refreshes that are queued and never done, done twice, or held by nobody.

The queue itself belongs to a backend and is empty between its statements, so these are the forms in
which it goes wrong today: prepared transactions that nobody resolves, commits while suspended,
triggers that queue too much or for the wrong table, changes that no listener was told of, an audit log
that nobody clears, and the table in which early plans kept a queue.
"""

from __future__ import annotations

import re

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can, until
from pgtv.drills import barriers
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene, insert_marker
from pgtv.drills.statements import Break
from pgtv.drills.steps import prepares, then_write

_WRITE = "UPDATE public.tb_customer SET name = 'waits' WHERE pk_customer = 5"
_GROWTH = "audit-log-growth"
_AUDIT_ROWS = 1000
_MUCH = {f"{_GROWTH}.rows": float(_AUDIT_ROWS)}
_CHURN = 20  # transactions after the one that was forgotten
_OLD = {"prepared-orphan.age_seconds": 0.0, "prepared-blocks.wait_seconds": 0.0}
SUSPENDED = Break(
    "BEGIN; SELECT tviews.pg_tviews_suspend_triggers(); "
    f"{barriers.UPDATE}; PREPARE TRANSACTION 'drill'"
)
IMPLICIT = Break(
    "SELECT tviews.pg_tviews_suspend_triggers();"
    " UPDATE public.tb_customer SET name = 'implicit' WHERE pk_customer < 9"
)
DOUBLED = Break(
    """CREATE TRIGGER zz_copy AFTER INSERT OR DELETE OR UPDATE ON public.tb_customer
    FOR EACH ROW EXECUTE FUNCTION tviews.pg_tview_trigger_handler('customer')"""
)
FOREIGN = Break(
    """CREATE TABLE public.lever (id int);
    CREATE TRIGGER pull AFTER TRUNCATE ON public.lever FOR EACH STATEMENT
    EXECUTE FUNCTION tviews.pg_tview_truncate_trigger('customer')"""
)
PUBLISH = Break("SET pg_tviews.publish_changes = 'types'; ")
LISTEN = Break("LISTEN tviews_changes")
GAPS = Break("SELECT tviews.pg_tviews_feed_gaps()")
RESET = Break("SELECT tviews.pg_tviews_stats_reset()")
_NOTIFY_PAGES = 64  # the least that a server takes
FILL = f"SELECT pg_notify('drill', g || repeat('x', 7900)) FROM generate_series(1, {_NOTIFY_PAGES - 3}) g"
_AUDIT_LOG = Break("tviews.pg_tview_audit_log").sql
AUDITED = Break(f"SET pg_tviews.audit_enabled = on; {_WRITE}")
# as if written over a year, for which no drill can wait
_A_YEAR = (
    f"INSERT INTO {_AUDIT_LOG} (operation, entity, performed_at) SELECT operation, entity,"
    f" now() - g * interval '8 hours' - interval '91 days' FROM {_AUDIT_LOG},"
    f" generate_series(1, {_AUDIT_ROWS}) g; ANALYZE {_AUDIT_LOG}"
)
EARLY_QUEUE = Break("public.pg_tview_pending_refreshes").sql
DIRECT = Break("UPDATE public.tv_order SET fk_customer = 9")


def orphaned(scene: Scene) -> None:
    """Prepared, and its coordinator is gone."""
    barriers.after_prepare(scene, "")
    scene.try_(_WRITE)


def vacuum_held_back(scene: Scene) -> None:
    """Prepared and forgotten; what others overwrite afterwards cannot be removed."""
    barriers.after_prepare(scene, "")
    for _ in range(_CHURN):
        scene.sql("UPDATE public.tb_product SET price = price + 1 WHERE pk_product = 1")
    assert _not_removable(scene) >= _CHURN, "vacuum could remove them"


def _not_removable(scene: Scene) -> int:
    """Dead rows of one TVIEW that VACUUM had to leave."""
    said: list[str] = []
    with scene.connect() as session:
        session.add_notice_handler(lambda n: said.append(n.message_primary or ""))
        session.execute("VACUUM (VERBOSE) public.tv_product")
    found = re.search(r"(\d+) are dead but not yet removable", "\n".join(said))
    assert found, "VACUUM says nothing of dead rows"
    return int(found[1])


def end_and_vacuum(scene: Scene) -> None:
    scene.paste_cures({"prepared-vacuum.xid_age": 0.0, **_OLD})
    scene.paste("VACUUM (ANALYZE) public.tv_product;")
    until(lambda: _not_removable(scene) == 0, "vacuum still cannot remove them")


def orphaned_quoted(scene: Scene) -> None:
    """As above, under a gid that needs quoting everywhere."""
    with scene.connect() as session:
        session.execute(
            f"BEGIN; {barriers.UPDATE}; PREPARE TRANSACTION 'it''s; DROP \\ ''x'''".encode()
        )
    scene.try_(_WRITE)


def decided_to_commit(scene: Scene) -> None:
    """Prepared rows of an UNLOGGED TVIEW, whose coordinator had decided to commit."""
    marker = scene.commit_marker() + " prepared"
    with scene.connect() as session:
        session.execute(f"BEGIN; {insert_marker(marker)}; PREPARE TRANSACTION 'drill'".encode())
    scene.acknowledged.append(marker)


def commit(scene: Scene) -> None:
    """As the coordinator decided: pgtv commits, and repairs the TVIEWs that it touched."""
    scene.do("2pc", "commit", "drill", "--apply")


def prepared_while_suspended(scene: Scene) -> None:
    scene.break_(SUSPENDED)
    scene.try_(_WRITE)
    scene.try_("SELECT count(*) FROM public.tv_customer", role=None)


def committed_while_suspended(scene: Scene) -> None:
    """Two statements in one message are one implicit transaction: its end does not catch up."""
    with scene.connect() as session:
        session.execute(IMPLICIT.sql.encode())


def written_directly(scene: Scene) -> None:
    """Rows of a TVIEW that others map from are written in autocommit: queued, and nobody flushes."""
    scene.try_('UPDATE "Sales Dept".tv_order SET fk_customer = 9 WHERE pk_order < 9', role=None)


def through_the_base(scene: Scene) -> None:
    scene.paste('UPDATE "Sales Dept".tb_order SET fk_customer = 9 WHERE pk_order < 9;')


def not_published(scene: Scene) -> None:
    """A listener stays in a transaction; the queue of NOTIFY fills; a write commits unannounced."""
    listener = scene.open()
    listener.execute(LISTEN.sql.encode())
    listener.execute("BEGIN; SELECT 1")
    scene.remembered["listener"] = listener.info.backend_pid
    with scene.connect() as session:
        session.execute(FILL.encode())
        session.execute(PUBLISH.sql.encode())
        session.execute(_WRITE.encode())
    assert scene.rows(GAPS.sql) == [(1,)], "the extension did not count the change as unpublished"


def listen_anew(scene: Scene) -> None:
    """The session that holds the queue ends; whoever listens reads everything anew."""
    scene.paste(f"SELECT pg_terminate_backend({scene.remembered['listener']});")
    scene.settle()
    with scene.connect() as listener:
        listener.execute(LISTEN.sql.encode())
        # a session that is told to end may take a moment
        scene.until_true("SELECT pg_notification_queue_usage() < 0.1")
        scene.sql(PUBLISH.sql + _WRITE.replace("waits", "told"))
        told = [n.payload for n in listener.notifies(timeout=10, stop_after=1)]
    assert told, "the listener is told of nothing"
    scene.break_(RESET)
    assert scene.rows(GAPS.sql) == [(1,)], "the counter starts over: say so in the documents"
    quiet = scene.doctor(thresholds={"feed-gap.gaps": 1.0}).findings
    assert "feed-gap" not in [f.check for f in quiet], "gaps that are dealt with are still told"


def audited(scene: Scene) -> None:
    """A write is logged for each TVIEW that it reaches, and nobody clears the log."""
    scene.break_(AUDITED)
    scene.remembered["logged"] = scene.rows(f"SELECT count(*) FROM {_AUDIT_LOG}")[0][0]
    assert scene.remembered["logged"], "nothing was logged"
    scene.sql(_A_YEAR)


def clear_log(scene: Scene) -> None:
    """As doctor prints it: what is old goes, the rest stays."""
    scene.paste_cures(dict(_MUCH))
    assert not [f for f in scene.doctor(thresholds=dict(_MUCH)).findings if f.check == _GROWTH]
    left = scene.rows(f"SELECT count(*) FROM {_AUDIT_LOG}")[0][0]
    assert left == scene.remembered["logged"], "what was not old is gone"


def early_queue(scene: Scene) -> None:
    """An early plan's table promises a refresh that no release does; the row stays as it was."""
    scene.sql(
        f"CREATE TABLE {EARLY_QUEUE} (gid text, refresh_queue jsonb, prepared_at timestamptz);"
        f'INSERT INTO {EARLY_QUEUE} SELECT \'gone\', \'[{{"entity": "customer", "pk": 5}}]\','
        " now() - interval '3 days' FROM generate_series(1, 2);"
        f"SET session_replication_role = replica; {_WRITE}"
    )
    code, said = scene.pgtv("2pc", "list")
    assert code == 1, f"pgtv 2pc list exited {code}"
    for word in (EARLY_QUEUE.partition(".")[2], "2 orphans, 2 duplicates"):
        assert word in said, f"pgtv 2pc list does not say {word!r}: {said}"


def refresh_and_drop(scene: Scene) -> None:
    """What its rows promised is done by comparing; then the table has no use."""
    scene.do("refresh", "--apply")
    scene.paste(f"DROP TABLE {EARLY_QUEUE};")
    said = scene.do("2pc", "list")
    assert EARLY_QUEUE.partition(".")[2] not in said, said


MODE = Mode(
    7, "queue-corruption", "Queue corruption", "extension-failures/test-queue-corruption",
    (
        Variant(
            "prepared-orphan", "A prepared transaction that nobody resolves holds rows",
            orphaned,
            Sees(errors=(("55P03", "lock timeout"),), findings=("prepared-orphan:drill",),
                 thresholds=_OLD),
            skip=prepares,
        ),
        Variant(
            "prepared-gid-quoted", "Its gid holds quotes, a semicolon and a backslash",
            orphaned_quoted,
            Sees(errors=(("55P03", "lock timeout"),),
                 findings=("prepared-orphan:it's; DROP \\ 'x'",), thresholds=_OLD),
            skip=prepares,
        ),
        Variant(
            "prepared-vacuum", "A prepared transaction holds vacuum back: TVIEWs grow",
            vacuum_held_back,
            Sees(findings=("prepared-vacuum:drill",),
                 thresholds={"prepared-vacuum.xid_age": _CHURN / 2}, equal=True),
            end_and_vacuum, skip=prepares,
        ),
        Variant(
            "prepared-commit", "Its coordinator had decided to commit",
            decided_to_commit,
            Sees(findings=("prepared-unlogged:drill",), thresholds=_OLD, equal=True), commit,
            skip=prepares,
        ),
        Variant(
            "prepared-suspended", "Prepared while triggers were suspended: readers wait too",
            prepared_while_suspended,
            Sees(errors=(("55P03", "lock timeout"),), findings=("prepared-blocks:drill",),
                 thresholds=_OLD),
            skip=prepares,
        ),
        Variant(
            "committed-while-suspended", "An implicit commit while suspended: silent drift",
            committed_while_suspended,
            Sees(findings=("drift:public.tv_customer",), verify=True),
        ),
        Variant(
            "not-flushed", "A TVIEW written directly queues refreshes that nobody flushes: refused",
            written_directly, Sees(errors=(("55000", "queued"),), equal=True), through_the_base,
        ),
        Variant(
            "doubled", "A second trigger queues every row twice",
            then_write(DOUBLED, _WRITE), Sees(findings=("trigger-doubled",)),
        ),
        Variant(
            "foreign", "A table that no TVIEW reads carries the extension's trigger",
            then_write(FOREIGN, _WRITE), Sees(findings=("trigger-orphaned",)),
        ),
        Variant(
            "feed-gap", "The queue of NOTIFY is full: changes are committed and listeners not told",
            not_published,
            Sees(findings=("feed-gap:(database)", "notify-queue:(server)"), equal=True), listen_anew,
            (Can.CONTROL,), Wish({"max_notify_queue_pages": str(_NOTIFY_PAGES)}), own=True,
            majors=(17, 18), lasts=("feed-gap",),
        ),
        Variant(
            "audit-growth", "The audit log grows and nobody clears it",
            audited, Sees(findings=(_GROWTH,), thresholds=_MUCH, equal=True), clear_log,
        ),
        Variant(
            "early-queue", "An early plan's queue of refreshes holds orphans and duplicates",
            early_queue, Sees(findings=("drift:public.tv_customer",), verify=True), refresh_and_drop,
        ),
    ),
)  # fmt: skip
