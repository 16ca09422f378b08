"""Prepared transactions that are old for the server itself: what doctor says, what a cleanup takes."""

from __future__ import annotations

import json

import psycopg
import pytest
from aging import age_prepared
from contents import differing
from servers import TEMPLATE, Database, require_real, shop_server

MINUTE, HOUR = 60.0, 3600.0
AGES = {"old": 3 * HOUR, "just over": 61 * MINUTE, "just under": 55 * MINUTE, "young": 0.0}


def prepare(shop: Database, gid: str, customer: int) -> None:
    with shop.connect(autocommit=False) as connection:
        connection.execute(
            "UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = %s", (customer,)
        )
        connection.execute(psycopg.sql.SQL("PREPARE TRANSACTION {}").format(gid))


def gids(shop: Database) -> set[str]:
    return set(shop.sql("SELECT gid FROM pg_prepared_xacts").splitlines())


@pytest.mark.parametrize("major", [18, 17])
def test_an_hour_is_the_limit(major: int) -> None:
    """With no threshold changed, and none of what was seen made older on the way."""
    with shop_server(require_real(major)) as server:
        shop = Database(server, TEMPLATE)
        assert shop.pgtv("init", "--apply").returncode == 0
        for number, gid in enumerate(AGES, 1):
            prepare(shop, gid, number)
        assert shop.pgtv("doctor", "--only", "prepared-orphan").returncode == 0, "too young"
        age_prepared(server, AGES)
        assert gids(shop) == set(AGES)

        found = shop.pgtv("doctor", "--only", "prepared-orphan", "--format", "json")
        named = {f["object"] for f in json.loads(found.stdout)["findings"]}
        assert found.returncode == 1 and named == {"old", "just over"}, found.stdout
        listed = shop.pgtv("2pc", "list", "--format", "json")
        seen = {t["gid"]: t for t in json.loads(listed.stdout)["transactions"]}
        assert listed.returncode == 1
        assert {g for g, t in seen.items() if t["severity"] == "warning"} == {"old", "just over"}
        for gid, age in AGES.items():
            assert age <= seen[gid]["age_seconds"] < age + 4 * MINUTE

        cleanup = ("2pc", "cleanup", "--rollback")
        shown = shop.pgtv(*cleanup)
        for gid in ("just under", "young"):
            assert f"left alone: {gid} in {shop.name}: younger than the limit" in shown.stdout
        done = shop.pgtv(*cleanup, "--older-than", "2h", "--apply", "--receipt", "two.json")
        assert done.returncode == 0 and gids(shop) == set(AGES) - {"old"}, done.stderr
        done = shop.pgtv(*cleanup, "--apply", "--receipt", "one.json")
        assert done.returncode == 0 and gids(shop) == {"just under", "young"}, done.stderr
        kept = shop.sql("SELECT gid, outcome FROM pgtv.dead_letter ORDER BY id").splitlines()
        assert kept == ["old|rolled back", "just over|rolled back"]
        assert shop.pgtv("doctor", "--only", "prepared-orphan").returncode == 0
        assert differing(shop) == {}
