"""What a dump needs from its cluster and does not hold: roles and tablespaces, read from its SQL.

pg_dump writes one database; who owns things in it, who may do what and where tables lie it names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_NAME = r"""(?:"(?:[^"]|"")+"|'(?:[^']|'')+'|[^\s"',;()]+)"""
_NAMES = rf"{_NAME}(?:, {_NAME})*"
_ROLES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"ALTER .* OWNER TO ({_NAME});",
        rf"(?:GRANT|REVOKE) .* (?:TO|FROM) ({_NAME})(?: WITH GRANT OPTION)?(?: GRANTED BY {_NAME})?;",
        rf"ALTER DEFAULT PRIVILEGES FOR ROLE ({_NAME}) .*",
        rf"ALTER DEFAULT PRIVILEGES .* (?:TO|FROM) ({_NAME})(?: WITH GRANT OPTION)?;",
        rf"SET SESSION AUTHORIZATION ({_NAME});",
        rf"CREATE POLICY .* TO ({_NAMES})(?: USING .*| WITH CHECK .*|;)",
        rf"CREATE USER MAPPING FOR ({_NAME}) SERVER .*",
    )
)
_SPACE = re.compile(rf"SET default_tablespace = ({_NAME});")
_NO_ROLE = {"public", "default", "current_user", "session_user", "current_role"}


@dataclass(frozen=True)
class Needed:
    """Names, unquoted."""

    roles: tuple[str, ...] = ()
    tablespaces: tuple[str, ...] = ()


def needed(lines: Iterable[str]) -> Needed:
    """What SQL as pg_dump writes it takes for granted. Rows of tables are passed over."""
    roles: set[str] = set()
    spaces: set[str] = set()
    for line in without_rows(lines):
        for pattern in _ROLES:
            if found := pattern.fullmatch(line):
                roles |= {unquoted(n) for n in re.findall(_NAME, found[1]) if _is_role(n)}
        if (found := _SPACE.fullmatch(line)) and (name := unquoted(found[1])):
            spaces.add(name)
    return Needed(tuple(sorted(roles)), tuple(sorted(spaces)))


def _is_role(name: str) -> bool:
    return name.lower() not in _NO_ROLE and not name.startswith("pg_")


def without_rows(lines: Iterable[str]) -> Iterator[str]:
    """The lines outside of COPY … FROM stdin."""
    rows = False
    for line in lines:
        if rows:
            rows = line != "\\."
            continue
        rows = line.startswith("COPY ") and line.endswith(" FROM stdin;")
        yield line


def unquoted(name: str) -> str:
    for quote in ('"', "'"):
        if name.startswith(quote):
            return name[1:-1].replace(quote * 2, quote)
    return name


def safe_globals(lines: Iterable[str]) -> Iterator[str]:
    """What `pg_dumpall --globals-only` wrote, without tablespaces: their folders are other servers'."""
    for line in lines:
        if not re.match(
            r"\s*(CREATE|ALTER|COMMENT ON|GRANT .* ON|REVOKE .* ON) TABLESPACE\b", line
        ):
            yield line
