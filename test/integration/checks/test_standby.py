"""doctor on a standby, with replay paused for real."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from servers import Database, until

from pgtv.checks.examine import State, examine
from pgtv.checks.registry import all_checks, select
from pgtv.cluster.server import Server
from pgtv.finding import Finding, Severity


@pytest.fixture
def standby(real_server_18: Server) -> Iterator[Database]:
    with real_server_18.standby() as server:
        server.start()
        yield Database(server, "shop_template")


def test_replay_that_is_paused(standby: Database, real_server_18: Server) -> None:
    checks = select(only=("replica-lag",))
    with standby.connect() as there:
        until(lambda: there.execute("SELECT status FROM pg_stat_wal_receiver").fetchone())
        until(lambda: not examine(standby.snapshot(), checks).findings)
        there.execute("SELECT pg_wal_replay_pause()")
        until(
            lambda: (
                there.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",)
            )
        )
        (finding,) = examine(standby.snapshot(), checks).findings
        assert finding.id == "replica-lag:(standby):paused"
        # the primary sees it fall behind …
        primary = Database(real_server_18, standby.name)
        primary.sql("CREATE TABLE public.written AS SELECT 1; DROP TABLE public.written")

        def behind(seconds: float = 0.0) -> list[Finding]:
            told = {"replica-lag": {"seconds": seconds}}
            return list(examine(primary.snapshot(), checks, told).findings)

        until(lambda: [f for f in behind() if "standby " in f.object and " bytes)." in f.detail])
        assert not behind(seconds=600.0)
        assert finding.remedy
        standby.sql("\n".join(finding.remedy.sql))
        until(lambda: there.execute("SELECT pg_is_wal_replay_paused()").fetchone() == (False,))
        until(lambda: not examine(standby.snapshot(), checks).findings)
        # … and no more once it has caught up
        until(lambda: not behind())


def test_every_check_runs_or_does_not_apply_on_a_standby(standby: Database) -> None:
    examination = examine(standby.snapshot(), all_checks().values())
    unknown = [o for o in examination.outcomes if o.state is State.UNKNOWN]
    assert not unknown, [(o.check.id, o.reason) for o in unknown]
    loud = [f for f in examination.findings if f.severity is Severity.CRITICAL]
    assert not loud, loud


def test_readers_that_wait_for_the_replay_of_an_open_transaction(
    standby: Database, real_server_18: Server
) -> None:
    """Its locks come with it, and nobody can end it here: the finding sends people to the primary."""
    checks = select(only=("lock-wait",))
    with (
        real_server_18.connect(standby.name, autocommit=False) as primary,
        standby.connect() as reader,
    ):
        primary.execute("LOCK TABLE public.tv_customer IN ACCESS EXCLUSIVE MODE")
        # a lock is written to the log with what the transaction writes next
        primary.execute("SELECT pg_current_xact_id(), pg_log_standby_snapshot()")
        held = (
            "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock'"
            " AND relation = 'public.tv_customer'::regclass)"
        )
        with standby.connect() as there:
            until(lambda: there.execute(held).fetchone() == (True,))
        waiting = threading.Thread(
            target=lambda: reader.execute("SELECT count(*) FROM public.tv_customer")
        )
        waiting.start()
        try:
            until(lambda: examine(standby.snapshot(), checks).findings)
            (finding,) = examine(standby.snapshot(), checks).findings
        finally:
            primary.rollback()
            waiting.join(30)
        assert "of a transaction that is open on the primary" in finding.detail
        assert (
            finding.remedy and not finding.remedy.sql and "primary" in (finding.remedy.note or "")
        )
        assert not examine(standby.snapshot(), checks).findings


def test_an_unlogged_tview_is_not_called_empty(standby: Database) -> None:
    """Whether it has rows cannot be seen here; that it cannot be read is another check's finding."""
    examination = examine(standby.snapshot(), select(only=("tview-empty", "unlogged-standby")))
    assert [f.check for f in examination.findings] == ["unlogged-standby"]
