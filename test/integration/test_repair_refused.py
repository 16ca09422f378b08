"""repair where something is in the way: no room, no connection, a standby, no privilege.

Each time a clear error, nothing lost, and the next run ends right.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Database, until

DROP_ROW = "DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer"
FAULTS = f"""
{DROP_ROW};
ALTER TABLE public.tb_category DISABLE TRIGGER USER;
UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1;
UPDATE public.tb_category SET name = 'missed' WHERE pk_category = 2;
"""


def ends_right(shop: Database, tmp_path: Path) -> None:
    done = shop.pgtv("repair", "--apply", "--receipt", str(tmp_path / "again.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.pgtv("doctor", "--verify", "--only", "triggers").returncode == 0


def refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 3, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "hint:" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_no_room_for_a_receipt_stops_before_any_statement(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(FAULTS)
    done = shop18.pgtv("repair", "--apply", "--receipt", "/dev/full")
    assert done.returncode == 3
    assert "cannot write /dev/full: No space left on device" in done.stderr
    assert "ALTER TABLE" not in done.stdout
    ends_right(shop18, tmp_path)


def test_the_disk_gets_full_after_a_statement(
    shop18: Database, tmp_path: Path, small_disk: Path
) -> None:
    shop18.sql(FAULTS)
    plan = tmp_path / "plan.json"
    assert shop18.pgtv("repair", "-o", str(plan)).returncode == 1
    page = 4096
    # room for the first receipt and not for a second one beside it
    room = (plan.stat().st_size + 1024) // page + 2
    (small_disk / "other files").write_bytes(b"x" * (64 * 1024 - room * page))
    receipt = small_disk / "receipt.json"
    done = shop18.pgtv("repair", "--apply", "--receipt", str(receipt))
    refused(done, f"cannot write {receipt}: No space left on device")
    assert "what was done so far stays done" in done.stderr
    assert json.loads(receipt.read_text())["outcome"] == "running", "the one before is whole"
    assert [p.name for p in small_disk.iterdir() if "partial" in p.name] == []
    ends_right(shop18, tmp_path)


def test_the_connection_is_lost(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(FAULTS)
    receipt = tmp_path / "r.json"
    with shop18.connect(autocommit=False) as holder, shop18.connect() as other:
        holder.execute("LOCK TABLE public.tb_customer IN ROW EXCLUSIVE MODE")
        command = [sys.executable, "-m", "pgtv", "repair", "--apply", "--lock-timeout", "60s"]
        running = subprocess.Popen(
            [*command, "--receipt", str(receipt)], env=shop18.server.env(shop18.name),
            cwd=shop18.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgtv'"
            " AND wait_event_type = 'Lock'"
        )
        until(lambda: other.execute(waiting).fetchone())
        other.execute(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) w".encode())
        out, err = running.communicate(timeout=60)
        holder.rollback()
    refused(subprocess.CompletedProcess(command, running.returncode, out, err), "57P01")
    assert json.loads(receipt.read_text())["outcome"] == "failed"
    ends_right(shop18, tmp_path)


def test_a_standby_is_left_alone(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(DROP_ROW)
    with shop18.server.standby() as server:
        server.start()
        standby = Database(server, shop18.name)
        for command in (("repair",), ("refresh",), ("init",)):
            done = standby.pgtv(*command, "--apply")
            refused(done, "standby")


def test_without_the_privilege_nothing_is_done(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(FAULTS)
    name = f"reader_{shop18.name}"
    shop18.sql(f"CREATE ROLE {name} LOGIN; GRANT pg_read_all_data, pg_monitor TO {name}")
    try:
        receipt = tmp_path / "r.json"
        done = shop18.pgtv("repair", "--apply", "--receipt", str(receipt), user=name)
        refused(done, "42501")
        assert json.loads(receipt.read_text())["outcome"] == "failed"
    finally:
        shop18.sql(f"DROP ROLE {name}")
    ends_right(shop18, tmp_path)


NEXT_REVISION = """CREATE OR REPLACE FUNCTION tviews.pg_tviews_catalog_revision() RETURNS integer
LANGUAGE sql IMMUTABLE AS 'SELECT 99'"""


def test_a_catalog_that_was_not_tested_is_only_printed(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(FAULTS)
    receipt, report = tmp_path / "r.json", tmp_path / "report.json"
    shop18.pgtv("repair", "triggers", "--apply", "--receipt", str(receipt))
    report.write_text(shop18.pgtv("verify", "--format", "json").stdout)
    shop18.sql(f"{FAULTS}; {NEXT_REVISION}")
    for command in (
        ("refresh", "--apply"), ("refresh", "--strategy", "rebuild", "--apply"),
        ("repair", "rows", "--report", str(report), "--apply"),
        ("repair", "--undo", str(receipt), "--apply", "--receipt", str(tmp_path / "undone.json")),
    ):  # fmt: skip
        refused(shop18.pgtv(*command), "the catalog has revision 99")
    states = "SELECT tgrelid, tgname, tgenabled FROM pg_trigger ORDER BY 1, 2"
    before = shop18.sql(states)
    for more in ((), ("--apply",)):
        done = shop18.pgtv("repair", *more)
        refused(done, "the catalog has revision 99")
        assert "ENABLE TRIGGER" in done.stdout
    assert shop18.sql(states) == before
