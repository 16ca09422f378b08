"""What the owner of a database plants there runs nothing when a superuser looks."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from planted import OWNER, TRAP, as_owner, log_of
from servers import Database, until

from pgtv.rows.state import script

# What `pgtv init` makes, as views of the same columns.
VIEWS = "\n".join(
    f"ALTER TABLE pgtv.{name} RENAME TO {name}_; CREATE VIEW pgtv.{name} AS"
    f" SELECT * FROM pgtv.{name}_ WHERE planted.evil(1);"
    for name in ("installation", "verification", "lease", "lease_trigger", "dead_letter")
)
FOLDED = "\n".join(  # the planner computes constants in indexes and statistics of what it plans to read
    f"CREATE INDEX ON pgtv.{name} (system_identifier) WHERE planted.evil(1);"
    f" CREATE STATISTICS pgtv.{name}_s ON (planted.evil(1)), system_identifier FROM pgtv.{name};"
    for name in ("installation", "verification", "lease", "lease_trigger", "dead_letter")
)
CHILDREN = "\n".join(
    f"ALTER TABLE pgtv.{name} ADD COLUMN more text; CREATE TABLE pgtv.{name}_c (CHECK (planted.evil(1)))"
    f" INHERITS (pgtv.{name}); CREATE INDEX ON pgtv.{name}_c (more) WHERE planted.evil(1);"
    for name in ("verification", "lease", "dead_letter")
)
LOOKING = (
    ("doctor",), ("status",), ("snapshot", "save", "-"), ("init",), ("triggers", "status"),
    ("2pc", "list", "--ended"),
)  # fmt: skip


def quiet(database: Database, *args: str, **kw: str) -> str:
    """Run pgtv as the superuser; what was planted must not run, nor a traceback be shown."""
    before = len(database.server.log_text())
    done = database.pgtv(*args, **kw)
    log = database.server.log_text()[before:]
    assert "PLANTED, as postgres" not in log, (args, log[-1500:])
    assert "Traceback" not in done.stderr and "Usage:" not in done.stderr, (args, done.stderr)
    return done.stdout + done.stderr


def gaps(database: Database) -> dict[str, str]:
    """Why sections are unknown, by section."""
    snapshot = json.loads(quiet(database, "snapshot", "save", "-"))
    return {g["section"]: g["reason"] for g in snapshot["gaps"]}


@pytest.mark.parametrize("planted", [VIEWS, FOLDED, CHILDREN], ids=["views", "folded", "children"])
def test_looking_at_a_planted_schema_pgtv(shop18: Database, planted: str) -> None:
    as_owner(shop18, TRAP + script() + planted)
    for command in LOOKING:
        quiet(shop18, *command)
    quiet(shop18, "verify", "tv_stock", "--since", "last")
    quiet(shop18, "init", "--apply")
    if planted is VIEWS:
        assert f"owner {OWNER}" in gaps(shop18)["verifications"]
        assert "no table" in gaps(shop18)["leases"]
        said = quiet(shop18, "init")
        assert "that pgtv did not make" in said and OWNER in said
    else:
        assert gaps(shop18) == {}


WRITES = {
    "trigger": "CREATE TRIGGER t AFTER INSERT OR UPDATE ON pgtv.{0} FOR EACH ROW"
    " EXECUTE FUNCTION planted.evil_row()",
    "deferred": "CREATE CONSTRAINT TRIGGER t AFTER INSERT OR UPDATE ON pgtv.{0} DEFERRABLE"
    " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION planted.evil_row()",
    "rule": "CREATE RULE r AS ON INSERT TO pgtv.{0} DO ALSO SELECT planted.evil(1)",
    "default": "ALTER TABLE pgtv.{0} ADD COLUMN more text DEFAULT planted.evil_text()",
    "query in a default": "ALTER TABLE pgtv.{0} ADD COLUMN more xml DEFAULT"
    " query_to_xml('SELECT planted.evil(1)', true, true, '')",
    "generated": "ALTER TABLE pgtv.{0} ADD COLUMN more boolean"
    " GENERATED ALWAYS AS (planted.evil(length(system_identifier))) STORED",
    "check": "ALTER TABLE pgtv.{0} ADD CHECK (planted.evil(length(system_identifier)))",
    "index": "CREATE INDEX ON pgtv.{0} (planted.evil(length(system_identifier)))",
    "statistics": "CREATE STATISTICS pgtv.s ON (planted.evil(1)), system_identifier FROM pgtv.{0}",
    "domain": "CREATE DOMAIN pgtv.d AS text CHECK (planted.evil(length(VALUE)));"
    " ALTER TABLE pgtv.{0} ALTER system_identifier TYPE pgtv.d",
    "view": "ALTER TABLE pgtv.{0} RENAME TO it; CREATE VIEW pgtv.{0} AS SELECT * FROM pgtv.it"
    " WHERE planted.evil(1)",
    "foreign key": "CREATE TABLE planted.keys (i bigint REFERENCES pgtv.{0} ON UPDATE CASCADE)",
}


@pytest.mark.parametrize("what", WRITES)
def test_verifying_writes_nothing_where_that_runs_code(shop18: Database, what: str) -> None:
    as_owner(shop18, TRAP + script() + WRITES[what].format("verification"))
    said = quiet(shop18, "verify", "-v", "tv_stock")
    assert "not recorded" in said and "pgtv.verification" in said and OWNER in said, said
    assert shop18.sql("SELECT count(*) FROM ONLY pgtv.verification").strip() == "0"


@pytest.mark.parametrize("what", ["trigger", "query in a default", "view"])
def test_leases_and_dead_letters_are_not_written_where_that_runs_code(
    shop18: Database, what: str
) -> None:
    as_owner(
        shop18,
        TRAP + script() + ";\n".join(WRITES[what].replace("RENAME TO it", "RENAME TO {0}_it")
                                     .replace("pgtv.it", "pgtv.{0}_it").format(name)
                                     for name in ("lease", "dead_letter")),
    )  # fmt: skip
    said = quiet(
        shop18, "triggers", "disable", "tv_stock", "--for", "1h", "--reason", "x", "--apply"
    )
    assert "pgtv init does not make" in said and OWNER in said, said
    with shop18.connect(autocommit=False) as c:
        c.execute("UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 7")
        c.execute("PREPARE TRANSACTION 'held'")
    said = quiet(shop18, "2pc", "rollback", "held", "--apply")
    assert "pgtv.dead_letter" in said and (OWNER in said or what == "view"), said


@pytest.mark.parametrize(
    ("table", "what"), [("lease_trigger", "trigger"), ("lease", "index")], ids=["trigger", "index"]
)
def test_what_is_planted_while_disabling_waits_for_its_locks(
    shop18: Database, table: str, what: str
) -> None:
    """The schema is looked at again by each transaction that writes it, once nobody can add to it."""
    as_owner(shop18, TRAP + script())
    command = ("triggers", "disable", "tv_category", "--for", "1h", "--reason", "x", "--apply")
    with (
        shop18.connect(autocommit=False) as holder,
        shop18.connect(OWNER) as mallory,
        shop18.connect() as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        holder.execute("UPDATE public.tb_category SET name = name WHERE pk_category = 1")
        running = pool.submit(quiet, shop18, *command)
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted"
            " AND relation = 'public.tb_category'::regclass"
        )
        until(lambda: watcher.execute(waiting).fetchone() == (1,))
        mallory.execute(WRITES[what].format(table))
        holder.rollback()
        said = running.result()
    assert f"pgtv.{table} has the {what} " in said, said
    assert f"which pgtv init does not make (its owner: {OWNER})" in said
    assert "DISABLE TRIGGER" in said, "as far as it was shown"
    assert shop18.sql("SELECT count(*) FROM pgtv.lease_trigger").strip() == "0"
    assert shop18.pgtv("doctor", "--only", "trigger-disabled").returncode == 0


@pytest.mark.parametrize("table", ["lease", "lease_trigger"])
def test_enabling_writes_no_lease_where_that_runs_code(shop18: Database, table: str) -> None:
    as_owner(shop18, TRAP + script())
    said = quiet(
        shop18, "triggers", "disable", "tv_stock", "--for", "1h", "--reason", "x", "--apply"
    )
    as_owner(shop18, WRITES["trigger"].replace("INSERT OR", "DELETE OR").format(table))
    said = quiet(shop18, "triggers", "enable", "--apply")
    assert f"pgtv.{table} has the trigger t" in said, said


CHILD = """
CREATE TABLE planted.more () INHERITS (pgtv.{0}); INSERT INTO planted.more SELECT * FROM pgtv.{0};
CREATE TRIGGER t BEFORE UPDATE ON planted.more FOR EACH ROW EXECUTE FUNCTION planted.evil_row()
"""


@pytest.mark.parametrize("table", ["installation", "verification"])
@pytest.mark.parametrize("what", [WRITES["trigger"], CHILD], ids=["trigger", "child"])
def test_an_upgrade_of_a_planted_schema_is_refused(shop18: Database, what: str, table: str) -> None:
    version_1 = (Path(__file__).parents[1] / "state" / "version-1.sql").read_text()
    as_owner(shop18, f"{TRAP} {version_1}; {what.format(table)}")
    for command in (("init",), ("init", "--apply")):
        said = quiet(shop18, *command)
        assert f"pgtv.{table} has the " in said and OWNER in said, said
    assert shop18.sql("SELECT version FROM ONLY pgtv.installation").strip() == "1"


def test_the_upgrade_that_is_printed_reaches_no_children(shop18: Database) -> None:
    """Shown before the child was there, and pasted then."""
    version_1 = (Path(__file__).parents[1] / "state" / "version-1.sql").read_text()
    as_owner(shop18, f"{TRAP} {version_1}")
    printed = shop18.pgtv("init").stdout
    as_owner(shop18, CHILD.format("installation"))
    assert "PLANTED" not in log_of(shop18, lambda: shop18.sql(printed))
    assert shop18.sql("SELECT version FROM ONLY pgtv.installation").strip() == "3"


def test_a_schema_that_anybody_made_as_init_does_is_used(shop18: Database) -> None:
    as_owner(shop18, script())
    assert shop18.pgtv("verify", "tv_stock").returncode == 0
    assert shop18.sql("SELECT table_name FROM pgtv.verification").strip() == "public.tv_stock"
    assert gaps(shop18) == {}


LAB = """
CREATE SCHEMA tviews; COMMENT ON SCHEMA tviews IS 'pgtv lab: really';
CREATE FUNCTION tviews.contract_version() RETURNS integer LANGUAGE sql AS
  $$ SELECT CASE WHEN planted.evil(1) THEN 2 END $$;
