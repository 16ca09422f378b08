"""What doctor says that a fault does, held against what it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from declare import Does

from pgtv.finding import Effect

_ORDER = (Effect.WRITES_FAIL, Effect.ROWS_WRONG, Effect.RISK)
_MEANS = {
    Does.WRITES_FAIL: Effect.WRITES_FAIL,
    Does.WRITES_WAIT: Effect.WRITES_FAIL,
    Does.ROWS_WRONG: Effect.ROWS_WRONG,
    Does.RISK: Effect.RISK,
}
_BY_ROW = "Which rows break the constraint is decided by the rows: all others are written."
_SAME_ROWS = "Only who writes the very rows that it wrote has to wait: all others are written."
_CODE = "What somebody's code does with a row is written in no catalog."

# Where what was seen and what is said rightly differ: fault -> why.
EXCEPTIONS = {
    "tview-check": _BY_ROW,
    "tview-unique": _BY_ROW,
    "tview-foreign-key": _BY_ROW,
    "prepared-orphan": _SAME_ROWS,
    "prepared-gid-quoted": _SAME_ROWS,
    "session-idle": _SAME_ROWS,
    "tview-trigger-raises": _CODE,
    "tview-trigger-rewrites": _CODE,
    "tview-trigger-swallows": _CODE,
    "helper-function-raises": _CODE,
    "trigger-always": "Only a session that sets session_replication_role itself fails. Where a"
    " subscription writes the table, doctor says that writes fail.",
    "tview-rls-policy": "What policies let through is decided by their expressions.",
    "helper-view-cycle": "The view's new text gives the rows of the old one until a basket is lost.",
    "meta-ghost-row": "The cycle is one of what the registration says; no trigger serves it yet.",
    "unlogged-base-crash": "Nothing in the database tells that its server crashed.",
    "tview-inherits": "Whether those who may write the parent do so, no catalog tells.",
    "triggers-in-a-ring": "Whether each of them finds a row to write is decided by the rows.",
    "not-preloaded-enum": "What was altered while the library was not loaded, nothing tells.",
}


def seen(does: Iterable[str]) -> Effect:
    """The worst that a fault did, in doctor's words."""
    return min((_MEANS[Does(d)] for d in does), key=_ORDER.index)


def said(effects: Mapping[str, str]) -> Effect:
    """The worst that doctor named; a finding without effect on data is a risk at most."""
    named = (Effect(e) for e in effects.values())
    return min((e for e in named if e in _ORDER), key=_ORDER.index, default=Effect.RISK)
