"""`pgtv init` over what an earlier version made: records stay, the result is what is made today."""

from __future__ import annotations

import re
from pathlib import Path

from servers import Database

from pgtv.rows.state import script

VERSION_1 = (Path(__file__).parent / "state" / "version-1.sql").read_text()
OWNER = '"State\'s owner"'


def schema_of(shop: Database) -> str:
    dumped = shop.program("pg_dump", "-s", "-n", "pgtv", "-d", shop.conninfo)
    # newer releases of pg_dump fence its output with a random word
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", dumped)


def made_by_owner(shop: Database, text: str) -> None:
    shop.sql(f"SET ROLE {OWNER}; BEGIN; {text} COMMIT;")


def test_version_1_becomes_what_is_made_today(shop: Database) -> None:
    shop.sql(f"""DO $$ BEGIN CREATE ROLE {OWNER}; EXCEPTION WHEN duplicate_object THEN END $$;
        GRANT CREATE ON DATABASE {shop.name} TO {OWNER};""")
    made_by_owner(shop, VERSION_1)
    shop.pgtv("verify", "tv_stock")
    shown = shop.pgtv("init")
    assert shown.returncode == 0 and "CREATE TABLE pgtv.lease" in shown.stdout
    assert shop.sql("SELECT version FROM pgtv.installation").strip() == "1", "shown only"
    done = shop.pgtv("init", "--apply")
    assert (done.returncode, done.stdout) == (0, "the schema pgtv went from version 1 to 3\n")
    assert "version 3" in shop.pgtv("init").stdout
    assert shop.sql("SELECT count(*) FROM pgtv.verification").strip() == "1"
    upgraded = schema_of(shop)
    assert f"ALTER TABLE pgtv.lease OWNER TO {OWNER}" in upgraded
    shop.sql("DROP SCHEMA pgtv CASCADE")
    made_by_owner(shop, script())
    assert schema_of(shop) == upgraded


def test_the_upgrade_that_is_printed_runs_in_psql(shop: Database) -> None:
    shop.sql(VERSION_1)
    shop.sql(shop.pgtv("init").stdout)
    assert "version 3" in shop.pgtv("init").stdout


def test_a_restored_copy_of_an_older_version(shop: Database) -> None:
    shop.sql(f"{VERSION_1}; UPDATE pgtv.installation SET database_oid = 1")
    done = shop.pgtv("init", "--apply")
    assert done.returncode == 0 and "belongs to this database" in done.stdout
    assert "version 3" in shop.pgtv("init").stdout


def test_what_leases_keep_is_not_dropped(shop: Database) -> None:
    """Neither while they hold triggers, nor while rows are owed that nobody else knows of."""
    shop.pgtv("init", "--apply")
    took = ("triggers", "disable", "tv_category", "--for", "1h", "--reason", "a load", "--apply")
    assert shop.pgtv(*took).returncode == 0
    for args in (("init", "--drop"), ("init", "--drop", "--apply")):
        done = shop.pgtv(*args)
        assert done.returncode == 3 and not done.stdout, done
        assert "lease 1 (a load) keeps the states that " in done.stderr
        assert "first: pgtv triggers enable --apply" in done.stderr
    assert shop.pgtv("triggers", "enable", "--apply").returncode == 0
    shop.sql("UPDATE pgtv.lease SET owed = entities")
    assert "lease 1 (a load) owes rows of " in shop.pgtv("init", "--drop", "--apply").stderr
    assert shop.pgtv("triggers", "enable", "--apply").returncode == 0
    assert shop.pgtv("init", "--drop", "--apply").returncode == 0
    assert shop.sql("SELECT to_regnamespace('pgtv') IS NULL").strip() == "t"


def test_a_lease_that_is_named_is_given_up(shop18: Database) -> None:
    shop = shop18
    shop.pgtv("init", "--apply")
    took = ("triggers", "disable", "tv_category", "--for", "1h", "--reason", "a load", "--apply")
    assert shop.pgtv(*took).returncode == 0
    assert shop.pgtv("init", "--drop", "--forget", "2", "--apply").returncode == 3
    shown = shop.pgtv("init", "--drop", "--forget", "1")
    assert shown.returncode == 0 and "DROP SCHEMA pgtv" in shown.stdout
    assert "pgtv init --drop --forget 1 --apply runs this" in shown.stderr
    assert shop.pgtv("init", "--drop", "--forget", "1", "--apply").returncode == 0
    off = shop.pgtv("doctor", "--only", "triggers", "--format", "json")
    assert "trigger-disabled" in off.stdout, "and doctor knows of them without it"
    assert shop.pgtv("init", "--forget", "1").returncode == 3
