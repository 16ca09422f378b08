"""Reading files as people write them, positions, silencing, formats; without a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtv.cli.lint import read_files
from pgtv.lint import report
from pgtv.lint.check import lint
from pgtv.lint.rules import ALL, Problem
from pgtv.lint.source import Source, split


def problems(*texts: str, ignore: tuple[str, ...] = ()) -> list[Problem]:
    return lint([Source(f"f{i}.sql", t) for i, t in enumerate(texts)], ignore=ignore)


def rules(*texts: str) -> list[str]:
    return [p.rule.id for p in problems(*texts)]


def at(text: str, mark: str) -> tuple[int, int]:
    before = text[: text.index(mark)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


GOOD = "SELECT a.pk_a, a.id, jsonb_build_object('n', a.n) AS data FROM tb_a a"
BAD = "SELECT a.pk_a, now() AS t FROM tb_a a"


@pytest.mark.parametrize(
    "text",
    [
        f"CREATE TABLE tv_a AS {GOOD};",
        f"CREATE UNLOGGED TABLE IF NOT EXISTS public.tv_a WITH (fillfactor = 90) AS\n{GOOD}",
        f"SELECT tviews.pg_tviews_create('tv_a', $${GOOD}$$);",
        f"SELECT pg_tviews_create_or_replace(query => $q${GOOD}$q$, tview => 'public.tv_a');",
        f"SELECT * FROM tviews.pg_tviews_create('a', $${GOOD}$$, '{{}}'::jsonb);",
        f"SELECT pg_tviews_create(tview_name := 'a', select_sql := $${GOOD}$$);",
        "SELECT pg_tviews_create('a', '" + GOOD.replace("'", "''") + "');",
        f"DO $do$ BEGIN PERFORM tviews.pg_tviews_create('tv_a', $${GOOD}$$); END $do$;",
        f"DO $do$ BEGIN IF true THEN CREATE TABLE tv_a AS {GOOD}; END IF; END $do$;",
        f"DO $do$ BEGIN EXECUTE $x$CREATE TABLE tv_a AS {GOOD}$x$; END $do$;",
    ],
)
def test_forms_are_found_and_clean_ones_are_clean(text: str) -> None:
    source = Source("f.sql", text)
    assert lint([source]) == []
    assert source.definitions == 1
    assert rules(text.replace(GOOD, BAD).replace(GOOD.replace("'", "''"), BAD)) == [
        "time-dependent"
    ]


@pytest.mark.parametrize(
    "wrap",
    [
        "{};", "-- é\n\\set x 1\n{};", "SELECT 'é€😀';\nCREATE TABLE tv_a AS\n  {};",
        "SELECT tviews.pg_tviews_create('tv_a', $$ /* é */\n {}$$);",
        "SELECT tviews.pg_tviews_create('tv_a', 'SELECT ''é'' AS x, * FROM ({}) q');",
        "SELECT tviews.pg_tviews_create('tv_a', E'\\n {}');",
        "\\connect x\nDO $d$\nBEGIN\n  PERFORM tviews.pg_tviews_create('tv_a', $q$\n{}$q$);\nEND $d$;",
        "\\echo a\nDO $d$ BEGIN\n EXECUTE 'CREATE TABLE tv_a AS {}';\nEND $d$;",
    ],
)  # fmt: skip
def test_positions_are_those_of_the_file(wrap: str) -> None:
    if wrap in ("{};", "-- é\n\\set x 1\n{};"):
        wrap = wrap.replace("{}", "CREATE TABLE tv_a AS {}")
    text = wrap.replace("{}", BAD)
    (found,) = [p for p in problems(text) if p.rule.id == "time-dependent"]
    assert (found.line, found.column) == at(text, "now()")


MIXED = """\\set ON_ERROR_STOP on
\\if :{?x} \\else
\\endif
COPY tb_a (pk_a) FROM stdin;
1;DROP TABLE 'x
2\t$$
\\.
INSERT INTO t VALUES (:'quoted', :number, :"name");
CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
/* a /* nested */ comment; */
SELECT 1 \\gset
THIS IS NO SQL;
CREATE TABLE broken (;
CREATE TABLE tv_b AS SELECT b.pk_b, current_date AS d FROM tb_b b;
"""


def test_what_is_not_sql_is_stepped_over() -> None:
    found = problems(MIXED)
    assert [(p.rule.id, p.line) for p in found] == [
        ("unparsed", 12), ("unparsed", 13), ("time-dependent", 14),
    ]  # fmt: skip
    assert (found[-1].line, found[-1].column) == at(MIXED, "current_date")


def test_a_definition_that_does_not_parse_is_an_error_where_it_breaks() -> None:
    text = f"CREATE TABLE tv_x AS SELECT FROM WHERE;\nCREATE TABLE tv_a AS {BAD};"
    found = problems(text)
    assert [(p.rule.id, p.line) for p in found] == [("syntax", 1), ("time-dependent", 2)]
    inner = "SELECT tviews.pg_tviews_create('tv_a', $$SELECT é FROM WHERE$$);"
    (one,) = problems(inner)
    assert one.rule.id == "syntax" and (one.line, one.column) == at(inner, "WHERE")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab ';\"$\\\n-/*()EcopyATOMIC:", max_size=60))
def test_splitting_keeps_every_offset(text: str) -> None:
    last = 0
    for start, end, blanked in split(text):
        assert len(blanked) == len(text)
        assert last <= start <= end <= len(text)
        last = end
        kept = [(a, b) for a, b in zip(text, blanked, strict=True) if a != b]
        assert all(b == " " for _, b in kept)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutilated_files_never_bring_a_traceback(data: st.DataObject) -> None:
    text = MIXED + f"SELECT tviews.pg_tviews_create('tv_a', $${GOOD}$$, '{{\"logged\": 1}}');"
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 20))
        text = text[:start] + data.draw(st.text(max_size=3)) + text[start + length :]
    for problem in problems(text):
        assert problem.line >= 1 and problem.column >= 1


def test_cycles_across_files_with_the_smallest_cut() -> None:
    found = problems(
        "CREATE TABLE tv_a AS SELECT a.pk_a, b.data FROM tb_a a JOIN v_b b ON b.pk_b = a.pk_a;",
        "CREATE VIEW v_b AS SELECT * FROM tv_b;",
        "CREATE TABLE tv_b AS SELECT b.pk_b, a.data FROM tb_b b JOIN tv_a a ON a.pk_a = b.pk_b;",
    )
    (cycle,) = [p for p in found if p.rule.id == "cycle"]
    assert cycle.message == "Circular dependency detected: tv_a -> v_b -> tv_b -> tv_a"
    assert cycle.hint.startswith("smallest cut: ")
    assert (cycle.file, cycle.line) == ("f0.sql", 1)


def test_a_later_replacement_breaks_a_cycle() -> None:
    first = "CREATE TABLE tv_a AS SELECT a.pk_a, b.data FROM tb_a a JOIN tv_b b ON b.pk_b = a.pk_a;"
    second = (
        "CREATE TABLE tv_b AS SELECT b.pk_b, a.data FROM tb_b b JOIN tv_a a ON a.pk_a = b.pk_b;"
    )
    third = f"SELECT tviews.pg_tviews_create_or_replace('tv_a', $${GOOD}$$);"
    assert "cycle" in rules(first, second)
    assert rules(first, second, third) == []


def test_duplicates_follow_drops() -> None:
    make = f"CREATE TABLE tv_a AS {GOOD};"
    assert rules(make, make) == ["duplicate-entity"]
    assert rules(make, "DROP TABLE tv_a;" + make) == []
    assert rules(make, "SELECT tviews.pg_tviews_drop('tv_a');" + make) == []
    assert rules(make, make.replace("tv_a", "other.tv_a")) == ["duplicate-entity"]


def test_unknown_relations_only_where_tables_are_known() -> None:
    text = f"CREATE TABLE tv_a AS {GOOD};"
    assert rules(text) == []
    assert rules("CREATE TABLE tb_b (pk_b int);", text) == ["unknown-relation"]
    (problem,) = problems("CREATE TABLE tb_aa (pk_a int);", text)
    assert problem.hint == "near: tb_aa", "what else it may have meant, and not the TVIEW itself"
    (problem,) = problems("CREATE TABLE other (pk_a int);", text)
    assert not problem.hint
    assert rules("CREATE TABLE tb_a (pk_a int, id uuid, n text);", text) == []
    assert rules("CREATE TABLE tb_a (pk_a int, id uuid);", text) == ["unknown-column"]
    schema = Source("schema.sql", "CREATE TABLE public.tb_a (pk_a int, id uuid, n text);")
    assert lint([Source("f", text)], [schema]) == []


@pytest.mark.parametrize(
    "text",
    [
        f"CREATE TABLE tv_a AS {BAD}; -- pgtv: ignore time-dependent",
        f"-- why not -- pgtv: ignore time-dependent\nCREATE TABLE tv_a AS {BAD};",
        f"/* pgtv: ignore */\nCREATE TABLE tv_a AS\n\n\n{BAD};",
        f"-- pgtv: ignore limit, time-dependent\nCREATE TABLE tv_a AS\n{BAD};",
    ],
)
def test_silenced(text: str) -> None:
    assert rules(text) == []
    assert rules(text.replace("pgtv: ignore", "pgtv: keep")) == ["time-dependent"]
    assert rules(
        text.replace("time-dependent", "window").replace("ignore */", "ignore limit */")
    ) == ["time-dependent"]


def test_ignore_everywhere() -> None:
    assert problems(f"CREATE TABLE tv_a AS {BAD};", ignore=("time-dependent",)) == []


def test_formats() -> None:
    found = problems(f"CREATE TABLE tv_a AS {BAD};")
    text = report.human(found, 1, 1)
    assert text.startswith(
        "f0.sql:1:37: error time-dependent: tv_a reads the current time (now())\n"
    )
    assert text.endswith("1 file, 1 definition: 1 error\n")
    document = json.loads(report.as_json(found, 1, 1))
    assert document["problems"][0]["rule"] == "time-dependent"
    assert report.github(found).startswith(
        "::error file=f0.sql,line=1,col=37,title=pgtv time-dependent::tv_a reads"
    )
    assert report.github([]) == ""


def pgtv(*args: str, cwd: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgtv", *args],
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def test_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "good.sql").write_text(f"CREATE TABLE tv_a AS {GOOD};")
    (tmp_path / "warn.sql").write_text(
        "CREATE TABLE tv_b AS SELECT b.pk_b, random() AS r FROM tb_b b;"
    )
    (tmp_path / "bad.sql").write_text("CREATE TABLE tv_c AS SELECT c.pk_c, now() AS t FROM tb_c c;")
    assert pgtv("lint", "good.sql", cwd=tmp_path).returncode == 0
    assert pgtv("lint", "warn.sql", cwd=tmp_path).returncode == 1
    assert pgtv("lint", "bad.sql", cwd=tmp_path).returncode == 2
    assert pgtv("lint", ".", cwd=tmp_path).returncode == 2
    missing = pgtv("lint", "good.sql", "none.sql", cwd=tmp_path)
    assert missing.returncode == 3 and "cannot read none.sql" in missing.stderr
    assert pgtv("lint", cwd=tmp_path).returncode == 3
    assert pgtv("lint", "--ignore", "tyme", "good.sql", cwd=tmp_path).returncode == 3
    assert (
        pgtv("lint", "-", cwd=tmp_path, text="CREATE TABLE tv_c AS SELECT 1 AS pk_c").returncode
        == 2
    )


def test_list_names_every_rule(tmp_path: Path) -> None:
    listed = pgtv("lint", "--list", cwd=tmp_path).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(ALL)


def test_every_rule_is_documented(root: Path) -> None:
    page = (root / "docs" / "operations" / "LINT.md").read_text()
    for rule in ALL.values():
        assert f"| `{rule.id}` | {rule.level.value} |" in page, rule.id


def test_a_folder_without_what_git_ignores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("m/1.sql", "m/build/2.sql", ".git/refs/heads/b.sql", "é n/3.sql"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("SELECT 1;")

    def found(*folders: str) -> list[str]:
        sources, failed = read_files(tuple(Path(f) for f in folders))
        assert not failed
        return [s.name for s in sources]

    everything = ["m/1.sql", "m/build/2.sql", "é n/3.sql"]
    monkeypatch.chdir(tmp_path)
    assert found(".") == everything, "no repository"
    (tmp_path / ".gitignore").write_text("build/\né n\n")
    shutil.rmtree(tmp_path / ".git")
    for variable in [v for v in os.environ if v.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    subprocess.run(["git", "init", "-q"], check=True)
    assert found(".") == ["m/1.sql"]
    assert found(str(tmp_path)) == [f"{tmp_path}/m/1.sql"]
    assert found("m/build", "m") == ["m/build/2.sql", "m/1.sql"], "one that was asked for by name"
    (tmp_path / "link").symlink_to("m")
    assert found("link") == ["link/1.sql"]
    with monkeypatch.context() as hook:
        hook.setenv("GIT_DIR", ".git")
        assert found("m") == ["m/1.sql"]
    for elsewhere in (tmp_path.parent, Path("/"), tmp_path / "m"):
        monkeypatch.chdir(elsewhere)
        assert found(str(tmp_path)) == [f"{tmp_path}/m/1.sql"]
        assert found(os.path.relpath(tmp_path)) == [f"{os.path.relpath(tmp_path)}/m/1.sql"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert found(".") == everything, "no git"


def test_json_follows_its_published_schema(root: Path) -> None:
    schema = json.loads((root / "schemas/pgtv.lint.1.json").read_text())
    found = problems(
        "CREATE TABLE tv_a AS SELECT a.pk_a, now() AS t FROM tb_a a;", "CREATE TVIEW x"
    )
    document = json.loads(report.as_json(found, 2, 1))
    jsonschema.validate(document, schema)
    assert document["problems"]
    del document["problems"][0]["rule"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
