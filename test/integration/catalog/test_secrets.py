"""Secrets planted wherever a database keeps them are in no snapshot and in no report."""

from __future__ import annotations

import threading
from contextlib import suppress

import psycopg
from servers import Database

SECRET = "hunter2Zq"


def sleep(connection: psycopg.Connection[object]) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        connection.execute(f"SELECT pg_sleep(30), '{SECRET}'".encode())


def test_no_planted_secret_gets_out(shop: Database) -> None:
    s = SECRET
    shop.server.psql(f"ALTER SYSTEM SET primary_conninfo = 'host=x password={s}'")
    shop.server.psql(f"ALTER SYSTEM SET archive_command = 'scp -pw {s} %p'")
    shop.server.reload()
    shop.sql(
        f"CREATE EXTENSION postgres_fdw;"
        f"CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h', dbname '{s}');"
        f"CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'u', password '{s}');"
        f"CREATE FOREIGN TABLE public.far_away (a int) SERVER far OPTIONS (table_name '{s}');"
        f"CREATE SUBSCRIPTION sub CONNECTION 'host=localhost password={s}' PUBLICATION p"
        f" WITH (connect = false);"
        f"ALTER DATABASE {shop.name} SET app.token = '{s}';"
        f"ALTER ROLE postgres IN DATABASE {shop.name} SET app.token = '{s}';"
        f"COMMENT ON TABLE public.tb_customer IS 'the password is {s}';"
        f"CREATE FUNCTION public.hook() RETURNS trigger LANGUAGE plpgsql"
        f" SET app.token = '{s}' AS $$ BEGIN PERFORM '{s}'; RETURN new; END $$;"
        f"CREATE TRIGGER hook BEFORE UPDATE ON public.tb_customer FOR EACH ROW"
        f" WHEN (new.name = '{s}') EXECUTE FUNCTION public.hook('token={s}');"
        f"CREATE TRIGGER hook_always BEFORE UPDATE ON public.tb_order_line_x FOR EACH ROW"
        f" EXECUTE FUNCTION public.hook('token={s}');".replace(
            "public.tb_order_line_x", '"Sales Dept".tb_order_line'
        )
    )
    try:
        with shop.connect(autocommit=False) as other, shop.connect() as running:
            # one statement idle in its transaction, one running meanwhile
            other.execute(
                f"/* {s} */ SELECT '{s}', $${s}$$ FROM public.tb_customer -- {s}".encode()
            )
            waiting = threading.Thread(target=lambda: sleep(running))
            waiting.start()
            try:
                with shop.connect() as check:
                    seen = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s"
                    while check.execute(seen, [f"%{s}%"]).fetchone() != (2,):
                        pass
                saved = shop.pgtv("snapshot", "save", "-")
                outputs = [
                    shop.pgtv(*command).stdout
                    for command in (["doctor", "--all"], ["doctor", "--format", "json"], ["status"])
                ]
            finally:
                running.cancel()
                waiting.join()
    finally:
        shop.sql(
            "ALTER SUBSCRIPTION sub DISABLE; ALTER SUBSCRIPTION sub SET (slot_name = NONE);"
            "DROP SUBSCRIPTION sub"
        )
        shop.server.psql("ALTER SYSTEM RESET ALL")
        shop.server.reload()
    assert saved.returncode == 0, saved.stderr
    assert '"name": "sub"' in saved.stdout  # it did look there
    assert '"hook"' in saved.stdout
    assert SECRET not in saved.stdout + saved.stderr
    for output in outputs:
        assert SECRET not in output
