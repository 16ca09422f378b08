"""Many crashes, each recorded with statement and LSN: at named points, and at random under load.

One server a major takes them all, one after the other. After each: the server recovers by itself,
prepared transactions are ended, what pgtv had begun is begun again; then every TVIEW is compared with
its definition, record image by record image, and everything acknowledged must be there.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from pgtv.cluster.provider import Provider, Wish
from pgtv.drills import contents
from pgtv.drills.barriers import POINTS, RAN, Point
from pgtv.drills.crash_recovery import DURABLE
from pgtv.drills.killing import KILLS, Crashed, at_random, crash, wait_refilled
from pgtv.drills.scene import Scene
from pgtv.drills.stage import Stage
from pgtv.errors import PgtvError, UsageError

RANDOM = "random"  # the point of a kill at any moment of a load
VERIFY_EVERY = 20  # crashes after which pgtv's own verification looks too


@dataclass(frozen=True)
class Crash:
    """One crash. statement: what ran in the backend that was killed, or in those of the server; what had
    run last, where its session was gone.

    lsn: of the WAL just before. outcome, as it was looked for afterwards: `rolled back` or `kept`, as
    the point demands; `recovered` (under a load: what was acknowledged is kept, the rest is either);
    `drift cured` (kept, and an UNLOGGED TVIEW after COMMIT PREPARED, of which doctor had warned); or
    `failed: …`, what was wrong.
    """

    number: int
    major: int
    point: str
    kill: str
    lsn: str
    outcome: str
    statement: str
    seconds: float

    @property
    def failed(self) -> bool:
        return self.outcome.startswith("failed")


def run(provider: Provider, count: int, seed: int, only: tuple[str, ...] = ()) -> Iterator[Crash]:
    """`count` crashes on one server; the same seed chooses the same points and kills.

    only: ids of points; all, and as many random ones, without. Raises ClusterError where no server
    can be made.
    """
    chosen = list(enumerate(_choices(random.Random(seed), count, only), 1))  # noqa: S311
    while chosen:
        with Stage(provider) as stage, stage.scene(Wish(DURABLE), own=True) as scene:
            scene.begin()
            while chosen:
                crash = _crash(scene, *chosen.pop(0))
                yield crash
                if crash.failed:  # a new server: what comes after would be told of the wrong crash
                    break


def _crash(scene: Scene, number: int, choice: tuple[Point | None, str, int]) -> Crash:
    point, kill, seed = choice
    started = time.monotonic()
    crashed = Crashed("", "")
    try:
        crashed = _one(scene, point, kill, seed)
        outcome = _after(scene, point, number, seed)
    except (PgtvError, psycopg.Error, AssertionError) as e:
        outcome = f"failed: {e}"
    return Crash(
        number, scene.server.major, point.id if point else RANDOM, kill, crashed.lsn, outcome,
        crashed.statement, round(time.monotonic() - started, 2),
    )  # fmt: skip


def _choices(
    dice: random.Random, count: int, only: tuple[str, ...]
) -> list[tuple[Point | None, str, int]]:
    """(point or None for a random moment, kill, seed): named ones in turn, random ones between."""
    known = [*(p.id for p in POINTS), RANDOM]
    if unknown := [o for o in only if o not in known]:
        raise UsageError(
            f"there is no crash point {unknown[0]!r}", f"there are: {', '.join(known)}"
        )
    points: list[Point | None] = [p for p in POINTS if not only or p.id in only]
    if RANDOM in only or not only:
        points += [None] * max(1, len(points))  # as many random ones as named ones
    dice.shuffle(points)
    return [
        (points[n % len(points)], dice.choice(KILLS), dice.randrange(2**31)) for n in range(count)
    ]


def _one(scene: Scene, point: Point | None, kill: str, seed: int) -> Crashed:
    """Crash at the point; the server runs again afterwards, and nothing is open."""
    crashed = _named(scene, point, kill, seed) if point else at_random(scene, kill, seed)
    scene.release()
    if kill == "server":
        scene.server.start()
    scene.server.wait_ready()
    return crashed


def _named(scene: Scene, point: Point, kill: str, seed: int) -> Crashed:
    scene.remembered.pop(RAN, None)
    pid = point.reach(scene, _marker(seed))
    if point.warned and not any(f.check == point.warned for f in scene.doctor().findings):
        raise AssertionError(f"doctor did not say {point.warned} before the crash")
    (lsn, statement), *_ = scene.rows(
        "SELECT pg_current_wal_insert_lsn()::text, coalesce((SELECT query FROM pg_stat_activity"
        f" WHERE pid = {pid or 0}), '')"
    )
    crash(scene, kill, pid)
    return Crashed(lsn, statement or scene.remembered.get(RAN, ""))


def _marker(seed: int) -> str:
    """What the write at a named point is found by."""
    return f"marker {seed}"


def _after(scene: Scene, point: Point | None, number: int, seed: int) -> str:
    """Finish what the crash left, compare; gives the outcome."""
    commit = seed % 2 == 1  # what was prepared, or roll it back
    prepared = [r[0] for r in scene.rows("SELECT gid FROM pg_prepared_xacts ORDER BY 1")]
    if point is not None and point.prepared and not prepared:
        return "failed: the prepared transaction is gone"
    wait_refilled(scene)
    if point is not None and point.prepared and point.there(scene, _marker(seed)):
        return "failed: what was only prepared is seen"
    for gid in prepared:
        with scene.connect() as session:
            word = "COMMIT" if commit or gid != "drill" else "ROLLBACK"
            session.execute(f"{word} PREPARED '{gid}'".encode())
    outcome = "recovered"
    if point is not None:
        # before anything is begun again, which would write it after all
        outcome = "kept" if point.there(scene, _marker(seed)) else "rolled back"
        if (outcome == "kept") != (point.keeps or (point.prepared and commit)):
            return f"failed: it was {outcome}"
    if point is not None and point.cleanup:
        scene.sql(point.cleanup)
    if point is not None and point.again:
        again = tuple(word.format(**scene.remembered) for word in point.again)
        code, said = scene.pgtv(*again, *_receipt(scene, again))
        if code != 0:
            return f"failed: pgtv {point.again[0]} after the crash exited {code}: {said[-200:]}"
    different = compare(scene)
    if different and point is not None and point.warned and commit:
        again = ("refresh", *different, "--apply")
        scene.pgtv(*again, *_receipt(scene, again))
        different, outcome = compare(scene), "drift cured"
    if different:
        return f"failed: rows differ: {different}"
    if gone := missing(scene):
        return f"failed: {gone} acknowledged rows are gone"
    if number % VERIFY_EVERY == 0 and (found := scene.differing()):
        return f"failed: pgtv verify says {found}"
    return outcome


def _receipt(scene: Scene, args: tuple[str, ...]) -> list[str]:
    return (
        ["--receipt", f"{scene.folder()}/receipt.json"]
        if args[0] in ("repair", "refresh", "upgrade")
        else []
    )


def compare(scene: Scene) -> dict[str, int]:
    """TVIEW -> rows that differ, by plain SQL that shares nothing with pgtv's verification."""
    with scene.connect() as connection:
        contents.same_texts(connection)
        found = {t.table: contents.differing(connection, t) for t in contents.tables(connection)}
    return {table: n for table, n in found.items() if n}


def missing(scene: Scene) -> int:
    """Acknowledged markers that are not in both base tables and both TVIEWs."""
    there = {
        r[0]
        for r in scene.rows(
            "SELECT c.name FROM public.tb_customer c JOIN public.tb_product p USING (name)"
            " JOIN public.tv_customer vc USING (pk_customer)"
            " JOIN public.tv_product vp USING (pk_product) WHERE c.name LIKE 'marker %'"
        )
    }
    return len(set(scene.acknowledged) - there) + scene.lost()
