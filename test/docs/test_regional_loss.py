"""The site of the primary is gone, as DISASTER_RECOVERY.md has it: judge, decide, promote, prove."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from servers import TEMPLATE, Database, require_real, shop_server, until

sys.path.insert(0, str(Path(__file__).parent))

from printed import printed, typed, works  # noqa: E402

RUN = "elsewhere"  # the blocks of the page that name this file
pytestmark = pytest.mark.real


@pytest.mark.parametrize("page", ["DISASTER_RECOVERY.md", "REPLICATION.md"])
def test_a_standby_takes_over_as_printed(page: str, tmp_path: Path) -> None:
    *judging, promote, turn = printed(page, __file__)
    with shop_server(require_real(18)) as primary, primary.standby() as standby:
        standby.start()
        shop = Database(primary, TEMPLATE)
        shop.sql("BEGIN; INSERT INTO public.tb_product (fk_category, name, price)"
                 " VALUES (1, 'trio', 1); PREPARE TRANSACTION 'trio'")  # fmt: skip
        shop.sql("SET synchronous_commit = on;"
                 " UPDATE public.tb_customer SET name = 'arrived' WHERE pk_customer = 7")  # fmt: skip
        lsn = shop.sql("SELECT pg_current_wal_lsn()").strip()
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"
        until(lambda: standby.psql(replayed, TEMPLATE) == "t\n")
        primary.kill()
        names = {"-h standby": f"-h {standby.root}", "=standby": f"={standby.root}",
                 "-d shop": f"-d {TEMPLATE}", "=shop": f"={TEMPLATE}"}  # fmt: skip

        def said(block: str) -> str:
            # of the lost primary, as in the shell of whoever worked on it until now
            return works(block, primary, TEMPLATE, tmp_path, names)

        for judge in judging:
            (verdict,) = typed(judge, primary, TEMPLATE, tmp_path, names)
            assert verdict.returncode == 3, verdict.stdout
            assert "not-streaming" in verdict.stdout and "primary-unseen" in verdict.stdout
        assert said(promote) == "t\n"
        assert said(turn.replace("\npsql", " && psql")).startswith("f\n")
        taken = Database(standby, TEMPLATE)
        assert taken.sql("SELECT name FROM tb_customer WHERE pk_customer = 7") == "arrived\n"
        # the first ticks of phase 4, in their order: first what is prepared
        assert taken.pgtv("2pc", "commit", "trio", "--apply").returncode == 0
        taken.sql("SELECT * FROM tviews.pg_tviews_rebuild_all()")
        assert taken.pgtv("refresh", "--apply").returncode == 0
        assert taken.pgtv("verify").returncode == 0
        assert "trio" in taken.sql("SELECT data::text FROM public.tv_search")
