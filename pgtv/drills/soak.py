"""Load, a random fault, pgtv's own cure, verification: round after round, for as long as one likes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from pgtv.cluster.provider import Provider, Wish
from pgtv.cluster.verbs import until
from pgtv.drills import circular_deps, metadata_corruption, queue_corruption, triggers
from pgtv.drills.crash_recovery import DURABLE
from pgtv.drills.crashes import compare, missing
from pgtv.drills.killing import wait_refilled
from pgtv.drills.load import Load
from pgtv.drills.scene import Scene, insert_marker
from pgtv.drills.stage import Stage
from pgtv.drills.statements import Break
from pgtv.errors import PgtvError

LOADED = 2.0  # seconds of load before and after a fault


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong beside running writers, and the check that must say so.

    how: the statements that break it, or what does it. kills: the server is down afterwards.
    """

    id: str
    how: Break | Callable[[Scene, Load, random.Random], None]
    check: str | None = None
    kills: bool = False


def backend_killed(scene: Scene, load: Load, dice: random.Random) -> None:
    scene.server.kill_backend(dice.choice(load.workers).pid)


def server_killed(scene: Scene, _: Load, __: random.Random) -> None:
    scene.server.kill()


def client_killed(scene: Scene, _: Load, dice: random.Random) -> None:
    """In the middle of a transaction, none of which must be there afterwards."""
    client = scene.client(f"BEGIN; {insert_marker(f'{NOBODY} {dice.randrange(2**31)}')}")
    client.kill()
    client.wait()


def trio(scene: Scene, _: Load, dice: random.Random) -> None:
    """Rows of an UNLOGGED TVIEW are prepared, and the server is killed: of this doctor warns before."""
    marker = f"marker prepared {dice.randrange(2**31)}"
    with scene.connect() as session:
        session.execute(f"BEGIN; {insert_marker(marker)}; PREPARE TRANSACTION '{TRIO}'".encode())
    # committed with all others that are prepared, once the crash is over
    scene.acknowledged.append(marker)
    warned = any(f.check == "prepared-unlogged" for f in scene.doctor().findings)
    assert warned, "doctor did not say prepared-unlogged before the crash"
    scene.server.kill()


TRIO = "drill"  # its gid
NOBODY = "marker of nobody"

FAULTS = (
    Fault("backend killed", backend_killed),
    Fault("server killed", server_killed, kills=True),
    Fault("client killed", client_killed),
    Fault("prepared, UNLOGGED, crash", trio, "drift", kills=True),
    Fault("committed while suspended", queue_corruption.IMPLICIT, "drift"),
    Fault("trigger dropped", triggers.DROPPED, "trigger-missing"),
    Fault("trigger disabled", triggers.DISABLED, "trigger-disabled"),
    Fault("flush disabled", triggers.FLUSH_DISABLED, "trigger-disabled"),
    Fault("triggers bypassed", triggers.BYPASSED, "drift"),
    Fault("handler replaced", triggers.HANDLER, "trigger-function"),
    Fault("registration deleted", metadata_corruption.ROW_GONE, "registration-missing"),
    Fault("mapped registration deleted", metadata_corruption.MAPPED_GONE, "registration-missing"),
    Fault("plan unreadable", metadata_corruption.PLAN_UNREADABLE, "plan-unreadable"),
    Fault("view dropped", metadata_corruption.VIEW_GONE, "view-mismatch"),
    Fault("plan with a cycle", circular_deps.PLAN, "plan-disagrees"),
)


@dataclass(frozen=True)
class Round:
    """One round. problem: what was not right at its end, or None."""

    number: int
    fault: str
    committed: int
    refused: int
    found: tuple[str, ...]
    seconds: float
    problem: str | None


def run(provider: Provider, minutes: float, seed: int) -> Iterator[Round]:
    """Rounds until the time is over, one at least; ends after one with a problem. Raises ClusterError."""
    dice = random.Random(seed)  # noqa: S311
    number = 0
    with Stage(provider) as stage, stage.scene(Wish(DURABLE), own=True) as scene:
        scene.begin()
        deadline = time.monotonic() + minutes * 60
        while not number or time.monotonic() < deadline:
            number += 1
            done = _round(scene, number, dice)
            yield done
            if done.problem:
                return


def _round(scene: Scene, number: int, dice: random.Random) -> Round:
    fault, started = dice.choice(FAULTS), time.monotonic()
    before = len(scene.acknowledged)
    found: tuple[str, ...] = ()
    refused, problem = 0, None
    try:
        with Load(scene, dice) as load:
            time.sleep(dice.uniform(0.2, LOADED))
            _strike(scene, fault, load, dice)
            time.sleep(dice.uniform(0.2, LOADED))
        refused = sum(w.refused for w in load.workers)
        scene.release()
        if fault.kills:
            scene.server.start()
        scene.server.wait_ready()
        if fault.how is trio:  # what is lost is lost by a refill before the commit
            wait_refilled(scene)
        _end_prepared(scene)
        found, problem = _cure(scene, fault)
    except (PgtvError, psycopg.Error, AssertionError) as e:
        problem = str(e).strip() or type(e).__name__
    took = round(time.monotonic() - started, 1)
    return Round(
        number, fault.id, len(scene.acknowledged) - before, refused, found, took, problem
    )  # fmt: skip


def _strike(scene: Scene, fault: Fault, load: Load, dice: random.Random) -> None:
    """Break it beside the writers; DDL retries, for it has to get past them."""
    how = fault.how
    if isinstance(how, Break):
        until(lambda: _struck(scene, how), f"{fault.id}: the writers never let it through", 60)
    else:
        how(scene, load, dice)


def _struck(scene: Scene, how: Break) -> bool:
    with scene.connect() as connection:
        try:
            connection.execute(f"SET lock_timeout = '1s'; {how.sql}".encode())
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            return False
    return True


def _end_prepared(scene: Scene) -> None:
    for (gid,) in scene.rows("SELECT gid FROM pg_prepared_xacts ORDER BY 1"):
        with scene.connect() as session:
            session.execute(f"COMMIT PREPARED '{gid}'".encode())


def _cure(scene: Scene, fault: Fault) -> tuple[tuple[str, ...], str | None]:
    """(ids that doctor found, what is still wrong): doctor must name it, repair must cure it."""
    wait_refilled(scene)
    seen = scene.new_findings(scene.doctor(verify=fault.check == "drift"))
    found = tuple(f.id for f in seen)
    named = any(f.check == fault.check for f in seen)
    # the load may have written the same rows again: then there is no drift to be named
    if fault.check and not named and (fault.check != "drift" or scene.differing()):
        return found, f"doctor did not say {fault.check} (it said: {', '.join(found) or 'nothing'})"
    if fault.check:
        for args in (("repair", "--apply"), ("refresh", "--apply")):
            scene.do(*args, ok=(0, 1) if args[0] == "repair" else (0,))
    if left := [f.id for f in scene.new_findings(scene.doctor()) if f.check != "bloat"]:
        return found, f"doctor still says {', '.join(left)}"
    if different := scene.differing() or compare(scene):
        return found, f"rows differ: {different}"
    if gone := missing(scene):
        return found, f"{gone} acknowledged rows are gone"
    if kept := scene.rows(f"SELECT name FROM public.tb_customer WHERE name LIKE '{NOBODY}%'"):
        return found, f"what a dead client had not committed is there: {kept[0][0]}"
    return found, None
