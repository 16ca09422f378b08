"""Where receipts go: the file that was named, else a new one in the current directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgtv.plan import Plan


def receipt_file(given: Path | None, plan: Plan, turn: int = 0) -> Path:
    """The receipt of round `turn` of one run: later rounds are numbered beside the first."""
    if given is not None:
        return given.with_name(f"{given.stem}-{turn + 1}{given.suffix}") if turn else given
    stamp = plan.made_at.replace(":", "").replace("-", "")[:15]
    folder = Path.cwd()
    n = 0
    while (found := folder / f"pgtv-receipt-{stamp}-{n}.json").exists():
        n += 1
    return found
