"""What batches overwrote is read back as it was written, and kept until the receipt has it."""

from __future__ import annotations

from pathlib import Path

from pgtv.journal import Journal, left
from pgtv.rows.transaction import Done, Overwritten

# all that Python takes for the end of a line
SEPARATORS = "a\u2028b\u2029c\u0085d\r\n\x0b\x0c\x1c\x1d\x1ee"


def batch(value: str = "x") -> Done:
    overwritten = (Overwritten("changed", (value,), (value, None)),)
    return Done(updated=1, keys=((value,),), overwritten=overwritten)


def test_values_with_separators_of_lines_are_read_back(tmp_path: Path) -> None:
    receipt = tmp_path / "r.json"
    receipt.touch()
    journal = Journal(receipt)
    journal.batch("public.tv_a", batch(SEPARATORS))
    journal.batch(f"public.tv_{SEPARATORS}", batch())
    one, other = left(receipt)
    assert one["overwritten"] == [
        {"kind": "changed", "key": [SEPARATORS], "old": [SEPARATORS, None]}
    ]
    assert one["keys"] == [[SEPARATORS]]
    assert other["tview"] == f"public.tv_{SEPARATORS}"
