"""How much is proven so far: never more than is."""

from __future__ import annotations

import time

import pytest

from pgtv.rows.proving import Tally
from pgtv.rows.result import Result, State


def tally(total: float | None, *rows: int) -> list[str]:
    said: list[str] = []
    told = Tally(said.append, 3, total, time.monotonic())
    for number, count in enumerate(rows):
        told.add(Result(f"tv_{number}", str(number), State.EQUAL, rows=count), critical=False)
    return [line.partition("rows")[2] for line in said]


def test_an_estimate_that_is_too_low_never_makes_it_all() -> None:
    assert tally(10, 5, 500, 5) == [" (50 %)", " (99 %)", " (100 %)"]
    assert tally(1000, 999, 0, 0) == [" (99 %)", " (99 %)", " (100 %)"]


def test_no_estimate_no_share() -> None:
    assert tally(None, 5) == [""]


@pytest.mark.parametrize("state", [s for s in State if s is not State.EQUAL])
def test_only_what_is_equal_counts(state: State) -> None:
    said: list[str] = []
    told = Tally(said.append, 2, 10, time.monotonic())
    told.add(Result("tv_x", "x", state, rows=10), critical=True)
    told.add(Result("tv_y", "y", State.EQUAL, rows=4), critical=False)
    assert f"{state.upper()}  tv_x (critical): 0 of 2 TVIEWs, 0 rows (0 %)" in said[0]
    assert "proven  tv_y: 1 of 2 TVIEWs, 4 rows (40 %)" in said[1]
