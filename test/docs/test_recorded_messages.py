"""What servers said in drills stands in the section of the mode, as people read it and search for it.

The record's messages are held against code of the section. In both, quoted names and numbers stand for
any; in the page `…` does, too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_recovery_steps import sections  # noqa: E402

from pgtv.drills import store  # noqa: E402
from pgtv.drills.registry import all_modes  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "test" / "failure-modes" / "report.json"
# What libpq says by itself of a lost connection has no SQLSTATE; tools have none but a message.
STATE = re.compile(r"(?!08006)[0-9A-Z]{5}")
ENOUGH = 20  # characters of a message by which it is found, where the page has not all of it
_ANY = "…"


def spans(text: str) -> list[str]:
    """Inline code, on however many lines, in one."""
    prose = re.sub(r"^```\w.*?^```", "", text, flags=re.M | re.S)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def general(text: str) -> str:
    return re.sub(r'"[^"]*"|\b\d+\b', _ANY, " ".join(text.split()))


def told(message: str, section: str) -> bool:
    """Whether a span is the message, or enough of it."""
    there = general(message)
    for span in map(general, spans(section)):
        pattern, literal = re.escape(span).replace(_ANY, ".*"), len(span.replace(_ANY, ""))
        if literal and re.fullmatch(pattern, there):
            return True
        if literal >= ENOUGH and re.search(pattern, there):
            return True
    return False


@pytest.mark.parametrize("mode", all_modes())
def test_what_was_said_is_on_the_page(mode: str) -> None:
    section = sections()[all_modes()[mode].number]
    errors = [e for o in store.load(RECORD).outcomes if o.mode == mode for e in o.errors]
    assert errors
    missing = {e.message for e in errors if not told(e.message, section)}
    assert not missing, "no message of the page:\n" + "\n".join(sorted(missing))
    states = {e.sqlstate for e in errors if STATE.fullmatch(e.sqlstate)}
    assert not {s for s in states if not re.search(rf"\b{s}\b", section)}


@pytest.mark.parametrize(
    ("span", "message", "there"),
    [
        ("out of memory", "out of memory", True),
        ("memory", "out of memory", False),
        ("public", "TVIEW public does not exist, it says", False),
        ('relation "public.tv_b" does\nnot exist', 'relation "public.tv_a" does not exist', True),
        ("queue size (…) would exceed", "queue size (100) would exceed the limit", True),
        ("queue size (…) exceeds", "queue size (100) would exceed the limit", False),
        ("library revision 10, not (9)", "library revision 9, not (10)", True),
        ("cannot commit with … (missing?)", "cannot commit with 8 queued refreshes for x", False),
        ("…", "out of memory", False),
    ],
)
def test_a_message_is_told_from_others(span: str, message: str, there: bool) -> None:
    assert told(message, f"It says `{span}` then.") is there
