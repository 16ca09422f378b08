"""Whatever stands in the extension's catalog, looking ends in an orderly way."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import psycopg
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import Database

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
COLUMNS = ("plan", "identity", "group_keys", "declared_indexes")


@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    edits=st.dictionaries(st.sampled_from(COLUMNS), documents, max_size=4),
    definition=st.none() | texts,
    oid=st.none() | st.integers(0, 2**32 - 1),
)
def test_arbitrary_catalog_rows(
    shop18: Database, edits: dict[str, str], definition: str | None, oid: int | None
) -> None:
    with shop18.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("CREATE TABLE IF NOT EXISTS public.kept AS TABLE tviews.pg_tview_meta")
        for column, document in edits.items():
            _set(connection, column, document, "jsonb")
        if definition is not None:
            _set(connection, "definition", definition, "text")
        if oid is not None:
            _set(connection, "view_oid", str(oid), "oid")
        try:
            snapshot = shop18.snapshot()
            assert len(snapshot.tviews) == 9
            assert codec.loads(codec.dumps(snapshot)) == snapshot
            for command in ("doctor", "status"):
                _orderly(shop18, command)
        finally:
            connection.execute("DELETE FROM tviews.pg_tview_meta")
            connection.execute("INSERT INTO tviews.pg_tview_meta TABLE public.kept")


def _set(connection: psycopg.Connection[Any], column: str, value: str, kind: str) -> None:
    update = f"UPDATE tviews.pg_tview_meta SET {column} = %s::{kind} WHERE entity = 'customer'"
    with suppress(psycopg.Error):  # what the server itself refuses
        connection.execute(update.encode(), [value])


def _orderly(database: Database, command: str) -> None:
    output = CliRunner()
    with output.isolation() as (out, err, _):
        code = run([command, "-d", database.conninfo])
        said = out.getvalue().decode() + err.getvalue().decode()
    assert code in (0, 1, 2, 3)
    assert "unexpectedly" not in said, said
    assert "itself failed" not in said, said
