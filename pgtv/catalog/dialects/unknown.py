"""A catalog never seen: pgtv shows what PostgreSQL itself knows and calls the rest unknown."""

from __future__ import annotations

from dataclasses import dataclass

from pgtv.catalog.dialects.base import EXTENSION, Dialect, ident, literal
from pgtv.catalog.dialects.beta19 import Beta19Dialect


@dataclass(frozen=True)
class UnknownDialect(Beta19Dialect):
    def contract_query(self, extschema: str) -> str | None:
        return _answer(extschema, "contract_version")

    def revision_query(self, extschema: str) -> str | None:
        return _answer(extschema, "pg_tviews_catalog_revision")

    def rebuild_empty(self) -> str:
        """Its schema is that of every release since the early ones."""
        return Dialect.rebuild_empty(self)

    def tviews_query(self, extschema: str) -> str:
        """Rows that look like registrations, by the columns that every generation had so far."""
        row = "pg_catalog.to_jsonb(m)"
        return (
            f"SELECT {row}->>'entity' AS entity, {_relation(row, 'table_oid')} AS table_oid,"
            f" {_relation(row, 'view_oid')} AS view_oid, {row}->>'definition' AS definition,"
            f" NULL::text AS plan, ({row} - 'plan' - 'definition')::text AS raw,"
            " NULL::int8[] AS uncascaded, NULL::int8[] AS function_tables,"
            f" pg_catalog.age(m.xmin) AS registered_age FROM {self.qualified_meta(extschema)} m"
            f" WHERE {row}->>'entity' IS NOT NULL ORDER BY 1"
        )


def _answer(extschema: str, function: str) -> str:
    """What a function of the extension without arguments answers, a number; NULL where it has none such.

    Its call is a text that is only read once it is known to be there, and to be the extension's own.
    """
    call = f"{ident(extschema)}.{function}()"
    return (
        "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e"
        " ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid"
        " WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'"
        f" AND d.objid = pg_catalog.to_regprocedure({literal(call)})"
        f" AND e.extname = {literal(EXTENSION)})"
        f" THEN (pg_catalog.xpath('//x/text()', pg_catalog.query_to_xml("
        f"{literal(f'SELECT {call} AS x')}, false, false, '')))[1]::text::int4 END"
    )


def _relation(row: str, column: str) -> str:
    """The OID that a column holds, as oid or regclass; NULL where it is something else."""
    value = f"{row}->>{literal(column)}"
    return (
        f"CASE WHEN {value} ~ '^[0-9]{{1,10}}$' THEN ({value})::int8"
        f" WHEN {value} ~ '^[^.]+([.][^.]+)?$' THEN pg_catalog.to_regclass({value})::oid::int8 END"
    )


DIALECT = UnknownDialect(
    name="unknown",
    schema=None,
    acts=False,
    detaches=False,
    revisions=(),
    contract_versions=(),
    server_majors=(13, 14, 15, 16, 17, 18),
    meta_triggers={},
    event_triggers={},
    public_tables=(),
    operator_functions=(),
    trigger_language=None,
    required_tables=(),
    has_plan=False,
    refuses_cycles=False,
    refresh_cascades=False,
)
