"""doctor on a standby, with replay paused for real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import Database, until

from pgtv.checks.examine import State, examine
from pgtv.checks.registry import all_checks, select
from pgtv.cluster.server import Server
from pgtv.finding import Severity


@pytest.fixture
def standby(real_server_18: Server) -> Iterator[Database]:
    with real_server_18.standby() as server:
        server.start()
        yield Database(server, "shop_template")


def test_replay_that_is_paused(standby: Database, real_server_18: Server) -> None:
    checks = select(only=("replica-lag",))
    with standby.connect() as there:
        until(lambda: there.execute("SELECT status FROM pg_stat_wal_receiver").fetchone())
        assert not examine(standby.snapshot(), checks).findings
        there.execute("SELECT pg_wal_replay_pause()")
        until(
            lambda: (
                there.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",)
            )
        )
        (finding,) = examine(standby.snapshot(), checks).findings
        assert finding.id == "replica-lag:(standby):paused"
        assert finding.remedy
        standby.sql("\n".join(finding.remedy.sql))
        until(lambda: there.execute("SELECT pg_is_wal_replay_paused()").fetchone() == (False,))
        assert not examine(standby.snapshot(), checks).findings


def test_every_check_runs_or_does_not_apply_on_a_standby(standby: Database) -> None:
    examination = examine(standby.snapshot(), all_checks().values())
    unknown = [o for o in examination.outcomes if o.state is State.UNKNOWN]
    assert not unknown, [(o.check.id, o.reason) for o in unknown]
    loud = [f for f in examination.findings if f.severity is Severity.CRITICAL]
    assert not loud, loud
