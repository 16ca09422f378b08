"""How far standbys are behind, by the positions that they replayed."""

from __future__ import annotations

from typing import Any

import pytest

from pgtv.errors import NotPossible
from pgtv.rows.lag import Lags

Row = tuple[Any, ...]


class Server:
    """Answers with what a primary shows of its standbys."""

    def __init__(self) -> None:
        self.now, self.position, self.seen = 0.0, 1000, True
        self.standbys: list[Row] = []

    def execute(self, query: bytes) -> Server:
        return self

    def fetchall(self) -> list[Row]:
        return [
            (self.seen, self.position, *one) for one in self.standbys or [(None, None, None, None, False)]
        ]  # fmt: skip

    def after(self, seconds: float, *standbys: Row, wrote: int = 0) -> None:
        self.now += seconds
        self.position += wrote
        self.standbys = list(standbys)


def physical(name: str, replayed: int, told: float | None = None, pid: int = 1) -> Row:
    return (pid, name, told, replayed, False)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def lags(server: Server, said: list[str]) -> Any:
    lags = Lags(said.append, lambda: server.now)
    return lambda: lags(server)  # type: ignore[arg-type]


def test_replay_that_stands_still_lags_more_and_more(server: Server, lags: Any) -> None:
    """Whatever the server says, which is as old as the standby's last answer."""
    server.after(0, physical("a", 1000, 0.0002))
    assert lags() == (0.0, "a")
    server.after(1, physical("a", 1000, 0.0002), wrote=10)
    assert lags() == (0.0, "a")
    server.after(5, physical("a", 1000, 0.0002), wrote=10)
    assert lags() == (5.0, "a")
    server.after(1, physical("a", 1010, 8.0))
    assert lags() == (1.0, "a"), "the second write is a second old"
    server.after(1, physical("a", 1020, 8.0))
    assert lags() == (0.0, "a"), "it has all, and still shows what it once lagged"


def test_what_was_written_before_the_first_look_is_as_old_as_the_server_says(
    server: Server, lags: Any
) -> None:
    server.after(0, physical("a", 400, 60.0), physical("b", 1000, 0.1, 2))
    assert lags() == (60.0, "a")
    server.after(100, physical("a", 400, 60.0), physical("b", 1000, 0.1, 2))
    assert lags() == (100.0, "a")
    server.after(1, physical("a", 1000, 60.0), physical("b", 1000, 0.1, 2))
    assert lags()[0] == 0.0


def test_a_logical_subscriber_lags_as_the_server_says(server: Server, lags: Any) -> None:
    server.after(0, (1, "sub", 0.5, 10, True))
    assert lags() == (0.5, "sub")
    server.after(50, (1, "sub", None, 10, True), wrote=5)
    assert lags() == (0.0, "sub")


def test_who_is_not_seen_is_told_once(server: Server, said: list[str], lags: Any) -> None:
    assert lags() == (0.0, None) and lags() == (0.0, None)
    assert said == ["no standby is connected: --max-lag holds nothing back"]
    server.after(1, physical("a", 1000))
    lags()
    server.after(1)
    assert lags() == (0.0, None) and lags() == (0.0, None)
    assert said[1:] == ["the standby a is gone: its lag is not known"]


def test_without_the_right_to_see_it_is_refused(server: Server, lags: Any) -> None:
    server.seen = False
    with pytest.raises(NotPossible, match="hidden"):
        lags()
