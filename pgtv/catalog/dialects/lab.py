"""The lab stand-in (sql/lab): the current generation's surface in PL/pgSQL, no library."""

from __future__ import annotations

from dataclasses import dataclass

from pgtv.catalog.dialects.base import Dialect


@dataclass(frozen=True)
class LabDialect(Dialect):
    def library_query(self, extschema: str) -> str | None:
        return None

    def feed_gaps_query(self, extschema: str) -> str | None:
        return None


DIALECT = LabDialect(
    name="lab",
    detaches=False,
    event_triggers={},
    trigger_language="plpgsql",
    server_majors=(14, 15, 16, 17, 18),
)
