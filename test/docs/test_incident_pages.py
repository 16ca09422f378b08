"""What is pasted from the pages for incidents harms nothing, also where it is pasted by the way."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from blocks import Block, blocks, commands, session  # noqa: E402

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations"
PAGES = ("DISASTER_RECOVERY.md", "FAILURE_MODES.md", "TROUBLESHOOTING.md")
PRACTICE = "-- PRACTICE ONLY: this breaks it"
CURE = "-- the cure: "
# Statements that stand in a cure. All else (an UPDATE, a replaced view, a setting) is what breaks it in
# the example: it belongs into setup=, or stands under the line that says so. Where it does cure, as a view
# that is put back, the block's first line says `-- the cure: …`.
CURES = re.compile(
    r"""SELECT\b(?!.*\btviews\.pg_tviews_(?:create|drop|suspend))
    | WITH\b | SHOW\b | SET\s+(?:LOCAL\s+)?(?:lock_timeout|default_transaction_read_only\s*=\s*off)
    | (?:COMMIT|ROLLBACK)\s+PREPARED\b | RESET\b | ALTER\s+\w+\s+\S+\s+RESET\b | ALTER\s+SYSTEM\s+RESET\b
    | ALTER\s+DATABASE\s+\S+\s+RENAME\b
    | REINDEX\b | VACUUM\b | ANALYZE\b | ALTER\s+EXTENSION\s+pg_tviews\s+UPDATE\b | DROP\s+SUBSCRIPTION\b
    | CHECKPOINT\b""",
    re.X | re.I | re.S,
)
RUINS = re.compile(
    r"\b(?:dropdb|rm\s+-\w*r|kill\s+-(?:9|KILL)|pkill)\b|--rollback\s.*--older-than\s+0"
)


def statements(text: str) -> list[str]:
    bare = re.sub(r"--[^\n]*", "", text)
    return [s.strip() for s in re.split(r";(?=(?:[^$]*\$\$[^$]*\$\$)*[^$]*$)", bare) if s.strip()]


def breaks(block: Block) -> list[str]:
    """What of a block is no cure, and does not say so."""
    if block.language == "sql":
        first = block.text.partition("\n")[0]
        if first == PRACTICE or first.startswith(CURE):
            return []
        return [s for s in statements(block.text) if not CURES.match(s)]
    if block.language not in ("console", "sh", "bash"):
        return []
    console = block.language == "console"
    typed = [c for c, _ in commands(block.text)] if console else [block.text]
    wrong = [c for c in typed if RUINS.search(c) or re.match(r"(?:mkdir .*&& *)?cd ", c)]
    for command in typed:
        for said in re.findall(r"psql[^|]*? -\w*c (?:\"([^\"]*)\"|'([^']*)')", command):
            wrong += [s for s in statements("".join(said)) if not CURES.match(s)]
    return wrong


@pytest.mark.parametrize("page", PAGES)
def test_what_breaks_a_database_is_marked(page: str) -> None:
    """In blocks of SQL and in psql's -c; other commands neither ruin a backup nor leave the folder."""
    found = [f"{b.name}: {s}" for b in blocks(DOCS / page) for s in breaks(b)]
    assert not found, f"no cure, and not under {PRACTICE!r}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("sql", "UPDATE public.tb_customer SET name = 'x'", 1),
        ("sql", f"{PRACTICE}\nUPDATE public.tb_customer SET name = 'x'", 0),
        ("sql", f"{CURE}the view as it was\nCREATE OR REPLACE VIEW public.v AS SELECT 1", 0),
        ("sql", "DELETE FROM tviews.pg_tview_meta;\nSELECT 1", 1),
        (
            "sql",
            "SET lock_timeout = '2s';\nSELECT tviews.pg_tviews_reregister('public.tv_customer');",
            0,
        ),
        ("sql", "SELECT tviews.pg_tviews_create_or_replace('public.tv_x', $$SELECT 1; $$)", 1),
        ("sql", "ALTER DATABASE shop SET pg_tviews.max_queue_size = 100;", 1),
        ("sql", "ALTER DATABASE shop RESET pg_tviews.max_queue_size;", 0),
        ("console", "$ dropdb restored", 1),
        ("console", "$ mkdir evidence && cd evidence && pgtv doctor", 1),
        ("console", "$ (cd evidence && ls)", 0),
        ("console", "$ psql -qc \"UPDATE public.tb_customer SET name = 'x'\"", 1),
        ("console", '$ psql -qXc "SELECT pg_promote()"', 0),
        ("console", "$ pgtv 2pc cleanup --rollback --older-than 0s --apply", 1),
        ("text", "UPDATE", 0),
    ],
)
def test_what_is_told_apart(language: str, text: str, count: int) -> None:
    assert len(breaks(Block(Path("x.md"), 1, language, text))) == count


def test_what_is_exported_holds_until_it_is_unset() -> None:
    kept: dict[str, str] = {}
    session("export PGOPTIONS='-c a=b' PGHOST=standby", kept)
    session("pgtv doctor", kept)
    assert kept == {"PGOPTIONS": "-c a=b", "PGHOST": "standby"}
    session("unset PGOPTIONS", kept)
    assert kept == {"PGHOST": "standby"}
