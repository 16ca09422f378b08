"""A load to crash under: a few sessions that write all day, and know what was acknowledged."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgtv.drills.scene import Scene, insert_marker

if TYPE_CHECKING:
    import psycopg

_UPDATES = (
    "UPDATE public.tb_customer SET name = name || '.' WHERE pk_customer = {}",
    "UPDATE public.tb_product SET price = price + 1 WHERE pk_product = {}",
    "UPDATE public.tb_category SET name = left(name, 40) || '.' WHERE pk_category = 1 + {} % 10",
    "UPDATE \"Sales Dept\".tb_order SET status = 'paid' WHERE pk_order = {}",
    'UPDATE "Sales Dept".tb_order_line SET quantity = 1 + quantity % 9 WHERE fk_order = {}',
    "UPDATE public.tb_stock_move SET amount = amount + 1 WHERE fk_product = {}",
    "INSERT INTO public.tb_stock_move (fk_product, moved_on, amount) VALUES ({}, '2026-09-09', 1)",
)


@dataclass
class Worker:
    """One session. statement: the one that it ran last; pid: its backend."""

    connection: psycopg.Connection[Any]
    seed: int
    statement: str = ""
    pid: int = 0
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0

    def run(self, stop: threading.Event) -> None:
        """Write until told to stop, or until the server is gone."""
        import psycopg

        dice, turn = random.Random(self.seed), 0  # noqa: S311
        while not stop.is_set() and not self.connection.closed:
            turn += 1
            try:
                self._write(dice, turn)
            except psycopg.Error:  # a deadlock, or the end
                self.refused += 1
                if self.connection.broken:
                    return

    def _write(self, dice: random.Random, turn: int) -> None:
        kind = dice.random()
        marker = f"marker {self.seed} {turn}"
        if kind < 0.35:
            self._execute(f"BEGIN; {insert_marker(marker)}; COMMIT")
            self.acknowledged.append(marker)
        elif (
            kind < 0.45
        ):  # of logged TVIEWs only: what a crash does to others has a point of its own
            gid = f"load {self.seed} {turn}"
            update = _UPDATES[0].format(dice.randint(1, 100))
            self._execute(f"BEGIN; {update}; PREPARE TRANSACTION '{gid}'")
            self._execute(f"COMMIT PREPARED '{gid}'")
        else:
            updates = dice.sample(_UPDATES, dice.randint(1, 3))
            body = "; ".join(u.format(dice.randint(1, 100)) for u in updates)
            self._execute(f"BEGIN; {body}; {'COMMIT' if kind < 0.95 else 'ROLLBACK'}")

    def _execute(self, statement: str) -> None:
        import psycopg

        self.statement = statement
        try:
            self.connection.execute(statement.encode())
        except psycopg.Error:
            if not self.connection.broken:
                self.connection.execute("ROLLBACK")
            raise


class Load:
    """Workers in threads. Leaving it waits for them and notes what they were told is committed."""

    def __init__(self, scene: Scene, dice: random.Random, workers: int = 3) -> None:
        self.scene, self.stop = scene, threading.Event()
        self.workers = [Worker(scene.open(), dice.randrange(2**31)) for _ in range(workers)]
        for worker in self.workers:
            worker.pid = worker.connection.info.backend_pid
        self.threads = [
            threading.Thread(target=w.run, args=(self.stop,), daemon=True) for w in self.workers
        ]

    def acknowledged(self) -> list[str]:
        """Markers that some session was told are committed, up to now."""
        return [m for w in self.workers for m in w.acknowledged]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        self.scene.acknowledged += self.acknowledged()
