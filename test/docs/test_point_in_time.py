"""A base backup is restored to the moment before a mistake, as BACKUP_AND_RESTORE.md prints it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import TEMPLATE, Database, require_real, shop_server, until

sys.path.insert(0, str(Path(__file__).parent))

from printed import printed, works  # noqa: E402

from pgtv.cluster.place import place  # noqa: E402
from pgtv.cluster.server import Server, run_as  # noqa: E402
from pgtv.errors import ClusterError  # noqa: E402

RUN = "elsewhere"  # the blocks of the page that name this file
pytestmark = pytest.mark.real


@contextlib.contextmanager
def folders(server: Server) -> Iterator[Path]:
    """Where the server's user may write: backup, archive and restore."""
    root = Path(tempfile.mkdtemp(prefix="pgtv-restore-", dir=place()))
    try:
        for folder in (root, *(root / n for n in ("backup", "archive", "restore"))):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
            if os.geteuid() == 0:
                os.chown(folder, run_as()["user"], run_as()["group"])
        yield root
    finally:
        with contextlib.suppress(ClusterError):
            server.program("pg_ctl", "-D", str(root / "restore/data"), "-m", "immediate", "stop")
        shutil.rmtree(root, ignore_errors=True)


def test_a_base_backup_is_restored_to_the_moment_before_as_printed(tmp_path: Path) -> None:
    copy, settings, start, prove, bring = printed("BACKUP_AND_RESTORE.md", __file__)
    with shop_server(require_real(18)) as server, folders(server) as root:
        archive = root / "archive"
        server.configure({"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"})
        server.stop()
        server.start()
        shop = Database(server, TEMPLATE)
        server.program(
            "pg_basebackup", "-D", str(root / "backup/monday"), "-c", "fast", "--no-sync"
        )
        shop.sql("UPDATE public.tb_customer SET name = 'right' WHERE pk_customer = 7")
        shop.sql("BEGIN; UPDATE public.tb_customer SET name = 'prepared' WHERE pk_customer = 8;"
                 " PREPARE TRANSACTION 'open'")  # fmt: skip
        before = shop.sql("SELECT clock_timestamp()").strip()
        shop.sql("ROLLBACK PREPARED 'open'")
        shop.sql("UPDATE public.tb_customer SET name = 'by mistake'")
        wal = shop.sql("SELECT pg_walfile_name(pg_switch_wal())").strip()
        until(lambda: (archive / wal).exists())
        names = {"/backup": str(root / "backup"), "/archive": str(archive),
                 "/restore": str(root / "restore"), "2026-03-02 09:14:00+00": before,
                 "-d shop": f"-d {TEMPLATE}", "=shop": f"={TEMPLATE}"}  # fmt: skip
        for block in (copy, settings, start):
            works(block, server, TEMPLATE, root, names, **run_as())
        reached = {**server.env(TEMPLATE), "PGHOST": str(root / "restore"), "PGPORT": "5433"}

        def asked(query: str) -> str:
            return server.program("psql", "-AtXqc", query, env=reached)

        until(lambda: asked("SELECT pg_get_wal_replay_pause_state()") == "paused\n")
        assert asked("SELECT name FROM tb_customer WHERE pk_customer IN (7, 8) ORDER BY 1") == (
            "Customer 8\nright\n"
        )
        assert asked("SHOW archive_mode") == "off\n"
        export, *commands = prove.splitlines()
        said = works(f"{export} && {' && '.join(commands)}", server, TEMPLATE, tmp_path, names)
        assert said.startswith("t\n") and "open" in said
        asked("COMMIT PREPARED 'open'")
        said = works(" && ".join((export, *bring.splitlines())), server, TEMPLATE, tmp_path, names)
        assert "9 TVIEWs: 9 equal" in said
        assert asked("SELECT data->>'name' FROM tv_customer WHERE pk_customer = 8") == "prepared\n"
        assert shop.sql("SELECT name FROM tb_customer WHERE pk_customer = 7") == "by mistake\n"
