"""What cures an effect after the migration, or goes before it: commands and the extension's statements."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from pgtv.catalog.dialects.base import Dialect
from pgtv.catalog.model import Tview
from pgtv.graph.edges import Edges
from pgtv.migration.rule import Rule


def cures(
    dialect: Dialect, rule: Rule, words: Mapping[str, str], tviews: Sequence[Tview], graph: Edges
) -> tuple[str, ...]:
    """In order. A rule names what it needs by one word, or says it in its own."""
    ordered = graph.in_order(tviews)
    if rule.fix == "detach":
        return (
            (f"drop {words['tviews']} before it and create them again after it",) if tviews else ()
        )
    if rule.fix == "reregister":
        return tuple(dialect.reregister(t.label) for t in ordered)
    if rule.fix == "refresh":
        return (refresh(ordered),) if tviews else ()
    if rule.fix == "reregister+refresh":
        return (*(dialect.reregister(t.label) for t in ordered), refresh(ordered))
    if rule.fix == "lease":
        names = shlex.join(t.label for t in ordered)
        if not names:
            return ("pgtv triggers disable, a lease that owes the rows",)
        return (
            f"pgtv triggers disable {names} --for 1h --reason '…' --apply   # before, instead of this",
            "pgtv triggers enable --apply   # after; names what the rows are owed",
        )
    if rule.fix == "batches":
        return ("write in batches of some ten thousand rows, each in a transaction of its own",)
    if rule.fix == "upgrade":
        return ("pgtv upgrade detach --snapshot before.json",)
    if rule.fix == "create_or_replace":
        return (f"change the definition instead: {dialect.redefine(words['table'])}",)
    return (rule.fix.format(**words),) if rule.fix else ()


def refresh(tviews: Sequence[Tview]) -> str:
    """Rows of these and of what reads them, beside readers and writers."""
    return f"pgtv refresh {shlex.join(t.label for t in tviews)} --apply"
