"""How a merge is cut into transactions."""

from __future__ import annotations

import itertools
import threading

from hypothesis import given
from hypothesis import strategies as st

from pgtv.catalog.model import Tview
from pgtv.rows.batches import LEAST, MOST, Batch, Keyed, Mark, Paged, Ranged, Size, together
from pgtv.rows.statements import CHANGED, MISSING, Part
from pgtv.rows.subject import Column, Subject

KEY = Column("pk_x", "bigint", 20, plain=True, json=False)
SUBJECT = Subject(
    Tview("x", "public", "tv_x", 1, 2, ""), "public.tv_x", "tviews.v", (KEY,), (KEY,), unique=True
)


# Keys as they really lie: runs of neighbours, with holes of any width between them.
RUNS = st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(1, 60)), max_size=4)


def _keys(runs: list[tuple[int, int]]) -> list[int]:
    return sorted({start + n for start, length in runs for n in range(length)})


def _marks(table: list[int], view: list[int], step: int) -> list[Mark]:
    """As statements.marks gives them."""
    found = []
    for side, keys in (("t", table), ("v", view)):
        n = range(1, len(keys) + 1)
        found += [Mark(side, keys[i - 1], step) for i in n if i in (1, len(keys)) or i % step == 0]
    return sorted(found, key=lambda m: m.key)


def _holds(batch: Batch, key: int) -> bool:
    low, high, upto = batch.part.low, batch.part.high, batch.part.upto
    assert isinstance(low, int) and (high is None) is isinstance(upto, int)
    return low <= key and (key < high if isinstance(high, int) else key <= int(upto or 0))


@given(RUNS, RUNS, st.booleans(), st.integers(1, 20), st.integers(1, 100))
def test_ranges_hold_every_row_once_and_no_more_than_they_may(
    table: list[tuple[int, int]], view: list[tuple[int, int]], both: bool, step: int, rows: int
) -> None:
    """Of each side, wherever its keys lie; a step is what no cut goes below."""
    sides = [_keys(table), _keys(view + (table if both else []))]
    *ranges, nulls = iter(Ranged(_marks(*sides, step), Size(0.25, rows)).take, None)
    assert nulls.part == Part(nulls=True)
    for keys in sides:
        held = [[k for k in keys if _holds(batch, k)] for batch in ranges]
        assert [k for some in held for k in some] == keys
        for some, batch in zip(held, ranges, strict=True):
            assert len(some) <= batch.asked <= max(rows, step)
    for before, after in itertools.pairwise(ranges):
        assert before.part.high == after.part.low


@given(st.lists(st.integers(0, 10**9), unique=True, max_size=500), st.integers(1, 97))
def test_keys_are_given_out_once_by_any_number_of_takers(keys: list[int], rows: int) -> None:
    wrong = [(MISSING if k % 2 else CHANGED, (str(k),)) for k in keys]
    work = Keyed(SUBJECT, wrong, Size(0.25, rows))
    taken: list[tuple[str | None, ...]] = []

    def take() -> None:
        while batch := work.take():
            assert len(batch.keys) <= rows
            assert batch.kinds == {MISSING if int(k[0] or 0) % 2 else CHANGED for k in batch.keys}
            taken.extend(batch.keys)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted((str(k),) for k in keys)


def _single(batch: Batch) -> list[Batch]:
    """A batch cut until nothing is left to cut."""
    halves = batch.halves(SUBJECT)
    return [piece for half in halves for piece in _single(half)] if halves else [batch]


def test_pages_are_asked_for_as_they_are_needed() -> None:
    keys = [(MISSING, (f"{k:03}",)) for k in range(100)]
    asked = []

    def more(
        after: tuple[str | None, ...],
    ) -> tuple[list[tuple[int, tuple[str | None, ...]]], bool]:
        asked.append(after)
        left = [k for k in keys if str(k[1][0]) > str(after[0])]
        return left[:40], len(left) > 40

    work = Paged(SUBJECT, keys[:40], Size(0.25, 15), more)
    batches = list(iter(work.take, None))
    assert [k for b in batches for k in b.keys] == [k for _, k in keys]
    assert all(len(b.keys) <= 15 for b in batches)
    assert asked == [("039",), ("079",)]


@given(st.lists(st.integers(0, 10**9), unique=True, min_size=1, max_size=200))
def test_keys_are_cut_down_to_single_ones(keys: list[int]) -> None:
    (batch,) = iter(
        Keyed(SUBJECT, [(CHANGED, (str(k),)) for k in keys], Size(0.25, 200)).take, None
    )
    pieces = _single(batch)
    assert [p.keys for p in pieces] == [((str(k),),) for k in keys]
    assert all(p.part.where and f'"{p.keys[0][0]}"' in p.part.where for p in pieces)


def test_the_size_goes_towards_the_time_wanted_and_stays_within_bounds() -> None:
    size = Size(0.25)
    for _ in range(20):
        size.learn(size.rows, 0.001)
    assert size.rows == MOST
    for _ in range(30):
        size.learn(size.rows, 60)
    assert size.rows == LEAST
    size.learn(100, 0.5)  # 100 rows took twice as long as they should
    assert size.rows == LEAST
    fixed = Size(0.25, 7)
    fixed.learn(7, 60)
    assert fixed.rows == 7


def test_batches_are_compared_together() -> None:
    keys = list(range(1, 101))
    batches = list(iter(Ranged(_marks(keys, keys, 10), Size(0.25, 30)).take, None))
    shuffled = [*batches[2:], *batches[:2]]
    assert together(SUBJECT, shuffled) == [Part(1, upto=100), Part(nulls=True)]
    assert together(SUBJECT, batches[1:3]) == [Part(batches[1].part.low, batches[2].part.high)]
    keyed = Keyed(SUBJECT, [(CHANGED, ("1",)), (CHANGED, ("2",))], Size(0.25, 1))
    (part,) = together(SUBJECT, list(iter(keyed.take, None)))
    assert part.where
    assert '{"1","2"}' in part.where
