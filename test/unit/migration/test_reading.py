"""Migration files as people and tools write them, to steps; and that nothing makes the judge stumble."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from migration_cases import CASES
from small_shop import snapshot

from pgtv.lint.source import Source
from pgtv.migration.judge import judge
from pgtv.migration.read import Step, excerpt, steps
from pgtv.reports import migration as report


def read(text: str) -> list[Step]:
    return list(steps(Source("m.sql", text)))


def test_statements_stand_where_they_begin() -> None:
    found = read("-- first\nALTER TABLE a ADD b int;\n\n  DROP TABLE é; DROP TABLE c;")
    places = [(s.kind, s.source.position(s.at)) for s in found]
    assert places == [("AlterTableStmt", (2, 1)), ("DropStmt", (4, 3)), ("DropStmt", (4, 17))]
    assert found[1].text == "DROP TABLE é"


def test_blocks_are_followed_where_their_sql_is_static() -> None:
    found = read(
        "DO $x$\nDECLARE r record;\nBEGIN\n  IF true THEN\n    ALTER TABLE a DROP COLUMN b;\n  END IF;\n"
        "  EXECUTE 'DROP TABLE c';\n  EXECUTE format('DROP TABLE %I', 'd');\n  PERFORM f();\n"
        "  FOR r IN EXECUTE 'SELECT 1' LOOP DELETE FROM e; END LOOP;\nEND $x$;"
    )
    assert [(s.kind or s.problem, s.source.position(s.at)[0]) for s in found] == [
        ("AlterTableStmt", 5), ("DropStmt", 7), ("dynamic", 8), ("SelectStmt", 9), ("SelectStmt", 10),
        ("DeleteStmt", 10),
    ]  # fmt: skip
    assert len({s.block for s in found}) == 1 and found[0].block


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\i other.sql\nDROP TABLE a;", ["include", "DropStmt"]),
        ("\\copy a (b) from 'x.csv' csv\n", ["CopyStmt"]),
        ("\\copy a to 'x.csv'\n", []),
        ("SELECT 'DROP TABLE a' \\gexec\n", ["SelectStmt", "dynamic"]),
        ("COPY a FROM stdin;\n1\tDROP TABLE b;\n\\.\nDROP TABLE c;", ["CopyStmt", "DropStmt"]),
        ("ALTER TABLE ;\nDROP TABLE a;", ["not-parsed", "DropStmt"]),
        ("-- migrate:up\nDROP TABLE a;\n-- migrate:down\nDROP TABLE b;", ["DropStmt", "down-part"]),
        ("-- +goose Up\nDROP TABLE a;\n-- +goose Down\nDROP TABLE b;", ["DropStmt", "down-part"]),
        ("DO LANGUAGE plperl $$ x $$;", ["block-not-parsed"]),
        ("DO $$ BEGIN not plpgsql", ["not-parsed"]),
        ("", []),
        (";;;", []),
    ],
)
def test_what_is_no_sql(text: str, expected: list[str]) -> None:
    assert [s.kind or s.problem for s in read(text)] == expected


def test_an_excerpt_is_one_line() -> None:
    assert excerpt("ALTER  TABLE a -- why\n /* so */ ADD b int ;\n") == "ALTER TABLE a ADD b int"
    assert len(excerpt("SELECT " + "x, " * 100)) == 160


def judged(text: str) -> None:
    """Every format of whatever comes out."""
    made = judge([Source("m.sql", text)], SHOP, "a file")
    assert report.human(made, 80) and report.document(made)
    report.github(made)
    for statement in made.statements:
        assert statement.line >= 1 and statement.column >= 1


SHOP = snapshot()
PIECES = [
    "ALTER TABLE ", "tb_customer ", "tb_order", " DROP COLUMN email", " CASCADE", ";", "\n", "BEGIN", "END",
    "$$", "'", '"', "(", ")", "DO $$ BEGIN ", " END $$", "--", "/*", "*/", "\\i x\n", "EXECUTE ", "SELECT ",
    "tviews.pg_tviews_create_or_replace(", "'tv_customer'", ", $q$ SELECT 1 $q$)", "CREATE OR REPLACE VIEW ",
    "v_open", " AS SELECT ", "UPDATE ", " SET name = name", "ROLLBACK", "SAVEPOINT a", "SET search_path = ''",
    "é", "\x00", "\ud800", "COPY tb_order FROM stdin;\n", "\\.\n", "TRUNCATE ", "GRANT ", "REVOKE ", "DROP ",
    " RENAME TO x", "TABLE ", "FUNCTION ", "TYPE ", "SCHEMA ", "tv_customer", " OWNER TO ", "CURRENT_USER",
]  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("ALTER TABLE tb_customer OWNER TO CURRENT_USER;")
def test_no_text_makes_it_stumble(text: str) -> None:
    judged(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(CASES), st.data())
def test_no_damaged_statement_makes_it_stumble(case: object, data: st.DataObject) -> None:
    """Real statements with a piece cut out, doubled, or from another one."""
    text = getattr(case, "sql")  # noqa: B009
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 25)))
    other = data.draw(st.sampled_from([c.sql for c in CASES]))
    judged(text[:start] + data.draw(st.sampled_from(["", " ", other[:20], ";", "'"])) + text[end:])


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_statements_of_other_databases_say_nothing_of_tviews(case: object) -> None:
    """A database whose TVIEWs have nothing to do with them."""
    judged(getattr(case, "setup") + ";" + getattr(case, "sql"))  # noqa: B009
