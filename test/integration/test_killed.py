"""Every command that applies, killed at any statement: the next run ends right. On the real extension.

By turns pgtv itself dies and its backend, and on a server of its own the whole server. With
PGTV_KILLED_RECORD=FILE what was killed, and how it ended, is added to that file: see
test/failure-modes/killed.json.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from contents import differing
from killing import Kill, backend_dies, killed_at, pgtv_dies, server_dies
from servers import ROOT, TEMPLATE, Database, require_real, shop_server, until

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
# rows that no trigger told of
MISSED = """
SET session_replication_role = replica;
UPDATE public.tb_customer SET name = 'missed ' || clock_timestamp() WHERE pk_customer = 1;
UPDATE public.tb_category SET name = 'missed ' || clock_timestamp() WHERE pk_category = 2;
"""
UNREGISTERED = """
DELETE FROM tviews.pg_tview_meta WHERE entity IN ('customer', 'basket');
SET session_replication_role = replica;
UPDATE public.tb_customer SET name = 'missed ' || clock_timestamp() WHERE pk_customer = 1;
"""
LEASE = ("triggers", "disable", "--for", "1h", "--reason", "killed")
RECORD = os.environ.get("PGTV_KILLED_RECORD")
DIES = {pgtv_dies: "pgtv", backend_dies: "backend", server_dies: "server"}


@dataclass(frozen=True)
class Case:
    """A command that is killed: what it finds, and what ends it right.

    begin: plants that, in a database where all is right, with files in the folder. then: the commands of
    which each ends well, with the codes that are good. beside: an application writes meanwhile.
    """

    args: tuple[str, ...]
    begin: Callable[[Database, Path], None]
    then: Callable[[Database, Path, str], None]
    beside: bool = True


def ran(shop: Database, place: str, *args: str, codes: Sequence[int] = (0, 1)) -> str:
    done = shop.pgtv(*args)
    said = done.stdout + done.stderr
    assert done.returncode in codes, f"killed at {place}: {' '.join(args)}: {said}"
    return said


def faults(shop: Database, _: Path) -> None:
    shop.sql(FAULTS)


def nothing(_: Database, __: Path) -> None:
    pass


def leased(shop: Database, _: Path) -> None:
    ran(shop, "the beginning", *LEASE, "--apply")
    shop.sql(MISSED)


def unregistered(shop: Database, folder: Path) -> None:
    ran(shop, "the beginning", "snapshot", "save", str(folder / "good.json"))
    shop.sql(UNREGISTERED)


def missed(shop: Database, folder: Path) -> None:
    shop.sql(MISSED)
    (folder / "wrong.json").write_text(json.dumps(differing(shop)))
    (folder / "receipt.json").unlink(missing_ok=True)


def detached(shop: Database, folder: Path) -> None:
    file = folder / "good.json"
    file.unlink(missing_ok=True)
    ran(shop, "the beginning", "upgrade", "detach", "--snapshot", str(file), "--apply")


def repaired(shop: Database, folder: Path, place: str) -> None:
    ran(shop, place, "repair", "--apply", "--receipt", str(folder / f"{place}.json"))


def disabled(shop: Database, _: Path, place: str) -> None:
    """And enabled: rows that were missed meanwhile come too."""
    ran(shop, place, *LEASE, "--apply", codes=[0])
    shop.sql("UPDATE public.tb_customer SET name = clock_timestamp()::text WHERE pk_customer = 3")
    assert differing(shop), "the triggers are disabled"
    enabled(shop, _, place)


def enabled(shop: Database, _: Path, place: str) -> None:
    ran(shop, place, "triggers", "enable", "--apply", codes=[0])


def registered(shop: Database, folder: Path, place: str) -> None:
    ran(shop, place, "repair", "metadata", "--from", str(folder / "good.json"), "--apply")


def brought(shop: Database, folder: Path, place: str) -> None:
    """What doctor prints brings all that was right before; what was wrong before no catalog tells."""
    before = json.loads((folder / "wrong.json").read_text())
    if '"rows-owed' in shop.pgtv("doctor", "--format", "json").stdout:
        ran(shop, place, "repair", "--apply", codes=[0])
    left = differing(shop)
    assert all(n <= before.get(t, 0) for t, n in left.items()), f"killed at {place}: newly {left}"
    refreshed(shop, folder, place)


def refreshed(shop: Database, folder: Path, place: str) -> None:
    receipt = str(folder / "receipt.json")
    ran(shop, place, "refresh", "--apply", "--resume", "--receipt", receipt, codes=[0])


def attached(shop: Database, folder: Path, place: str) -> None:
    ran(shop, place, "upgrade", "attach", "--from", str(folder / "good.json"), "--apply")


REFRESH = ("refresh", "--receipt", "receipt.json")
CASES = {
    "repair": Case(("repair", "metadata", "triggers", "rows"), faults, repaired),
    "repair metadata --from": Case(
        ("repair", "metadata", "--from", "good.json"), unregistered, registered
    ),
    "triggers disable": Case(LEASE, nothing, disabled),
    "triggers enable": Case(("triggers", "enable"), leased, enabled),
    "refresh, then repair": Case(REFRESH, missed, brought),
    "refresh --resume": Case(REFRESH, missed, refreshed),
    "upgrade attach": Case(("upgrade", "attach", "--from", "good.json"), detached, attached, False),
}


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


def nobody_applies(shop: Database) -> None:
    """The killed run's session may live a moment longer, and nobody applies beside it."""
    left = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{shop.name}' AND application_name = 'pgtv'"
    until(lambda: not shop.server.psql(left))


