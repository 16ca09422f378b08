"""A TVIEW as it was registered, whichever source tells it: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Snapshot


@dataclass(frozen=True)
class Registration:
    """One TVIEW as it was registered.

    query: the backing view's. qualified: every name in it has its schema, as PostgreSQL prints
    views; else names are found as in its table's schema, then public. text: what the catalog calls
    the definition. row: other columns of the catalog row, by name, as JSON. view: the backing view's
    name, None where only the dialect knows. columns: of the backing view, None where not known.
    reads: entities that it reads, directly or not. needs: `relation` or `function` and the name of what
    its query names itself. tables: those that carry its triggers, where known. trusted: an UNLOGGED
    TVIEW whose rows the extension trusted. major: of the server that printed a qualified query.
    origin: for people.
    """

    entity: str
    schema: str
    query: str
    text: str
    origin: str
    qualified: bool = False
    row: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    view: str | None = None
    columns: tuple[str, ...] | None = None
    comment: str | None = None
    owner: str | None = None
    readers: tuple[tuple[str, bool], ...] = ()
    reads: frozenset[str] = frozenset()
    needs: frozenset[tuple[str, str]] = frozenset()
    tables: tuple[str, ...] = ()
    trusted: bool = False
    table_oid: int = 0
    major: int = 0

    @property
    def name(self) -> str:
        return f"tv_{self.entity}"

    @property
    def table(self) -> str:
        """Qualified and always quoted."""
        return f"{ident(self.schema)}.{ident(self.name)}"

    def label(self, snapshot: Snapshot) -> str:
        """How `snapshot` names its table, where it holds it."""
        found = snapshot.by_name.get((self.schema, self.name))
        return found.qualified if found else self.table


@dataclass(frozen=True)
class Source:
    """A file that registrations were read from.

    snapshot: the whole snapshot where it is one. unusable: entity to why it cannot be used.
    """

    path: str
    registrations: Mapping[str, Registration]
    snapshot: Snapshot | None = None
    unusable: Mapping[str, str] = field(default_factory=dict)


def query_of(text: str) -> str:
    """A query without the semicolon and blanks around it."""
    return text.strip().rstrip(";").strip()
