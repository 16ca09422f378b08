"""The cure of a damaged page in a TVIEW, as DISASTER_RECOVERY.md prints it, on a page that was damaged."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from servers import TEMPLATE, Database, require_real, shop_server

sys.path.insert(0, str(Path(__file__).parent))

from printed import printed, works  # noqa: E402

from pgtv.errors import ClusterError  # noqa: E402

RUN = "elsewhere"  # the blocks of the page that name this file
pytestmark = pytest.mark.real


def test_a_damaged_page_of_a_tview_is_cured_as_printed() -> None:
    whose, cure = printed("DISASTER_RECOVERY.md", __file__)
    with shop_server(require_real(18)) as server:
        shop = Database(server, TEMPLATE)
        file = server.data / shop.sql("SELECT pg_relation_filepath('public.tv_customer')").strip()
        server.stop()
        with file.open("r+b") as raw:
            raw.seek(1000)
            raw.write(b"\xff" * 500)
        server.start()
        message = r'invalid page in block 0 of relation "?base/(\d+)/(\d+)'
        with pytest.raises(ClusterError, match=message) as failed:
            shop.sql("SELECT * FROM public.tv_customer")
        found = re.search(message, str(failed.value))
        assert found
        numbers = {"16385": found[1], "17012": found[2], "-d shop": f"-d {TEMPLATE}"}
        assert works(whose, server, TEMPLATE, server.root, numbers) == f"{TEMPLATE}\ntv_customer\n"
        # neither a comparison nor a merge gets past the page, and both say so
        assert shop.pgtv("verify", "tv_customer").returncode == 3
        assert shop.pgtv("refresh", "tv_customer", "--apply").returncode == 3
        works(cure, server, TEMPLATE, server.root, {})
        assert shop.pgtv("doctor", "--verify", "-q").returncode == 0
