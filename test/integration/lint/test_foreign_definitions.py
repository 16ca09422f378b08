"""lint on definitions that nobody here wrote: those in the documents that come with the extension.

Each SQL block of a document is a file of its own; many lack their tables, or leave out parts by dots.
What the extension accepts must have no error, and what it refuses as a definition must have one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from servers import Database, Server

from pgtv.lint.check import lint
from pgtv.lint.rules import Level
from pgtv.lint.source import Source, split

CRATE = "registry/src/*/pg_tviews-0.1.0-beta.34"
_BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)
_DEFINES = re.compile(
    r"(?:--[^\n]*\n|\s)*(?:create\s+table\s+(?:if\s+not\s+exists\s+)?(?:\w+\.)?tv_\w+\s+as\b"
    r"|select\s+(?:tviews\.)?pg_tviews_create(?:_or_replace)?\s*\()",
    re.IGNORECASE,
)
# what it names is not in the block: a relation, a schema, a column or a function
_ABSENT = ("42P01", "3F000", "42703", "42883")


def blocks() -> list[tuple[str, str]]:
    """Name and text of each block in which something is defined."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    crate = next(iter(sorted(cargo.glob(CRATE))), None)
    if crate is None:
        pytest.skip("the extension's sources are not on this machine: tools/install-extension")
    found = []
    for page in sorted(crate.rglob("*.md")):
        for i, text in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8"))):
            if any(_DEFINES.match(text[start:end]) for start, end, _ in split(text)):
                found.append((f"{page.relative_to(crate)} {i}", text))
    return found


def test_lint_and_the_extension_agree(empty: Database, real_server: Server) -> None:
    outcomes: Counter[str] = Counter()
    for name, text in blocks():
        source = Source(name, text)
        errors = {p.line for p in lint([source]) if p.rule.level is Level.ERROR}
        empty.sql(
            "DROP EXTENSION IF EXISTS pg_tviews CASCADE; DROP SCHEMA public CASCADE;"
            "CREATE SCHEMA public; CREATE EXTENSION pg_tviews"
        )
        with empty.connect() as session:
            session.execute("SET search_path = public, tviews; SET statement_timeout = '20s'")
            for start, end, _ in split(text):
                statement = text[start:end]
                refused = None
                try:
                    session.execute(statement.encode())
                except psycopg.Error as e:
                    refused = e.sqlstate
                    session.rollback()
                if not _DEFINES.match(statement):
                    continue
                lead = len(statement) - len(statement.lstrip())
                lines = range(source.position(start + lead)[0], source.position(end)[0] + 1)
                wrong = any(line in errors for line in lines)
                if refused is None:
                    assert not wrong, f"accepted: {name}\n{statement}"
                    outcomes["accepted"] += 1
                elif refused not in _ABSENT:
                    assert wrong, f"refused with {refused}: {name}\n{statement}"
                    outcomes["refused"] += 1
                else:
                    outcomes["incomplete"] += 1
    assert outcomes["accepted"] > 10 and outcomes["refused"] > 10, outcomes