CREATE FUNCTION tviews.pg_tviews_catalog_revision() RETURNS integer LANGUAGE sql AS
  $$ SELECT CASE WHEN planted.evil(1) THEN 10 END $$;
CREATE VIEW tviews.registry AS SELECT 'x'::text AS entity, '{}'::jsonb AS options
  WHERE planted.evil(1);
CREATE VIEW tviews.pg_tview_meta AS SELECT 'x'::text AS entity, 0::oid AS table_oid,
  0::oid AS view_oid, 'x'::text AS definition, '{}'::jsonb AS plan WHERE planted.evil(1);
CREATE VIEW tviews.pg_tview_valid AS SELECT 'x'::text AS entity WHERE planted.evil(1);
CREATE VIEW tviews.stats AS SELECT 'x'::text AS entity WHERE planted.evil(1);
"""


@pytest.mark.parametrize("schema", ["tviews", '"Evil"'])
def test_a_planted_lab(empty: Database, schema: str) -> None:
    as_owner(
        empty,
        TRAP + LAB.replace("tviews.", f"{schema}.").replace("SCHEMA tviews", f"SCHEMA {schema}"),
    )
    for command in (("doctor",), ("status",), ("snapshot", "save", "-"), ("verify",),
                    ("repair", "--apply")):  # fmt: skip
        quiet(empty, *command)
    assert OWNER in gaps(empty)["extension"]


def test_planted_columns_of_a_queue_of_early_plans(shop18: Database) -> None:
    as_owner(shop18, TRAP + """
        CREATE SCHEMA "Old";
        CREATE TYPE "Old".mood AS ENUM ('good');
        CREATE FUNCTION "Old".told("Old".mood) RETURNS json LANGUAGE sql AS
          $$ SELECT to_json(planted.evil(1)) $$;
        CREATE CAST ("Old".mood AS json) WITH FUNCTION "Old".told("Old".mood);
        CREATE TABLE "Old".pg_tview_pending_refreshes (gid text, mood "Old".mood);
        INSERT INTO "Old".pg_tview_pending_refreshes VALUES ('gone', 'good');
        CREATE INDEX ON "Old".pg_tview_pending_refreshes (gid) WHERE planted.evil(1);
        CREATE TABLE "Old".c (CHECK (planted.evil(1))) INHERITS ("Old".pg_tview_pending_refreshes);
        CREATE INDEX ON "Old".c (gid) WHERE planted.evil(1);
        INSERT INTO "Old".c VALUES ('child')""")  # fmt: skip
    (table,) = json.loads(quiet(shop18, "2pc", "list", "--format", "json"))["pending"]
    assert [r["gid"] for r in table["rows"]] == ["gone"]


KEYED = """
CREATE TYPE planted.mood AS ENUM ('good', 'bad');
CREATE FUNCTION planted.told(planted.mood) RETURNS text LANGUAGE sql AS
  $$ SELECT planted.evil_text() $$;
