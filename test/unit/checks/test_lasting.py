"""Settings that outlive a session: durations, for whom, and the way back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgtv.catalog.model import Extension, RoleSetting, Server, Setting, Snapshot
from pgtv.checks.declare import Context, Shared
from pgtv.checks.lasting import lasting, milliseconds
from pgtv.checks.registry import all_checks

SNAPSHOT = Snapshot("", "", Server(user="looker"), Extension("current"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("250", 250), ("2s", 2000), ("1.5 min", 90_000), (" 10us ", 0.01), ("1h", 3.6e6), ("0", 0),
     ("", None), ("soon", None), ("5 weeks", None)],
)  # fmt: skip
def test_milliseconds(text: str, expected: float | None) -> None:
    assert milliseconds(text) == expected


def _found(snapshot: Snapshot) -> list[tuple[str, str]]:
    context = Context(snapshot, all_checks()["time-limit"], Shared(snapshot))
    return [(x.value, x.scope) for x in lasting(context, "statement_timeout")]


def test_the_servers_own_value_is_what_a_new_session_gets() -> None:
    ours = Setting("statement_timeout", "60000", "session", reset="5")
    assert _found(replace(SNAPSHOT, settings=(ours,))) == [("5", "every session")]


def test_a_value_of_this_database_hides_the_servers() -> None:
    ours = Setting("statement_timeout", "60000", "session", reset="5")
    fixed = RoleSetting("shop", None, "statement_timeout", "5ms")
    of_another = RoleSetting(None, "writer", "statement_timeout", "1ms")
    snapshot = replace(SNAPSHOT, settings=(ours,), role_settings=(fixed,))
    assert _found(snapshot) == [("5ms", "database shop")]
    snapshot = replace(SNAPSHOT, settings=(ours,), role_settings=(of_another,))
    assert _found(snapshot) == [("1ms", "role writer"), ("5", "every session")]


def test_the_way_back_is_sql() -> None:
    fixed = RoleSetting("shop", 'odd"role', "statement_timeout", "it's")
    snapshot = replace(SNAPSHOT, role_settings=(fixed,))
    context = Context(snapshot, all_checks()["time-limit"], Shared(snapshot))
    (found,) = lasting(context, "statement_timeout")
    assert found.reset == ('ALTER ROLE "odd""role" IN DATABASE "shop" RESET statement_timeout;',)
    assert found.undo == (
        'ALTER ROLE "odd""role" IN DATABASE "shop" SET statement_timeout = \'it\'\'s\';'
    )
