"""Mode 1: a backend or the whole server dies in the middle of a write."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can
from pgtv.drills import barriers
from pgtv.drills.barriers import Reach
from pgtv.drills.killing import KILLS, at_random, until_restarted, wait_refilled
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene, insert_marker
from pgtv.drills.statements import Break
from pgtv.drills.steps import nothing, restarted

if TYPE_CHECKING:
    pass

# An acknowledged commit must be with the kernel at least: SIGKILL takes what is in the server's memory.
DURABLE = {"synchronous_commit": "on"}
NO_WORKER = Break(
    "pg_tviews.auto_rebuild_databases"
)  # the setting that names whose TVIEWs it refills
HEALTH = Break(
    "SELECT count(*) FROM tviews.pg_tviews_health_check()"
    " WHERE status <> 'OK' AND component <> 'jsonb_delta'"
)
WORKER_WAITS = Break(
    "SELECT count(*) > 0 FROM pg_stat_activity"
    " WHERE backend_type = 'pg_tviews rebuild' AND wait_event_type = 'Lock'"
)
SEARCHED = "SELECT * FROM public.tv_search ORDER BY pk_search"
_LOG_KILLED = r"was terminated by signal 9"


def backend_at(reach: Reach) -> Callable[[Scene], None]:
    """SIGKILL to the backend that waits at the point; all others are thrown out with it."""

    def inject(scene: Scene) -> None:
        scene.commit_marker()
        pid = reach(scene, "marker never")
        assert pid
        other = scene.open()
        scene.server.kill_backend(pid)
        scene.settle()
        until_restarted(scene, other)

    return inject


def server_at(reach: Reach) -> Callable[[Scene], None]:
    """SIGKILL to the whole server at the point; it stays down."""

    def inject(scene: Scene) -> None:
        scene.commit_marker()
        other = scene.open()
        reach(scene, "marker never")
        scene.server.kill()
        scene.settle()
        scene.try_("SELECT 1", other, None)

    return inject


def prepared(scene: Scene) -> None:
    """Killed after PREPARE; the prepared transaction survives and holds its rows."""
    barriers.after_prepare(scene, "")
    scene.server.kill()
    scene.server.start()
    scene.try_(barriers.UPDATE)


def commit_prepared(scene: Scene) -> None:
    scene.paste("COMMIT PREPARED 'drill';")


def trio(scene: Scene) -> None:
    """PREPARE with an UNLOGGED TVIEW, crash, refill from what is committed, COMMIT PREPARED."""
    marker = scene.commit_marker() + " prepared"
    with scene.connect() as session:
        session.execute(f"BEGIN; {insert_marker(marker)}; PREPARE TRANSACTION 'drill'".encode())
    warned = [f.id for f in scene.doctor().findings if f.check == "prepared-unlogged"]
    assert warned, "doctor did not warn of the prepared transaction before the crash"
    scene.server.kill()
    scene.server.start()
    # the first write refills the TVIEW, unless the worker has done so
    scene.sql("UPDATE public.tb_product SET price = price + 1 WHERE pk_product = 1")
    scene.sql("COMMIT PREPARED 'drill'")
    scene.acknowledged.append(marker)
    complaints = scene.rows(HEALTH.sql)[0][0]
    assert complaints == 0, "the extension's health check sees it by now: say so in the documents"
    assert "public.tv_search" in scene.differing(), "no rows were lost"


def refill_waits(scene: Scene) -> None:
    """What is prepared wrote no row of the UNLOGGED TVIEW, only of a table that it reads."""
    scene.commit_marker()
    with scene.connect() as session:
        session.execute(
            "BEGIN; INSERT INTO public.tb_category (name) VALUES ('prepared');"
            " PREPARE TRANSACTION 'drill'"
        )
    scene.server.kill()
    scene.server.start()
    scene.until_true(WORKER_WAITS.sql)
    scene.try_("UPDATE public.tb_product SET name = name || '.' WHERE pk_product = 1")


def after_commit_prepared(scene: Scene) -> None:
    """SIGKILL to the whole server once COMMIT PREPARED is acknowledged; it stays down."""
    other = scene.open()
    barriers.after_commit_prepared(scene, scene.commit_marker() + " prepared")
    scene.server.kill()
    scene.try_("SELECT 1", other, None)


def refilled(scene: Scene) -> None:
    """The extension's worker fills what the crash had emptied, before anybody writes."""
    scene.commit_marker()
    before = scene.rows(SEARCHED)
    other = scene.open()
    scene.server.kill()
    scene.try_("SELECT 1", other, None)
    scene.server.start()
    wait_refilled(scene)
    assert scene.rows(SEARCHED) == before, "it was filled with other rows"


