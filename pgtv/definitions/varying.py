"""What makes a definition's result vary although no row changed."""

from __future__ import annotations

from pgtv.definitions.builtin import SESSION, VOLATILE
from pgtv.definitions.reads import Reads
from pgtv.definitions.scope import SYSTEM


def causes(reads: Reads) -> dict[str, str]:
    """What makes a definition's result depend on more than the rows that it reads, and why."""
    found: dict[str, str] = {}
    for call in reads.functions:
        if call.schema not in (None, "pg_catalog"):
            continue
        if call.name in VOLATILE:
            found[f"{call.name}()"] = "volatile"
        elif call.name in SESSION:
            found[call.name] = "another in another session"
    if any(level.samples for level in reads.levels):
        found["TABLESAMPLE"] = "a random choice of rows"
    for _, column in reads.columns:
        if column in SYSTEM and column != "tableoid":
            found[column] = "a system column, changed by every update"
    return found
