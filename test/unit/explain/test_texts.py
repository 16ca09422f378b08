"""explain finds what was pasted, whatever the numbers and names, and gives near matches else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtv.checks.registry import all_checks
from pgtv.cli.explain import _ROW
from pgtv.cli.main import COMMANDS, run
from pgtv.explain import texts
from pgtv.explain.texts import find, table


@pytest.mark.parametrize("check", list(all_checks()))
def test_every_check_is_explained(check: str) -> None:
    (found,) = find(check)
    assert found.means
    assert f"--only {check}" in found.type[0]
    assert {"Impact", "Diagnosis", "Mitigation"} <= set(found.details)


def test_a_finding_id_is_its_check() -> None:
    assert find("trigger-missing:public.tb_customer:customer")[0].name == "trigger-missing"


@pytest.mark.parametrize("code", [s["code"] for s in table("sqlstates")])
def test_every_sqlstate_is_explained_in_any_case(code: str) -> None:
    assert find(code)[0].name == find(code.lower())[0].name == code


def test_every_message_names_an_sqlstate_that_is_explained_and_checks_that_exist() -> None:
    codes = {s["code"] for s in table("sqlstates")} | {"42P17"}
    for entry in table("messages"):
        assert entry["sqlstate"] in codes, entry["id"]
        assert set(entry.get("checks", ())) <= set(all_checks()), entry["id"]


def test_every_pgtv_command_to_type_exists() -> None:
    for name in ("messages", "sqlstates", "early_names"):
        for entry in table(name):
            for line in entry["type"]:
                if line.startswith("pgtv "):
                    assert line.split()[1] in COMMANDS, line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pg_tviews_get_queue", "pg_tviews_get_queue()"),
        ("tviews.pg_tviews_get_queue()", "pg_tviews_get_queue()"),
        ("SELECT pg_tviews_refresh('a', force => true);", "pg_tviews_refresh(x, force => true)"),
        ("pg_tviews_metadata", "pg_tviews_metadata(entity)"),
        ("pg_tview_queue_persistence", "pg_tview_queue_persistence"),
        ("pg_tviews_convert_existing_table('tv_x')", "pg_tviews_convert_existing_table(x)"),
        ("triggers LIKE 'pg_tviews_%'", "triggers LIKE 'pg_tviews_%'"),
        ("SELECT * FROM pg_trigger WHERE tgname LIKE 'pg_tviews_%'", "triggers LIKE 'pg_tviews_%'"),
        ("DELETE FROM pg_tviews_queue WHERE gid = 'x'", "DELETE FROM … queue"),
        ("ALTER TABLE tb_a ENABLE ALWAYS TRIGGER t", "ENABLE ALWAYS TRIGGER, ENABLE REPLICA TRIGGER"
         " on the extension's triggers"),
    ],
)  # fmt: skip
def test_early_names_are_found_as_people_write_them(text: str, shown: str) -> None:
    assert find(text)[0].name == shown


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(0, 10**9),
    limit=st.integers(0, 10**9),
    head=st.sampled_from(
        ["", "ERROR:  ", "ERROR:  54000: ", "psql:x.sql:3: ERROR:  ", "2026-01-01 UTC [3] ERROR: "]
    ),
)
def test_numbers_vary(size: int, limit: int, head: str) -> None:
    text = f"{head}refresh queue backpressure: queue size ({size}) would exceed max_queue_size ({limit})"
    message, state = find(text)
    assert message.name == "queue-full"
    assert f"more than {limit}" in message.type[0]
    assert state.name == "54000"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_answered_without_a_traceback(text: str) -> None:
    for found in find(text):
        assert found.title
    assert isinstance(texts.nearest(text), list)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("tv_order:42", ("tv_order", "42")),
        ('"Sales Dept".tv_order:42', ('"Sales Dept".tv_order', "42")),
        ('public."tv_Ö"".x":a b', ('public."tv_Ö"".x"', "a b")),
        ("ERROR: no", None),
        ("ERROR:  tv_a:1", None),
        ("trigger-missing:public.tb_a", None),
    ],
)
def test_a_row_is_told_from_a_message(text: str, row: tuple[str, str] | None) -> None:
    match = _ROW.fullmatch(text)
    assert (match and (match[1], match[2])) == row


def test_unknown_text_exits_3_with_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "triger-missing"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "nearest: trigger-missing" in said.err


@pytest.mark.parametrize("text", ["55000", "trigger-missing", "pg_tviews_get_queue"])
def test_json_follows_its_published_schema(
    text: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", text, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((root / "schemas/pgtv.explain.1.json").read_text()))
    assert document["schema"] == "pgtv.explain/1"


def test_patterns_compile_and_ids_are_unique() -> None:
    ids = [m["id"] for m in table("messages")]
    assert len(ids) == len(set(ids))
    for entry in (*table("messages"), *table("early_names")):
        re.compile(entry["match"])
