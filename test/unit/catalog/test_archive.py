"""A timer's directory: names, and that nothing but its own old files is ever removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgtv.catalog import archive, codec
from pgtv.catalog.model import Gap
from pgtv.errors import UsageError

SAMPLE = codec.load(Path(__file__).parent / "data" / "snapshot-1.json")


def at(day: int, database: str = "shop", tviews: bool = True) -> codec.Snapshot:
    taken = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return replace(
        SAMPLE,
        taken_at=taken.isoformat(timespec="seconds"),
        server=replace(SAMPLE.server, database=database),
        tviews=SAMPLE.tviews if tviews else (),
    )


def save(folder: Path, snapshot: codec.Snapshot) -> Path:
    path = archive.path_for(snapshot, folder)
    codec.save(snapshot, path)
    return path


def test_names_hold_any_database(tmp_path: Path) -> None:
    assert archive.path_for(at(0), tmp_path).name == "shop-20260101T000000Z.snapshot.json"
    strange = archive.path_for(at(0, "../a/b é"), tmp_path)
    assert strange.parent == tmp_path
    assert save(tmp_path, at(0, "../a/b é")).exists()


def test_keeps_the_newest_and_touches_nothing_else(tmp_path: Path) -> None:
    mine = [save(tmp_path, at(d)) for d in range(5)]
    others = [
        save(tmp_path, at(0, "other")),
        save(tmp_path, at(0, "shop-2")),
        tmp_path / "shop-20250101T000000Z.snapshot.json",  # ours by name, not by content
        tmp_path / "shop-notes.snapshot.json",
        tmp_path / "shop-20240101T000000Z.snapshot.json",  # a link
    ]
    others[2].write_text("{}")
    others[3].write_text(codec.dumps(at(0)))
    others[4].symlink_to(mine[0])
    other_cluster = replace(at(0), server=replace(SAMPLE.server, system_identifier="1"))
    foreign = tmp_path / "shop-20230101T000000Z.snapshot.json"
    codec.save(other_cluster, foreign)
    kept = archive.prune(tmp_path, at(4), 2)
    assert kept == archive.Kept(tuple(mine[:3]))
    assert sorted(tmp_path.iterdir()) == sorted([*mine[3:], *others, foreign])
    assert archive.prune(tmp_path, at(4), 2) == archive.Kept()


def test_an_empty_snapshot_pushes_no_good_one_out(tmp_path: Path) -> None:
    good = save(tmp_path, at(0))
    empty = [save(tmp_path, at(d, tviews=False)) for d in (1, 2)]
    kept = archive.prune(tmp_path, at(2, tviews=False), 2)
    assert kept.removed == () and kept.refused
    assert all(p.exists() for p in (good, *empty))


def test_what_a_snapshot_holds_alone_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "good.json"
    codec.save(at(0), file)
    first, *others = SAMPLE.tviews
    archive.check_replacing(file, at(1))
    archive.check_replacing(file, at(1, "restored"))  # names count, as in every comparison
    more = replace(first, entity="more", table_oid=0)
    archive.check_replacing(file, replace(at(1), tviews=(*SAMPLE.tviews, more)))
    unseen = replace(at(1, tviews=False), gaps=(Gap("tviews", "permission denied"),))
    otherwise = replace(first, definition="SELECT 1")
    for taken in (
        at(1, tviews=False), unseen, replace(at(1), tviews=tuple(others)),
        replace(at(1), tviews=(otherwise, *others)),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="exists and is not replaced: it holds") as refused:
            archive.check_replacing(file, taken)
        assert refused.value.hint and "give another name" in refused.value.hint
    codec.save(at(0, tviews=False), file)
    archive.check_replacing(file, at(1))


def test_only_a_snapshot_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "nightly.dump"
    archive.check_replacing(file, at(0))
    file.touch()
    archive.check_replacing(file, at(0))
    for text in (b"PGDMP\x01\x0f\xff", b"{}", codec.dumps(at(0)).encode()[:-20]):
        file.write_bytes(text)
        with pytest.raises(UsageError, match=r"nightly\.dump exists and is not replaced"):
            archive.check_replacing(file, at(0))
