"""How far a verification is: pace and time left, by a clock of the test's own."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgtv.catalog.model import Extension, Relation, Server, Snapshot, TableStats, Tview
from pgtv.cli.progress import Progress, Proving
from pgtv.rows.compare import Wanted
from pgtv.rows.result import State
from pgtv.rows.run import Moment


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def progress(
    estimates: list[float],
    *,
    live: int = 0,
    verbosity: int = 1,
    wanted: Wanted | None = None,
    kind: Callable[..., Progress] = Progress,
) -> tuple[Progress, Clock]:
    names = [f"tv_{i}" for i in range(len(estimates))]
    snapshot = Snapshot(
        "now", "0", Server(), Extension("current", installed=True),
        relations=tuple(
            Relation(i, "public", n, f"public.{n}", "r", "o", reltuples=e)
            for i, (n, e) in enumerate(zip(names, estimates, strict=True))
        ),
        table_stats=tuple(TableStats(i, live=live) for i in range(len(names))) if live else (),
    )  # fmt: skip
    tviews = [
        Tview(n[3:], "public", n, i, 100 + i, "", table_name=f"public.{n}")
        for i, n in enumerate(names)
    ]
    clock = Clock()
    return kind(snapshot, tviews, verbosity, wanted, clock), clock


def end(shown: Progress, number: int, rows: int | None, *, resumed: bool = False) -> None:
    result = SimpleNamespace(
        tview=f"public.tv_{number}",
        state=State.EQUAL,
        rows=rows,
        seconds=2.0,
        resumed=resumed,
        table_oid=number,
    )
    shown.finished(cast(Any, result))


def test_pace_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    shown, clock = progress([1000, 8000])
    clock.now += 2
    end(shown, 0, 1000)
    said = capsys.readouterr().err
    assert said == "1/2 public.tv_0: equal, 1,000 rows in 2.0 s · 500 rows/s · about 16 s left\n"
    shown.moment(Moment("public.tv_1", 3000, 8000, 2.0))
    clock.now += 2
    assert shown._left() == " · 1,000 rows/s · about 5 s left"
    clock.now += 2
    end(shown, 1, 8000)
    assert capsys.readouterr().err.endswith(" · 1,500 rows/s\n"), "nothing is left"


def test_nothing_is_told_too_early_and_nothing_of_what_was_not_compared() -> None:
    shown, clock = progress([1000, 1000])
    clock.now += 0.4
    shown.moment(Moment("public.tv_0", 500, 1000, 0.4))
    assert shown._left() == ""
    clock.now += 0.6
    assert shown._left() == " · 500 rows/s · about 3 s left"
    end(shown, 0, None)
    assert shown._left() == "", "no row was compared"


def test_a_tview_that_was_never_analyzed(capsys: pytest.CaptureFixture[str]) -> None:
    shown, clock = progress([1000, -1])
    clock.now += 2
    end(shown, 0, 1000)
    assert "time left unknown: public.tv_1 was never analyzed\n" in capsys.readouterr().err
    shown.moment(Moment("public.tv_1", 3000, 0, 2.0))
    clock.now += 2
    assert " · 1,000 rows/s · time left unknown" in shown._left(), "its rows count"
    shown, clock = progress([1000, -1], live=4000)
    clock.now += 2
    end(shown, 0, 1000)
    assert shown._left() == " · 500 rows/s · about 8 s left"


def test_what_an_earlier_run_compared_is_no_pace() -> None:
    shown, clock = progress([9000, 1000])
    end(shown, 0, 9000, resumed=True)
    clock.now += 1
    shown.moment(Moment("public.tv_1", 500, 1000, 1.0))
    assert shown._left() == " · 500 rows/s · about 1 s left"


def test_more_rows_than_estimated() -> None:
    shown, clock = progress([1000, 500])
    shown.moment(Moment("public.tv_0", 9000, 1000, 1.0))
    clock.now += 1
    assert shown._left() == " · 9,000 rows/s · about 0 s left"


@pytest.mark.parametrize(
    "wanted", [Wanted(sample=(100_000, 1)), Wanted(sample=(0, 1), sample_rows=1000)]
)
def test_of_a_sample_only_its_rows_are_left(wanted: Wanted) -> None:
    shown, clock = progress([10_000, 10_000], wanted=wanted)
    clock.now += 2
    end(shown, 0, 1000)
    assert shown._left() == " · 500 rows/s · about 2 s left"


def test_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "100")
    shown, clock = progress([1000, 2000], verbosity=0)
    for second in (0.05, 1.0, 1.05, 2.0):
        clock.now = 100 + second
        shown.moment(Moment("public.tv_0", 400, 1000, second))
    shown.close()
    lines = stream.getvalue().split("\r\x1b[K")
    assert lines == [
        "",
        "1/2 public.tv_0 · 400 rows/s · about 6 s left",
        "1/2 public.tv_0 · 200 rows/s · about 13 s left",
        "",
    ]


@pytest.mark.parametrize(
    ("estimates", "told"), [([400, 600], " (40 %)\n"), ([400, -1], "400 rows\n")]
)
def test_a_share_of_what_is_proven_is_told_where_every_estimate_is_known(
    estimates: list[float], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, _ = progress(estimates, kind=partial(Proving, critical={0}))
    end(shown, 0, 400)
    said = capsys.readouterr().err
    assert "  proven  public.tv_0 (critical): 1 of 2 TVIEWs, 400 rows" in said
    assert said.endswith(told)
    shown, _ = progress(estimates, verbosity=-1, kind=partial(Proving, critical={0}))
    end(shown, 0, 400)
    assert capsys.readouterr().err == "", "asked to be quiet"
