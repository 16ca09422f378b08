"""Snapshot files: what is written is read back, old ones stay readable, others are refused kindly."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pgtv.catalog import codec, model
from pgtv.catalog.schema import snapshot_schema
from pgtv.errors import SnapshotError

SAMPLE = Path(__file__).parent / "data" / "snapshot-1.json"


def test_file_of_schema_1_stays_readable() -> None:
    snapshot = codec.load(SAMPLE)
    assert [t.label for t in snapshot.tviews] == ["public.tv_customer", '"Sales Dept".tv_order']
    assert snapshot.tviews[0].definition.lstrip().startswith("SELECT")
    assert snapshot.server.version == "18.6"
    assert {t.kind for t in snapshot.triggers} == {"row", "flush", "truncate"}
    assert snapshot.extension.catalog_revision == 10


def test_round_trip() -> None:
    snapshot = codec.load(SAMPLE)
    assert codec.loads(codec.dumps(snapshot)) == snapshot


def test_written_files_satisfy_the_published_schema(root: Path) -> None:
    published = json.loads((root / "schemas" / "pgtv.snapshot.1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(json.loads(codec.dumps(codec.load(SAMPLE))), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": model.SCHEMA, "tviews": 3}, published)


def test_published_schema_is_up_to_date(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "tools/gen_schemas"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Tview" in snapshot_schema()["$defs"]


def test_unknown_keys_are_ignored_and_missing_ones_take_defaults() -> None:
    raw = json.loads(SAMPLE.read_text())
    raw["tomorrow"] = raw["tviews"][0]["tomorrow"] = [1]
    del raw["locks"], raw["tviews"][0]["options"]
    snapshot = codec.loads(json.dumps(raw))
    assert snapshot.locks == ()
    assert snapshot.tviews[0].options == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ("[]", "not a pgtv snapshot"),
        ('{"schema": "pgtv.doctor/1"}', "not a pgtv snapshot"),
        ('{"schema": "pgtv.snapshot/2"}', "pgtv.snapshot/2"),
        ('{"schema": "pgtv.snapshot/1"}', "damaged"),
        ('{"schema": "pgtv.snapshot/1", "taken_at": 3}', "damaged"),
    ],
)
def test_what_is_no_snapshot_is_refused(text: str, words: str) -> None:
    with pytest.raises(SnapshotError, match=words) as caught:
        codec.loads(text, "some file")
    assert "some file" in caught.value.message


def test_saved_whole_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text("old")
    path.chmod(0o644)
    codec.save(codec.load(SAMPLE), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert codec.load(path).tviews
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.json"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SnapshotError, match="No space left"):
        codec.save(codec.load(SAMPLE), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SnapshotError, match="cannot write"):
        codec.save(codec.load(SAMPLE), tmp_path / "missing" / "s.json")
