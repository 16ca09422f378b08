"""What FAILURE_MODES.md says of standbys where no drill has one."""

from __future__ import annotations

import pytest
from servers import TEMPLATE, Database, require_real, shop_server, until

from pgtv.errors import ClusterError

pytestmark = pytest.mark.real
READ = "SET statement_timeout = '1s'; SELECT count(*) FROM public."


def test_a_transaction_prepared_while_suspended_keeps_readers_of_standbys_waiting() -> None:
    with shop_server(require_real(18)) as server, server.standby() as other:
        other.start()
        primary, standby = Database(server, TEMPLATE), Database(other, TEMPLATE)

        def replayed() -> bool:
            lsn = primary.sql("SELECT pg_current_wal_lsn()").strip()
            return standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'") == "t\n"

        primary.sql(
            "BEGIN; SELECT tviews.pg_tviews_suspend_triggers();"
            " UPDATE public.tb_category SET name = 'x' WHERE pk_category = 1; PREPARE TRANSACTION 'held'"
        )
        until(replayed)
        with pytest.raises(ClusterError, match="statement timeout"):
            standby.sql(READ + "tv_category")
        assert standby.sql(READ + "tv_customer") == "200\n"
        primary.sql("ROLLBACK PREPARED 'held'")
        until(replayed)
        assert standby.sql(READ + "tv_category") == "10\n"