def all_is_right(shop: Database, place: str) -> None:
    with connect(shop.target()) as connection:
        tviews = collect(connection).tviews
    assert len(tviews) == 9, f"killed at {place}: a registration is lost"
    assert not differing(shop), f"killed at {place}: rows differ"
    looked = shop.pgtv("doctor", "--only", "metadata", "--only", "triggers", "--only", "rows-owed")
    assert looked.returncode == 0, f"killed at {place}: {looked.stdout}"


def dies_at(shop: Database, name: str, number: int, kill: Kill, folder: Path) -> bool:
    """Whether it got as far; then all is right again afterwards."""
    case, place = CASES[name], f"{name} {number}"
    case.begin(shop, folder)
    with writing(shop) if case.beside and kill is pgtv_dies else contextlib.nullcontext():
        reached = killed_at(shop, number, kill, folder, *case.args)
        if reached and kill is server_dies:
            shop.server.kill()  # what is left of it
            shop.server.start()
        if reached:
            nobody_applies(shop)
        case.then(shop, folder, str(number))
    all_is_right(shop, place)
    if reached and RECORD:
        record(Path(RECORD), name, shop, number, DIES[kill])
    return reached


def record(file: Path, name: str, shop: Database, number: int, dies: str) -> None:
    made = json.loads(file.read_text()) if file.exists() else {}
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    made |= {"commit": commit, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    major = str(shop.snapshot().server.version_num // 10000)
    ends = made.setdefault("right afterwards", {}).setdefault(name, {}).setdefault(major, {})
    ends.setdefault(dies, []).append(number)
    file.write_text(json.dumps(made, indent=1) + "\n")


def at_each(shop: Database, name: str, folder: Path, numbers: Iterator[int]) -> int:
    """Killed at one after the other, each time with the faults planted anew; gives the last one."""
    assert shop.pgtv("init", "--apply").returncode == 0
    number = 0
    for number, kill in zip(numbers, itertools.cycle((pgtv_dies, backend_dies)), strict=False):
        if not dies_at(shop, name, number, kill, folder):
            break
    return number


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_next_run_ends_right(shop18: Database, tmp_path: Path, name: str) -> None:
    """At a few statements; with tools/test --all at each."""
    numbers = (1, 2, 3, 4, 21, 38, 55) if name == "repair" else (4, 15)
    at_each(shop18, name, tmp_path, iter(numbers))


@pytest.mark.slow
@pytest.mark.whole
@pytest.mark.both
@pytest.mark.parametrize("name", CASES)
def test_the_next_run_ends_right_wherever_it_was_killed(
    shop: Database, tmp_path: Path, name: str
) -> None:
    assert at_each(shop, name, tmp_path, itertools.count(1)) > 10, "it was not cut off in its midst"


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", [pytest.param(0, id="two"), pytest.param(5, id="each", marks=pytest.mark.whole)]
)
def test_the_next_run_ends_right_after_a_crash_of_the_server(tmp_path: Path, step: int) -> None:
    """On a server of its own: UNLOGGED tables of a template do not outlive it."""
    with shop_server(require_real(18)) as server:
        server.create_database("crashed", TEMPLATE)
        shop = Database(server, "crashed")
        assert shop.pgtv("init", "--apply").returncode == 0
        for name in CASES if step else ("repair", "refresh --resume"):
            numbers = itertools.count(step, step) if step else (24,)
            ends = itertools.takewhile(
                lambda n, name=name: dies_at(shop, name, n, server_dies, tmp_path), numbers
            )
            assert list(ends), f"{name} was not cut off in its midst"
