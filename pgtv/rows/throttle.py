"""Holds a merge back between its batches: rows a second, lag of standbys, who waits for locks.

What it goes by can be changed while it runs, in a small file: `max-rate=500`, `max-lag=10`, `pause`,
one a line; a name with nothing or `off` behind it lifts the limit, and an empty or removed file is
what the command line said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.errors import UsageError
from pgtv.rows.barrier import POLL, going
from pgtv.rows.lag import Lags

if TYPE_CHECKING:
    import psycopg

LOOK = 0.2  # seconds between looks while something is waited for
YIELD = 5.0  # seconds for which a batch stands back when others wait, or waited for the one before

_QUEUED = """
SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l
WHERE l.locktype = 'relation' AND NOT l.granted AND l.relation::int8 = ANY (%s)
  AND l.database = (SELECT oid FROM pg_catalog.pg_database
                     WHERE datname = pg_catalog.current_database())
"""
# whatever they wait for: a row (the transaction that wrote it), a value lock of the extension, a table
_HELD_UP = """
SELECT DISTINCT l.virtualtransaction FROM pg_catalog.pg_locks l
WHERE NOT l.granted AND %s::int4 = ANY (pg_catalog.pg_blocking_pids(l.pid))
"""


def held_up(connection: psycopg.Connection[Any], pid: int) -> tuple[str, ...]:
    """The transactions that wait for the open one of this process. Raises psycopg.Error."""
    return tuple(sorted(v for (v,) in connection.execute(_HELD_UP.encode(), (pid,))))


@dataclass(frozen=True)
class Limits:
    """rate: rows a second; lag: seconds that the slowest standby may lag behind; None for any."""

    rate: float | None = None
    lag: float | None = None
    pause: bool = False


class Throttle:
    """Called before each batch, by any thread, with the rows that the one before wrote, and with
    the transactions that waited for it to end."""

    def __init__(
        self,
        limits: Limits,
        relations: Sequence[int],
        control: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._given = self._limits = limits
        self._relations, self._control, self._say, self._pause = relations, control, say, pause
        self._lags = Lags(say)
        self._read: tuple[int, int] | None = None
        self._next = time.monotonic()
        self._turn = threading.Lock()

    def __call__(
        self, connection: psycopg.Connection[Any], rows: int, behind: Sequence[str] = ()
    ) -> None:
        """Wait as long as the limits say. Raises NotPossible where the lag may not be seen."""
        with self._turn:
            self._reread()
            self._paused()
            self._lag(connection)
            self._yield(connection, behind)
            self._rate(rows)

    def _reread(self) -> None:
        if self._control is None:
            return
        try:
            stat = self._control.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            if version == self._read:
                return
            text = self._control.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            version, text = (0, 0), ""
        if version == self._read:
            return
        self._read = version
        try:
            limits = limits_of(text, self._given)
        except UsageError as e:  # a slip of the pen does not end what runs
            self._say(f"{self._control}: {e.message}; the limits stay as they were")
            return
        if limits != self._limits:
            self._say(f"limits now: {described(limits)}")
        self._limits = limits

    def _paused(self) -> None:
        if self._limits.pause:
            self._say("paused")
        while self._limits.pause:
            self._pause(LOOK)
            self._reread()

    def _lag(self, connection: psycopg.Connection[Any]) -> None:
        told = False
        while self._limits.lag is not None:
            lag, name = self._lags(connection)
            if lag <= self._limits.lag:
                return
            if not told:
                self._say(f"waiting: the standby {name} lags {lag:.1f} s behind")
                told = True
            self._pause(LOOK)
            self._reread()

    def _yield(self, connection: psycopg.Connection[Any], behind: Sequence[str]) -> None:
        """Let those first who queue for the tables: each batch would go behind them anyway. And those
        who waited for the rows of the batch before: the next one could hold up the same ones again."""
        until = time.monotonic() + YIELD
        left = set(behind)
        while time.monotonic() < until:
            left = {v for v, gid in going(connection, left).items() if gid is None}
            queued = connection.execute(_QUEUED.encode(), (list(self._relations),)).fetchone()
            if not left and not (queued and queued[0]):
                return
            self._pause(POLL if left else LOOK)

    def _rate(self, rows: int) -> None:
        if self._limits.rate is None:
            return
        now = time.monotonic()
        self._next = max(self._next, now - 1) + rows / self._limits.rate
        if self._next > now:
            self._pause(self._next - now)


def limits_of(text: str, given: Limits) -> Limits:
    """The limits that a control file sets, over those `given`. Raises UsageError."""
    limits = given
    for line in text.splitlines():
        name, _, value = (part.strip() for part in line.partition("="))
        if not name or name.startswith("#"):
            continue
        off = value in ("", "off")
        if name == "pause":
            limits = replace(limits, pause=value not in ("off", "no", "0"))
        elif name == "max-rate":
            limits = replace(limits, rate=None if off else _number(name, value, least=0.1))
        elif name == "max-lag":
            limits = replace(limits, lag=None if off else _number(name, value, least=0.0))
        else:
            raise UsageError(f"there is no limit {name!r}", "max-rate, max-lag, pause")
    return limits


def _number(name: str, value: str, *, least: float) -> float:
    try:
        number = float(value)
    except ValueError:
        raise UsageError(f"{name}={value} is no number") from None
    if not number >= least or number == float("inf"):
        raise UsageError(f"{name}={value} is less than {least:g} or no finite number")
    return number


def described(limits: Limits) -> str:
    """The limits for people."""
    parts = [
        "paused" if limits.pause else "",
        f"{limits.rate:g} rows a second" if limits.rate is not None else "",
        f"{limits.lag:g} s of lag" if limits.lag is not None else "",
    ]
    return ", ".join(p for p in parts if p) or "none"
