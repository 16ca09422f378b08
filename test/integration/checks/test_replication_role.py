"""Settings that switch triggers off: what is off is named."""

from __future__ import annotations

import pytest
from servers import Database


@pytest.mark.parametrize(
    ("setting", "title"),
    [
        ("event_triggers = off", "Event triggers are switched off"),
        ("session_replication_role = replica", "session_replication_role"),
    ],
)
def test_the_title_names_what_is_off(shop18: Database, setting: str, title: str) -> None:
    shop18.sql(f"ALTER DATABASE {shop18.name} SET {setting}")
    done = shop18.pgtv("doctor", "-q", "--only", "replication-role")
    (line,) = done.stdout.splitlines()
    assert title in line.partition(": ")[2], line
    assert "session_replication_role" not in line or title == "session_replication_role"


def test_a_text_that_sets_it_is_told_and_one_that_asks_for_it_is_not(shop18: Database) -> None:
    texts = {
        "sets": "BEGIN /* a */ SET SESSION_REPLICATION_ROLE TO 'replica'; /* b */ END",
        "locally": "BEGIN EXECUTE 'set local session_replication_role=replica'; END",
        "calls": "BEGIN PERFORM set_config ( 'session_replication_role', 'replica', true); END",
        "asks": "BEGIN ASSERT current_setting('session_replication_role') <> 'replica'; END",
        "back": "BEGIN SET session_replication_role = origin; RAISE NOTICE 'no replica'; END",
    }
    shop18.sql(
        "".join(
            f"CREATE FUNCTION public.{name}() RETURNS void LANGUAGE plpgsql AS $$ {text} $$;"
            for name, text in texts.items()
        )
    )
    told = [s.function for s in shop18.snapshot().role_settings if s.in_text]
    assert told == ["public.calls()", "public.locally()", "public.sets()"]
