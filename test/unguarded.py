"""pgtv without what a merge waits for: nobody who wrote before is outlasted, and what a batch left is not
compared. Beside hostile writers it leaves rows wrong; if it did not, the writers would prove nothing."""

from __future__ import annotations

import sys
from typing import Any

from pgtv.cli.main import main
from pgtv.rows import bring, merge

# what each gives when there is nothing: gids, transactions, and ranges to compare
NOTHING: dict[str, Any] = {
    "wait_for_writers": (), "outlast": (), "older_writers": set(), "together": (),
}  # fmt: skip


def without(module: Any) -> None:
    for name in set(NOTHING) & set(vars(module)):
        setattr(module, name, lambda *_, _nothing=NOTHING[name], **__: _nothing)


if __name__ == "__main__":
    without(bring)
    without(merge)
    sys.exit(main())
