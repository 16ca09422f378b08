"""The limits that hold a merge back."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtv.errors import NotPossible, UsageError
from pgtv.rows.throttle import Limits, Throttle, described, limits_of


class Answers:
    """A connection that answers what a test wants: lag by turns, never a waiter."""

    def __init__(self, *lags: float, seen: bool = True) -> None:
        self.lags, self.seen = list(lags), seen

    def execute(self, query: bytes, *_: Any) -> Answers:
        self.query = query
        return self

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def fetchall(self) -> list[tuple[Any, ...]]:
        lag = self.lags.pop(0) if self.lags else 0.0
        return [(self.seen, 10, 1, "standby", lag, 5 if lag else 10, False)]

    def fetchone(self) -> tuple[Any, ...]:
        return (0,)


@given(st.text(max_size=60))
def test_a_control_file_gives_limits_or_an_error(text: str) -> None:
    try:
        limits = limits_of(text, Limits(3.0, 4.0))
    except UsageError as e:
        assert e.message
    else:
        assert limits.rate is None or limits.rate >= 0.1
        assert described(limits)


def test_what_a_control_file_says_goes_over_the_command_line() -> None:
    given_ = Limits(rate=10.0, lag=None)
    assert limits_of("", given_) == given_
    assert limits_of("# later\nmax-rate = 5\nmax-lag=2.5\npause", given_) == Limits(5.0, 2.5, True)
    assert limits_of("max-rate=off\npause=off", given_) == Limits(None, None, False)
    for bad in ("max-rate=nan", "max-rate=0", "max-lag=x", "speed=3", "max-lag=inf"):
        with pytest.raises(UsageError):
            limits_of(bad, given_)


def test_a_lagging_standby_is_waited_for_and_named() -> None:
    said, slept = list[str](), list[float]()
    throttle = Throttle(Limits(lag=5.0), [], None, said.append, slept.append)
    throttle(Answers(30.0, 12.0, 4.0), 0)  # type: ignore[arg-type]
    assert len(slept) == 2
    assert said == ["waiting: the standby standby lags 30.0 s behind"]
    with pytest.raises(NotPossible, match="hidden"):
        throttle(Answers(0.0, seen=False), 0)  # type: ignore[arg-type]


def test_the_rate_is_kept_over_batches() -> None:
    slept = list[float]()
    throttle = Throttle(Limits(rate=100.0), [], pause=slept.append)
    for _ in range(5):
        throttle(Answers(), 50)  # type: ignore[arg-type]
    assert sum(slept) > 0.5 * 4 * 0.9, "each 50 rows are half a second"


def test_the_file_is_read_again_while_it_pauses(tmp_path: Path) -> None:
    control, said = tmp_path / "control", list[str]()
    control.write_text("pause\n")

    def slept(_: float) -> None:
        control.write_text("max-rate=nonsense\n")

    def then(_: float) -> None:
        control.write_text("max-lag=9\n")

    pauses = [slept, then]
    throttle = Throttle(Limits(), [], control, said.append, lambda s: pauses.pop(0)(s))
    throttle(Answers(), 0)  # type: ignore[arg-type]
    assert said[0] == "limits now: paused"
    assert "max-rate=nonsense is no number; the limits stay as they were" in said[2]
    assert said[-1] == "limits now: 9 s of lag"
