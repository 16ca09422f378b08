"""A receipt is written every few seconds; what it lacks until then is beside it, as it will be in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pgtv import plan as plans
from pgtv import saving
from pgtv.errors import UsageError
from pgtv.journal import Journal, beside, left
from pgtv.rows.bring import Brought, End
from pgtv.rows.merge import Merged
from pgtv.rows.transaction import Done, Overwritten
from pgtv.rows.written import RefreshedTview, entry

SEPARATORS = "a\u2028b\u2029c\u0085d\r\n\x0b\x1ee"


def batch(value: str) -> Done:
    overwritten = (Overwritten("changed", (value,), (value, None)),)
    return Done(updated=1, keys=((value,),), overwritten=overwritten)


class Killed(BaseException):
    """What nothing after it runs for."""


def killed(_: str) -> None:
    raise Killed


class Clock:
    """A minute for each write of the receipt, and what tests add."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self.now, self.path = 0.0, path
        self.entries: list[RefreshedTview] = []
        self.written: list[int] = []  # how many entries the receipt had, each time
        self.fails = False
        monkeypatch.setattr(saving.time, "monotonic", lambda: self.now)

    def save(self) -> None:
        if self.fails:
            raise UsageError("no room")
        self.path.write_text(json.dumps(self.entries))
        self.written.append(len(self.entries))
        self.now += 60


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    (tmp_path / "r.json").write_text("[]")
    return Clock(monkeypatch, tmp_path / "r.json")


def merged(tview: str, *batches: Done) -> RefreshedTview:
    result = Merged(batches=len(batches), waited=1.5)
    for one in batches:
        result.updated += one.updated
        result.keys += one.keys
        result.overwritten += one.overwritten
    return entry(Brought(tview, End.MERGED, len(batches), merged=result, reason=SEPARATORS))


def ends(clock: Clock, saver: saving.Saving, journal: Journal, tview: str) -> None:
    done = batch("1"), batch(SEPARATORS), batch("1")  # a writer put the first one back
    for one in done:
        journal.batch(tview, one)
    clock.entries.append(merged(tview, *done))
    saver.tview(clock.entries[-1])


def in_both(clock: Clock) -> list[RefreshedTview]:
    """What is to be had where the run is killed now."""
    there = json.loads(clock.path.read_text())
    return [*there, *left(clock.path, there)]


def test_it_is_written_seldom_and_lacks_nothing(clock: Clock) -> None:
    journal = Journal(clock.path)
    saver = saving.Saving(clock.save, journal)
    for n in range(100):
        ends(clock, saver, journal, f"public.tv_{n}")
        assert in_both(clock) == clock.entries
        clock.now += 1
    # the sixth, for which five seconds have passed; none for 20 times as long as that took
    assert clock.written == [6]
    clock.now += 60 * saving.SHARE
    ends(clock, saver, journal, "public.tv_later")
    assert clock.written == [6, 101] and in_both(clock) == clock.entries
    ends(clock, saver, journal, "public.tv_last")
    saver.now()
    assert clock.written == [6, 101, 102]
    assert journal.close() is None and not beside(clock.path).exists()


def test_killed_between_the_receipt_and_its_mark(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No TVIEW is told twice, also none of which a later step brought rows once more."""
    journal = Journal(clock.path)
    saver = saving.Saving(clock.save, journal)
    for tview in ("public.tv_a", "public.tv_b"):
        ends(clock, saver, journal, tview)
    monkeypatch.setattr(journal, "ended", killed)
    with pytest.raises(Killed):
        saver.now()
    assert in_both(clock) == clock.entries
    journal.batch("public.tv_a", batch("again"))
    *known, again = in_both(clock)
    assert known == clock.entries
    assert (again["end"], again["keys"]) == ("unknown", [["again"]])


def test_one_that_cannot_be_written_at_the_end_keeps_the_lines(clock: Clock) -> None:
    journal = Journal(clock.path)
    saver = saving.Saving(clock.save, journal)
    ends(clock, saver, journal, "public.tv_a")
    clock.fails = True
    with pytest.raises(UsageError):
        saver.now()
    assert journal.close() == beside(clock.path)
    assert in_both(clock) == clock.entries


def test_beside_a_device_it_is_written_each_time(clock: Clock) -> None:
    journal = Journal(Path("/dev/null"))
    saver = saving.Saving(clock.save, journal)
    for n in range(3):
        ends(clock, saver, journal, f"public.tv_{n}")
    assert clock.written == [1, 2, 3] and journal.close() is None


def test_entries_are_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = saving.Texts()
    entries = [merged(f'public."\n  ""tviews"": []"_{n}', batch(SEPARATORS)) for n in range(3)]
    for n in range(4):
        document = {"tviews": [], "first": {"tviews": []}, "last": '\n  "tviews": []'}
        whole = json.dumps({**document, "tviews": entries[:n]}, ensure_ascii=False, indent=2)
        empty = json.dumps(document, ensure_ascii=False, indent=2)
        assert texts.within(empty, "tviews", entries[:n]) == whole
    monkeypatch.setattr(saving.json, "dumps", lambda *_, **__: pytest.fail("once more"))
    texts.within(empty, "tviews", entries)
    monkeypatch.undo()


def test_the_text_of_a_receipt_of_repair() -> None:
    plan = plans.Plan(
        "now", "0", "d", 1, None, "current", (plans.Step("rows", "x", ("SELECT 1;",)),)
    )
    rows = [merged("public.tv_a", batch(SEPARATORS)), merged("public.tv_b")]
    receipt = plans.Receipt(plan, "now", "me", "pgtv", rows=rows)
    whole = json.dumps(asdict(receipt), ensure_ascii=False, indent=2) + "\n"
    assert plans.dumps(receipt) == whole
    texts = saving.Texts()
    for _ in range(2):
        assert plans.dumps(receipt, texts) == whole
    receipt.rows = []
    assert json.loads(plans.dumps(receipt, texts))["rows"] == []
