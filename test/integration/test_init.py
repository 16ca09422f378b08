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
