"""A standby is behind.

Meaning:
    What this primary committed is not yet visible on a standby that reads TVIEWs; or, asked on a
    standby, what it received or should have received is not yet replayed.

Impact:
    Readers of the standby see old rows, base tables and TVIEWs alike (they are consistent with each
    other). A promotion now would lose the difference where replication is asynchronous.

Diagnosis:
    pg_stat_replication on the primary; receive and replay positions on the standby. The lag in
    seconds on a standby also grows while the primary writes nothing: it counts only when received
    WAL waits to be replayed.

Mitigation:
    Look for a paused replay, a long query on the standby with conflicts, or a slow network. Never
    refresh on the standby; refresh on the primary if contents are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.checks.declare import Check, Context, Provoke, Threshold
from pgtv.checks.resolving import age
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    limit = context.threshold("seconds")
    for replica in snapshot.replicas:
        # the server goes on telling the last delay for seconds after the standby has caught up
        if (replica.replay_lag_seconds or 0.0) >= limit and replica.replay_lag_bytes != 0:
            yield context.finding(
                f"standby {replica.name}",
                f"It replays {age(replica.replay_lag_seconds or 0.0)} behind"
                + (f" ({replica.replay_lag_bytes:,} bytes)." if replica.replay_lag_bytes else "."),
                evidence=[{"state": replica.state, "sync": replica.sync_state}],
                remedy=Remedy(
                    sql=(
                        "SELECT application_name, state, sent_lsn, write_lsn, flush_lsn, replay_lsn,"
                        " replay_lag FROM pg_stat_replication;",
                    ),
                    role="pg_monitor",
                    note="On the standby: SELECT pg_is_wal_replay_paused();",
                ),
            )
    standby = snapshot.standby
    if standby is None:
        return
    if standby.replay_paused:
        yield context.finding(
            "(standby)",
            "Replay is paused: this server stands still at "
            f"{snapshot.server.wal_lsn}, whatever the primary does.",
            key="paused",
            evidence=[{"lag_bytes": standby.replay_lag_bytes}],
            remedy=Remedy(
                sql=("SELECT pg_wal_replay_resume();",),
                role="superuser",
                undo="SELECT pg_wal_replay_pause();",
            ),
        )
    elif (standby.replay_lag_seconds or 0.0) >= limit and standby.replay_lag_bytes:
        yield context.finding(
            "(standby)",
            f"{standby.replay_lag_bytes:,} bytes of WAL received are not replayed, the oldest from "
            f"{age(standby.replay_lag_seconds or 0.0)} ago.",
            key="lag",
            evidence=[{"conflicts": standby.conflicts}],
            remedy=Remedy(
                sql=(
                    "SELECT pid, query_start, query FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' ORDER BY xact_start;",
                ),
                role="pg_monitor",
                note="Long queries hold replay back for max_standby_streaming_delay.",
            ),
        )
    if not standby.receiving:
        yield context.finding(
            "(standby)",
            "No WAL receiver is running: the primary is not reached, or this server restores from "
            "an archive.",
            key="receiver",
            remedy=Remedy(sql=("SELECT * FROM pg_stat_wal_receiver;",), role="pg_monitor"),
        )


CHECK = Check(
    id="replica-lag",
    title="A standby is behind",
    group="activity",
    severity=Severity.WARNING,
    effect=Effect.RISK,
    run=run,
    needs=("replicas", "standby"),
    extension=False,
    thresholds={"seconds": Threshold(10, "s", "what readers of a standby are told to expect")},
    provoke=Provoke(
        elsewhere="test/integration/checks/test_standby.py::test_replay_that_is_paused"
    ),
)
