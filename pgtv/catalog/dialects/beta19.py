"""Releases up to beta.19: objects in the schema of CREATE EXTENSION, no registry, no plan.

For looking only: these releases run where the current ones do not (PostgreSQL 15).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgtv.catalog.dialects.base import FLUSH, ROW, Dialect, TriggerShape, ident, literal


@dataclass(frozen=True)
class Beta19Dialect(Dialect):
    def reregister(self, table: str) -> str:
        return f"-- this release cannot re-register {table}: upgrade first (see UPGRADES.md)"

    def reregister_all(self) -> str:
        return "-- this release cannot re-register: upgrade first (see UPGRADES.md)"

    def refresh(self, table: str) -> str:
        return f"SELECT pg_tviews_refresh({literal(table)});"

    def reconcile(self, entity: str) -> str | None:
        return None

    def rebuild_empty(self) -> str:
        return "SELECT * FROM pg_tviews_rebuild_all(true);"

    def backing_view(self, schema: str, name: str) -> str:
        return "v_" + name.removeprefix("tv_")

    def expected_triggers(
        self,
        cascade: str,
        relkind: str,
        *,
        on_tview: bool,
    ) -> tuple[TriggerShape, ...]:
        return () if on_tview or relkind not in "rp" else (ROW, FLUSH)

    def trigger_entity(
        self, name: str, kind: str, args: tuple[str, ...], entities: Sequence[str]
    ) -> str | None:
        """These releases pass no argument: the entity stands in the trigger's name only."""
        prefix = "trg_tview_flush_" if kind == "flush" else "trg_tview_"
        named = [e for e in entities if name.startswith(f"{prefix}{e}_on_")]
        return max(named, key=len, default=None)

    def tviews_query(self, extschema: str) -> str:
        meta = self.qualified_meta(extschema)
        return (
            "SELECT m.entity, m.table_oid::oid::int8 AS table_oid, m.view_oid::oid::int8 AS view_oid,"
            " m.definition, NULL::text AS plan,"
            " (pg_catalog.to_jsonb(m) - 'definition')::text AS raw,"
            " NULL::int8[] AS uncascaded, NULL::int8[] AS function_tables,"
            f" pg_catalog.age(m.xmin) AS registered_age FROM {meta} m ORDER BY m.entity"
        )

    def registry_query(self, extschema: str) -> str | None:
        return None

    def valid_query(self, extschema: str) -> str | None:
        return None

    def stats_query(self, extschema: str) -> str | None:
        return None

    def audit_query(self, extschema: str) -> str | None:
        return None

    def contract_query(self, extschema: str) -> str | None:
        return None

    def revision_query(self, extschema: str) -> str | None:
        return None

    def library_query(self, extschema: str) -> str | None:
        return f"SELECT {ident(extschema)}.pg_tviews_version()"

    def feed_gaps_query(self, extschema: str) -> str | None:
        return None


DIALECT = Beta19Dialect(
    name="beta19",
    schema=None,
    acts=False,
    embeds_views=True,
    revisions=(),
    contract_versions=(),
    server_majors=(13, 14, 15, 16, 17, 18),
    meta_triggers={},
    event_triggers={},
    public_tables=(),
    operator_functions=(),
    trigger_language=None,
    required_tables=("pg_tview_meta",),
    has_plan=False,
    refuses_cycles=False,
    refresh_cascades=False,
)
