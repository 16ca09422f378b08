"""Privileges, row-level security, ownership, settings, and writes that go past the triggers."""

from __future__ import annotations

from declare import (
    ANYWHERE,
    CATEGORY,
    CUSTOMER,
    EVERY,
    FAILS,
    LINE,
    ORDER,
    PRODUCT,
    RISK,
    SEARCH,
    STOCK,
    WRONG,
    Beyond,
    Fault,
)  # fmt: skip

_BASE = "public.tb_customer"
_DB = "SELECT format('ALTER DATABASE %I {}', current_database()) \\gexec"
_ROLE_DB = "SELECT format('ALTER ROLE fault_writer IN DATABASE %I {}', current_database()) \\gexec"
WRITER = "fault_writer"

FAULTS = (
    # who may what
    Fault(
        "owner-select-revoked", "The owner may not read a base table any more", 12,
        (CUSTOMER, _BASE), FAILS,
        f"ALTER TABLE {_BASE} OWNER TO postgres; REVOKE ALL ON {_BASE} FROM shop_owner",
        sqlstate="42501",
    ),
    Fault(
        "owner-usage-revoked", "The owner may not use the schema of a base table", 12,
        (ORDER, LINE), FAILS,
        'ALTER SCHEMA "Sales Dept" OWNER TO postgres;'
        'REVOKE ALL ON SCHEMA "Sales Dept" FROM shop_owner',
    ),
    Fault(
        "tview-owner-changed", "A tv_ table belongs to a role that may not read its tables", 12,
        (CUSTOMER,), FAILS,
        """CREATE ROLE fault_other NOLOGIN; GRANT USAGE, CREATE ON SCHEMA public TO fault_other;
        ALTER TABLE public.tv_customer OWNER TO fault_other""",
        undo="DROP ROLE IF EXISTS fault_other", sqlstate="42501",
    ),
    Fault(
        "base-rls", "Row-level security on a base table hides rows from the TVIEW's owner", 12,
        (LINE, '"Sales Dept".tb_order_line'), WRONG,
        """ALTER TABLE "Sales Dept".tb_order_line ENABLE ROW LEVEL SECURITY,
            FORCE ROW LEVEL SECURITY;
        CREATE POLICY part ON "Sales Dept".tb_order_line USING (pk_order_line % 2 = 0)""",
    ),
    Fault(
        "base-rls-by-user", "A row-level policy that asks who is writing", 12, (CUSTOMER, _BASE),
        WRONG,
        f"""ALTER TABLE {_BASE} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY reads ON {_BASE} FOR SELECT USING (session_user <> 'fault_writer'
            OR pk_customer % 2 = 0);
        CREATE POLICY adds ON {_BASE} FOR INSERT WITH CHECK (true);
        CREATE POLICY changes ON {_BASE} FOR UPDATE USING (true);
        CREATE POLICY removes ON {_BASE} FOR DELETE USING (true)""",
        writer=WRITER,
    ),
    Fault(
        "tview-rls-forced", "FORCE ROW LEVEL SECURITY on a tv_ table", 12, (CUSTOMER,), FAILS,
        "ALTER TABLE public.tv_customer ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        sqlstate="42501",
    ),
    Fault(
        "tview-rls-policy", "Row-level policies on a tv_ table hide rows from its refresh", 12,
        (CUSTOMER,), FAILS,
        """ALTER TABLE public.tv_customer ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY part ON public.tv_customer USING (pk_customer % 2 = 0)
            WITH CHECK (true)""",
    ),
    Fault(
        "tview-rls-two", "FORCE ROW LEVEL SECURITY on two tv_ tables, one embedding the other", 12,
        (CUSTOMER, ORDER), FAILS,
        """ALTER TABLE public.tv_customer ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        ALTER TABLE "Sales Dept".tv_order ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY""",
        sqlstate="42501",
    ),
    Fault(
        "tview-owner-revoked", "The owner may not write its own tv_ table any more", 12, (CUSTOMER,),
        FAILS, "REVOKE UPDATE, DELETE ON public.tv_customer FROM shop_owner", sqlstate="42501",
    ),
    Fault(
        "tview-owner-all-revoked", "The owner has no privilege on a tv_ table that nothing reads", 12,
        (STOCK,), FAILS, "REVOKE ALL ON public.tv_stock FROM shop_owner", sqlstate="42501",
    ),
    Fault(
        "tview-owner-truncate", "The owner may not truncate its tv_ table: refreshes fail", 12,
        (CUSTOMER,), RISK, "REVOKE TRUNCATE ON public.tv_customer FROM shop_owner",
    ),
    Fault(
        "row-security-off", "row_security is off where a base table has policies for the owner", 12,
        (CUSTOMER, _BASE), FAILS,
        f"""ALTER TABLE {_BASE} OWNER TO postgres; GRANT ALL ON {_BASE} TO shop_owner;
        ALTER TABLE {_BASE} ENABLE ROW LEVEL SECURITY;
        CREATE POLICY everything ON {_BASE} USING (true) WITH CHECK (true);"""
        + _ROLE_DB.format("SET row_security = off"),
        sqlstate="42501", writer=WRITER,
        beyond=(
            Beyond.DECISION,
            "Writes are let through again, and rows are right; whether the policies are meant "
            "to hide rows from the TVIEW is left to say (doctor --baseline).",
        ),
    ),
    Fault(
        "public-writes-tview", "PUBLIC may write a tv_ table", 12, (CUSTOMER,), RISK,
        "GRANT INSERT, UPDATE, DELETE ON public.tv_customer TO PUBLIC",
    ),
    Fault(
        "role-writes-tview", "A role may write a tv_ table", 12, (CUSTOMER,), RISK,
        "GRANT UPDATE ON public.tv_customer TO fault_writer",
    ),
    Fault(
        "role-truncates-tview", "A role may truncate a tv_ table and make triggers on it", 12,
        (CUSTOMER,), RISK, "GRANT TRUNCATE, TRIGGER ON public.tv_customer TO fault_writer",
    ),
    Fault(
        "column-grant-tview", "A role may update one column of a tv_ table", 12, (CUSTOMER,), RISK,
        "GRANT UPDATE (data) ON public.tv_customer TO fault_writer",
    ),
    Fault(
        "role-writes-catalog", "A role may write the extension's catalog", 6, ANYWHERE, RISK,
        "GRANT UPDATE ON tviews.pg_tview_meta TO fault_writer",
    ),
    Fault(
        "schema-create-public", "Everybody may create objects in the extension's schema", 12,
        ANYWHERE, RISK, "GRANT CREATE ON SCHEMA tviews TO PUBLIC",
    ),
    Fault(
        "default-privileges", "Default privileges let everybody write tables to come", 12,
        ANYWHERE, RISK,
        "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public"
        " GRANT INSERT, UPDATE, DELETE ON TABLES TO PUBLIC",
    ),
    Fault(
        "usage-revoked", "Ordinary roles may not use the extension's schema", 12, EVERY, FAILS,
        "REVOKE USAGE ON SCHEMA tviews FROM PUBLIC", writer=WRITER,
    ),
    Fault(
        "catalog-select-revoked", "Ordinary roles may not read the extension's catalog", 12,
        ANYWHERE, FAILS, "REVOKE SELECT ON tviews.pg_tview_meta FROM PUBLIC", writer=WRITER,
    ),
    Fault(
        "function-execute-revoked", "Ordinary roles may not execute the extension's functions", 12,
        ANYWHERE, FAILS, "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tviews FROM PUBLIC",
        writer=WRITER,
    ),
    # settings that last
    Fault(
        "replica-role", "A role always writes as a replica", 8, ANYWHERE, WRONG,
        "ALTER ROLE fault_writer SET session_replication_role = replica", writer=WRITER,
        undo="ALTER ROLE fault_writer RESET ALL",
    ),
    Fault(
        "replica-role-in-database", "A role writes as a replica in this database", 8, ANYWHERE,
        WRONG, _ROLE_DB.format("SET session_replication_role = replica"), writer=WRITER,
    ),
    Fault(
        "replica-database", "Every session of the database writes as a replica", 8, ANYWHERE, WRONG,
        _DB.format("SET session_replication_role = replica"), writer=WRITER,
    ),
    Fault(
        "replica-function", "A function writes as a replica", 8, ("*", CUSTOMER), WRONG,
        f"""CREATE FUNCTION public.quietly() RETURNS void LANGUAGE sql
        SET session_replication_role = replica
        AS $$ UPDATE {_BASE} SET name = 'quiet' WHERE pk_customer = 33 $$""",
        writes=("SELECT public.quietly()",),
        again=False,
    ),
    Fault(
        "replica-in-function-body", "A function turns itself into a replica in its body", 8,
        (CUSTOMER,), WRONG,
        f"""CREATE PROCEDURE public.fast_load() LANGUAGE plpgsql AS $$ BEGIN
        PERFORM set_config('session_replication_role', 'replica', true);
        UPDATE {_BASE} SET name = 'loaded' WHERE pk_customer BETWEEN 3 AND 9; END $$""",
        writes=("CALL public.fast_load()",),
        again=False,
        beyond=(
            Beyond.DECISION,
            "The rows are brought; whether the function may go on loading past triggers, its author knows.",
        ),
    ),
    Fault(
        "login-replica", "An event trigger at login makes every session write as a replica", 8,
        ANYWHERE, WRONG,
        """CREATE FUNCTION public.hello() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM set_config('session_replication_role', 'replica', false); END $$;
        ALTER FUNCTION public.hello() SECURITY DEFINER;
        CREATE EVENT TRIGGER hello ON login EXECUTE FUNCTION public.hello()""",
        writer=WRITER,
    ),
    Fault(
        "replica-server", "The whole server writes as a replica", 8, ANYWHERE, WRONG,
        "ALTER SYSTEM SET session_replication_role = replica; SELECT pg_reload_conf()",
        settings={}, writer=WRITER,
    ),
    Fault(
        "queue-limit", "The queue limit is too small for ordinary statements", 3, ANYWHERE, FAILS,
        _DB.format("SET pg_tviews.max_queue_size = 1"),
        writes=(f"UPDATE {_BASE} SET name = name || '!'",),
    ),
    Fault(
        "refresh-limit", "max_refresh_rows is below the size of TVIEWs", 3, ANYWHERE, FAILS,
        _DB.format("SET pg_tviews.max_refresh_rows = 10"),
        writes=(f"UPDATE {_BASE} SET name = name || '!'",),
    ),
    Fault(
        "depth-limit", "The propagation limit is below the depth of the graph", 3, ANYWHERE, FAILS,
        _DB.format("SET pg_tviews.max_propagation_depth = 1"), sqlstate="54001",
    ),
    Fault(
        "depth-limit-role", "The propagation limit of a role that writes is too small", 3, ANYWHERE,
        FAILS, _ROLE_DB.format("SET pg_tviews.max_propagation_depth = 1"), writer=WRITER,
        sqlstate="54001",
    ),
    Fault(
        "search-path-hijack", "The database's search_path shadows built-in functions", 12,
        ANYWHERE, RISK,
        """CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql IMMUTABLE
        AS 'SELECT ''planted''';"""
        + _DB.format("SET search_path = public, pg_catalog"),
    ),
    Fault(
        "read-only-database", "The database is read-only by default", 12, ANYWHERE, FAILS,
        _DB.format("SET default_transaction_read_only = on"), sqlstate="25006", writer=WRITER,
    ),
    Fault(
        "statement-timeout", "A role that writes may not take longer than a refresh takes", 12,
        ANYWHERE, FAILS, _ROLE_DB.format("SET statement_timeout = 1"), sqlstate="57014",
        writes=(f"RESET statement_timeout; UPDATE {_BASE} SET name = name || '.'",), writer=WRITER,
    ),
    Fault(
        "transaction-timeout", "A role that writes is thrown out after a millisecond", 12,
        ANYWHERE, FAILS, _ROLE_DB.format("SET transaction_timeout = 1"), sqlstate="25P04",
        writes=(f"UPDATE {_BASE} SET name = name || '.'",), writer=WRITER,
    ),
    Fault(
        "quoted-identifiers", "quote_all_identifiers is on: nothing can be re-registered", 6,
        ANYWHERE, RISK, _DB.format("SET quote_all_identifiers = on"),
    ),
    Fault(
        "queue-limit-role", "The queue limit of a role that writes is too small", 3, ANYWHERE, FAILS,
        _ROLE_DB.format("SET pg_tviews.max_queue_size = 1"), writer=WRITER, sqlstate="54000",
    ),
    Fault(
        "publish-and-prepare", "publish_changes is on where transactions are prepared", 7,
        ANYWHERE, FAILS, _DB.format("SET pg_tviews.publish_changes = rows"),
        writes=(f"BEGIN; UPDATE {_BASE} SET name = 'two' WHERE pk_customer = 1;"
                " PREPARE TRANSACTION 'fault-publish'; COMMIT PREPARED 'fault-publish'",),
    ),
    # past the triggers
    Fault(
        "write-as-replica", "A session wrote as a replica", 8, (CUSTOMER, ORDER), WRONG,
        f"""SET session_replication_role = replica;
        UPDATE {_BASE} SET name = 'unseen' WHERE pk_customer = 33""",
    ),
    Fault(
        "write-while-disabled", "A write between DISABLE and ENABLE TRIGGER", 8, (LINE,), WRONG,
        """ALTER TABLE "Sales Dept".tb_order_line DISABLE TRIGGER USER;
        UPDATE "Sales Dept".tb_order_line SET quantity = 77 WHERE pk_order_line = 40;
        ALTER TABLE "Sales Dept".tb_order_line ENABLE TRIGGER USER""",
    ),
    Fault(
        "tview-updated", "Somebody updated a tv_ table", 8, (CUSTOMER,), WRONG,
        """UPDATE public.tv_customer SET data = '{"name": "by hand"}' WHERE pk_customer = 151""",
    ),
    Fault(
        "tview-number-scale", "A value differs in its image only: 1.0 for 1.00", 8, (PRODUCT,),
        WRONG,
        """UPDATE public.tv_product SET data = jsonb_set(data, '{price}',
            to_jsonb(trim_scale((data->>'price')::numeric + 0.000))) WHERE pk_product = 60;
        UPDATE public.tb_product SET price = 5.00 WHERE pk_product = 61;
        UPDATE public.tv_product SET data = jsonb_set(data, '{price}', '5.0')
            WHERE pk_product = 61""",
    ),
    Fault(
        "tview-deleted-rows", "Somebody deleted rows of a tv_ table", 8, (CUSTOMER,), WRONG,
        "DELETE FROM public.tv_customer WHERE pk_customer BETWEEN 120 AND 130",
    ),
    Fault(
        "tview-extra-row", "Somebody inserted a row into a tv_ table", 8, (CUSTOMER,), WRONG,
        """INSERT INTO public.tv_customer (pk_customer, id, data)
        VALUES (-5, gen_random_uuid(), '{}')""",
    ),
    Fault(
        "tview-truncated", "Somebody truncated a tv_ table", 8, (LINE,), WRONG,
        'TRUNCATE "Sales Dept".tv_order_line',
    ),
    Fault(
        "tview-emptied", "Somebody deleted every row of a tv_ table", 8, (STOCK,), WRONG,
        "DELETE FROM public.tv_stock",
    ),
    Fault(
        "implicit-commit-suspended", "A suspended transaction ended by an implicit commit", 7,
        (CUSTOMER,), WRONG,
        f"""DO $$ BEGIN PERFORM tviews.pg_tviews_suspend_triggers();
        UPDATE {_BASE} SET name = 'suspended' WHERE pk_customer = 12; END $$""",
    ),
    Fault(
        "unlogged-updated", "Somebody updated an UNLOGGED TVIEW", 8, (SEARCH,), WRONG,
        "UPDATE public.tv_search SET words = 'by hand' WHERE pk_search = 8",
    ),
    Fault(
        "upstream-wrong", "A wrong row of a TVIEW was copied into those that embed it", 8,
        (CATEGORY, PRODUCT, LINE), WRONG,
        """UPDATE public.tv_category SET data = data || '{"name": "wrong"}'
            WHERE pk_category = 2;
        UPDATE public.tb_product SET price = price + 1 WHERE fk_category = 2""",
    ),
    Fault(
        "published-without-key", "A publication and a tv_ table without replica identity", 11,
        (CUSTOMER,), FAILS,
        """ALTER TABLE public.tv_customer REPLICA IDENTITY NOTHING;
        CREATE PUBLICATION every FOR ALL TABLES""",
        sqlstate="55000",
    ),
    Fault(
        "published-columns", "A publication of a tv_ table leaves out its key", 11, (ORDER,), FAILS,
        """CREATE PUBLICATION keyless FOR TABLE "Sales Dept".tv_order (id, fk_customer, data)""",
        sqlstate="42P10",
    ),
    Fault(
        "published-filter-index", "A filtered publication and a replica identity by another index", 11,
        (ORDER,), FAILS,
        """CREATE UNIQUE INDEX other ON "Sales Dept".tv_order (fk_customer, pk_order);
        ALTER TABLE "Sales Dept".tv_order ALTER fk_customer SET NOT NULL;
        ALTER TABLE "Sales Dept".tv_order REPLICA IDENTITY USING INDEX other;
        CREATE PUBLICATION part FOR TABLE "Sales Dept".tv_order WHERE (id IS NOT NULL)""",
        sqlstate="42P10",
    ),
    Fault(
        "published-row-filter", "A publication of a tv_ table filters by a column outside its key",
        11, (ORDER,), FAILS,
        """CREATE PUBLICATION part FOR TABLE "Sales Dept".tv_order WHERE (fk_customer > 5)""",
        sqlstate="42P10",
    ),
    Fault(
        "subscription-writes-base", "A subscription writes a base table", 11,
        (CUSTOMER, _BASE), RISK,
        f"""CREATE SUBSCRIPTION feed CONNECTION 'host=/nowhere password=hunter2'
            PUBLICATION p WITH (connect = false, slot_name = NONE);
        INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
            SELECT oid, '{_BASE}'::regclass, 'r' FROM pg_subscription WHERE subname = 'feed'""",
        undo="ALTER SUBSCRIPTION feed DISABLE; DROP SUBSCRIPTION feed",
        beyond=(
            Beyond.DECISION,
            "As long as it applies rows they are missed: replicate the tv_ table instead, or "
            "refresh on a schedule.",
        ),
    ),
)  # fmt: skip
