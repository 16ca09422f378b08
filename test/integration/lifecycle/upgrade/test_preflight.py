"""preflight upgrade on the real extension: every point changes its state with what it is about."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import TEMPLATE, Database, require_real, shop_server

from pgtv.cluster import binaries
from pgtv.cluster.server import Server

RENAME = "UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1"
META = "tviews.pg_tview_meta"


def states(shop: Database, *args: str, code: int | None = None) -> dict[str, dict[str, Any]]:
    done = shop.pgtv("preflight", "upgrade", "--format", "json", *args)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["exit"] == done.returncode
    assert code in (None, done.returncode), done.stdout
    return {p["id"]: p for p in told["points"]}


@pytest.fixture(scope="module")
def cluster_18() -> Iterator[Server]:
    """A new cluster as the checklist wants it for servers of the tests: without checksums."""
    with Server(require_real(18), {"shared_preload_libraries": "pg_tviews"}) as new:
        yield new.init("--no-data-checksums")


def of(cluster: Server) -> tuple[str, ...]:
    return (
        "--to", "18", "--new-bindir", str(cluster.binaries / "bin"), "--new-datadir", str(cluster.data),
    )  # fmt: skip


def test_what_is_sound_is_done_and_what_is_not_given_is_unknown(shop: Database) -> None:
    found = states(shop, code=3)
    assert {i for i, p in found.items() if p["state"] == "unknown"} == {
        "new-package",
        "new-cluster",
    }
    assert {i for i, p in found.items() if p["state"] == "to do"} >= {"contents", "detached"}
    for point in (
        "catalog-revision",
        "names",
        "reregister",
        "metadata",
        "prepared",
        "unlogged",
        "room",
    ):
        assert found[point]["state"] == "done", found[point]


BREAKS = [
    ("names", "ALTER TABLE public.tb_customer RENAME TO tb_client", 1),
    ("reregister", f"UPDATE {META} SET needs_reregister = true WHERE entity = 'stock'", 1),
    ("metadata", f"DELETE FROM {META} WHERE entity = 'stock'", 2),
    ("metadata", "CREATE VIEW public.mine AS SELECT * FROM tviews.public__tv_customer", 2),
    ("prepared", f"BEGIN; {RENAME}; PREPARE TRANSACTION 'half done'", 1),
]


@pytest.mark.parametrize(("point", "sql", "code"), BREAKS)
def test_what_is_wrong_is_to_do_with_its_command(
    shop: Database, cluster_18: Server, point: str, sql: str, code: int
) -> None:
    assert states(shop, *of(cluster_18))[point]["state"] == "done"
    shop.sql(sql)
    found = states(shop, *of(cluster_18), code=code)[point]
    assert found["state"] == "to do"
    assert found["objects"]
    assert found["cure"][0].startswith("pgtv ")


def test_the_printed_cure_of_stale_names_makes_the_point_done(shop18: Database) -> None:
    shop18.sql("ALTER TABLE public.tb_customer RENAME TO tb_client")
    (command,) = states(shop18)["names"]["cure"]
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace("pgtv ", "python -m pgtv ", 1)],
        env=shop18.server.env(shop18.name), cwd=shop18.folder, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(shop18)["names"]["state"] == "done"


def pasted(shop: Database, point: dict[str, Any]) -> None:
    """The cure of a point that is statements, as psql runs it."""
    shop.sql("\n".join(point["cure"]))


@pytest.mark.slow
def test_a_library_above_an_older_catalog_is_to_do_and_the_printed_update_does_it() -> None:
    with shop_server(require_real(18, "0.1.0-beta.33")) as server:
        shop = Database(server, TEMPLATE)
        assert states(shop)["catalog-revision"]["state"] == "done"
        server.stop()
        server.binaries = require_real(18)
        server.start()
        point = states(shop, code=2)["catalog-revision"]
        assert (point["state"], point["severity"]) == ("to do", "critical")
        assert point["objects"] == ["(extension pg_tviews)"]
        assert "ALTER EXTENSION pg_tviews UPDATE;" in point["cure"]
        in_order = shop.pgtv("preflight", "upgrade").stdout.partition("In this order:")[2]
        assert in_order.index("ALTER EXTENSION") < in_order.index("upgrade detach")
        pasted(shop, point)
        found = states(shop)["catalog-revision"]
        assert found["state"] == "done" and "revision 10 belong together" in found["text"]


@pytest.mark.slow
def test_unlogged_tviews_that_a_crash_emptied_are_to_do_and_the_printed_cure_fills_them() -> None:
    with shop_server(require_real(18)) as server:
        # the extension's worker would fill them; this database is not among those that it serves
        server.configure({"pg_tviews.auto_rebuild_databases": "postgres"})
        server.restart()
        shop = Database(server, TEMPLATE)
        point = states(shop)["unlogged"]
        assert (point["state"], point["objects"]) == ("done", ["public.tv_search"])
        server.kill()
        server.start()
        point = states(shop, code=2)["unlogged"]
        assert (point["state"], point["severity"]) == ("to do", "critical")
        assert point["objects"] == ["public.tv_search"]
        assert shop.sql("SELECT count(*) FROM public.tv_search") == "0\n"
        pasted(shop, point)
        assert states(shop)["unlogged"]["state"] == "done"
        assert shop.sql("SELECT count(*) FROM public.tv_search") == "100\n"


def test_triggers_disabled_for_a_time_are_to_do(shop18: Database) -> None:
    shop18.pgtv("init", "--apply")
    done = shop18.pgtv(
        "triggers", "disable", "public.tv_stock", "--for", "1h", "--reason", "load", "--apply"
    )
    assert done.returncode == 0, done.stderr
    assert states(shop18)["leases"]["state"] == "to do"


def test_another_database_with_the_extension_has_to_be_detached_as_well(shop18: Database) -> None:
    assert "other_x" not in states(shop18)["other-databases"]["objects"]
    shop18.server.create_database("other_x")
    try:
        shop18.server.psql("CREATE EXTENSION pg_tviews", "other_x")
        found = states(shop18)["other-databases"]
        assert "other_x" in found["objects"]
        assert any("-d other_x" in c for c in found["cure"])
    finally:
        shop18.server.drop_database("other_x")


def test_contents_are_done_once_rows_were_compared(shop18: Database) -> None:
    assert states(shop18)["contents"]["state"] == "to do"
    assert shop18.pgtv("init", "--apply").returncode == 0
    assert shop18.pgtv("verify").returncode == 0
    assert states(shop18)["contents"]["state"] == "done"


def test_detaching_is_the_last_point_and_then_the_snapshot_counts(
    shop: Database, cluster_18: Server, tmp_path: Path
) -> None:
    file = tmp_path / "before.json"
    assert states(shop)["detached"]["state"] == "to do"
    done = shop.pgtv(
        "upgrade", "detach", "--snapshot", str(file), "--apply", "--receipt", f"{file}.r"
    )
    assert done.returncode == 0, done.stderr
    assert states(shop)["snapshot"]["state"] == "unknown"
    found = states(shop, *of(cluster_18), "--before", str(file))
    assert (found["detached"]["state"], found["snapshot"]["state"]) == ("done", "done")
    assert found["metadata"]["state"] == "not applicable"


def test_the_new_server_is_asked(shop18: Database, cluster_18: Server) -> None:
    """Servers of 18 have checksums by default, and this new cluster has none."""
    found = states(shop18, *of(cluster_18))
    assert found["new-package"]["state"] == "done"
    assert found["new-cluster"]["state"] == "to do"
    assert "pg_upgrade refuses" in found["new-cluster"]["text"]
    with Server(require_real(18), {"shared_preload_libraries": "pg_tviews"}) as fits:
        fits.init("--data-checksums")
        assert states(shop18, *of(fits))["new-cluster"]["state"] == "done"
    seventeen = states(shop18, "--to", "18", "--new-bindir", str(require_real(17) / "bin"))
    assert seventeen["new-package"]["severity"] == "critical"


def test_a_new_server_without_the_extension_is_told(shop18: Database) -> None:
    plain = binaries.plain(18)
    assert plain is not None
    with Server(plain) as bare:
        bare.init("--data-checksums")
        found = states(shop18, *of(bare))
    assert found["new-package"]["state"] == "to do"
    assert "not installed" in found["new-package"]["text"]
    assert found["new-cluster"]["state"] == "to do"
    assert "not in shared_preload_libraries" in found["new-cluster"]["text"]


def test_a_snapshot_is_enough_for_what_it_holds(shop18: Database, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    assert shop18.pgtv("snapshot", "save", str(file)).returncode == 0
    done = shop18.pgtv("preflight", "upgrade", "--from", str(file), PGHOST="/nowhere")
    assert done.returncode == 3, done.stderr
    assert "done     names:" in done.stdout
    assert "UNKNOWN  metadata:" in done.stdout


def test_no_way_back_to_an_older_release(shop18: Database) -> None:
    done = shop18.pgtv("preflight", "upgrade", "--to", "17")
    assert done.returncode == 3
    assert "no way back to 17" in done.stderr


def test_screens_fit_80_columns_but_for_commands(shop18: Database) -> None:
    done = shop18.pgtv("preflight", "upgrade", "--mode", "link", COLUMNS="80")
    assert "=' --link" in done.stdout
    text = done.stdout.split("In this order:")[0]
    assert [x for x in text.splitlines() if len(x) > 80 and " $ " not in x] == []
