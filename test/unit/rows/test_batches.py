"""How a merge is cut into transactions."""

from __future__ import annotations

import itertools
import threading

from hypothesis import given
from hypothesis import strategies as st

from pgtv.catalog.model import Tview
from pgtv.rows.batches import LEAST, MOST, Keyed, Ranged, Size, together
from pgtv.rows.statements import CHANGED, MISSING, Part
from pgtv.rows.subject import Column, Subject

KEY = Column("pk_x", "bigint", 20, plain=True, json=False)
SUBJECT = Subject(
    Tview("x", "public", "tv_x", 1, 2, ""), "public.tv_x", "tviews.v", (KEY,), (KEY,), unique=True
)


@given(st.integers(-(2**40), 2**40), st.integers(0, 10**6), st.floats(1, 1e6), st.data())
def test_ranges_cover_every_identity_once(
    low: int, span: int, rows: float, data: st.DataObject
) -> None:
    high = low + span
    size = Size(0.25)
    work = Ranged(low, high, rows, frozenset({CHANGED}), size)
    parts = []
    while batch := work.take():
        parts.append(batch.part)
        size.learn(batch.asked, data.draw(st.sampled_from([0.0, 0.001, 0.2, 5.0])))
        assert len(parts) < 25_000
    *ranges, nulls = parts
    assert nulls == Part(nulls=True)
    assert ranges[0].low is None, "what lies below the table's least key is covered"
    assert ranges[-1].high is None
    for before, after in itertools.pairwise(ranges):
        assert before.high == after.low
        assert before.high is not None
        assert before.low is None or before.low < before.high


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
    work = Ranged(1, 100, 100, frozenset({CHANGED}), Size(0.25, 30))
    batches = list(iter(work.take, None))
    assert together(SUBJECT, batches) == [Part(), Part(nulls=True)]
    assert together(SUBJECT, batches[1:3]) == [Part(31, 91)]
    keyed = Keyed(SUBJECT, [(CHANGED, ("1",)), (CHANGED, ("2",))], Size(0.25, 1))
    (part,) = together(SUBJECT, list(iter(keyed.take, None)))
    assert part.where
    assert '{"1","2"}' in part.where
