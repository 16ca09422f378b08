"""What a drill sends to break a database, and what the server refused: pure data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """How a drill breaks a database, in the words of the release that it runs on, as SQL for psql."""

    sql: str


@dataclass(frozen=True)
class Refusal:
    """A statement that the server refused, or a session that it ended."""

    sqlstate: str
    message: str
    statement: str
