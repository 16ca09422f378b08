"""`pgtv sql` finds the files wherever pgtv is installed, by whole and by short names."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pgtv import shipped
from pgtv.cli.main import run
from pgtv.cli.sql import sql

ROOT = Path(__file__).resolve().parents[3]


def told(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(sql, [*arguments], standalone_mode=False)
    return done.return_value, done.stdout


def test_all_that_people_run_is_listed_with_what_it_is_for() -> None:
    files = {f"{f.parent.name}/{f.stem}" for f in (ROOT / "sql").glob("[emr]*/*.sql")}
    code, text = told()
    assert code == 0
    assert {line.split()[0] for line in text.splitlines() if line[0] != " "} == files


@pytest.mark.parametrize("name", shipped.names())
def test_a_file_is_printed_as_it_is(name: str) -> None:
    whole = (ROOT / "sql" / f"{name}.sql").read_text()
    for written in (name, name.partition("/")[2], f"{name}.sql"):
        assert told(written) == (0, whole)
    code, path = told(name, "--path")
    assert (code, Path(path.rstrip("\n")).read_text()) == (0, whole)


@pytest.mark.parametrize("name", shipped.names())
def test_it_says_in_one_sentence_what_it_is_for(name: str) -> None:
    assert 20 < len(shipped.about(name)) < 150
    assert shipped.about(name)[-1] in ".:"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stop-write",), "did you mean stop-writes"),
        (("nothing-like-it",), "pgtv sql lists them"),
        (("--path",), "name it"),
    ],
)
def test_what_is_not_there_is_said(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sql", *arguments]) == 3
    assert said in capsys.readouterr().err
