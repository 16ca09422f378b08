"""Whoever may create in a schema that a superuser's search_path names first gets nothing run by looking."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from servers import Database

from pgtv.errors import ClusterError

# It says so in the server's log, also where somebody swallows the error.
TRAP = "LANGUAGE plpgsql AS $f$BEGIN RAISE LOG 'PLANTED {0}'; RAISE EXCEPTION 'PLANTED {0}'; END$f$"

# One for each function that is called in SQL somewhere, aggregates too; those that have arguments or
# results that PL/pgSQL does not know are left out.
FUNCTIONS = """
SELECT format('%%I', p.proname), p.prokind = 'a', pg_get_function_arguments(p.oid),
       pg_get_function_result(p.oid), p.oid::int8
FROM pg_proc p LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (%s) AND p.prokind IN ('f', 'a')
  AND coalesce(a.aggkind, 'n') = 'n'
  AND (p.pronargs = 0 OR p.proargtypes[0]::regtype::text = ANY (%s))
"""
OPERATORS = """
SELECT oprname, oprleft::regtype::text, oprright::regtype::text, oprresult::regtype::text, oid::int8
FROM pg_operator
WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft::regtype::text = ANY (%s)
  AND oprright <> 0 AND oprresult <> 0
"""
COMPARED = ["text", "name", "oid", '"char"', "integer", "bigint", "boolean", "text[]", "oid[]",
            "smallint", "jsonb", "xid", "pg_lsn"]  # fmt: skip
TAKEN = [*COMPARED, '"any"', "anyelement", "anyarray", "anynonarray", "oidvector", "regclass"]
TYPES = ("text", "name", "oid", "regclass", "regrole", "regproc", "regtype", "regnamespace", "jsonb",
         "xid", "pg_lsn", "uuid", "timestamptz", "int4", "int8", "float8", "bool")  # fmt: skip
RELATIONS = """
SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
"""
LOOKING = (
    ("doctor", "--format", "json"), ("status",), ("snapshot", "save", "-"), ("graph", "show"),
    ("graph", "cycles"), ("explain", "tv_order:1"),
)  # fmt: skip


def planted(c: psycopg.Connection[Any], root: Path) -> set[str]:
    """Plant what shadows functions, operators, types and catalogs; gives what was planted."""
    made: set[str] = set()

    def plant(what: str, *statements: str) -> None:
        try:
            with c.transaction():
                for statement in statements:
                    c.execute(statement.encode())
            made.add(what)
        except psycopg.Error:
            pass  # a type that PL/pgSQL does not take, or names that stand already

    code = "".join(p.read_text() for p in (root / "pgtv").rglob("*.py"))
    called = sorted(set(re.findall(r"\b([a-z][a-z0-9_]*)\(", code)))
    c.execute(
        f"CREATE FUNCTION public.planted_end(text) RETURNS text {TRAP.format('an aggregate')}"
    )
    for name, aggregate, arguments, result, oid in c.execute(FUNCTIONS, (called, TAKEN)).fetchall():
        for given in as_plpgsql_takes_them(arguments):
            if not aggregate:
                label = TRAP.format(f"function {name}")
                plant(
                    f"{name}()", f"CREATE FUNCTION public.{name}({given}) RETURNS {result} {label}"
                )
                continue
            step = f"public.planted_step_{oid}"
            plant(
                f"{name}()",
                f"CREATE FUNCTION {step}({', '.join(filter(None, ('text', given)))}) RETURNS text"
                f" {TRAP.format(f'aggregate {name}')}",
                f"CREATE AGGREGATE public.{name}({given or '*'})"
                f" (SFUNC = {step}, STYPE = text, FINALFUNC = public.planted_end)",
            )
    for name, left, right, result, oid in c.execute(OPERATORS, (COMPARED,)).fetchall():
        label = f"operator {left} {name} {right}".replace("%", "%%")
        plant(
            f"{left} {name} {right}",
            f"CREATE FUNCTION public.planted_{oid}({left}, {right}) RETURNS {result}"
            f" {TRAP.format(label)}",
            f"CREATE OPERATOR public.{name} (FUNCTION = public.planted_{oid},"
            f" LEFTARG = {left}, RIGHTARG = {right})",
        )
    for name in TYPES:
        trap = TRAP.format(f"type {name}")
        plant(
            f"::{name}",
            f"CREATE FUNCTION public.planted_value(pg_catalog.{name}) RETURNS boolean {trap}",
            f"CREATE DOMAIN public.{name} AS pg_catalog.{name} CHECK (public.planted_value(VALUE))",
        )
    for (name,) in c.execute(RELATIONS).fetchall():
        if name in code:
            plant(
                name,
                f"CREATE FUNCTION public.planted_row_{name}() RETURNS boolean"
                f" {TRAP.format(f'relation {name}')}",
                f"CREATE VIEW public.{name} AS SELECT * FROM pg_catalog.{name}"
                f" WHERE public.planted_row_{name}()",
            )
    return made


def as_plpgsql_takes_them(arguments: str) -> tuple[str, ...]:
    """`any` is a type only to functions in C."""
    if 'VARIADIC "any"' in arguments:
        return tuple(
            arguments.replace('VARIADIC "any"', ", ".join(["text"] * n)) for n in (1, 2, 4)
        )
    return (arguments.replace('"any"', "anyelement"),)


@pytest.fixture
def trapped(shop18: Database, root: Path) -> Iterator[Database]:
    """A shop in whose sessions unqualified names mean what was planted."""
    with shop18.connect() as c, c.transaction():
        made = planted(c, root)
    assert {
        "count()", "format()", "array_agg()", "quote_ident()", "to_regclass()", "lower()",
        "current_setting()", "text = text", "name = name", "oid = oid", "text || text", "text ~ text",
        "name ~ text", "::text", "::oid", "::regclass", "pg_class", "pg_namespace", "pg_proc",
    } <= made  # fmt: skip
    maintenance = f"ALTER DATABASE {shop18.name}"
    shop18.server.psql(f"{maintenance} SET search_path = public, pg_catalog", "postgres")
    yield shop18
    shop18.server.psql(f"{maintenance} RESET search_path", "postgres")


def test_looking_calls_nothing_that_was_planted(trapped: Database) -> None:
    for control in ("SELECT count(*) FROM (VALUES (1)) v", "SELECT lower('X')", "SELECT 'a'::text",
                    "SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text",
                    "SELECT relname FROM pg_class"):  # fmt: skip
        with pytest.raises(ClusterError, match="PLANTED"):
            trapped.sql(control)
    for command in LOOKING:
        before = len(trapped.server.log_text())
        done = trapped.pgtv(*command)
        log = trapped.server.log_text()[before:]
        assert "PLANTED" not in log + done.stdout + done.stderr, (command, log[-2000:])
        assert "Traceback" not in done.stderr and done.returncode < 3, (command, done.stderr)
        if command[0] == "doctor":
            found = {f["check"] for f in json.loads(done.stdout)["findings"]}
            assert "search-path-shadows" in found
        if command[0] == "snapshot":
            assert json.loads(done.stdout)["gaps"] == []
