"""A catalog never seen: pgtv shows what PostgreSQL itself knows and calls the rest unknown."""

from __future__ import annotations

from dataclasses import dataclass

from pgtv.catalog.dialects.base import Dialect, literal
from pgtv.catalog.dialects.beta19 import Beta19Dialect


@dataclass(frozen=True)
class UnknownDialect(Beta19Dialect):
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
