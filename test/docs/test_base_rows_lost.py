"""Base rows are deleted, and a standby still has them: the evidence, the pause, the rows copied over."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from servers import TEMPLATE, Database, require_real, shop_server, until

sys.path.insert(0, str(Path(__file__).parent))

from printed import printed, works  # noqa: E402

from pgtv.errors import ClusterError  # noqa: E402

RUN = "elsewhere"  # the blocks of the page that name this file
pytestmark = pytest.mark.real
COUNT = "SELECT count(*) FROM public.tb_customer"


def test_rows_come_back_from_a_paused_standby_as_printed(tmp_path: Path) -> None:
    log, pause, resume = printed("DISASTER_RECOVERY.md", __file__)
    (copy,) = printed("BACKUP_AND_RESTORE.md", __file__)
    with shop_server(require_real(18)) as primary, primary.standby() as standby:
        primary.configure({"logging_collector": "on"})
        primary.stop()
        primary.start()
        shop, late = Database(primary, TEMPLATE), Database(standby, TEMPLATE)
        shop.sql("SET synchronous_commit = on; INSERT INTO public.tb_customer (name, email)"
                 " SELECT 'New ' || g, 'new@example.com' FROM generate_series(1, 10) g")  # fmt: skip
        lsn = shop.sql("SELECT pg_current_wal_lsn()").strip()
        standby.start()
        until(lambda: late.sql(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'") == "t\n")
        names = {"-h standby": f"-h {standby.root}", "-h /restore -p 5433": f"-h {standby.root}",
                 "-d shop": f"-d {TEMPLATE}"}  # fmt: skip

        def said(block: str) -> str:
            return works(block, primary, TEMPLATE, tmp_path, names)

        said(pause)
        shop.sql("DELETE FROM public.tb_customer WHERE pk_customer > 200;"
                 "UPDATE public.tb_customer SET name = 'overwritten' WHERE pk_customer = 200")  # fmt: skip
        shop.sql("UPDATE public.tb_customer SET name = 'meanwhile' WHERE pk_customer = 150")
        with pytest.raises(ClusterError):
            shop.sql("SELECT 'what the log is kept for'::int")
        (tmp_path / "evidence").mkdir()
        said(log)
        assert "what the log is kept for" in (tmp_path / "evidence" / "server.log").read_text()
        assert (shop.sql(COUNT), late.sql(COUNT)) == ("200\n", "210\n")
        tried = said(copy)
        assert "INSERT 0 10" in tried and "UPDATE 1" in tried
        assert shop.sql(COUNT) == "200\n", "nothing stays of the first try"
        said(copy.replace("ROLLBACK;", "COMMIT;"))
        assert shop.sql(COUNT) == "210\n"
        names_now = "SELECT name FROM tb_customer WHERE pk_customer IN (150, 200) ORDER BY 1"
        assert shop.sql(names_now) == "Customer 200\nmeanwhile\n"
        assert shop.pgtv("verify").returncode == 0
        said(resume)
        until(lambda: late.sql(names_now) == "Customer 200\nmeanwhile\n")
