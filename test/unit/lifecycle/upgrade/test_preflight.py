"""States of an upgrade's checklist, where no server is needed to bring them about."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from pgtv.catalog.model import Extension, Gap, Growth, Lease, Prepared, Server, Snapshot
from pgtv.errors import Exit, UsageError
from pgtv.lifecycle.upgrade.points import DONE, NOT_APPLICABLE, TO_DO, UNKNOWN, Question
from pgtv.lifecycle.upgrade.preflight import judge
from pgtv.lifecycle.upgrade.target import NewServer
from pgtv.lifecycle.verdict import Point
from pgtv.reports import checklist

sys.path.insert(0, str(Path(__file__).parents[2] / "repairs"))

from world import snapshot  # noqa: E402

SERVER = Server(170000, "17.0", database="shop", is_superuser=True, databases=("shop", "other"))
NEW = NewServer("/new/bin", 18, "/new/lib/x.so", "/new/share/x.control", "0.1.0-beta.34")
LEASE = Lease(1, "", "", 60.0, "a bulk load", "me")
GIB = 2**30


def points(change: dict[str, Any] | None = None, **asked: Any) -> dict[str, Point]:
    now = dataclasses.replace(snapshot(), server=SERVER)
    return {
        p.id: p for p in judge(moved(now, change or {}), Question(**({"to": 18} | asked))).points
    }


def moved(now: Snapshot, change: dict[str, Any]) -> Snapshot:
    return dataclasses.replace(now, **change)


def extension(**changes: Any) -> dict[str, Any]:
    return {"extension": dataclasses.replace(snapshot().extension, **changes)}


FOREIGN = Prepared("gid", "app", "other", "", 10.0, 5)


@pytest.mark.parametrize(
    ("point", "state", "change", "asked"),
    [
        ("release", DONE, {}, {}),
        ("release", NOT_APPLICABLE, {}, {"to": 17}),
        ("release", TO_DO, {}, {"to": 99}),
        ("prepared", TO_DO, {"prepared": (FOREIGN,)}, {}),
        ("prepared", UNKNOWN, {"gaps": (Gap("prepared", "hidden"),)}, {}),
        ("prepared", DONE, {}, {}),
        ("leases", TO_DO, {"leases": (LEASE,)}, {}),
        ("new-package", UNKNOWN, {}, {}),
        ("new-package", DONE, extension(version="0.1.0-beta.34"), {"new": NEW}),
        ("new-package", TO_DO, extension(version="0.1.0-beta.35"), {"new": NEW}),
        ("new-package", TO_DO, {}, {"new": dataclasses.replace(NEW, library=None)}),
        ("new-package", TO_DO, {}, {"new": dataclasses.replace(NEW, major=17)}),
        ("room", UNKNOWN, {}, {}),
        ("room", DONE, {"growth": Growth(data_free_bytes=12 * GIB)}, {"bytes": 10 * GIB}),
        ("room", TO_DO, {"growth": Growth(data_free_bytes=10 * GIB)}, {"bytes": 10 * GIB}),
        ("room", DONE, {}, {"mode": "link"}),
        ("other-databases", UNKNOWN, {}, {}),
        ("other-databases", UNKNOWN, {}, {"others": {"other": None}}),
        ("other-databases", TO_DO, {}, {"others": {"other": True, "third": None}}),
        ("other-databases", DONE, {}, {"others": {"other": False}}),
        ("detached", TO_DO, {}, {}),
        ("detached", NOT_APPLICABLE, {"extension": Extension("current"), "tviews": ()}, {}),
        ("detached", TO_DO, {"extension": Extension("current", leftovers=("tv_x",)), "tviews": ()}, {}),
    ],
)  # fmt: skip
def test_states(point: str, state: str, change: dict[str, Any], asked: dict[str, Any]) -> None:
    assert points(change, **asked)[point].state == state


def test_the_new_data_directorys_own_disk_counts_where_it_is_known() -> None:
    full = dataclasses.replace(NEW, data="/new/data", free_bytes=GIB)
    growth = {"growth": Growth(data_free_bytes=99 * GIB)}
    assert points(growth, bytes=10 * GIB, new=full)["room"].state == TO_DO
    assert "/new/data" in points(growth, bytes=10 * GIB, new=full)["room"].text


def test_what_a_drop_would_take_along_is_named() -> None:
    assert any("view mine" in o for o in points(dependents=("view mine",))["metadata"].objects)


def test_a_standby_is_not_upgraded() -> None:
    standby = dataclasses.replace(SERVER, in_recovery=True)
    found = points({"server": standby})["primary"]
    assert (found.state, found.severity.value) == (TO_DO, "critical")


def test_there_is_no_way_back() -> None:
    with pytest.raises(UsageError, match="no way back to 16"):
        points(to=16)


def test_what_is_to_do_is_told_in_order() -> None:
    now = dataclasses.replace(snapshot(), server=SERVER, prepared=(FOREIGN,))
    told = judge(now, Question(to=18, connection="-d shop"))
    assert told.exit is not Exit.HEALTHY
    assert told.commands.index("pgtv 2pc list -d shop") < told.commands.index(
        "pgtv upgrade detach --snapshot before.json --apply -d shop"
    )
    assert told.commands[-1] == "pgtv upgrade verify --before before.json -d shop"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_screens_keep_their_width_but_for_commands(width: int) -> None:
    now = dataclasses.replace(snapshot(), server=SERVER, prepared=(FOREIGN,))
    text = checklist.human(judge(now, Question(to=18)), width).split("In this order:")[0]
    assert [x for x in text.splitlines() if len(x) > width and " $ " not in x] == []
