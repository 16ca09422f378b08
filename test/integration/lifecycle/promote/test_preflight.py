"""What is said before a promotion is what is found after it."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from replicas import received, replayed
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

            until(lambda: replayed(primary, standby))
            verdict, code = judge(standby)
            assert (code, ids(verdict)) == (3, {"unlogged-tviews", "primary-unseen"})
            assert "about 100 rows" in verdict["points"][0]["text"]
            verdict, code = judge(primary)
            assert code == 1 and ids(verdict) <= {"unlogged-tviews", "slots", "standby-behind"}

            primary.sql("BEGIN; UPDATE tb_product SET name = 'late' WHERE pk_product = 1;"
                        " PREPARE TRANSACTION 'trio'")  # fmt: skip
            primary.sql("BEGIN; UPDATE \"Sales Dept\".tb_order SET status = 'late'"
                        " WHERE pk_order = 1; PREPARE TRANSACTION 'plain'")  # fmt: skip
            until(lambda: replayed(primary, standby))
            other.pause_replay()
            primary.sql("UPDATE tb_customer SET name = 'while paused' WHERE pk_customer = 1")
            until(lambda: received(primary, standby))
            assert primary.pgtv("snapshot", "save", "primary.json").returncode == 0
            file = str(primary.folder / "primary.json")
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
            verdict, code = judge(standby, "--primary", str(primary.folder / "later.json"))
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


@pytest.mark.parametrize("major", [18, 17])
def test_timelines_and_what_the_standby_itself_is_like(major: int) -> None:
    with shop_server(require_real(major)) as server:
        primary = Database(server, TEMPLATE)
        primary.sql("SELECT tviews.pg_tviews_drop('tv_search')")  # no UNLOGGED one
        with server.standby() as one, server.standby({"shared_preload_libraries": ""}) as two:
            one.start()
            two.start()
            first, second = Database(one, TEMPLATE), Database(two, TEMPLATE)
            primary.sql("UPDATE tb_customer SET name = 'y' WHERE pk_customer = 1")
            until(lambda: replayed(primary, first) and replayed(primary, second))

            # nothing of ours is there: it can be promoted
            verdict, code = judge(first, "--primary", primary.conninfo)
            assert (code, ids(verdict)) == (0, set()), verdict["points"]
            facts = verdict["facts"]
            assert facts["server"] == "standby, streaming, timeline 1"
            assert (facts["not arrived"], facts["not replayed"]) == ("0 bytes", "0 bytes")
            assert facts["can be read"] == "all 8 TVIEWs"
            assert facts["last commit"].endswith(" ago")

            # what counts once it is the primary is its own
            verdict, code = judge(second, "--primary", primary.conninfo)
            assert (code, ids(verdict)) == (2, {"not-preloaded"})
            one.configure({"default_transaction_read_only": "on"})
            one.reload()
            until(lambda: "on" in first.sql("SHOW default_transaction_read_only"))
            verdict, code = judge(first, "--primary", primary.conninfo)
            assert (code, ids(verdict)) == (2, {"read-only-default"})
            one.promote()
            with first.connect() as connection, pytest.raises(psycopg.Error) as refused:
                connection.execute("UPDATE tb_customer SET name = 'x' WHERE pk_customer = 1")
            assert refused.value.sqlstate == "25006"

            # the other goes on following a server that is no longer the primary
            verdict, code = judge(second, "--primary", first.conninfo)
            assert code == 2
            assert ids(verdict) == {"not-preloaded", "timeline-old"}
            point = next(p for p in verdict["points"] if p["id"] == "timeline-old")
            assert "on timeline 1, the primary on 2" in point["text"]
            with one.standby({"default_transaction_read_only": "off"}) as three:
                three.start()
                third = Database(three, TEMPLATE)
                until(lambda: replayed(first, third))
                verdict, code = judge(third, "--primary", first.conninfo)
                assert (code, ids(verdict)) == (0, set()), verdict["points"]
                assert verdict["facts"]["server"] == "standby, streaming, timeline 2"
                verdict, code = judge(third, "--primary", primary.conninfo)
                assert (code, ids(verdict)) == (2, {"timeline-ahead"})


def test_what_makes_no_sense(shop18: Database) -> None:
    for given, said in (
        ("absent.json", "cannot read snapshot"),
        ("host=/nowhere", "cannot connect"),
        (shop18.conninfo, "is a primary itself"),
    ):
        done = shop18.pgtv("preflight", "promote", "--primary", given)
        assert (done.returncode, done.stdout) == (3, "") and said in done.stderr
