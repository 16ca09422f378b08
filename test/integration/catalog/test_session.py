"""What people set for a database or a role does not change how pgtv reads it, nor how long it waits."""

from __future__ import annotations

import pytest
from servers import Database

from pgtv import session
from pgtv.errors import ConnectError

SETTINGS = (
    "quote_all_identifiers = on",
    "standard_conforming_strings = off",
    "search_path = nowhere",
    "DateStyle = 'SQL, DMY'",
    "IntervalStyle = sql_standard",
    "TimeZone = 'Asia/Kathmandu'",
    "extra_float_digits = 0",
    "bytea_output = escape",
    "default_transaction_isolation = serializable",
    # milliseconds: less than a look takes, more than the statement that sets our own
    "statement_timeout = 40",
    "lock_timeout = 40",
    "transaction_timeout = 40",
)
# what those settings are themselves findings of
ABOUT_SETTINGS = ("--skip", "quoted-identifiers", "--skip", "time-limit", "--skip", "activity")


def test_settings_of_the_database_change_no_finding(shop: Database) -> None:
    before = shop.pgtv("doctor", "-q", "--verify", *ABOUT_SETTINGS)
    assert before.returncode == 0, before.stdout
    with shop.connect() as connection:  # begun before the settings, which would end it
        for setting in SETTINGS:
            connection.execute(f"ALTER DATABASE {shop.name} SET {setting}".encode())
        after = shop.pgtv("doctor", "-q", "--verify", *ABOUT_SETTINGS)
        connection.execute(f"ALTER DATABASE {shop.name} RESET ALL".encode())
    assert (after.returncode, after.stdout) == (before.returncode, before.stdout), after.stderr


@pytest.mark.parametrize("catalog", ["pg_extension", "pg_proc"])
def test_a_locked_system_catalog_is_not_waited_for(
    shop18: Database, monkeypatch: pytest.MonkeyPatch, catalog: str
) -> None:
    """The library looks into pg_extension before the first statement, hence before any SET."""
    monkeypatch.setattr(session, "CONNECT_TIMEOUT", 2)
    with shop18.connect(autocommit=False) as holder:
        holder.execute(f"LOCK TABLE pg_catalog.{catalog} IN ACCESS EXCLUSIVE MODE".encode())
        with pytest.raises((ConnectError, session.QueryError)) as refused:
            session.connect(shop18.target(lock_timeout="200ms"))
        holder.rollback()
    assert "system catalog" in str(refused.value.hint) or "55P03" in refused.value.message


def test_the_bound_of_the_first_statements_ends_with_them(
    shop18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CONNECT_TIMEOUT", 1)
    with session.connect(shop18.target()) as connection:
        connection.execute("SELECT pg_sleep(1.5)")
