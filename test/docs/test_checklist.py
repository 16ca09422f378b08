"""The checklist's script ticks what is right, and says what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from servers import Database

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "operations" / "production-checklist.sh"
SQL = SCRIPT.parents[2] / "sql"


def run(shop: Database, folder: Path) -> subprocess.CompletedProcess[str]:
    env = shop.server.env(shop.name)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return subprocess.run(
        ["sh", str(SCRIPT)], env=env, cwd=folder, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


def test_ticks(shop18: Database, tmp_path: Path) -> None:
    # roles belong to the server: another test may have made this one
    shop18.sql("DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgtv_look') THEN"
               " ALTER ROLE pgtv_look NOLOGIN; END IF; END $$")  # fmt: skip
    said = run(shop18, tmp_path)
    assert said.returncode == 1
    assert "[ ] A client that forgets its transaction is ended." in said.stdout
    assert "[ ] The probe's role is no superuser, and sees enough." in said.stdout
    shop18.program("psql", "-Xqf", str(SQL / "roles/looking.sql"), database=shop18.name)
    shop18.sql("ALTER ROLE pgtv_look LOGIN")
    shop18.sql('ALTER DATABASE :"DBNAME" SET idle_in_transaction_session_timeout = 60000')
    said = run(shop18, tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("[x] ") == SCRIPT.read_text().count("\ntick '")
    assert "[ ]" not in said.stdout
    assert (tmp_path / "snapshots").is_dir()
    shop18.sql("DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer")
    said = run(shop18, tmp_path)
    assert said.returncode == 1
    assert "[ ] Every write reaches every TVIEW that reads the table.\nCRITICAL" in said.stdout
