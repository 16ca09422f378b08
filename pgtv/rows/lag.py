"""How far standbys are behind, in seconds: by the positions in the WAL that they replayed.

The server's own pg_stat_replication.replay_lag is only as new as a standby's last answer, which comes
with new WAL or every ten seconds: one whose replay stands still shows the small lag of before, and one
that has caught up the great one. So positions of the primary are noted with their time at each look, and
a standby lags as long as the oldest of them that it has not replayed is old. The server's figure counts
for what was written before the first look, and for logical subscribers, which skip WAL.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pgtv.errors import NotPossible

if TYPE_CHECKING:
    import psycopg

# who only receives (pg_receivewal, a base backup) replays nothing
_LAG = """
SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0')::int8,
       r.pid, r.application_name, EXTRACT(epoch FROM r.replay_lag)::float8,
       pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')::int8,
       EXISTS (SELECT FROM pg_catalog.pg_replication_slots s
                WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
FROM (VALUES (1)) one (n) LEFT JOIN pg_catalog.pg_stat_replication r ON r.replay_lsn IS NOT NULL
"""


class Lags:
    """The lag of the slowest standby, at each call. say: told of what is not waited for."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._noted: list[
            tuple[float, int]
        ] = []  # when, position; those that somebody has to replay
        self._from = 0  # later positions were noted
        self._there: dict[int, str] | None = None

    def __call__(self, connection: psycopg.Connection[Any]) -> tuple[float, str | None]:
        """Seconds, and whose. Raises psycopg.Error, and NotPossible where they may not be seen."""
        rows = connection.execute(_LAG.encode()).fetchall()
        seen, position = rows[0][:2]
        if not seen:
            raise NotPossible(
                "the lag of standbys is hidden from this role", "GRANT pg_monitor, or no --max-lag"
            )
        now = self._clock()
        self._note(now, position)
        there = [row[2:] for row in rows if row[2] is not None]
        self._tell({pid: name for pid, name, *_ in there})
        lags = [
            (told or 0.0 if logical else self._lag(now, replayed, told or 0.0), name)
            for _, name, told, replayed, logical in there
        ]
        self._forget(min((r[3] for r in there if not r[4]), default=position))
        return max(lags, default=(0.0, None))

    def _note(self, now: float, position: int) -> None:
        if not self._from:
            self._from = position
        if not self._noted or position > self._noted[-1][1]:
            self._noted.append((now, position))

    def _lag(self, now: float, replayed: int, told: float) -> float:
        since = next((at for at, position in self._noted if position > replayed), None)
        if since is None:
            return 0.0
        return now - since if replayed >= self._from else max(now - since, told)

    def _forget(self, replayed: int) -> None:
        """Positions that every standby has replayed."""
        left = [one for one in self._noted if one[1] > replayed]
        if len(left) < len(self._noted):
            self._from = self._noted[-len(left) - 1][1]
            self._noted = left

    def _tell(self, there: dict[int, str]) -> None:
        if self._there is None and not there:
            self._say("no standby is connected: --max-lag holds nothing back")
        for pid, name in (self._there or {}).items():
            if pid not in there:
                self._say(f"the standby {name} is gone: its lag is not known")
        self._there = there
