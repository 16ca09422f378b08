"""What people set for a database or a role does not change how pgtv reads it."""

from __future__ import annotations

from servers import Database

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
)


def test_settings_of_the_database_change_no_finding(shop: Database) -> None:
    before = shop.pgtv("doctor", "-q", "--verify", "--skip", "activity")
    assert before.returncode == 0, before.stdout
    for setting in SETTINGS:
        shop.sql(f"ALTER DATABASE {shop.name} SET {setting}")
    after = shop.pgtv("doctor", "-q", "--verify", "--skip", "activity")
    assert (after.returncode, after.stdout) == (before.returncode, before.stdout)
