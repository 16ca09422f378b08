"""Notes that rows are owed: they follow the steps that bring the rows."""

from __future__ import annotations

from pgtv.plan import Step
from pgtv.repairs.remembering import TITLE, narrowed, still_owed

NOTE = Step(
    "installation", TITLE, ("BEGIN;", "note a;", "note b;", "COMMIT;"),
    locks=("lock a", "lock b"), undo=("forget a;", "forget b;"), tviews=("tv_a", "tv_b"),
)  # fmt: skip
ROWS = Step("rows", "bring", (), tviews=("tv_b", "tv_c"), merge=True)


def test_a_note_stays_for_rows_that_are_brought() -> None:
    note, rows = narrowed([NOTE, ROWS])
    assert note.statements == ("BEGIN;", "note b;", "COMMIT;")
    assert (note.locks, note.undo, note.tviews) == (("lock b",), ("forget b;",), ("tv_b",))
    assert rows == ROWS


def test_a_note_without_rows_goes() -> None:
    other = Step("rows", "bring", (), tviews=("tv_c",), merge=True)
    assert narrowed([NOTE, other]) == [other]


def test_what_is_noted_and_not_brought_is_owed() -> None:
    assert still_owed([NOTE, ROWS]) == ["tv_a"]
    assert still_owed(narrowed([NOTE, ROWS])) == []
