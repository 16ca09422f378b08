"""What is said before a promotion is what is found after it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from servers import TEMPLATE, Database, require_real, shop_server, until

pytestmark = pytest.mark.real


def judge(database: Database, *options: str) -> tuple[dict[str, Any], int]:
    done = database.pgtv("preflight", "promote", "--format", "json", *options)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


def ids(verdict: dict[str, Any]) -> set[str]:
    return {p["id"] for p in verdict["points"]}


def test_said_before_found_after() -> None:
    with shop_server(require_real(18)) as server:
        primary = Database(server, TEMPLATE)
        primary.sql("SELECT pg_create_logical_replication_slot('subscriber', 'pgoutput')")
        with server.standby() as other:
            other.start()
            standby = Database(other, TEMPLATE)

            def replayed() -> bool:
                """Everything that the primary wrote."""
                with primary.connect() as p, standby.connect() as s:
                    lsn = p.execute("SELECT pg_current_wal_lsn()::text").fetchone()
                    return s.execute(
                        "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
                        " AND EXISTS (SELECT FROM pg_stat_wal_receiver)", lsn,
                    ).fetchone() == (True,)  # fmt: skip

            until(replayed)
            verdict, code = judge(standby)
            assert (code, ids(verdict)) == (3, {"unlogged-tviews", "primary-unseen"})
            assert "about 100 rows" in verdict["points"][0]["text"]
            verdict, code = judge(primary)
            assert code == 1 and ids(verdict) <= {"unlogged-tviews", "slots", "standby-behind"}

            primary.sql("BEGIN; UPDATE tb_product SET name = 'late' WHERE pk_product = 1;"
                        " PREPARE TRANSACTION 'trio'")  # fmt: skip
            primary.sql("BEGIN; UPDATE \"Sales Dept\".tb_order SET status = 'late'"
                        " WHERE pk_order = 1; PREPARE TRANSACTION 'plain'")  # fmt: skip
            until(replayed)
            other.pause_replay()
            primary.sql("UPDATE tb_customer SET name = 'while paused' WHERE pk_customer = 1")

            def received() -> bool:
                with primary.connect() as p, standby.connect() as s:
                    lsn = p.execute("SELECT pg_current_wal_lsn()::text").fetchone()
                    return s.execute(
                        "SELECT pg_last_wal_receive_lsn() >= %s::pg_lsn", lsn
                    ).fetchone() == (True,)

            until(received)
            assert primary.pgtv("snapshot", "save", "primary.json").returncode == 0
            file = str(server.root / "primary.json")
            verdict, code = judge(standby, "--primary", file)
            assert code == 2
            assert ids(verdict) == {
                "replay-paused", "unlogged-tviews", "prepared-unlogged", "prepared", "slots"
            }  # fmt: skip
            by_id = {p["id"]: p for p in verdict["points"]}
            assert by_id["prepared-unlogged"]["objects"] == ["public.tv_search"]
            assert "'trio'" in by_id["prepared-unlogged"]["text"]
            assert "'plain'" in by_id["prepared"]["text"]
            assert by_id["slots"]["objects"] == ["subscriber (logical)"]

            other.stop()
            # what is written while the standby is away does not arrive
            primary.sql("UPDATE tb_customer SET name = 'lost' WHERE pk_customer = 7")
            primary.pgtv("snapshot", "save", "later.json")
            server.stop("immediate")
            other.start()
            verdict, code = judge(standby, "--primary", str(server.root / "later.json"))
            assert code == 2 and "wal-missing" in ids(verdict)

            other.promote()
            found = standby.sql("SELECT string_agg(gid, ' ' ORDER BY gid) FROM pg_prepared_xacts")
            assert found.split() == ["plain", "trio"]
            assert "0" in standby.sql("SELECT count(*) FROM pg_replication_slots").split()
            names = standby.sql(
                "SELECT data->>'name' FROM tv_customer WHERE pk_customer IN (1, 7) ORDER BY pk_customer"
            )
            assert "while paused" in names and "lost" not in names
            until(lambda: "100" in standby.sql("SELECT count(*) FROM tv_search").split())
            standby.sql("COMMIT PREPARED 'trio'")
            standby.sql("ROLLBACK PREPARED 'plain'")
            assert standby.pgtv("verify", "tv_search").returncode == 2
            assert standby.pgtv("refresh", "--apply").returncode == 0
            assert standby.pgtv("verify").returncode == 0
