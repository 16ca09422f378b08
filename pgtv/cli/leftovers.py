"""What a run that was killed left beside its receipt: taken over into it by the next run there.

Also where no command goes on from that run: old values must not stay in a file of which nobody knows, nor
be written over with the receipt of another run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pgtv import journal
from pgtv.errors import UsageError
from pgtv.plan import save

_ROWS = {"pgtv.receipt/1": "rows", "pgtv.refresh/1": "tviews"}  # by schema, where they are


def take_over(
    where: Path, system_identifier: str | None, database_oid: int, *, goes_on: bool = False
) -> None:
    """Before a run of this database writes its receipt to `where`, with the turn to act there: so whoever
    wrote the others of its folder acts no more.

    goes_on: the run takes over what stands at `where` itself. Raises UsageError.
    """
    mine = (system_identifier, database_oid)
    for side in sorted(where.parent.glob(f"*{journal.SUFFIX}")):
        receipt = side.with_name(side.name.removesuffix(journal.SUFFIX))
        if goes_on and receipt == where:
            continue
        try:
            if not _of(_read(receipt), mine):
                continue
            _fold(receipt, side)
            told = f"it has all that the run overwrote now: {receipt}"
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError):
            told = f"its receipt is not to be had; what it overwrote: {side}"
        click.echo(f"a run was killed; {told}", err=True)
    if not goes_on:
        _spare(where, mine)


def _read(receipt: Path) -> dict[str, Any]:
    raw = json.loads(receipt.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or raw.get("schema") not in _ROWS:
        raise ValueError
    return raw


def _of(raw: dict[str, Any], mine: tuple[str | None, int]) -> bool:
    told = raw.get("plan", raw)
    theirs = (told["system_identifier"], told["database_oid"])
    return theirs[1] == mine[1] and (None in (theirs[0], mine[0]) or theirs[0] == mine[0])


def _fold(receipt: Path, side: Path) -> None:
    raw = _read(receipt)
    rows = raw[_ROWS[raw["schema"]]]
    rows += journal.left(receipt, rows)
    save(json.dumps(raw, ensure_ascii=False, indent=2) + "\n", receipt)
    side.unlink()


def _spare(where: Path, mine: tuple[str | None, int]) -> None:
    """Give the receipt of a run that was killed another name, where the next one is to be written."""
    try:
        if not where.is_file() or not _of(raw := _read(where), mine):
            return
    except (OSError, ValueError, KeyError, TypeError):
        return  # whoever names it gives it away
    if raw.get("outcome") != "running":
        return
    n = 0
    while (kept := where.with_name(f"{where.stem}-killed-{n}{where.suffix}")).exists():
        n += 1
    try:
        where.rename(kept)
    except OSError as e:
        raise UsageError(f"cannot rename {where}: {e.strerror or e}") from None
    click.echo(f"the receipt of a run that was killed is {kept} now", err=True)
