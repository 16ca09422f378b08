"""The cure of a damaged page in a TVIEW, as DISASTER_RECOVERY.md prints it, on a page that was damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers import TEMPLATE, Database, require_real, shop_server

sys.path.insert(0, str(Path(__file__).parent))

from blocks import blocks  # noqa: E402

from pgtv.errors import ClusterError  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "operations" / "DISASTER_RECOVERY.md"
pytestmark = pytest.mark.real


def test_a_damaged_page_of_a_tview_is_cured_as_printed() -> None:
    (cure,) = (
        b.text
        for b in blocks(PAGE)
        if b.attributes.get("elsewhere", "").endswith(Path(__file__).name)
    )
    with shop_server(require_real(18)) as server:
        shop = Database(server, TEMPLATE)
        file = server.data / shop.sql("SELECT pg_relation_filepath('public.tv_customer')").strip()
        server.stop()
        with file.open("r+b") as raw:
            raw.seek(1000)
            raw.write(b"\xff" * 500)
        server.start()
        with pytest.raises(ClusterError, match="invalid page in block 0 of relation"):
            shop.sql("SELECT * FROM public.tv_customer")
        # neither a comparison nor a merge gets past the page, and both say so
        assert shop.pgtv("verify", "tv_customer").returncode == 3
        assert shop.pgtv("refresh", "tv_customer", "--apply").returncode == 3
        env = server.env(TEMPLATE)
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        done = subprocess.run(
            ["sh", "-ec", cure], env=env, cwd=server.root, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert shop.pgtv("doctor", "--verify", "-q").returncode == 0
