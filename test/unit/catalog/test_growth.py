"""Growth between two snapshots: a straight line, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from pgtv.catalog import codec
from pgtv.catalog.growth import growth
from pgtv.catalog.model import Growth, Snapshot
from pgtv.cli.sizes import as_bytes
from pgtv.reports.snapshots import render_growth

SAMPLE = codec.load(Path(__file__).parent / "data" / "snapshot-1.json")
CUSTOMER = SAMPLE.tview_by_entity["customer"]
MB = 1 << 20


def at(day: float, free: int | None = None, **customer: Any) -> Snapshot:
    """The sample so many days later; what is told of tv_customer's table."""
    hours = f"{int(day) + 1:02}T{int(day % 1 * 24):02}:{int(day * 24 % 1 * 60):02}:00+00:00"
    return replace(
        SAMPLE,
        taken_at=f"2026-01-{hours}",
        growth=Growth(data_total_bytes=1000 * MB, data_free_bytes=free),
        relations=tuple(
            replace(r, **({"bytes": MB, "more_bytes": MB, "reltuples": 100.0} | customer))
            if r.oid == CUSTOMER.table_oid
            else r
            for r in SAMPLE.relations
        ),
    )


def test_a_line_through_two_moments() -> None:
    found = growth(at(0), at(4, bytes=3 * MB, more_bytes=3 * MB, reltuples=180.0))
    assert found is not None
    (one,) = found.grown
    assert (one.name, one.bytes_before, one.bytes_after) == (CUSTOMER.label, 2 * MB, 6 * MB)
    assert (one.bytes_per_day, one.rows_per_day) == (MB, 20)
    assert found.bytes_per_day == MB
    assert found.room is None
    (table, line) = render_growth(found, 100)[2:]
    assert table.split() == ["TVIEW", "size", "a", "day", "rows", "a", "day"]
    assert line.split("  ")[1:] == [
        CUSTOMER.label,
        "2.0 MB → 6.0 MB",
        "+1.0 MB",
        "100 → 180",
        "+20",
    ]


def test_room_by_the_disk_where_both_saw_it_else_by_what_is_given() -> None:
    grown: Any = {"bytes": 3 * MB}
    disk = growth(at(0, 100 * MB), at(2, 90 * MB, **grown))
    assert disk is not None and disk.room is not None
    assert (disk.room.source, disk.room.fills) == ("file system", "disk")
    assert disk.room.days_left == 18
    assert "90.0 MB left on the disk" in " ".join(render_growth(disk, 200))
    given = growth(at(0), at(2, **grown), 50 * MB)
    assert given is not None and given.room is not None
    assert (given.room.source, given.room.fills, given.room.days_left) == ("given", "TVIEWs", 50)
    assert "full in 50 days if it goes on like that" in " ".join(render_growth(given, 200))
    # seen by the later one only: what else is written there is not known
    later = growth(at(0), at(2, 90 * MB, **grown))
    assert later is not None and later.room is not None
    assert (later.room.fills, later.room.days_left) == ("TVIEWs", 90)


def test_what_shrinks_never_fills() -> None:
    found = growth(at(0, 90 * MB), at(2, 100 * MB, bytes=MB // 2))
    assert found is not None and found.room is not None
    assert found.room.days_left is None
    assert "nothing more was written to it" in render_growth(found, 200)[-1]
    assert found.grown[0].bytes_per_day == -MB / 4


def test_no_rate_between_moments_that_are_close_or_the_wrong_way_round() -> None:
    for before, after, why in (
        (at(0), at(0.01, bytes=2 * MB), "less than an hour apart"),
        (at(3), at(0, bytes=2 * MB), "the first snapshot is the later one"),
    ):
        found = growth(before, after, 50 * MB)
        assert found is not None
        assert why in str(found.no_rate)
        assert (found.room, found.bytes_per_day, found.grown[0].bytes_per_day) == (None,) * 3
        assert render_growth(found, 100) == []


def test_what_was_not_seen_is_not_told() -> None:
    found = growth(at(0, bytes=None), at(2, reltuples=-1.0))
    assert found is not None
    (one,) = found.grown
    assert (one.bytes_before, one.bytes_per_day, one.rows_after, one.rows_per_day) == (None,) * 4
    # a file of an earlier release knows of tables only: their TOAST has not grown by all that it is
    early = growth(at(0, more_bytes=None), at(2))
    assert early is not None
    assert early.grown == []


def test_two_databases_have_no_growth() -> None:
    other = at(2)
    for server in (
        replace(other.server, database="other"),
        replace(other.server, system_identifier="1"),
    ):
        assert growth(at(0), replace(other, server=server)) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("50GB", 50 << 30), ("1.5T", 3 << 39), ("800 MiB", 800 << 20), ("12", 12), ("3kb", 3072)],
)
def test_sizes(text: str, size: int) -> None:
    command = click.Command("x")
    assert as_bytes(click.Context(command), click.Option(["--room"]), text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 PB", "1,5GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter):
        as_bytes(click.Context(click.Command("x")), click.Option(["--room"]), text)
