"""Named points in the life of a write, reached exactly: a session waits there for a lock that we hold.

Each function brings a backend to its point and gives its process id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pgtv.drills.scene import Scene, insert_marker
from pgtv.drills.statements import Break

LOCK = 20240613  # an advisory lock that only the barrier uses
# always a change: a write that changes nothing reaches no TVIEW
UPDATE = "UPDATE public.tb_customer SET name = 'unfinished ' || pg_current_xact_id() WHERE pk_customer = 5"
_WAIT_IN_TRIGGER = Break(
    f"""CREATE FUNCTION public.drill_wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END $$;
    CREATE TRIGGER aa_drill AFTER UPDATE ON public.tb_customer FOR EACH ROW
    EXECUTE FUNCTION public.drill_wait()"""
)
_REFRESH = Break("SELECT tviews.pg_tviews_refresh('public.tv_customer')")
_REGISTERED = Break("SELECT EXISTS (SELECT FROM tviews.pg_tview_meta)")
EXTENSION_GONE = Break("DROP EXTENSION pg_tviews CASCADE")
RAN = "statement"  # what a session ran that is gone, as the scene remembers it
_SUSPENDED = Break("BEGIN; SELECT tviews.pg_tviews_suspend_triggers(); ")


def marked(marker: str) -> str:
    """The update, by which one can tell afterwards whether it was kept."""
    return UPDATE.replace(" WHERE", f", email = '{marker}' WHERE")


def is_marked(scene: Scene, marker: str) -> bool:
    """Whether the write with the marker is there. Raises AssertionError where half of it is."""
    ((base, tview),) = scene.rows(
        f"SELECT EXISTS (SELECT FROM public.tb_customer WHERE '{marker}' IN (name, email)),"
        f" EXISTS (SELECT FROM public.tv_customer WHERE '{marker}' IN (data->>'name', data->>'email'))"
    )
    assert base == tview, f"{marker} is in the {'base table' if base else 'TVIEW'} only"
    return bool(base)


def is_refreshed(scene: Scene, _: str) -> bool:
    """Whether the rows are others than those before the refresh."""
    return bool(scene.rows(_ROW_VERSIONS) != scene.remembered["row versions"])


def is_merged(scene: Scene, _: str) -> bool:
    """Whether any row that drifted has been brought."""
    return scene.rows(
        "SELECT EXISTS (SELECT FROM public.tb_customer b JOIN public.tv_customer v USING (pk_customer)"
        " WHERE pk_customer < 30 AND v.data->>'name' = b.name)"
    ) == [(True,)]


def is_registered_again(scene: Scene, _: str) -> bool:
    """Whether any trigger is back."""
    return scene.rows(
        "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'public.tb_customer'::regclass"
        " AND NOT tgisinternal)"
    ) == [(True,)]


def is_attached(scene: Scene, _: str) -> bool:
    """Whether any TVIEW is registered."""
    return scene.rows(_REGISTERED.sql) == [(True,)]


# a refresh writes all rows anew, by a transaction of its own
_ROW_VERSIONS = (
    "SELECT md5(string_agg(xmin::text, ' ' ORDER BY pk_customer)) FROM public.tv_customer"
)

Reach = Callable[[Scene, str], "int | None"]


@dataclass(frozen=True)
class Point:
    """A place to crash. reach: brings a backend there and gives its process
    id, or None where none is left there.

    prepared: a prepared transaction survives. keeps: what was written must be there afterwards; what
    neither is prepared nor keeps must be gone. there: looks whether it is, by the marker or otherwise.
    cleanup: SQL that takes the barrier away. again: the command of pgtv that was interrupted, to be run
    once more; what stands in {} is what the scene remembers. warned: the check by which doctor must warn
    before the crash.
    """

    id: str
    title: str
    reach: Reach
    prepared: bool = False
    keeps: bool = False
    there: Callable[[Scene, str], bool] = is_marked
    cleanup: str = ""
    again: tuple[str, ...] = ()
    warned: str | None = None


def after_base_write(scene: Scene, marker: str) -> int:
    """The base row is written; the triggers of the extension have not run."""
    scene.break_(_WAIT_IN_TRIGGER)
    scene.open().execute(f"SELECT pg_advisory_lock({LOCK})".encode())
    return scene.wait_behind(marked(marker))


def in_flush(scene: Scene, marker: str) -> int:
    """The base row is written; the first TVIEW is being written."""
    scene.open().execute("BEGIN; SELECT 1 FROM public.tv_customer WHERE pk_customer = 5 FOR UPDATE")
    return scene.wait_behind(marked(marker))


def mid_cascade(scene: Scene, marker: str) -> int:
    """One TVIEW is written; those that embed it are not."""
    scene.open().execute(
        'BEGIN; SELECT 1 FROM "Sales Dept".tv_order WHERE fk_customer = 5 FOR UPDATE'
    )
    return scene.wait_behind(marked(marker))


def before_commit(scene: Scene, marker: str) -> int:
    """Everything is written; the transaction is open."""
    session = scene.open()
    session.execute(f"BEGIN; {insert_marker(marker)}; {UPDATE}".encode())
    return session.info.backend_pid


def suspended(scene: Scene, marker: str) -> int:
    """Triggers are suspended in the open transaction: the TVIEWs are behind, and locked."""
    session = scene.open()
    session.execute((_SUSPENDED.sql + marked(marker)).encode())
    return session.info.backend_pid


def before_prepare(scene: Scene, marker: str) -> int:
    """PREPARE TRANSACTION runs and flushes, and waits."""
    scene.open().execute(
        'BEGIN; SELECT 1 FROM "Sales Dept".tv_order WHERE fk_customer = 5 FOR UPDATE'
    )
    session = scene.open()
    pid = session.info.backend_pid
    scene.run_beside(session, f"BEGIN; {marked(marker)}; PREPARE TRANSACTION 'drill'")
    scene.until_true(f"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {pid}")
    return pid


def _ran(scene: Scene, statement: str) -> None:
    """Run it to its end in a session that then goes; remembered, for nobody is there to be asked."""
    with scene.connect() as session:
        session.execute(statement.encode())
    scene.remembered[RAN] = statement


def after_prepare(scene: Scene, marker: str) -> None:
    """Prepared, on logged TVIEWs only; the session is gone."""
    _ran(scene, f"BEGIN; {marked(marker)}; PREPARE TRANSACTION 'drill'")


def after_prepare_unlogged(scene: Scene, marker: str) -> None:
    """Prepared, an UNLOGGED TVIEW among what it wrote; the session is gone."""
    _ran(scene, f"BEGIN; {insert_marker(marker)}; PREPARE TRANSACTION 'drill'")


def after_commit_prepared(scene: Scene, marker: str) -> None:
    """COMMIT PREPARED is acknowledged."""
    after_prepare_unlogged(scene, marker)
    _ran(scene, "COMMIT PREPARED 'drill'")
    scene.acknowledged.append(marker)


def after_commit(scene: Scene, marker: str) -> None:
    """COMMIT is acknowledged."""
    _ran(scene, f"BEGIN; {insert_marker(marker)}; {UPDATE}; COMMIT")
    scene.acknowledged.append(marker)


def in_refresh(scene: Scene, _: str) -> int:
    """The extension's refresh has emptied one TVIEW and waits for the next one."""
    scene.remembered["row versions"] = scene.rows(_ROW_VERSIONS)
    scene.open().execute('BEGIN; SELECT count(*) FROM "Sales Dept".tv_order')
    return scene.wait_behind(_REFRESH.sql)


