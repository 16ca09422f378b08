"""The scripts of docs/operations/upgrade on real servers: the whole way, the stops, the way back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from contents import differing, write_everywhere
from servers import SHOP, Database, require_real, shop_server

from pgtv.cluster.server import Server
from pgtv.lifecycle.upgrade.same import compare

ROOT = Path(__file__).resolve().parents[4]
SCRIPTS = ROOT / "docs" / "operations" / "upgrade"
EVERYTHING = (Path(__file__).parent / "everything.sql").read_text(encoding="utf-8")
SECOND = "two words"
pytestmark = [pytest.mark.slow, pytest.mark.real]
# server programs refuse root; the scripts run them as AS says
AS = "setpriv --reuid=nobody --regid=nogroup --clear-groups" if os.geteuid() == 0 else ""


@dataclass
class Way:
    """An old server with two databases of TVIEWs, the place of a new one, and the scripts between."""

    old: Server
    new: Server
    folder: Path

    def run(self, script: str, **env: str) -> subprocess.CompletedProcess[str]:
        """script: its name without .sh, then its arguments."""

        def ctl(server: Server, verb: str) -> str:
            options = f"-k {self.old.root} -c listen_addresses="
            return (
                f'{AS} {server.binaries}/bin/pg_ctl -D {server.data} -o "{options}"'
                f" -l {server.root}/upgrade.log -w {verb}"
            )

        name, *args = script.split()
        paths = {
            "OLD_BIN": self.old.binaries / "bin", "OLD_DATA": self.old.data,
            "NEW_BIN": self.new.binaries / "bin", "NEW_DATA": self.new.data,
            "WORK": self.folder / "work",
        }  # fmt: skip
        home = self.old.env("postgres")
        return subprocess.run(
            ["/bin/sh", str(SCRIPTS / f"{name}.sh"), *args],
            env=home | {k: str(v) for k, v in paths.items()} | {
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{home['PATH']}", "AS": AS,
                "START_OLD": ctl(self.old, "start"), "START_NEW": ctl(self.new, "start"),
            } | env,
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip

    def passes(self, script: str) -> str:
        done = self.run(script)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{script.split()[0]}: done: " in done.stdout
        return done.stdout

    def stops(self, script: str, code: int, why: str, **env: str) -> str:
        done = self.run(script, **env)
        assert done.returncode == code, done.stdout + done.stderr
        (line,) = [x for x in done.stderr.splitlines() if ": STOP: " in x]
        assert why in line
        return done.stdout

    def database(self, name: str = "shop") -> Database:
        """Through the socket that whichever server runs has."""
        return Database(self.old, name)


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    wrapper = tmp_path / "bin" / "pgtv"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m pgtv "$@"\n')
    wrapper.chmod(0o755)
    with shop_server(require_real(17)) as old, Server(require_real(18), {}) as new:
        old.create_database("shop", "shop_template")
        old.create_database(SECOND, "shop_template")
        old.drop_database("shop_template")
        Database(old, "shop").sql(EVERYTHING)
        made = Way(old, new, tmp_path)
        try:
            yield made
        finally:
            for server in (old, new):
                if (server.data / "postmaster.pid").exists():
                    server.program(
                        "pg_ctl", "-D", str(server.data), "-m", "immediate", "-w", "stop"
                    )


def test_the_whole_way_from_17_to_18(way: Way) -> None:
    before = {name: way.database(name).snapshot() for name in ("shop", SECOND)}
    said = way.passes("01-before")
    assert "2 database(s) are ready" in said
    way.passes("02-detach")
    with pytest.raises(Exception, match="are refused while its TVIEWs are detached"):
        way.database().sql("DELETE FROM public.tb_stock_move")
    way.passes("02-detach")  # again: it says where it is
    way.stops("01-before", 1, "shop is detached: go on with 02-detach.sh, or back.sh")
    way.passes("03-pg-upgrade")
    way.passes("03-pg-upgrade")
    way.passes("04-attach")
    way.passes("05-after")
    for name, was in before.items():
        database = way.database(name)
        now = database.snapshot()
        assert (now.server.version_num // 10000, len(now.tviews)) == (18, len(was.tviews))
        assert compare(was, now).changes == ()
        write_everywhere(database)
        assert differing(database) == {}
    way.stops("back", 1, f"(databases: shop,{SECOND}), which the old server does not have")


@pytest.mark.whole
def test_every_step_stops_where_it_has_to_and_back_is_a_way_out(way: Way) -> None:
    way.stops("01-before", 3, "WORK is not set", WORK="")
    way.stops("01-before", 3, "WORK lies in a data directory", WORK=str(way.old.data / "x"))
    way.stops("02-detach", 1, "run 01-before.sh first")
    shop = way.database()
    before = shop.snapshot()
    rename = "UPDATE public.tb_customer SET name = 'meanwhile' WHERE pk_customer = 1"
    shop.sql("SELECT tviews.pg_tviews_create('public.tv_once', $$SELECT c.pk_customer AS pk_once, c.id,"
             " jsonb_build_object('name', c.name) AS data FROM public.tb_customer c$$)")  # fmt: skip
    shop.sql(f"BEGIN; {rename}; PREPARE TRANSACTION 'half'")
    way.stops("01-before", 1, "shop is not ready: prepared: ")
    shop.sql("ROLLBACK PREPARED 'half'; SELECT tviews.pg_tviews_drop('public.tv_once')")
    shop.sql(f"ALTER TABLE public.tb_customer DISABLE TRIGGER ALL; {rename};"
             "ALTER TABLE public.tb_customer ENABLE TRIGGER ALL")  # fmt: skip
    way.stops("01-before", 1, "rows of shop are not right")
    assert shop.pgtv("refresh", "--apply").returncode == 0
    way.passes("01-before")
    way.passes("02-detach")
    # somebody makes a database with the extension meanwhile: pg_upgrade dies on it
    way.old.create_database("late")
    Database(way.old, "late").sql(
        f"CREATE EXTENSION pg_tviews;\n{SHOP.read_text(encoding='utf-8')}"
    )
    said = way.stops("03-pg-upgrade", 2, "pg_upgrade died; what to do now is above")
    assert "extension-in-the-way" in said
    assert "start now    the old server" in said
    way.stops("04-attach", 1, "run 03-pg-upgrade.sh first")
    way.passes("back")
    now = shop.snapshot()
    assert now.server.version_num // 10000 == 17
    assert compare(before, now).changes == ()
    assert differing(shop) == {}
    shop.sql(rename)


@pytest.mark.whole
def test_no_way_back_from_writes_to_the_new_server_unless_they_are_given_up(way: Way) -> None:
    """Attaching ends before its second database: the first takes writes by then."""
    shop = way.database()
    before = shop.snapshot()
    for script in ("01-before", "02-detach", "03-pg-upgrade"):
        way.passes(script)
    saved = way.folder / "work" / "2.json"
    whole = saved.read_text(encoding="utf-8")
    saved.write_text(whole[: len(whole) // 2], encoding="utf-8")
    way.stops("04-attach", 2, f"{SECOND} is not attached")
    name = "UPDATE public.tb_customer SET name = 'written to 18' WHERE pk_customer = 1"
    shop.sql(name)
    refused = f"(databases: shop,{SECOND}), which the old server does not have"
    way.stops("back", 1, refused)
    # what --link leaves: there nothing gives the old server back, whether the new one runs or not
    linked = way.old.data / "global" / "pg_control.old"
    linked.touch()
    way.stops("back --lose-writes", 1, "there is no way back")
    way.new.program("pg_ctl", "-D", str(way.new.data), "-m", "fast", "-w", "stop")
    way.stops("back --lose-writes", 1, "--link or --swap had begun")
    linked.unlink()
    way.stops("back", 1, refused)
    way.stops("01-before", 3, "no server of PostgreSQL 17 answers")
    way.stops("back", 1, refused)
    way.stops("back --lose", 3, "back.sh takes --lose-writes or nothing")
    saved.write_text(whole, encoding="utf-8")
    way.passes("back --lose-writes")
    now = shop.snapshot()
    assert now.server.version_num // 10000 == 17
    assert compare(before, now).changes == ()
    assert "written to 18" not in shop.sql("SELECT name FROM public.tb_customer")
    assert differing(shop) == {}
    shop.sql(name)
    way.stops("02-detach", 1, "run 01-before.sh first")
    assert list((way.folder / "work").glob("*.begun")) == []
