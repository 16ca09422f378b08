"""Selection, exit codes, documents and state files of verification."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgtv.catalog.model import Extension, Server, Snapshot, Tview, Verification
from pgtv.cli.verify import duration
from pgtv.errors import Exit, SnapshotError, UsageError
from pgtv.explain.row import parted
from pgtv.rows import resume
from pgtv.rows.document import result_document, result_from
from pgtv.rows.evaluate import READER, Login, choose_role
from pgtv.rows.paths import PathDiff
from pgtv.rows.recorded import latest
from pgtv.rows.result import Difference, Fault, Result, State, exit_code
from pgtv.rows.run import oldest_first


def tview(entity: str, oid: int) -> Tview:
    return Tview(entity, "public", f"tv_{entity}", oid, oid + 1, "SELECT 1", f"public.tv_{entity}")


def snapshot(*verified: Verification, server: Server | None = None) -> Snapshot:
    tviews = (tview("a", 10), tview("b", 20), tview("c", 30))
    return Snapshot(
        "now", "0", server or Server(system_identifier="1", database_oid=5),
        Extension("current"),
        tviews=tviews, verifications=verified,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], Exit.HEALTHY),
        ([State.EQUAL, State.SKIPPED, State.MAY_DIFFER], Exit.HEALTHY),
        ([State.EQUAL, State.UNKNOWN], Exit.UNKNOWN),
        ([State.UNKNOWN, State.DIFFERS], Exit.CRITICAL),
    ],
)
def test_exit_codes(states: list[State], code: Exit) -> None:
    assert exit_code([Result("t", "t", s) for s in states]) is code


def test_oldest_first_and_records_of_another_table_do_not_count() -> None:
    seen = snapshot(
        Verification("public.tv_a", "x", 100.0, 0, table_oid=10),
        Verification("public.tv_b", "x", 900.0, 0, table_oid=20),
        Verification("public.tv_c", "x", 1.0, 0, table_oid=999),
    )
    assert set(latest(seen)) == {10, 20}
    assert [t.entity for t in oldest_first(seen, seen.tviews)] == ["c", "b", "a"]


RESULT = Result(
    "public.tv_a", "a", State.DIFFERS, keys=("pk_a",), table_oid=10, rows=7, changed=1,
    differences=(
        Difference(
            "changed", ("1",), (PathDiff("data.x", "1", None),), 1, Fault.INHERITED, ("tv_b:2",)
        ),
    ),
    lsn="0/1", verified_at="2026-01-01", seconds=1.5, evaluated_as="o",
)  # fmt: skip


def test_a_result_survives_its_document() -> None:
    assert result_from(result_document(RESULT), "x") == RESULT
    with pytest.raises(SnapshotError):
        result_from({"tview": 1}, "x")


def test_resume_keeps_what_is_finished_and_refuses_other_databases(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    unknown = Result("public.tv_b", "b", State.UNKNOWN, table_oid=20)
    assert resume.load(file, snapshot(), "exact") == []
    resume.save(file, snapshot(), "exact", [RESULT, unknown])
    assert resume.load(file, snapshot(), "exact") == [RESULT]
    assert file.stat().st_mode & 0o077 == 0
    other = snapshot(server=Server(system_identifier="2", database_oid=5))
    for seen, mode in ((other, "exact"), (snapshot(), "fast")):
        with pytest.raises(UsageError):
            resume.load(file, seen, mode)
    unseen = snapshot(server=Server(database_oid=snapshot().server.database_oid))
    assert resume.load(file, unseen, "exact") == [RESULT], "hidden, it says nothing"
    file.write_text("[]")
    with pytest.raises(SnapshotError):
        resume.load(file, snapshot(), "exact")


def login(superuser: bool = False, *powers: str, standby: bool = False, num: int = 180000) -> Login:
    return Login("me", superuser, powers, frozenset({"owner"}), standby, num)


@pytest.mark.parametrize(
    ("who", "owner", "owner_superuser", "asked", "role"),
    [
        (login(), "owner", False, None, "owner"),
        (login(), "stranger", False, None, "me"),
        (login(), "owner", False, "other", "other"),
        (login(True), "owner", False, None, "owner"),
        (login(True), "owner", True, None, READER),
        (login(True), "owner", True, "other", "other"),
        (login(False, "postgres"), "owner", False, None, "owner"),
        (login(False, "pg_read_server_files"), "stranger", False, "owner", "owner"),
        (login(standby=True), "owner", False, None, "owner"),
    ],
)
def test_who_evaluates(
    who: Login, owner: str, owner_superuser: bool, asked: str | None, role: str
) -> None:
    assert choose_role(who, owner, owner_superuser, asked) == role


@pytest.mark.parametrize(
    "who",
    [
        login(True, standby=True),
        login(False, "pg_execute_server_program", standby=True),
        login(True, num=130000),
        login(False, "postgres"),
    ],
)
def test_who_must_not(who: Login) -> None:
    from pgtv.errors import NotPossible

    with pytest.raises(NotPossible):
        choose_role(who, "owner", True, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("30s", 30), ("1.5min", 90), ("2h", 7200), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "10 parsecs"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError):
        duration(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("tv_x:1", ("tv_x", "1")),
        ('"a:b".tv_x:c:d', ('"a:b".tv_x', "c:d")),
        ("tv_x:id=4", ("tv_x", "id=4")),
    ],
)
def test_rows_are_named(text: str, parts: tuple[str, str]) -> None:
    assert parted(text) == parts


@pytest.mark.parametrize("text", ["tv_x", "tv_x:", ":1", '"a:b"'])
def test_no_rows(text: str) -> None:
    with pytest.raises(UsageError):
        parted(text)
