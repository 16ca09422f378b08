"""Kills a backend or the server, at a random moment of a load or where it is told, and waits for the end."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgtv.cluster.verbs import until
from pgtv.drills.load import Load
from pgtv.drills.scene import Scene

if TYPE_CHECKING:
    import psycopg

KILLS = ("backend", "server")


@dataclass(frozen=True)
class Crashed:
    """Where the WAL was, and what ran."""

    lsn: str
    statement: str


def crash(scene: Scene, kill: str, pid: int | None) -> None:
    """The server is down afterwards, or in its crash recovery."""
    if kill == "server":
        scene.server.kill()
        return
    witness = scene.open()
    if pid is None:  # nobody is at the point any more: any backend's death is the server's crash
        pid = scene.open().info.backend_pid
    scene.server.kill_backend(pid)
    until(lambda: not scene.try_("SELECT 1", witness, None), "nobody was thrown out")


def at_random(scene: Scene, kill: str, seed: int) -> Crashed:
    """Kill at a moment of a load that nobody chose."""
    dice = random.Random(seed)  # noqa: S311
    with Load(scene, dice) as load:
        time.sleep(dice.uniform(0.03, 0.25))
        with scene.connect() as looking:
            row = looking.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        victim = dice.choice(load.workers)
        statement = " | ".join(w.statement for w in load.workers) if kill == "server" else (
            victim.statement
        )  # fmt: skip
        crash(scene, kill, victim.pid)
    return Crashed(row[0] if row else "", statement)


def until_restarted(scene: Scene, other: psycopg.Connection[Any]) -> None:
    """Wait for the end of a crash; other: a session of before. Who has lost a backend may log in
    again before the server has noticed, and throws everybody out."""
    until(lambda: not scene.try_("SELECT 1", other, None), "nobody was thrown out")
    scene.server.wait_ready()


def wait_refilled(scene: Scene) -> None:
    """Until no UNLOGGED TVIEW is empty for a crash. Raises ClusterError where no worker fills them."""
    until(
        lambda: not any(f.check == "unlogged-reset" for f in scene.doctor().findings),
        "no worker refilled the UNLOGGED TVIEWs", 60,
    )  # fmt: skip
