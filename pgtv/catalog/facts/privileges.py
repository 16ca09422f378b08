"""Facts about who may do what. See pgtv.catalog.model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grant:
    """A privilege that a role other than the owner holds on a catalog table or a TVIEW."""

    relation: int
    grantee: str  # PUBLIC or a role
    privilege: str
    grantable: bool = False


@dataclass(frozen=True)
class DefaultGrant:
    """A privilege to write that tables made from now on give away: ALTER DEFAULT PRIVILEGES.

    Only of roles that own a TVIEW, for every schema (None) or one where they own a TVIEW.
    """

    owner: str
    schema: str | None
    grantee: str  # PUBLIC or a role
    privileges: tuple[str, ...]


@dataclass(frozen=True)
class Access:
    """Whether a TVIEW's owner may read a relation that its definition reads, as SQL would decide."""

    role: str
    relation: int
    select: bool
    usage: bool
    bypasses_rls: bool = False
    reader: int = 0  # OID of the TVIEW's table whose refresh needs it
    function: str | None = None  # instead of a relation: its signature; `select` is EXECUTE
    columns: tuple[str, ...] = ()  # columns that are read and may not be, when not the whole table
    owner: str | None = None  # of the relation or function
    shown_all: bool = False  # the policies that apply show it every row
