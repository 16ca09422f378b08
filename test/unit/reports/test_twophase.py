"""Prepared transactions on a screen: bounded, never broken inside a name, steering no terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgtv.errors import Exit
from pgtv.pasted import connect_line
from pgtv.repairs.ending import Outcome, plan
from pgtv.repairs.pending import Pending, Queued
from pgtv.repairs.twophase import Held, Left, Transaction, Waiting
from pgtv.reports import ending, twophase
from pgtv.reports.twophase import Listing
from pgtv.rows.bring import Brought, End
from pgtv.rows.merge import Merged
from pgtv.rows.prepared import Keys
from pgtv.rows.written import entry

ONE = Transaction(
    "g", "shop", "ann", "2026-01-01 00:00:00+00", 7200.0, "852", 10, True, None, False,
    "COMMIT PREPARED 'g';", "ROLLBACK PREPARED 'g';",
    holds=(Held('"Sales Dept".tb_order', "RowExclusiveLock", True, False),),
    tviews=('"Sales Dept".tv_order',), severity="warning",
)  # fmt: skip


def listing(*transactions: Transaction, **kw: object) -> Listing:
    return Listing(
        "warning", int(Exit.WARNING), "2026-01-01", "shop", "", 5432, False, 20, transactions,
        **kw,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 200])
def test_names_stay_whole_at_any_width(width: int) -> None:
    many = replace(ONE, tviews=tuple(f'"Sales Dept {n}".tv_order' for n in range(9)))
    lines = (twophase.summary(listing(many), width) + twophase.detail(many, "", width)).splitlines()
    for n in range(9):
        assert any(f'"Sales Dept {n}".tv_order' in line for line in lines)
    wide = [x for x in lines if len(x) > width and "PREPARED" not in x]
    assert not wide, "statements alone may be longer: they are pasted"


def test_a_name_steers_no_terminal_and_is_quoted_for_the_shell() -> None:
    odd = replace(ONE, gid="a\x1b[31m\nb", database="d\x1b")
    for text in (
        twophase.summary(listing(odd)),
        twophase.detail(odd),
        twophase.quiet(listing(odd)),
    ):
        assert "\x1b" not in text and "\\x1b" in text
    assert "xid:852" in twophase.detail(odd)
    assert "'it'\"'\"'s'" in twophase.detail(replace(ONE, gid="it's"))


def test_long_lists_are_cut_and_say_so() -> None:
    waits = tuple(Waiting(n, 5.0, "ShareLock", "u", "psql", "SELECT ?") for n in range(30))
    holds = tuple(Held(f"public.t{n}", "RowExclusiveLock", True, False) for n in range(50))
    text = twophase.detail(replace(ONE, waiting=waits, holds=holds))
    assert "and 20 more" in text and "and 30 more tables" in text


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (Keys("t", ("a", "b"), 2, 0, (("1", "x"), ("2", None))), "(a, b): 1, x; 2, None"),
        (Keys("t", (), 1, 0, (("(0,1)",),)), "(ctid): (0,1)"),
        (Keys("t", ("a",), 150, 3, (("1",),)), "and 149 more; 3 of them perhaps"),
        (Keys("t", ("a",), 0, 0, (), ("9",), 2), "creates 9, as its locks tell; at most 2 more"),
        (Keys("t", ("a",), unseen=None), "rows that it creates are not seen"),
        (Keys("t", reason="no SELECT"), "not seen: no SELECT"),
        (Keys("t", ("a",)), "no row that others can see"),
    ],
)
def test_keys(keys: Keys, said: str) -> None:
    text = " ".join(twophase.detail(replace(ONE, keys=(keys,)), width=200).split())
    assert said in text


def test_what_nobody_reads_and_what_was_not_seen_are_told() -> None:
    rows = (
        Queued("old", None, 90.0, 1, True, False, 0),
        Queued("old", None, None, 2, False, True, 1),
    )
    document = listing(
        ONE, pending=(Pending("shop", "public.q", rows), Pending("shop", "x.q", reason="locked")),
        not_seen=("sessions in shop: hidden (needs pg_monitor)",),
    )  # fmt: skip
    text = " ".join(twophase.summary(document, 200).split())
    for said in (
        "1 orphan, 1 duplicate",
        "90 s old, 1 refresh;",
        "2 refreshes",
        "locked",
        "pg_monitor",
    ):
        assert said in text


def test_heads() -> None:
    assert "max_prepared_transactions is 0" in twophase.summary(replace(listing(), places=0))
    assert "on the primary only" in twophase.summary(replace(listing(), in_recovery=True))


def test_how_it_went() -> None:
    receipt = plan("rollback", [ONE, ONE, ONE, ONE], by="x", system_identifier=None)
    a, b, c, d = receipt.endings
    a.outcome, a.ended = Outcome.DONE, "rolled back"
    b.outcome, b.ended = Outcome.GONE, "rolled back"
    c.outcome, c.ended = Outcome.GONE, "committed"
    d.outcome, d.error = Outcome.FAILED, "no"
    row = entry(Brought("tv_x", End.MERGED, 1, merged=Merged(inserted=1)))
    receipt.rows.append({**row, "database": "shop", "hint": None})
    assert list(ending.applied(receipt)) == [
        "done       g: rolled back",
        "gone       g: somebody else was faster: rolled back, as you wanted",
        "gone       g: somebody else was faster: committed",
        "failed     g: no",
        "merged     tv_x: 1 row differed, 1 inserted, 0 changed, 0 deleted",
    ]


def test_a_plan_is_a_script_with_the_reasons_of_what_is_left() -> None:
    left = [Left("young\n", "shop", "younger than the limit")]
    text = ending.planned(plan("commit", [ONE], by="x", system_identifier=None, left=left))
    assert text.splitlines()[0] == "\\connect 'shop'"
    assert "COMMIT PREPARED 'g';" in text.splitlines()
    assert all(x.startswith(("--", "\\connect", "COMMIT")) for x in text.splitlines())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("it's", "\\connect 'it''s'"),
        ("a\\b", "\\connect 'a\\\\b'"),
        ("a\nb", "\\connect 'a\\012b'"),
        ('a"b', '\\connect \'"a""b"\''),
        ("a=b", "\\connect -reuse-previous=on 'dbname=''a=b'''"),
    ],
)
def test_connect_as_psql_reads_it(name: str, line: str) -> None:
    assert connect_line(name) == line
