"""Writers and a reader at a fixed rate, each in a process of its own, and what they waited.

In this process they would wait for its interpreter lock, not only for the server.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from typing import Any

from posts import DATABASE, Posts

WRITE = "UPDATE tb_post SET title = 'Title ' || random() WHERE pk_post = %s"
READ = "SELECT data FROM tv_post WHERE pk_post = %s"
SESSIONS = (WRITE, WRITE, READ)

Sample = tuple[float, float]  # when it was due, and how many seconds later it was done


@dataclass
class Pace:
    """From beginning to end of the context; afterwards `writes` and `reads` hold what was measured.

    Moments are time.perf_counter's, one clock for all processes of a machine. A statement's latency is
    from the moment at which it was due, as pgbench --rate has it, so that a wait is not hidden by
    statements that were never sent.
    """

    posts: Posts
    rate: float  # statements a second, of each session
    writes: list[Sample] = field(default_factory=list)
    reads: list[Sample] = field(default_factory=list)

    def __enter__(self) -> Pace:
        own = multiprocessing.get_context("spawn")
        self._stop = own.Event()
        self._samples: Any = own.Queue()
        conninfo = self.posts.server.conninfo(DATABASE)
        self._processes = [
            own.Process(
                target=_session, daemon=True,
                args=(conninfo, sql, seed, self.posts.rows, self.rate, self._stop, self._samples),
            )
            for seed, sql in enumerate(SESSIONS)
        ]  # fmt: skip
        for process in self._processes:
            process.start()
        for _ in SESSIONS:
            self._samples.get(timeout=60)  # it is connected
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for _ in SESSIONS:
            sql, samples = self._samples.get(timeout=60)
            (self.writes if sql == WRITE else self.reads).extend(samples)
        for process in self._processes:
            process.join()


def _session(
    conninfo: str, sql: str, seed: int, rows: int, rate: float, stop: Event, into: Any
) -> None:
    import psycopg

    dice = random.Random(seed)
    samples: list[Sample] = []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(sql.encode(), (1,))
        into.put("connected")
        due = time.perf_counter() + dice.random() / rate
        while not stop.wait(max(due - time.perf_counter(), 0)):
            connection.execute(sql.encode(), (dice.randint(1, rows),))
            samples.append((due, time.perf_counter() - due))
            due += 1 / rate
    into.put((sql, samples))


def within(samples: list[Sample], spans: list[tuple[float, float]]) -> list[float]:
    """Latencies, sorted, of statements that were due in any of the spans."""
    return sorted(took for due, took in samples if any(b <= due < e for b, e in spans))


def percentile_ms(ordered: list[float], share: float) -> float:
    """Milliseconds; 1 is the longest."""
    if not ordered:
        return 0.0
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 2)
