"""A server lost for good, as DISASTER_RECOVERY.md has it: from a dump to an empty one without roles."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from servers import TEMPLATE, Database, require_real, shop_server

sys.path.insert(0, str(Path(__file__).parent))

from printed import printed, typed, works  # noqa: E402

from pgtv.cluster.server import new_server  # noqa: E402

RUN = "elsewhere"  # the blocks of the page that name this file
pytestmark = pytest.mark.real


def test_a_dump_is_restored_as_printed(tmp_path: Path) -> None:
    binaries = require_real(18)
    roles, judge, restore, verify, rename = printed("DISASTER_RECOVERY.md", __file__)
    backup = tmp_path / "backup"
    backup.mkdir()
    with shop_server(binaries) as lost:
        lost.create_database("shop", TEMPLATE)
        shop = Database(lost, "shop")
        shop.sql("UPDATE public.tb_customer SET name = 'last night' WHERE pk_customer = 7")
        (backup / "globals.sql").write_text(lost.program("pg_dumpall", "--globals-only"))
        as_typed = "pg_dump -Fc -f nightly.dump\npgtv snapshot save --beside nightly.dump"
        works(as_typed, lost, "shop", backup, {})
    names = {"/backup": str(backup)}
    with new_server(binaries, ("pg_tviews",)) as replacement:
        # what the page is for: nothing of the old server is there
        assert typed(restore, replacement, "postgres", tmp_path, names)[-1].returncode
        replacement.drop_database("shop_restored")
        said = works(roles, replacement, "postgres", tmp_path, names)
        assert 'role "postgres" already exists' in said
        judged = works(judge, replacement, "postgres", tmp_path, names)
        # the name of the folder may be long, and the line with it
        assert "restores registered and live" in " ".join(judged.split())
        works(restore, replacement, "postgres", tmp_path, names)
        assert "9 TVIEWs: 9 equal" in works(verify, replacement, "postgres", tmp_path, names)
        works(rename, replacement, "postgres", tmp_path, names)
        restored = Database(replacement, "shop")
        name = "SELECT data->>'name' FROM public.tv_customer WHERE pk_customer = 7"
        assert restored.sql(name) == "last night\n"
        kept = backup / "nightly.dump.snapshot.json"
        same = restored.pgtv("snapshot", "diff", str(kept))
        assert same.returncode == 0, same.stdout
