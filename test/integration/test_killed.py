"""A repair that is killed at any statement: the next run ends right. On the real extension."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from contents import differing
from killing import backend_dies, killed_at, pgtv_dies, server_dies
from servers import TEMPLATE, Database, require_real, shop_server, until

from pgtv.catalog.collect import collect
from pgtv.session import connect

# a registration lost, a trigger dropped, triggers disabled, rows missed: every phase of a plan
FAULTS = """
DELETE FROM tviews.pg_tview_meta WHERE entity = 'basket';
DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;
ALTER TABLE public.tb_category DISABLE TRIGGER USER;
UPDATE public.tb_customer SET name = 'missed ' || clock_timestamp() WHERE pk_customer = 1;
UPDATE public.tb_category SET name = 'missed ' || clock_timestamp() WHERE pk_category = 2;
"""
REPAIR = ("repair", "metadata", "triggers", "rows")


@contextlib.contextmanager
def writing(shop: Database) -> Iterator[None]:
    """An application that writes all the time, and goes on where a write is refused."""
    done, stop = 0, threading.Event()

    def write(number: int) -> int:
        with contextlib.suppress(psycopg.Error):
            connection.execute(
                "UPDATE public.tb_customer SET name = %s WHERE pk_customer = %s",
                (f"beside {number}", number % 20 + 1),
            )
            return 1
        return 0

    def work() -> None:
        nonlocal done
        for number in itertools.count():
            if stop.wait(0.01):
                return
            done += write(number)

    with shop.connect() as connection:
        write(0)  # what is loaded and locked on the way must not be so when this process forks
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
    assert done, "every write was refused"


def next_run_ends_right(shop: Database, place: str, receipt: Path) -> None:
    # the killed run's session may live a moment longer, and nobody applies beside it
    left = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{shop.name}' AND application_name = 'pgtv'"
    until(lambda: not shop.server.psql(left))
    done = shop.pgtv("repair", "--apply", "--receipt", str(receipt))
    assert done.returncode in (0, 1), f"killed at {place}: {done.stdout}{done.stderr}"


def all_is_right(shop: Database, place: str) -> None:
    with connect(shop.target()) as connection:
        tviews = collect(connection).tviews
    assert len(tviews) == 9, f"killed at {place}: a registration is lost"
    assert not differing(shop), f"killed at {place}: rows differ"
    looked = shop.pgtv("doctor", "--only", "metadata", "--only", "triggers")
    assert looked.returncode == 0, f"killed at {place}: {looked.stdout}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", [17, pytest.param(1, marks=pytest.mark.whole)], ids=["some", "each"]
)
def test_the_next_run_ends_right(shop18: Database, tmp_path: Path, step: int) -> None:
    """Killed at the first statement, the second …, each time with the faults planted anew.

    By turns its backend dies, and pgtv itself, while an application writes all the time.
    """
    shop, number = shop18, 0
    for kill in itertools.cycle((pgtv_dies, backend_dies)):
        number += 1 if number < 4 else step
        shop.sql(FAULTS)
        with writing(shop) if kill is pgtv_dies else contextlib.nullcontext():
            reached = killed_at(shop, number, kill, tmp_path, *REPAIR)
            if reached:
                next_run_ends_right(shop, str(number), tmp_path / f"{number}.json")
        if not reached:
            break
        all_is_right(shop, str(number))
    assert number > 20, "the run was not cut off in its midst"
    assert list(tmp_path.glob("*.json"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbers", [(6, 18), pytest.param(range(1, 1000), marks=pytest.mark.whole)], ids=["two", "each"]
)
def test_the_next_run_ends_right_after_a_crash_of_the_server(
    tmp_path: Path, numbers: Sequence[int]
) -> None:
    """On a server of its own: UNLOGGED tables of a template do not outlive it."""
    with shop_server(require_real(18)) as server:
        server.create_database("crashed", TEMPLATE)
        shop = Database(server, "crashed")
        for number in numbers:
            shop.sql(FAULTS)
            if not killed_at(shop, number, server_dies, tmp_path, *REPAIR):
                break
            server.kill()  # what is left of it
            server.start()
            next_run_ends_right(shop, str(number), tmp_path / f"{number}.json")
            all_is_right(shop, str(number))
    assert len(list(tmp_path.glob("*.json"))) > 1, "the run was not cut off in its midst"
