"""Which transaction manager a gid looks like: it, and only it, knows whether to commit."""

from __future__ import annotations

import re

_BY_THEMSELVES = (
    (re.compile(r"citus_\d+_\d+_\d+_\d+"), "Citus (its maintenance daemon resolves them)"),
    (re.compile(r"pg_gid_\d+_\d+"), "a logical replication subscription with two_phase"),
)
_PATTERNS = (
    *_BY_THEMSELVES,
    (re.compile(r"_sa_[0-9a-f]{32}"), "SQLAlchemy's two-phase session"),
    (
        re.compile(r"-?\d+_[A-Za-z0-9+/]+={0,2}_[A-Za-z0-9+/]*={0,2}"),
        "an XA transaction manager (JDBC or psycopg: format id, global id, branch)",
    ),
    (
        re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(/.*)?"),
        ".NET System.Transactions (Npgsql)",
    ),
)


def coordinator(gid: str) -> str | None:
    """The transaction manager whose naming a gid follows, or None."""
    return next((name for pattern, name in _PATTERNS if pattern.fullmatch(gid)), None)


def recovers_by_itself(gid: str) -> bool:
    """Whether its coordinator ends it without a person: ending it by hand breaks that one's work.

    A subscription's apply worker fails when the publisher's COMMIT PREPARED finds nothing.
    """
    return any(pattern.fullmatch(gid) for pattern, _ in _BY_THEMSELVES)
