"""The note that rows of a TVIEW are owed: a line in the comment of its backing view.

A cure ends what kept rows from a TVIEW, and brings those that were missed afterwards. Whoever dies in
between leaves a database in which no catalog tells that rows are missing, so it is noted first, where
every owner may write, dumps and standbys carry it, and nobody else looks.
"""

from __future__ import annotations

from pgtv.catalog.dialects.base import literal

NOTE = "pgtv: rows are owed"


def is_owed(comment: str | None) -> bool:
    """Whether the comment of a backing view says so."""
    return NOTE in (comment or "").split("\n")


def note(view: str, comment: str | None = None) -> str:
    """The statement that notes it. view: qualified and quoted; comment: what it has now."""
    return f"COMMENT ON VIEW {view} IS {literal(chr(10).join([*_own(comment), NOTE]))};"


def forget(view: str, comment: str | None = None) -> str:
    """The statement that leaves of the comment what is somebody's own."""
    own = "\n".join(_own(comment))
    return f"COMMENT ON VIEW {view} IS {literal(own) if own else 'NULL'};"


def _own(comment: str | None) -> list[str]:
    # not splitlines: it would put a line feed where somebody wrote U+2028
    return [line for line in comment.split("\n") if line != NOTE] if comment else []
