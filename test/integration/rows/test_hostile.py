"""A merge beside hostile writers, and the same writers without it: benchmarks/hostile.py in small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile import SETUP, Round, one_round, settings

from pgtv.cluster import binaries
from pgtv.cluster.server import Server, new_server

ROWS = 20_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    folder = binaries.real(18)
    if folder is None:
        pytest.skip("the extension is not installed: tools/install-extension")
    with new_server(folder, ("pg_tviews",), settings()) as made:
        made.create_database("hostile")
        made.psql(
            f"SET client_min_messages = error; {SETUP.format(rows=ROWS, users=ROWS // 100)}",
            "hostile",
        )
        yield made


@pytest.mark.real
def test_rows_are_right_nobody_waits_and_no_error_is_ours(server: Server) -> None:
    control = one_round(server, "hostile", ROWS, 1, pgtv=False)
    assert control.left == 0, "the extension alone leaves drift: this proves nothing then"
    assert control.transactions > 50
    for seed, arguments in ((2, ()), (3, ("--jobs", "2")), (4, ("--batch", "40"))):
        shown = one_round(server, "hostile", ROWS, seed, pgtv=True, arguments=arguments)
        _right(shown)


@pytest.mark.real
def test_without_its_barrier_the_same_merge_leaves_rows_wrong(server: Server) -> None:
    """A seed may go well by chance; twenty do not."""
    for seed in range(5, 25):
        if one_round(server, "hostile", ROWS, seed, pgtv=True, barrier=False).left:
            return
    pytest.fail("no row was left wrong: the writers prove nothing")


def _right(shown: Round) -> None:
    assert shown.left == 0, f"seed {shown.seed}: {shown.left} rows differ\n{shown.said}"
    assert not shown.waits, "a reader waited for a lock"
    assert not shown.asked, "pgtv asked for an exclusive lock"
    assert "differed" in shown.said, "nothing was repaired: this proves nothing"
    assert shown.reads
    assert not shown.deadlocks, "a writer had to give way to pgtv"
    # what the extension itself throws under such writers: retries, and two of its own
    assert set(shown.states) <= {"40001", "40P01", "21000", "23505", "55P03"}
