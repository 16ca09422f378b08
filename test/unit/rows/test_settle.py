"""What settling says it took."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from pgtv.catalog.model import Extension, Relation, Server, Snapshot, Tview
from pgtv.rows import settle as module
from pgtv.rows.bring import Brought, End
from pgtv.rows.merge import Merged
from pgtv.rows.result import Result, State
from pgtv.session import Target

SNAPSHOT = Snapshot(
    "now", "0", Server(), Extension("current"),
    tviews=(Tview("a", "public", "tv_a", 1, 9, "", "public.tv_a", "tviews.public__tv_a"),),
    relations=(Relation(1, "public", "tv_a", "public.tv_a", "r", "me"),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("brought", "said"),
    [
        (Brought("public.tv_a", End.EQUAL), "1 TVIEWs compared; all equal by then, none written"),
        (
            Brought("public.tv_a", End.MERGED, merged=Merged(updated=2)),
            "1 TVIEWs compared; public.tv_a: 0 inserted, 2 changed, 0 deleted",
        ),
    ],
    ids=("a writer was faster", "written"),
)
def test_what_it_took(monkeypatch: pytest.MonkeyPatch, brought: Brought, said: str) -> None:
    differs = Result("public.tv_a", "a", State.DIFFERS, table_oid=1)
    monkeypatch.setattr(module, "connected", lambda _: nullcontext())
    monkeypatch.setattr(module, "older_writers", lambda *_: set())
    monkeypatch.setattr(module, "verify_all", lambda _: [differs])
    monkeypatch.setattr(module, "bring", lambda *_, **__: [brought])
    told = module.settle(Target(), SNAPSHOT, SNAPSHOT.tviews, lambda _: None)
    assert told == said
