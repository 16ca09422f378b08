"""What is fenced, what keeps a database from being detached, and what counts as the same afterwards."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from pgtv import fence
from pgtv.catalog.model import (
    Extension,
    Gap,
    Grant,
    Lease,
    Prepared,
    Privilege,
    Relation,
    Server,
    Snapshot,
    Trigger,
)
from pgtv.finding import Effect, Finding, Severity
from pgtv.lifecycle.upgrade import attach, detach
from pgtv.lifecycle.upgrade.same import compare, lost
from pgtv.repairs.sources import from_snapshot

sys.path.insert(0, str(Path(__file__).parents[2] / "repairs"))

from world import snapshot  # noqa: E402


def more(was: Snapshot, **changes: Any) -> Snapshot:
    return dataclasses.replace(was, **changes)


def test_the_fence_stands_on_all_that_is_read_partitions_and_heirs_too() -> None:
    part = Relation(30, "public", "part", "public.part", "r", "app", partition_of=10)
    heir = Relation(31, "public", "heir", "public.heir", "r", "app", inherits=(30,))
    other = Relation(32, "public", "other", "public.other", "r", "app")
    was = snapshot()
    fenced = [
        r.name for r in fence.tables(more(was, relations=(*was.relations, part, heir, other)))
    ]
    assert set(fenced) == {"tb_customer", "tv_customer", "tb_order", "tv_order", "part", "heir"}
    assert fenced.index("tb_customer") < fenced.index("tv_customer") < fenced.index("tv_order")


LEASE = Lease(1, "", "", 60.0, "a bulk load", "me")


def finding(check: str, severity: Severity = Severity.CRITICAL) -> Finding:
    return Finding(f"{check}:x", check, severity, Effect.RISK, "x", "a title", "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"server": Server(in_recovery=True)}, "standby"),
        ({"extension": Extension("current", False)}, "not installed"),
        ({"extension": Extension("unknown", True, schema="public")}, "does not know the catalog"),
        (
            {"extension": Extension("unknown", True, version="0.1.0-beta.27", schema="tviews")},
            "0.1.0-beta.27: update the extension first, in place",
        ),
        ({"server": Server(user="app")}, "app is no superuser"),
        ({"gaps": (Gap("grants", "no privilege"),)}, "grants could not be seen: no privilege"),
        (
            {"gaps": (Gap("view_definition", "locked", (), "tviews.v"),)},
            "view_definition of tviews.v could not be seen",
        ),
        ({"leases": (LEASE,)}, "triggers are disabled (a bulk load)"),
        ({"prepared": (Prepared("g", "app", "shop", "", 1.0, 1),)}, "transaction g is prepared"),
    ],
)
def test_obstacles(change: dict[str, Any], why: str) -> None:
    found = detach.obstacles(more(snapshot(), **change), [], [])
    assert any(why in one for one in found), found


def test_only_what_attaching_cannot_cure_is_an_obstacle() -> None:
    was = snapshot()
    assert detach.obstacles(was, [], []) == []
    assert detach.obstacles(was, [finding("plan-unreadable")], []) == []
    assert detach.obstacles(was, [finding("view-mismatch", Severity.WARNING)], []) == []
    assert "view-mismatch:x" in detach.obstacles(was, [finding("view-mismatch")], [])[0]
    assert "view v" in detach.obstacles(was, [], ["view v"])[0]
    elsewhere = Prepared("g", "app", "other", "", 1.0, 1)
    assert detach.obstacles(more(was, prepared=(elsewhere,)), [], []) == []


def test_writes_stay_refused_while_a_tview_is_left_out() -> None:
    was = snapshot()
    fenced = Trigger(9, 11, fence.TRIGGER, f"{fence.SCHEMA}.{fence.FUNCTION}", None, None, 62, "A")
    now = more(
        was,
        tviews=(),
        extension=Extension("current", False, default_version="1"),
        relations=tuple(r for r in was.relations if r.kind != "v"),
        triggers=(fenced,),
    )
    source = from_snapshot(was)
    wanted = source.registrations.values()
    whole = attach.plan(now, source, wanted)
    assert [s.phase for s in whole.steps] == [
        "installation", "registration", "registration", "triggers", "rows",
    ]  # fmt: skip
    assert fence.lower() in whole.steps[3].statements
    partly = attach.plan(now, source, wanted, absent=frozenset({("relation", "public.tb_order")}))
    assert [x.finding for x in partly.left] == ["tv_order"]
    assert not any(fence.lower() in s.statements for s in partly.steps)
    assert partly.steps[-1].tviews == ("public.tv_customer",)


def test_grants_on_the_extension_come_back_as_they_were() -> None:
    given = Privilege("FUNCTION tviews.f()", 'o"ps', "EXECUTE", grantable=True)
    taken = Privilege("FUNCTION tviews.g()", "PUBLIC", "EXECUTE", given=False)
    was = snapshot()
    then = more(was, extension=dataclasses.replace(was.extension, privileges=(given, taken)))
    (step,) = attach.installation(was, then)
    assert step.statements == (
        'GRANT EXECUTE ON FUNCTION tviews.f() TO "o""ps" WITH GRANT OPTION;',
        "REVOKE EXECUTE ON FUNCTION tviews.g() FROM PUBLIC;",
    )
    assert step.undo == (
        'REVOKE EXECUTE ON FUNCTION tviews.f() FROM "o""ps";',
        "GRANT EXECUTE ON FUNCTION tviews.g() TO PUBLIC;",
    )
    assert attach.installation(then, then) == []
    # an early release's grants are on objects that only it has
    early = more(then, extension=dataclasses.replace(then.extension, generation="beta19"))
    assert attach.installation(was, early) == []


def test_what_an_upgrade_has_to_change_is_no_difference() -> None:
    was = snapshot()
    trigger = dataclasses.replace(was.triggers[0], oid=77, name="another name")
    views = tuple(
        dataclasses.replace(
            r, oid=r.oid + 100, definition="printed otherwise" if r.kind == "v" else None
        )
        for r in was.relations
    )
    assert compare(was, more(was, triggers=(trigger,))).changes == ()
    server = dataclasses.replace(was.server, version_num=170011, version="17.11")
    same = more(was, server=server, relations=was.relations)
    assert compare(same, was).changes == ()
    older = more(was, server=server)
    printed = tuple(dataclasses.replace(r, oid=r.oid - 100) for r in views)
    assert compare(older, more(was, relations=printed)).changes == ()
    assert compare(was, more(was, relations=printed)).changes, "one major prints one way"


@pytest.mark.parametrize(
    ("change", "is_lost"),
    [
        ({"tviews": snapshot().tviews[:1]}, True),
        ({"triggers": ()}, True),
        ({"triggers": (dataclasses.replace(snapshot().triggers[0], enabled="D"),)}, True),
        ({"grants": ()}, True),
        ({"extension": dataclasses.replace(snapshot().extension, privileges=(
            Privilege("SCHEMA tviews", "app", "CREATE"),))}, False),
        ({"grants": (*snapshot().grants, Grant(11, "app2", "SELECT"))}, False),
        ({"relations": (dataclasses.replace(snapshot().relations[0], owner="other"),
                        *snapshot().relations[1:])}, False),
    ],
)  # fmt: skip
def test_what_is_missing_is_worse_than_what_is_different(
    change: dict[str, Any], is_lost: bool
) -> None:
    found = compare(snapshot(), more(snapshot(), **change))
    assert found.changes
    assert lost(found) is is_lost


def test_a_registration_that_did_not_come_back_is_missing_in_another_generation_too() -> None:
    """Its table is then read by nobody, as tables of others are, of which nothing is told."""
    old = snapshot()
    old = more(
        old,
        extension=dataclasses.replace(old.extension, generation="beta19"),
        grants=(Grant(21, "PUBLIC", "SELECT"), Grant(40, "PUBLIC", "SELECT")),
        relations=(*old.relations, Relation(40, "public", "other", "public.other", "r", "app")),
    )
    new = more(old, extension=snapshot().extension, tviews=old.tviews[1:], grants=())
    found = compare(old, new)
    assert [(c.change, c.kind, c.object) for c in found.changes] == [
        ("removed", "TVIEW", "public.tv_order"),
        ("removed", "grant", "public.tv_order: SELECT to PUBLIC"),
    ]
    assert lost(found)
