"""Whether a standby has what its primary committed."""

from __future__ import annotations

from servers import Database


def _has(primary: Database, standby: Database, position: str) -> bool:
    with primary.connect() as p, standby.connect() as s:
        # servers for tests commit asynchronously: what is committed may not be written yet
        lsn = p.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        return s.execute(f"SELECT {position} >= %s::pg_lsn", lsn).fetchone() == (True,)


def replayed(primary: Database, standby: Database) -> bool:
    """It shows everything, and goes on streaming."""
    streaming = "EXISTS (SELECT FROM pg_stat_wal_receiver WHERE received_tli IS NOT NULL)"
    return _has(primary, standby, f"{streaming} AND pg_last_wal_replay_lsn()")


def received(primary: Database, standby: Database) -> bool:
    """It has everything, replayed or not."""
    return _has(primary, standby, "pg_last_wal_receive_lsn()")
