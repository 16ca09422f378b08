"""A repair that is killed at any statement: the next run ends right. On the real extension."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contents import differing
from servers import Database

from pgtv.catalog.collect import collect
from pgtv.cli import main as command_line
from pgtv.session import connect

# a registration lost, a trigger dropped, triggers disabled, rows missed: every phase of a plan
FAULTS = """
DELETE FROM tviews.pg_tview_meta WHERE entity = 'basket';
DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;
ALTER TABLE public.tb_category DISABLE TRIGGER USER;
UPDATE public.tb_customer SET name = 'missed ' || clock_timestamp() WHERE pk_customer = 1;
UPDATE public.tb_category SET name = 'missed ' || clock_timestamp() WHERE pk_category = 2;
"""
REPAIRED = ("metadata", "triggers", "contents")


def pgtv_dies(_: psycopg.Connection[Any], __: Database) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def backend_dies(connection: psycopg.Connection[Any], database: Database) -> None:
    with database.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))


def killed_at(
    database: Database, number: int, kill: Callable[[psycopg.Connection[Any], Database], None],
    folder: Path,
) -> bool:  # fmt: skip
    """Whether a run got as far as its `number`th statement of a session that may write."""
    child = os.fork()
    if child == 0:
        os._exit(_run(database, number, kill, folder))
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 77


def _run(
    database: Database, number: int, kill: Callable[[psycopg.Connection[Any], Database], None],
    folder: Path,
) -> int:  # fmt: skip
    """In a process of its own: repair, and kill before the statement with this number."""
    plain = psycopg.Connection.execute
    seen, reached = 0, False

    def counted(self: psycopg.Connection[Any], *args: Any, **kw: Any) -> Any:
        nonlocal seen, reached
        if self.info.dbname == database.name and _writes(self):
            seen += 1
            if seen == number:
                reached = True
                kill(self, database)
        return plain(self, *args, **kw)

    psycopg.Connection.execute = counted  # type: ignore[method-assign]
    os.chdir(folder)
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        command_line.run(["repair", *REPAIRED[:2], "rows", "--apply", "-d", database.conninfo])
    return 77 if reached else 0


def _writes(connection: psycopg.Connection[Any]) -> bool:
    from pgtv import session

    opened = session._TARGETS.get(connection)
    return opened is not None and not opened[1]


@pytest.mark.slow
@pytest.mark.parametrize("kill", [pgtv_dies, backend_dies])
def test_the_next_run_ends_right(
    shop18: Database, tmp_path: Path, kill: Callable[[psycopg.Connection[Any], Database], None]
) -> None:
    """Killed at the first statement, the second …, each time with the faults planted anew."""
    shop, number, step = shop18, 0, 1
    while True:
        number += step
        shop.sql(FAULTS)
        reached = killed_at(shop, number, kill, tmp_path)
        if not reached:
            break
        done = shop.pgtv("repair", "--apply", "--receipt", str(tmp_path / f"{number}.json"))
        assert done.returncode in (0, 1), f"killed at {number}: {done.stdout}{done.stderr}"
        with connect(shop.target()) as connection:
            tviews = collect(connection).tviews
        assert len(tviews) == 9, f"killed at {number}: a registration is lost"
        assert not differing(shop), f"killed at {number}: rows differ"
        looked = shop.pgtv("doctor", "--only", "metadata", "--only", "triggers")
        assert looked.returncode == 0, f"killed at {number}: {looked.stdout}"
        # every statement at first, then every seventh
        step = 1 if number < 4 else 7
    assert number > 20, "the run was not cut off in its midst"
    with contextlib.suppress(FileNotFoundError):
        assert list(tmp_path.glob("*.json"))
