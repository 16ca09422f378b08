"""What a drill did to recover stands on the page: in the section of its mode, or on a page linked there.

Statements are held against code of the page by their words and by the names of functions and settings;
names of tables, keys and databases differ. What doctor prints is on the page of its check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pgtv.checks.registry import all_checks
from pgtv.drills import store
from pgtv.drills.registry import select

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "operations" / "FAILURE_MODES.md"
RECORD = ROOT / "test" / "failure-modes" / "report.json"
DRILLS = [f"{m.id}/{v.id}" for m, v in select()]
# statements of an application, which no page can have: what the page says of them instead
OWN = {
    "disk-full": "repeat the statement",
    "oom": "write in smaller statements",
    "queue-corruption": "write the base table",
    "concurrent-ddl": "repeat the ddl",
}
_QUIET = re.compile(r"(BEGIN|COMMIT|ROLLBACK);|SET ROLE |--")
_NAMES = re.compile(r"\b(?:pg_\w+|lock_timeout|shared_preload_libraries)\b")
Shape = tuple[str, ...]


@cache
def sections() -> dict[int, str]:
    """The text of each mode's section."""
    parts = re.split(r"^## (\d+)\. .*$", PAGE.read_text(encoding="utf-8"), flags=re.M)
    return {
        int(number): body.partition("\n## ")[0]
        for number, body in zip(parts[1::2], parts[2::2], strict=True)
    }


@cache
def documented(number: int) -> frozenset[Shape]:
    """The shapes of all code in the section and on the pages that it links to."""
    texts = [sections()[number]]
    for link in re.findall(r"\]\(([\w/]+\.md)", texts[0]):
        texts.append((PAGE.parent / link).read_text(encoding="utf-8"))
    return frozenset(shape for text in texts for code in _code(text) if (shape := _shape(code)))


def _code(text: str) -> Iterator[str]:
    for body in re.findall(r"^```\w.*?\n(.*?)^```", text, flags=re.M | re.S):
        for command in re.findall(r"^(?:\$ )?(pgtv .*)$", body, flags=re.M):
            yield from command.split(" && ")
        yield from body.split(";")
    prose = re.sub(r"^```\w.*?^```", "", text, flags=re.M | re.S)
    yield from (" ".join(c.split()) for c in re.findall(r"`([^`]+)`", prose))


def _shape(code: str) -> Shape:
    """Of a command its words and options; of a statement its first words, and names that matter."""
    code = code.strip()
    if code.startswith("pgtv "):
        words = code.split()
        told = [w for w in words if w.startswith("--") and w != "--receipt"]
        return (*words[:2], *sorted(told))
    bare = re.sub(r"\$(\w*)\$.*?\$\1\$|'[^']*'|\"[^\"]*\"", " ", code, flags=re.S)
    words = re.findall(r"\b[A-Z]{2,}\b", bare)[:3]
    return (*words, *sorted(set(_NAMES.findall(bare)))) if words else ()


def test_steps() -> None:
    """Of every drill that has a recovery of its own; others paste what doctor prints."""
    record = store.load(RECORD)
    wrong, looked = [], 0
    for mode, variant in select():
        if variant.recover is None:
            continue
        taken = {
            step for o in record.outcomes
            if (o.mode, o.variant) == (mode.id, variant.id) for step in o.steps
        }  # fmt: skip
        for step in sorted(taken):
            looked += 1
            if not _on_page(step, mode.number, OWN.get(mode.id, "")):
                wrong.append(f"{mode.id}/{variant.id}: {step[:120]}")
    assert looked > 50
    assert not wrong, "not on the page:\n" + "\n".join(wrong)


def _on_page(step: str, number: int, own: str) -> bool:
    if _QUIET.match(step):
        return True
    said = " ".join(sections()[number].lower().split())
    if re.match(r"(INSERT INTO|UPDATE|ALTER TABLE) ", step) and own:
        return own in said
    if step.startswith("pgtv ") or re.match(r"[A-Z]{3,} ", step):
        shape = _shape(step)
        return any(shape[0] == d[0] and set(shape) <= set(d) for d in documented(number))
    parts = re.split(r", then |, or |, ", step)
    if len(parts) > 1:
        return all(_on_page(part, number, own) for part in parts)
    general = re.sub(r"\b0\.1\.0-[\w.]+", "the catalog's release", step.lower())
    return re.sub(r"(?<=postgresql) \d+", "", general) in said


@pytest.mark.parametrize("name", DRILLS)
def test_what_detects_it_is_named(name: str) -> None:
    """Doctor's checks and the SQLSTATEs that the drill waits for, in the section of its mode."""
    ((mode, variant),) = select([name])
    said = sections()[mode.number]
    checks = {f.partition(":")[0] for f in variant.sees.findings}
    assert checks <= set(all_checks())
    states = {s for s, _ in variant.sees.errors if re.fullmatch(r"[0-9A-Z]{5}", s) and s != "08006"}
    # rows that differ are found by comparing, whichever command does
    named = {c for c in checks if f"`{c}`" in said or (c == "drift" and "pgtv verify" in said)}
    assert checks - named == set()
    assert {s for s in states if s not in said} == set()


@pytest.mark.parametrize(
    ("step", "number", "there"),
    [
        ("pgtv repair --apply", 6, True),
        ("pgtv repair --apply --force", 6, False),
        ("COMMIT PREPARED 'x';", 1, True),
        ("SELECT pg_terminate_backend(77);", 4, True),
        ("SELECT pg_wal_replay_resume();", 4, False),
        ("DROP TABLE tviews.pg_tview_meta;", 6, False),
        ("start the server", 2, True),
        ("shut the shop", 2, False),
    ],
)
def test_what_is_not_there_is_missed(step: str, number: int, there: bool) -> None:
    assert _on_page(step, number, "") is there
