"""A rehearsal that ends early: what failed is named, with its words. No server is needed to fail."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from pgtv.cluster import binaries
from pgtv.errors import ClusterError, Exit, PgtvError
from pgtv.lifecycle.upgrade import rehearsal_hops, rehearsal_server
from pgtv.lifecycle.upgrade import rehearse as whole
from pgtv.lifecycle.upgrade.rehearsal import Clock, Rehearsal

LOST = psycopg.OperationalError("server closed the connection unexpectedly\nmore")
SLOW = ClusterError("the server did not stop (fast) in 60 s")


class Stand:
    """As much of a server as is asked of it before it fails."""

    binaries, data, within, superuser = Path("/old"), Path("/old/data"), "/tmp", "postgres"

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def program(self, *_: str, **__: Any) -> str:
        return ""

    def init(self, *_: str) -> None: ...

    def stop(self, **_: Any) -> None:
        raise SLOW

    def destroy(self) -> None: ...


def rehearsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **wished: Any) -> Rehearsal:
    """Of a server that is restored, and has one database."""
    monkeypatch.setattr(binaries, "version", lambda folder: 18 if folder == Path("/new") else 17)
    monkeypatch.setattr(binaries, "real", lambda *_: Path("/newer"))
    monkeypatch.setattr(rehearsal_server, "restored", lambda *_: (Stand(), ()))
    monkeypatch.setattr(rehearsal_hops, "Server", Stand)
    monkeypatch.setattr(rehearsal_hops, "databases", lambda _: ["shop"])
    monkeypatch.setattr(rehearsal_hops, "_do", lambda *_: None)
    backup: Any = SimpleNamespace(major=17, kind="dump", room=0)
    wish = whole.Wish(tmp_path, new=(Path("/new"),), temp=tmp_path, **wished)
    clock = Clock(lambda _: None)
    return whole._rehearse(wish, backup, "it", None, Path("/old"), tmp_path, clock)


def failure(done: Rehearsal) -> tuple[str, str, bool]:
    """The point's id and text, and whether the last phase ended well."""
    (point,) = done.points
    assert done.exit is Exit.CRITICAL
    return point.id, point.text, done.phases[-1].ok


def test_the_old_server_does_not_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rehearsal_server, "databases", lambda _: ["shop"])
    done = rehearsed(monkeypatch, tmp_path, to=(18,))
    assert failure(done) == ("failed-stop", SLOW.message, False)


def test_no_snapshot_can_be_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def lost(*_: Any) -> None:
        raise LOST

    monkeypatch.setattr(rehearsal_server, "databases", lambda _: ["shop"])
    monkeypatch.setattr(rehearsal_hops, "look", lost)
    id_, text, ok = failure(rehearsed(monkeypatch, tmp_path, to=(), release="newer"))
    assert (id_, ok) == ("failed-snapshot", False)
    assert text == "the connection was lost: server closed the connection unexpectedly"


@pytest.mark.parametrize("error", [SLOW, LOST])
def test_what_fails_between_phases_is_not_laid_to_one_that_ended_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def lost(_: Any) -> None:
        raise error

    monkeypatch.setattr(rehearsal_server, "databases", lost)
    id_, text, ok = failure(rehearsed(monkeypatch, tmp_path, to=(18,)))
    assert (id_, ok) == ("failed-after-restore", True)
    assert str(error).split("\n")[0] in text


def test_each_phase_is_told_as_it_begins_and_as_it_ends() -> None:
    heard: list[str] = []
    clock = Clock(heard.append)
    with clock.phase("one"):
        assert len(heard) == 1
    with clock.phase("two") as phase:
        phase.said = "2 rows"
    with pytest.raises(PgtvError), clock.phase("three"):
        raise ClusterError("no\nroom")
    assert [x.partition(" s  ")[2] for x in heard] == [
        "one …", "one: done", "two …", "two: 2 rows", "three …", "three: FAILED: no room"
    ]  # fmt: skip
