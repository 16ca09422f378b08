"""How sessions are described and ended; shared by the checks on activity."""

from __future__ import annotations

from pgtv.catalog.model import Session
from pgtv.checks.resolving import age

# pg_signal_backend alone does not reach the sessions of superusers
WHO_ENDS = "pg_signal_backend, or its own role; of a superuser's session only a superuser"
ENDS = "It ends somebody's statement or session, and rolls back its transaction."


def describe(session: Session) -> dict[str, object]:
    """Evidence about one session, without its literals."""
    return {
        "user": session.user,
        "application": session.application,
        "client": session.client or "local",
        "state": session.state,
        "transaction": age(session.xact_seconds) if session.xact_seconds is not None else None,
        "query": session.query,
    }


def ending(session: Session) -> str:
    """The mildest statement that makes it give its locks back."""
    if session.state == "active":
        return f"SELECT pg_cancel_backend({session.pid});"
    return f"SELECT pg_terminate_backend({session.pid});"
