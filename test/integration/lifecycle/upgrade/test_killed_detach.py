"""Detaching that is killed at any statement: wholly done or not at all, and the next run ends right."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contents import differing, write_everywhere
from killing import Kill, backend_dies, killed_at, pgtv_dies, server_dies
from servers import TEMPLATE, Database, require_real, shop_server, until

from pgtv import fence
from pgtv.lifecycle.upgrade.same import compare

RENAME = "UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1"
SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'pgtv'"


def machine_dies(connection: psycopg.Connection[Any], database: Database) -> None:
    """The server with the backend, which would outlive it for a statement."""
    server_dies(connection, database)
    os.kill(connection.info.backend_pid, signal.SIGKILL)


def whole(shop: Database, place: str) -> bool:
    """Whether it is detached; fails where it is half so, or nobody keeps the TVIEWs and all may write."""
    now = shop.snapshot()
    fenced, there = bool(fence.fenced(now)), len(now.tviews)
    assert (now.extension.installed, there, fenced) in ((True, 9, False), (False, 0, True)), place
    if fenced:
        with pytest.raises(Exception, match="are refused while its TVIEWs are detached"):
            shop.sql(RENAME)
    return fenced


def killed_again_and_again(
    shop: Database, folder: Path, places: Iterable[int | str], kills: Iterable[Kill]
) -> list[bool]:
    """For each place, whether it was detached by then; ends with the first that is not reached."""
    seen = []
    before = shop.snapshot()
    for number, (at, kill) in enumerate(zip(places, itertools.cycle(kills), strict=False)):
        place, file = f"{at}, {kill.__name__}", folder / f"{number}.json"
        detach = ("upgrade", "detach", "--snapshot", str(file), "--receipt", f"{file}.r")
        reached = killed_at(shop, at, kill, folder, *detach)
        if kill is machine_dies and reached:
            shop.server.kill()  # what is left of it
            shop.server.start()
        # the killed run's session may live a moment longer
        until(lambda: not shop.server.psql(SESSIONS.format(shop.name)))
        seen.append(whole(shop, place))
        again = (*detach[:-1], f"{file}.again", "--apply")
        done = shop.pgtv(*again)
        assert done.returncode == 0, f"{place}: {done.stdout}{done.stderr}"
        assert whole(shop, place), f"{place}: the next run did not detach"
        assert shop.pgtv(*again).returncode == 0, "once more does nothing"
        done = shop.pgtv(
            "upgrade", "attach", "--from", str(file), "--apply", "--receipt", f"{file}.a"
        )
        assert done.returncode == 0, f"{place}: {done.stdout}{done.stderr}"
        assert compare(before, shop.snapshot()).changes == (), place
        if not reached:
            break
    write_everywhere(shop)
    assert differing(shop) == {}
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("places", "count"),
    [
        # after these words: with the locks, with half a fence, with all but the COMMIT
        (("LOCK TABLE", "CREATE SCHEMA pgtv_fence", "DROP EXTENSION"), 3),
        pytest.param(range(1, 100), 15, marks=pytest.mark.whole),
    ],
    ids=["some", "each"],
)
def test_wherever_it_is_killed_the_next_run_ends_right(
    shop18: Database, tmp_path: Path, places: Iterable[int | str], count: int
) -> None:
    """By turns pgtv itself dies, and its backend."""
    seen = killed_again_and_again(shop18, tmp_path, places, (pgtv_dies, backend_dies))
    assert len(seen) == count and not any(seen[:3]), "it was not cut off before its end"


@pytest.mark.slow
def test_a_server_that_crashes_while_it_detaches(tmp_path: Path) -> None:
    with shop_server(require_real(18)) as server:
        server.create_database("crashed", TEMPLATE)
        shop = Database(server, "crashed")
        assert killed_again_and_again(shop, tmp_path, ("DROP EXTENSION",), (machine_dies,)) == [
            False
        ]
