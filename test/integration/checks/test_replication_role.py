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
