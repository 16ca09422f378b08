"""Mode 7: refreshes that are queued and never done, done twice, or held by nobody.

The queue itself belongs to a backend and is empty between its statements, so these are the forms in
which it goes wrong today: prepared transactions that nobody resolves, commits while suspended, and
triggers that queue too much or for the wrong table.
"""

from __future__ import annotations

from pgtv.drills import barriers
from pgtv.drills.model import Break, Mode, Sees, Variant
from pgtv.drills.scene import Scene, insert_marker
from pgtv.drills.steps import then_write

_WRITE = "UPDATE public.tb_customer SET name = 'waits' WHERE pk_customer = 5"
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
DIRECT = Break("UPDATE public.tv_order SET fk_customer = 9")


def orphaned(scene: Scene) -> None:
    """Prepared, and its coordinator is gone."""
    barriers.after_prepare(scene, "")
    scene.try_(_WRITE)


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


MODE = Mode(
    7, "queue-corruption", "Queue corruption", "extension-failures/test-queue-corruption",
    (
        Variant(
            "prepared-orphan", "A prepared transaction that nobody resolves holds rows",
            orphaned,
            Sees(errors=(("55P03", "lock timeout"),), findings=("prepared-orphan:drill",),
                 thresholds=_OLD),
        ),
        Variant(
            "prepared-gid-quoted", "Its gid holds quotes, a semicolon and a backslash",
            orphaned_quoted,
            Sees(errors=(("55P03", "lock timeout"),),
                 findings=("prepared-orphan:it's; DROP \\ 'x'",), thresholds=_OLD),
        ),
        Variant(
            "prepared-commit", "Its coordinator had decided to commit",
            decided_to_commit,
            Sees(findings=("prepared-unlogged:drill",), thresholds=_OLD, equal=True), commit,
        ),
        Variant(
            "prepared-suspended", "Prepared while triggers were suspended: readers wait too",
            prepared_while_suspended,
            Sees(errors=(("55P03", "lock timeout"),), findings=("prepared-blocks:drill",),
                 thresholds=_OLD),
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
    ),
)  # fmt: skip
