"""The rules applied: facts of all files in, problems out."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable

from pgtv.errors import DefinitionError
from pgtv.lint import shape, together, values
from pgtv.lint.facts import PREFIX, Definition, Facts
from pgtv.lint.files import read_file
from pgtv.lint.found import Found
from pgtv.lint.keys import key_problems
from pgtv.lint.rules import Problem
from pgtv.lint.source import Source

_IGNORE = re.compile(
    r"--[^\n]*?\bpgtv:\s*ignore\b(?P<rules>(?:[ ,]+[a-z][a-z-]+)*)|/\*\s*pgtv:\s*ignore\b"
    r"(?P<inner>(?:[ ,]+[a-z][a-z-]+)*)\s*\*/"
)


def lint(
    sources: Iterable[Source], schema: Iterable[Source] = (), ignore: Iterable[str] = ()
) -> list[Problem]:
    """All problems of `sources`, in the order of files and lines.

    schema: files that only tell which tables exist. ignore: rule ids to leave out everywhere.
    A comment `-- pgtv: ignore rule-id` silences its own line, the next one, and a definition that
    begins on either.
    """
    # Trees of large files are millions of small objects that all live to the end: looking through
    # them for garbage again and again would take most of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _lint(list(sources), schema, frozenset(ignore))
    finally:
        if collecting:
            gc.enable()


def _lint(listed: list[Source], schema: Iterable[Source], ignore: frozenset[str]) -> list[Problem]:
    facts = Facts()
    for source in schema:
        read_file(source, facts)
    facts.definitions.clear()
    facts.events.clear()
    facts.others.clear()
    for source in listed:
        source.ignored = _ignored(source)
        read_file(source, facts)
    found = Found(facts, ignore)
    for definition in facts.definitions:
        _definition(found, definition)
    _others(found)
    together.duplicates(found)
    together.cycles(found)
    place = {s.name: i for i, s in enumerate(listed)}
    return sorted(
        dict.fromkeys(found.problems),
        key=lambda p: (place.get(p.file, len(place)), p.line, p.column, p.rule.id),
    )


def _ignored(source: Source) -> dict[int, frozenset[str] | None]:
    """Silenced rules by line; None for all rules."""
    found: dict[int, frozenset[str] | None] = {}
    if "pgtv:" not in source.text:
        return found
    for match in _IGNORE.finditer(source.text):
        names = re.split(r"[ ,]+", (match["rules"] or match["inner"] or "").strip())
        line, _ = source.position(match.start())
        given = frozenset(n for n in names if n) or None
        for at in (line, line + 1):
            before = found.get(at, frozenset())
            found[at] = None if given is None or before is None else before | given
    return found


def _definition(found: Found, definition: Definition) -> None:
    def add(rule: str, message: str, at: int | None = None, hint: str = "") -> None:
        where = definition.at if at is None or at < 0 else definition.where(at)
        found.add(definition.source, where, rule, message, hint, definition.at)

    if definition.error is not None:
        _unreadable(found, definition)
        return
    if definition.node is None:
        return
    try:
        reads = found.reads(definition.node)
    except DefinitionError as e:
        add("syntax", f"{definition.name}: {e.message}")
        return
    definition.reads = reads
    for at in reads.parameters:
        add("create-form", f"{definition.name}: a parameter is not possible in a definition", at)
    key_problems(found.facts, definition, reads, add)
    shape.form(definition, reads, add)
    shape.options(definition, add)
    shape.relations(found, definition, reads, add)
    values.values(found, definition, reads, add)
    values.levels(definition, reads, add)


def _unreadable(found: Found, definition: Definition) -> None:
    at = definition.error_at if definition.error_at is not None else definition.at
    message = definition.error or ""
    if message.startswith("CREATE TABLE"):
        rule, message = "create-form", f"{definition.name}: {message} makes no TVIEW"
    elif message.startswith("a definition is"):
        rule, message = "several-statements", f"{definition.name}: {message}"
    else:
        rule, message = "syntax", f"{definition.name}: {message}"
    found.add(definition.source, at, rule, message, begins=definition.at)


def _others(found: Found) -> None:
    for other in found.facts.others:
        rule, message = {
            "retired": ("retired-call", f"{other.text} is of an early release; none has it now"),
            "plain": ("plain-table", f"{other.text} is an ordinary table: nothing keeps it up to date"),
            "into": ("create-form", f"SELECT INTO {other.text} makes no TVIEW"),
            "syntax": ("syntax", other.text),
            "unparsed": ("unparsed", f"left out: {other.text}"),
        }[other.kind]  # fmt: skip
        found.add(other.source, other.at, rule, message)


__all__ = ["PREFIX", "lint"]
