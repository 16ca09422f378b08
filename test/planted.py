"""pytest plugin: a TVIEW whose definition calls its owner's function, and what that may be armed with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import Database

# Every operator and type of the server's own that somebody may have left unqualified.
_TRAPS = """
CREATE SCHEMA evil AUTHORIZATION schemer; CREATE SCHEMA evil_types AUTHORIZATION schemer;
SET ROLE schemer;
CREATE FUNCTION schemer.gain() RETURNS boolean LANGUAGE plpgsql AS $gain$ BEGIN
  IF pg_catalog.current_setting('schemer.gained', true) OPERATOR(pg_catalog.=) 'yes' THEN
    RETURN true; END IF;
  EXECUTE $copy$COPY (SELECT 1) TO PROGRAM 'touch {escaped}'$copy$;
  PERFORM pg_catalog.set_config('schemer.gained', 'yes', false); RETURN true;
EXCEPTION WHEN OTHERS THEN RETURN true; END $gain$;
CREATE FUNCTION schemer.gain_late() RETURNS trigger LANGUAGE plpgsql AS $gain$ BEGIN
  PERFORM schemer.gain(); SET CONSTRAINTS ALL DEFERRED;
  BEGIN INSERT INTO pg_temp.again SELECT 1 FROM pg_temp.again HAVING count(*) OPERATOR(pg_catalog.<) 5;
  EXCEPTION WHEN OTHERS THEN NULL; END;
  RETURN NULL;
END $gain$;
DO $do$ DECLARE n int := 0; l text; r text; o text; BEGIN
  FOR l, r IN SELECT x, y FROM unnest('{text,name,oid,int8,int4}'::text[]) x,
                               unnest('{text,name,oid,int8,int4}'::text[]) y LOOP
    FOREACH o IN ARRAY '{=,<>,<,>,||,/}'::text[] LOOP
      n := n + 1;
      EXECUTE format('CREATE FUNCTION evil.trap%s(a %s, b %s) RETURNS %s LANGUAGE plpgsql AS'
        ' ''BEGIN PERFORM schemer.gain(); RETURN %s; END''', n, l, r,
        CASE o WHEN '||' THEN 'text' WHEN '/' THEN 'int8' ELSE 'bool' END,
        CASE o WHEN '||' THEN 'pg_catalog.concat(a, b)' WHEN '/' THEN '1' ELSE 'true' END);
      EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.trap%s)',
                     o, l, r, n);
    END LOOP;
  END LOOP;
END $do$;
CREATE DOMAIN evil_types.oid AS pg_catalog.oid CHECK (schemer.gain());
CREATE DOMAIN evil_types.int8 AS pg_catalog.int8 CHECK (schemer.gain());
CREATE DOMAIN evil_types.text AS pg_catalog.text CHECK (schemer.gain());
RESET ROLE;
"""

# What somebody has who may create in the database, and no more: code that tells the log as whom it ran.
TRAP = """
CREATE SCHEMA planted;
CREATE FUNCTION planted.evil(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
  BEGIN PERFORM set_config('role', 'none', true); EXCEPTION WHEN OTHERS THEN NULL; END;
  RAISE LOG 'PLANTED, as %', CURRENT_USER; RETURN true;
END$f$;
CREATE FUNCTION planted.evil_row() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN PERFORM planted.evil(1); RETURN NULL; END$f$;
CREATE FUNCTION planted.evil_text() RETURNS text LANGUAGE sql AS $f$
  SELECT planted.evil(1)::text $f$;
"""
OWNER = "mallory"


@pytest.fixture
def planted(shop: Database) -> Iterator[Database]:
    """A TVIEW of schemer's whose definition calls schemer.evil(), harmless so far."""
    shop.sql(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'schemer') THEN"
        " CREATE ROLE schemer LOGIN; END IF; END $$; ALTER ROLE schemer NOSUPERUSER;"
        "CREATE SCHEMA schemer AUTHORIZATION schemer; CREATE TABLE public.loot (who text);"
        "GRANT INSERT, SELECT ON public.loot TO PUBLIC; GRANT CREATE ON SCHEMA public TO schemer;"
    )
    shop.sql(
        """
        CREATE TABLE schemer.tb_bait (pk_bait bigint PRIMARY KEY, t text);
        INSERT INTO schemer.tb_bait VALUES (1, 'a'), (2, 'b');
        CREATE FUNCTION schemer.evil(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN x; END';
        SELECT tviews.pg_tviews_create('schemer.tv_bait', $$
            SELECT b.pk_bait, schemer.evil(b.t) AS t, jsonb_build_object('t', b.t) AS data
            FROM schemer.tb_bait b $$);
        """,
        user="schemer",
    )
    try:
        yield shop
    finally:
        shop.sql("DROP OWNED BY schemer CASCADE")


@pytest.fixture
def trapped(planted: Database) -> Database:
    """The same, with schemer.gain(), which leaves a file where it runs with a superuser's rights, and a
    schemas `evil`, of operators, and `evil_types` that call it."""
    planted.sql(_TRAPS.replace("{escaped}", str(escaped(planted))))
    return planted


def escaped(database: Database) -> Path:
    """The file that is there once planted code ran with a superuser's rights."""
    return database.folder / "escaped"


def arm(database: Database, body: str) -> None:
    """Make schemer.evil() run this first, and fail where it is a superuser by then."""
    database.sql(
        "CREATE OR REPLACE FUNCTION schemer.evil(x text) RETURNS text LANGUAGE plpgsql VOLATILE AS"
        f" $evil$ BEGIN {body}"
        " IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolsuper"
        "            AND rolname OPERATOR(pg_catalog.=) current_user) THEN"
        "   RAISE EXCEPTION 'escaped as %', current_user; END IF;"
        " RETURN x; END $evil$",
        user="schemer",
    )


def as_owner(database: Database, text: str) -> None:
    """Run as a role that may create in the database, and no more."""
    database.sql(f"""DO $$ BEGIN CREATE ROLE {OWNER} LOGIN;
        EXCEPTION WHEN duplicate_object THEN END $$;
        GRANT CREATE ON DATABASE "{database.name}" TO {OWNER};""")
    database.sql(text, OWNER)


def log_of(database: Database, run: Callable[[], object]) -> str:
    """What the server's log says of a run, where TRAP tells as whom it ran."""
    before = len(database.server.log_text())
    run()
    return database.server.log_text()[before:]
