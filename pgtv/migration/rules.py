"""Statement by situation: the locks it takes and what it does to a TVIEW, as PostgreSQL 18 and 17 do it.

Data only. Each row was seen on a server: `test/integration/migration` runs a statement for every one
and holds locks (pg_locks before the commit), SQLSTATE, rewritten files and differing rows against it.
`says` and `fix` are filled by name: {table} {column} {tviews} {uses} {other} {size} {rows}.
"""

from __future__ import annotations

from pgtv.migration.rule import Rule
from pgtv.migration.rules_of_objects import OBJECTS, OTHERS, TVIEWS
from pgtv.migration.rules_of_tables import TABLES

RULES: dict[str, Rule] = {rule.id: rule for rule in (*TABLES, *OBJECTS, *TVIEWS, *OTHERS)}
