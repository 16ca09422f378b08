"""Which prepared transactions a cleanup takes, and how bad each is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgtv.catalog.dialects.locking import hashes_of_key
from pgtv.catalog.model import (
    Extension,
    Gap,
    Lock,
    Prepared,
    Relation,
    Server,
    Session,
    Snapshot,
    Tview,
)
from pgtv.checks.coordinators import coordinator, recovers_by_itself
from pgtv.finding import Severity
from pgtv.repairs.twophase import Held, Transaction, Waiting, choose, describe, named, severity
from pgtv.rows.prepared import value_locks

ONE = Transaction(
    "g", "shop", "ann", "2026-01-01", 7200.0, "852", 10, True, None, False,
    "COMMIT PREPARED 'g';", "ROLLBACK PREPARED 'g';",
    holds=(Held("public.tb_user", "RowExclusiveLock", True, False),),
)  # fmt: skip
WAITS = Waiting(1, 5.0, "ShareLock", None, None, None)


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"age_seconds": 3599.9}, False),
        ({"age_seconds": 3600.0}, True),
        ({"recovers": True}, False),
        ({"looked": False, "reason": "no login"}, False),
        ({"holds": (Held("public.plain", "RowExclusiveLock", True, None),)}, False),
        ({"holds": (Held("public.tv_user", "AccessShareLock", False, True),)}, True),
        ({"holds": ()}, False),
    ],
)
def test_cleanup_takes_old_ones_that_touch_tviews(change: dict[str, object], taken: bool) -> None:
    one = replace(ONE, **change)  # type: ignore[arg-type]
    chosen, left = choose([one], 3600.0)
    assert (chosen == [one]) is taken
    assert [x.gid for x in left] == ([] if taken else ["g"])


def test_all_takes_others_too_but_never_what_is_young_unseen_or_recovers() -> None:
    other = replace(ONE, holds=())
    taken, left = choose(
        [
            other,
            replace(other, age_seconds=1.0),
            replace(other, looked=False, reason="x"),
            replace(other, recovers=True),
        ],
        3600.0,
        everything=True,
    )
    assert taken == [other] and len(left) == 3
    assert [x.unseen for x in left] == [False, True, False], "young and foreign ones need no look"


@pytest.mark.parametrize(
    ("change", "judged"),
    [
        ({"age_seconds": 10.0}, Severity.INFO),
        ({}, Severity.WARNING),
        ({"age_seconds": 10.0, "unlogged": ("tv_x",)}, Severity.WARNING),
        ({"age_seconds": 10.0, "waiting": (WAITS,)}, Severity.CRITICAL),
        ({"age_seconds": 10.0, "waiting": (replace(WAITS, seconds=0.2),)}, Severity.INFO),
        ({"age_seconds": 10.0, "exclusive": ("tv_x",)}, Severity.CRITICAL),
        ({"age_seconds": 10.0, "looked": False}, Severity.UNKNOWN),
    ],
)
def test_how_bad(change: dict[str, object], judged: Severity) -> None:
    assert severity(replace(ONE, **change)) is judged  # type: ignore[arg-type]


def test_a_name_comes_before_a_number() -> None:
    odd = replace(ONE, gid="xid:852", xid="900")
    assert named([ONE, odd], "xid:852") is odd
    assert named([ONE], "xid:852") is ONE
    assert named([ONE], "852") is None


def advisory(mode: str, target: str, gid: str | None = "g", granted: bool = True) -> Lock:
    return Lock(
        int(target.split("/")[0]), mode, granted, None if gid else 5, gid, True, target=target
    )


def test_only_single_values_locked_for_writing_are_counted() -> None:
    locks = [
        advisory("ExclusiveLock", "7/123/21622"),
        advisory("ShareLock", "7/124/21622"),
        advisory("ExclusiveLock", "7/0/21623"),
        advisory("ExclusiveLock", "7/125/21622", gid="other"),
        Lock(7, "ExclusiveLock", True, None, "g"),
    ]
    assert value_locks(locks, "g") == {(7, 123)}


def test_hashes_are_those_seen_on_a_running_server() -> None:
    """0.1.0-beta.34: key 7 changed in tv_customer, key 201 created."""
    assert hashes_of_key("7")[0] == 443983352
    assert hashes_of_key("201") == (190533372, 708600582)


def shop(**kw: object) -> Snapshot:
    base = Relation(10, "public", "tb_user", "public.tb_user", "r", "o")
    table = Relation(20, "public", "tv_user", "public.tv_user", "r", "o", persistence="u")
    tview = Tview(
        "user", "public", "tv_user", 20, 21, "SELECT", "public.tv_user",
        plan={"tables": [{"relid": 10}]},
    )  # fmt: skip
    return Snapshot(
        "2026-01-01", "x", Server(database="shop"), Extension("current"), tviews=(tview,),
        relations=(base, table), **kw,  # type: ignore[arg-type]
    )  # fmt: skip


PREPARED = Prepared("g", "ann", "shop", "2026-01-01", 100.0, 10, "852")


def test_waiters_behind_waiters_and_what_its_writes_reach() -> None:
    locks = (
        Lock(10, "RowExclusiveLock", True, None, "g"),
        Lock(None, "ShareLock", False, 1, target="852", wait_seconds=3.0),
        Lock(None, "ExclusiveLock", False, 2, target="10/0/7", wait_seconds=2.0),
        Lock(None, "ShareLock", False, 3, target="999", wait_seconds=9.0),
    )
    sessions = (
        Session(1, "u", "", None, "shop", "active", blocked_by=(0,)),
        Session(2, "u", "", None, "shop", "active", blocked_by=(1,)),
    )
    snapshot = shop(locks=locks, sessions=sessions, prepared=(PREPARED,))
    (one,) = describe([PREPARED], {"shop": snapshot}, {})
    assert [w.pid for w in one.waiting] == [1, 2], "3 waits for another transaction"
    assert one.tviews == one.unlogged == ("public.tv_user",)
    assert one.holds == (Held("public.tb_user", "RowExclusiveLock", True, False),)


def test_other_databases_and_hidden_locks_are_not_known() -> None:
    elsewhere = replace(PREPARED, gid="e", database="other")
    blind = shop(gaps=(Gap("locks", "hidden"),))
    found = {t.gid: t for t in describe([PREPARED, elsewhere], {"shop": blind}, {"other": "no"})}
    assert (found["g"].looked, found["g"].reason) == (False, "hidden")
    assert (found["e"].looked, found["e"].reason) == (False, "no")


def test_the_oldest_holds_vacuum_back() -> None:
    older = replace(PREPARED, gid="o", xid_age=11)
    looked = {"shop": shop(prepared=(PREPARED, older))}
    found = {t.gid: t.oldest for t in describe([PREPARED, older], looked, {})}
    assert found == {"g": False, "o": True}


@pytest.mark.parametrize(
    ("gid", "starts", "recovers"),
    [
        ("citus_0_1_2_3", "Citus", True),
        ("pg_gid_16400_777", "a logical", True),
        ("_sa_" + "0" * 32, "SQLAlchemy", False),
        ("order-42", None, False),
        ("citus_0_1_2_3x", None, False),
    ],
)
def test_coordinators(gid: str, starts: str | None, recovers: bool) -> None:
    known = coordinator(gid)
    assert (known or "").startswith(starts) if starts else known is None
    assert recovers_by_itself(gid) is recovers