def random_kills(scene: Scene) -> None:
    """Backend and server are killed in turn, at moments of a load that nobody chose."""
    scene.commit_marker()
    for seed, kill in enumerate(KILLS * 2):
        other = scene.open()
        at_random(scene, kill, seed)
        scene.try_("SELECT 1", other, None)
        refused = list(scene.refused)
        scene.release()  # forgets them
        scene.refused += refused
        if kill == "server":
            scene.server.start()
        scene.server.wait_ready()
    wait_refilled(scene)


def resolve(scene: Scene) -> None:
    """What a coordinator was about to commit when it was thrown out."""
    for (gid,) in scene.rows("SELECT gid FROM pg_prepared_xacts ORDER BY 1"):
        scene.paste(f"COMMIT PREPARED '{gid}';")


def kill_and_start(scene: Scene) -> None:
    scene.commit_marker()
    scene.server.kill()
    scene.server.start()


_BACKEND = Sees(errors=(("08006", "connection|terminat"),), log=(_LOG_KILLED,), equal=True)
# who waits for a statement is told of the postmaster's end, or of nothing at all
_SERVER = Sees(errors=(("08006|57P01", "connection|terminat"),))
_ALIVE = (Can.KILL_BACKEND, Can.LOG)
_KILL = (Can.KILL,)

MODE = Mode(
    1, "crash-recovery", "Crash during a refresh", "db-failures/test-crash-recovery",
    (
        Variant(
            "backend-mid-transaction", "A backend is killed before COMMIT; it had written TVIEWs",
            backend_at(barriers.before_commit), _BACKEND, nothing, _ALIVE,
            Wish(DURABLE), own=True,
        ),
        Variant(
            "backend-mid-cascade", "A backend is killed with one TVIEW written and others not",
            backend_at(barriers.mid_cascade), _BACKEND, nothing, _ALIVE, Wish(DURABLE), own=True,
        ),
        Variant(
            "backend-in-refresh", "A backend is killed in the extension's refresh",
            backend_at(barriers.in_refresh), _BACKEND, nothing, _ALIVE, Wish(DURABLE), own=True,
        ),
        Variant(
            "server-mid-transaction", "The server is killed before COMMIT; a backend had written TVIEWs",
            server_at(barriers.before_commit), _SERVER, restarted, _KILL, Wish(DURABLE), own=True,
        ),
        Variant(
            "server-mid-cascade", "The server is killed with one TVIEW written and others not",
            server_at(barriers.mid_cascade), _SERVER, restarted, _KILL, Wish(DURABLE), own=True,
        ),
        Variant(
            "server-in-prepare", "The server is killed while PREPARE TRANSACTION flushes",
            server_at(barriers.before_prepare), _SERVER, restarted, _KILL, Wish(DURABLE), own=True,
        ),
        Variant(
            "server-after-prepare", "The server is killed after PREPARE TRANSACTION",
            prepared,
            Sees(
                errors=(("55P03", "lock timeout"),), findings=("prepared-orphan:drill",),
                thresholds={"prepared-orphan.age_seconds": 0},
            ),
            commit_prepared, _KILL, Wish(DURABLE), own=True,
        ),
        Variant(
            "server-after-commit-prepared", "The server is killed after COMMIT PREPARED",
            after_commit_prepared, _SERVER, restarted, _KILL, Wish(DURABLE), own=True,
        ),
        Variant(
            "random", "Backends and the server are killed at random moments of a load", random_kills,
            Sees(errors=_SERVER.errors, log=(_LOG_KILLED,), equal=True), resolve, _ALIVE + _KILL,
            Wish(DURABLE), own=True,
        ),
        Variant(
            "unlogged-refilled", "A crash empties an UNLOGGED TVIEW and the worker refills it",
            refilled,
            Sees(errors=_SERVER.errors, log=(r"rebuilt tv_search",), equal=True), nothing,
            (Can.KILL, Can.LOG), Wish(DURABLE), own=True,
        ),
        Variant(
            "unlogged-reset", "A crash empties an UNLOGGED TVIEW and no worker refills it",
            kill_and_start, Sees(findings=("unlogged-reset:public.tv_search",)), None, _KILL,
            Wish(DURABLE | {NO_WORKER.sql: ""}), own=True,
        ),
        Variant(
            "refill-waits", "The refill of an UNLOGGED TVIEW waits for what is prepared, and so do writers",
            refill_waits,
            Sees(
                errors=(("55P03", "lock timeout"),),
                findings=("unlogged-reset:public.tv_search", "prepared-orphan:drill"),
                thresholds={"prepared-orphan.age_seconds": 0},
            ),
            None, _KILL, Wish(DURABLE), own=True,
        ),
        Variant(
            "unlogged-prepared-crash", "UNLOGGED TVIEW, PREPARE, crash, COMMIT PREPARED: silent drift",
            trio, Sees(findings=("drift:public.tv_search",), verify=True), None, _KILL,
            Wish(DURABLE), own=True,
        ),
    ),
)  # fmt: skip