def in_merge(scene: Scene, _: str) -> int:
    """`pgtv refresh --apply` writes the rows of a TVIEW that drifted, and waits for one of them."""
    with scene.connect() as session:
        session.execute(
            "SET session_replication_role = replica;"
            "UPDATE public.tb_customer SET name = 'drifted ' || pg_current_xact_id()"
            " WHERE pk_customer < 30"
        )
    scene.open().execute(
        "BEGIN; SELECT 1 FROM public.tv_customer WHERE pk_customer = 20 FOR UPDATE"
    )
    return scene.pgtv_waits("refresh", "--apply", "--lock-timeout", "30s")


def in_repair(scene: Scene, _: str) -> int:
    """`pgtv repair --apply` registers a TVIEW again whose trigger is gone, and waits for a writer."""
    with scene.connect() as session:
        session.execute(
            "DO $$ DECLARE t record; BEGIN FOR t IN SELECT tgname FROM pg_trigger"
            " WHERE tgrelid = 'public.tb_customer'::regclass AND NOT tgisinternal LOOP"
            " EXECUTE format('DROP TRIGGER %I ON public.tb_customer', t.tgname); END LOOP; END $$"
        )
        session.execute(UPDATE)
    scene.open().execute("BEGIN; UPDATE public.tb_customer SET email = 'x' WHERE pk_customer = 6")
    return scene.pgtv_waits("repair", "--apply", "--lock-timeout", "30s")


