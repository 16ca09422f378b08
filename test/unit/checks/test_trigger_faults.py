"""What keeps writes to a table flushed, as the extension's library decides it; see trigger_faults."""

from __future__ import annotations

import dataclasses

import pytest

from pgtv.catalog.model import Extension, Relation, Server, Snapshot, Trigger, Tview
from pgtv.checks.bringing import refresh_roots
from pgtv.checks.declare import Context, Shared
from pgtv.checks.registry import all_checks
from pgtv.checks.trigger_faults import timing, unflushed

BASE = Relation(10, "public", "tb_a", "public.tb_a", "r", "owner")
ROW = Trigger(1, 10, "trg_tview_row_a_on_public_tb_a", "tviews.f", "row", "a", 29, "O", args=("a",))
FLUSH = Trigger(
    2, 10, "trg_tview_flush_a_on_public_tb_a", "tviews.f", "flush", "a", 28, "O", args=("a",)
)
DELTA = Trigger(
    3, 10, "trg_tview_delta_i_a_on_public_tb_a", "tviews.f", "delta", "a", 4, "O", args=("a",),
    new_table="pg_tviews_new",
)  # fmt: skip
with_ = dataclasses.replace


def _context(*triggers: Trigger, tviews: tuple[Tview, ...] = ()) -> Context:
    snapshot = Snapshot(
        "2026-01-01T00:00:00+00:00", "0", Server(), Extension("current", installed=True, schema="tviews"),
        tviews=tviews, relations=(BASE,), triggers=triggers,
    )  # fmt: skip
    return Context(snapshot, all_checks()["trigger-missing"], Shared(snapshot))


@pytest.mark.parametrize(
    ("triggers", "fails"),
    [
        ((ROW, FLUSH), None),
        ((DELTA, FLUSH), None),
        ((), None),  # nothing is queued
        ((ROW,), "every write"),
        ((ROW, with_(FLUSH, enabled="D")), "every write"),
        ((ROW, with_(FLUSH, enabled="R")), "every write"),
        ((ROW, with_(FLUSH, enabled="A")), None),
        ((with_(ROW, enabled="D"),), None),
        # any TVIEW's flush flushes everything
        ((ROW, with_(FLUSH, entity="b", name="trg_tview_flush_b_on_public_tb_a")), None),
        # the library's hook goes by the name, which COPY does not pass
        ((ROW, with_(FLUSH, when=True)), "COPY"),
        ((ROW, with_(FLUSH, type=16)), "COPY"),
        ((ROW, with_(FLUSH, when=True, name="mine")), "every write"),
        # triggers of a statement fire in the order of their names
        ((ROW, with_(FLUSH, name="aaa")), None),
        ((DELTA, with_(FLUSH, name="aaa")), "every write"),
        ((DELTA, with_(FLUSH, name="zzz")), None),
        ((with_(DELTA, name="zzz"), FLUSH), "COPY"),
        ((with_(ROW, initially_deferred=True), FLUSH), "every write"),
    ],
)
def test_unflushed(triggers: tuple[Trigger, ...], fails: str | None) -> None:
    assert unflushed(_context(*triggers), BASE) == fails


def test_timing() -> None:
    assert timing(29) == "AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW"
    assert timing(28) == "AFTER INSERT OR UPDATE OR DELETE FOR EACH STATEMENT"
    assert timing(32) == "AFTER TRUNCATE FOR EACH STATEMENT"
    assert timing(7) == "BEFORE INSERT FOR EACH ROW"


def _tview(entity: str, *embeds: str, maps: tuple[str, ...] = ()) -> Tview:
    plan = {
        "embeds": [{"entity": e} for e in embeds],
        "tables": [{"relid": 1, "tview": m} for m in maps],
    }
    return Tview(entity, "public", f"tv_{entity}", hash(entity) % 1000 + 100, 0, "", plan=plan)


def test_a_refresh_covers_what_follows() -> None:
    a, b, c, d = _tview("a"), _tview("b", "a"), _tview("c", maps=("b",)), _tview("d")
    context = _context(tviews=(a, b, c, d))
    assert refresh_roots(context, [c, b, a, d]) == [a, d]
    assert refresh_roots(context, [b, c]) == [b]
    assert refresh_roots(context, [c]) == [c]


def test_a_ring_is_refreshed_all_the_same() -> None:
    a, b = _tview("a", "b"), _tview("b", "a")
    assert {t.entity for t in refresh_roots(_context(tviews=(a, b)), [a, b])} == {"a", "b"}


def test_a_broken_plan_is_no_error() -> None:
    odd = dataclasses.replace(_tview("a"), plan=[1, {"embeds": 3}])
    worse = dataclasses.replace(_tview("b"), plan={"embeds": [1, {"entity": 5}], "tables": "x"})
    assert refresh_roots(_context(tviews=(odd, worse)), [odd, worse]) == [odd, worse]