CREATE CAST (planted.mood AS text) WITH FUNCTION planted.told(planted.mood);
CREATE TABLE planted.tb_case (pk_case bigint, id uuid DEFAULT gen_random_uuid(),
  mood planted.mood, name text, PRIMARY KEY (mood, pk_case));
INSERT INTO planted.tb_case (pk_case, mood, name)
  VALUES (1, 'good', 'a'), (2, 'bad', 'b');
CREATE TABLE planted.tv_case AS SELECT c.pk_case, c.id,
  jsonb_build_object('name', c.name) AS data FROM planted.tb_case c;
"""


def held_key(shop: Database, planted: str) -> dict[str, object]:
    """What 2pc tells of the table whose key has a type with a planted cast."""
    as_owner(shop, TRAP + KEYED + planted)
    with shop.connect(autocommit=False) as c:
        c.execute("UPDATE planted.tb_case SET name = 'held' WHERE pk_case = 2")
        c.execute("PREPARE TRANSACTION 'held'")
    told = json.loads(quiet(shop, "2pc", "show", "held", "--format", "json"))
    quiet(shop, "2pc", "rollback", "held", "--apply")
    keys = {k["relation"]: k for k in told["transactions"][0]["keys"]}
    found: dict[str, object] = keys["planted.tb_case"]
    return found


def test_keys_are_told_without_their_casts(shop18: Database) -> None:
    assert held_key(shop18, "")["keys"] == [["bad", "2"]]


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE INDEX ON planted.tb_case (name) WHERE planted.evil(1)",
        "CREATE INDEX ON planted.tb_case (planted.evil(1))",
        "CREATE STATISTICS planted.s ON (planted.evil(1)), name FROM planted.tb_case",
    ],
)
def test_keys_are_not_told_where_planning_runs_code(shop18: Database, planted: str) -> None:
    told = held_key(shop18, planted)
    assert told["keys"] == [] and "planted.evil" in str(told["reason"])
