"""Whatever stands in the extension's catalog, looking ends in an orderly way."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql
from servers import THOROUGH, Database

from pgtv.catalog import codec
from pgtv.cli.main import run

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)  # fmt: skip
keys = st.sampled_from(
    ["tables", "paths", "embeds", "direct", "relid", "kind", "columns", "name", "entity", "version",
     "references", "set_operation", "attnums", "lookups", "path", "table", "source_oid"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5)
)
wild = st.sampled_from(
    ["[" * 1500 + "]" * 1500, "9" * 5000, "1e400", '{"tables": [{"relid": 1e3}]}',
     '{"tables": [{"relid": true}], "paths": [], "embeds": []}']
)  # fmt: skip
documents = values.map(json.dumps) | wild
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'tviews.pg_tview_meta'::regclass AND attnum > 0 AND NOT attisdropped
  AND attname <> 'table_oid' ORDER BY attname
"""
COMMANDS = (
    ["doctor"], ["status"], ["verify", "tv_customer", "--key", "3"], ["explain", "tv_customer:3"],
    ["graph", "show"], ["repair"],
)  # fmt: skip


@settings(
    max_examples=50 if THOROUGH else 5, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    # by place in the list of columns, whichever this release has
    edits=st.dictionaries(
        st.integers(0, 99), documents | texts | st.integers(0, 2**32 - 1).map(str), max_size=6
    ),
    plan=st.none() | documents,
)
@example(edits={}, plan='{"tables": null}')
def test_arbitrary_catalog_rows(
    shop18: Database, tmp_path: Path, edits: dict[int, str], plan: str | None
) -> None:
    with shop18.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("CREATE TABLE IF NOT EXISTS public.kept AS TABLE tviews.pg_tview_meta")
        columns = dict(connection.execute(COLUMNS).fetchall())
        before = tmp_path / "before.json"
        codec.save(shop18.snapshot(), before)
        for place, value in edits.items():
            column = list(columns)[place % len(columns)]
            _set(connection, column, value, columns[column])
        if plan is not None:
            _set(connection, "plan", plan, columns["plan"])
        try:
            snapshot = shop18.snapshot()
            assert len(snapshot.tviews) == 9
            assert codec.loads(codec.dumps(snapshot)) == snapshot
            for command in (*COMMANDS, ["snapshot", "diff", str(before)]):
                _orderly(shop18, command)
        finally:
            connection.execute("DELETE FROM tviews.pg_tview_meta")
            connection.execute("INSERT INTO tviews.pg_tview_meta TABLE public.kept")


def _set(connection: psycopg.Connection[Any], column: str, value: str, kind: str) -> None:
    update = sql.SQL(
        "UPDATE tviews.pg_tview_meta SET {} = %s::{} WHERE table_oid = 'tv_customer'::regclass"
    ).format(sql.Identifier(column), sql.SQL(kind))  # type: ignore[arg-type]
    with suppress(psycopg.Error):  # what the server itself refuses
        connection.execute(update, [value])


def _orderly(database: Database, command: list[str]) -> None:
    output = CliRunner()
    with output.isolation() as (out, err, _):
        code = run([*command, "-d", database.conninfo])
        said = out.getvalue().decode() + err.getvalue().decode()
    assert code in (0, 1, 2, 3)
    assert "unexpectedly" not in said and "Traceback" not in said, (command, said)
    assert "itself failed" not in said, said
