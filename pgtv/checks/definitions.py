"""The snapshot's definitions, read once a run; shared by the checks that look into them."""

from __future__ import annotations

from pgtv.checks.declare import Context, once
from pgtv.graph.lineage import Definitions


def definitions(context: Context) -> Definitions:
    """Every definition of the snapshot, parsed and resolved."""
    found: Definitions = once(context, "definitions", lambda: Definitions(context.snapshot))
    return found