def in_attach(scene: Scene, _: str) -> int:
    """`pgtv upgrade attach --apply` registers TVIEWs of which the extension was dropped, and waits for a
    writer of a table that they read."""
    # beyond what is released after the crash: the next attach reads it, too
    file = f"{scene.server.scratch}/attached.json"
    Path(file).unlink(missing_ok=True)
    code, said = scene.pgtv("snapshot", "save", file)
    assert code == 0, said
    scene.remembered["snapshot"] = file
    scene.break_(EXTENSION_GONE)
    scene.open().execute("BEGIN; UPDATE public.tb_customer SET email = 'x' WHERE pk_customer = 6")
    return scene.pgtv_waits(
        "upgrade", "attach", "--from", file, "--apply", "--lock-timeout", "30s",
        "--receipt", f"{scene.folder()}/receipt.json",
    )  # fmt: skip


POINTS = (
    Point("after-base-write", "after the base write, before the flush", after_base_write,
          cleanup="DROP TRIGGER IF EXISTS aa_drill ON public.tb_customer;"
          " DROP FUNCTION IF EXISTS public.drill_wait()"),
    Point("in-flush", "in the flush, at the first TVIEW", in_flush),
    Point("mid-cascade", "mid-cascade, one TVIEW written", mid_cascade),
    Point("before-commit", "all written, before COMMIT", before_commit),
    Point("after-commit", "after COMMIT was acknowledged", after_commit, keeps=True),
    Point("suspended", "triggers suspended, before COMMIT", suspended),
    Point("before-prepare", "in the flush of PREPARE TRANSACTION", before_prepare),
    Point("after-prepare", "after PREPARE TRANSACTION", after_prepare, prepared=True),
    Point("after-prepare-unlogged", "after PREPARE TRANSACTION, UNLOGGED TVIEW written",
          after_prepare_unlogged, prepared=True, warned="prepared-unlogged"),
    Point("after-commit-prepared", "after COMMIT PREPARED was acknowledged", after_commit_prepared,
          keeps=True),
    Point("in-refresh", "in the extension's refresh, one TVIEW emptied", in_refresh,
          there=is_refreshed),
    Point("in-merge", "in pgtv refresh --apply, rows of a batch written", in_merge,
          there=is_merged, again=("refresh", "--apply")),
    Point("in-repair", "in pgtv repair --apply, a registration being renewed", in_repair,
          there=is_registered_again, again=("repair", "--apply")),
    Point("in-attach", "in pgtv upgrade attach --apply, registrations being made", in_attach,
          there=is_attached, again=("upgrade", "attach", "--from", "{snapshot}", "--apply")),
)  # fmt: skip
