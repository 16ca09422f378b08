"""A catalog never seen: pgtv shows what PostgreSQL itself knows and calls the rest unknown."""

from __future__ import annotations

from pgtv.catalog.dialects.beta19 import Beta19Dialect

DIALECT = Beta19Dialect(
    name="unknown",
    schema=None,
    acts=False,
    revisions=(),
    contract_versions=(),
    server_majors=(13, 14, 15, 16, 17, 18),
    meta_triggers=(),
    event_triggers=(),
    required_tables=(),
    has_plan=False,
    refuses_cycles=False,
)
