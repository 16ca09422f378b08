"""Triggers: dropped, disabled, in the way, or not what they were."""

from __future__ import annotations

from declare import (
    BASKET,
    CUSTOMER,
    EVERY,
    FAILS,
    LINE,
    ORDER,
    PRODUCT,
    RISK,
    SEARCH,
    SEGMENT,
    STOCK,
    WRONG,
    Fault,
)  # fmt: skip

_ROW = "trg_tview_row_customer_on_public_tb_customer"
_BASE = "public.tb_customer"
_HANDLER = "tviews.pg_tview_trigger_handler('customer')"


def _instead(create: str) -> str:
    """The row trigger of tv_customer, dropped and made again otherwise."""
    return f"DROP TRIGGER {_ROW} ON {_BASE}; {create}"


FAULTS = (
    Fault(
        "trigger-row-dropped", "A row trigger is dropped", 8, (CUSTOMER, _BASE), WRONG,
        f"DROP TRIGGER {_ROW} ON {_BASE}",
    ),
    Fault(
        "trigger-flush-dropped", "A flush trigger is dropped", 8, (CUSTOMER, _BASE), FAILS,
        f"""DROP TRIGGER trg_tview_flush_customer_on_public_tb_customer ON {_BASE};
        DROP TRIGGER trg_tview_flush_basket_on_public_tb_customer ON {_BASE};
        DROP TRIGGER trg_tview_flush_segment_on_public_tb_customer ON {_BASE}""",
        sqlstate="55000",
    ),
    Fault(
        "trigger-truncate-dropped", "A truncate trigger is dropped", 8,
        (LINE, '"Sales Dept".tb_order_line'), WRONG,
        'DROP TRIGGER "trg_tview_truncate_order_line_on_Sales Dept_tb_order_line"'
        ' ON "Sales Dept".tb_order_line',
        writes=('TRUNCATE "Sales Dept".tb_order_line',),
    ),
    Fault(
        "trigger-delta-update-dropped", "The transition-table trigger for UPDATE is dropped", 8,
        (SEARCH, "public.tb_category"), WRONG,
        "DROP TRIGGER trg_tview_delta_u_search_on_public_tb_category ON public.tb_category",
    ),
    Fault(
        "trigger-delta-delete-dropped", "The transition-table trigger for DELETE is dropped", 8,
        (SEARCH, "public.tb_category"), WRONG,
        "DROP TRIGGER trg_tview_delta_d_search_on_public_tb_category ON public.tb_category",
        setup="ALTER TABLE public.tb_product DROP CONSTRAINT tb_product_fk_category_fkey",
        writes=("DELETE FROM public.tb_category WHERE pk_category = 5",),
    ),
    Fault(
        "trigger-on-tview-dropped", "A trigger on the table of another TVIEW is dropped", 8,
        (SEGMENT, ORDER), WRONG,
        'DROP TRIGGER "trg_tview_delta_i_segment_on_Sales Dept_tv_order"'
        ' ON "Sales Dept".tv_order',
    ),
    Fault(
        "trigger-all-of-a-table-dropped", "Every trigger of a base table is dropped", 8,
        (PRODUCT, SEARCH, STOCK, "public.tb_product"), WRONG,
        """DO $$ DECLARE t record; BEGIN
        FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'public.tb_product'::regclass
                 AND NOT tgisinternal
        LOOP EXECUTE format('DROP TRIGGER %I ON public.tb_product', t.tgname); END LOOP;
        END $$""",
    ),
    Fault(
        "trigger-row-disabled", "A row trigger is disabled", 8, (CUSTOMER, _BASE), WRONG,
        f"ALTER TABLE {_BASE} DISABLE TRIGGER {_ROW}",
    ),
    Fault(
        "trigger-flush-disabled", "The flush triggers alone are disabled", 8, (CUSTOMER, _BASE),
        FAILS,
        f"""ALTER TABLE {_BASE}
        DISABLE TRIGGER trg_tview_flush_customer_on_public_tb_customer,
        DISABLE TRIGGER trg_tview_flush_basket_on_public_tb_customer,
        DISABLE TRIGGER trg_tview_flush_segment_on_public_tb_customer""",
        sqlstate="55000",
    ),
    Fault(
        "trigger-user-disabled", "DISABLE TRIGGER USER, left behind after a bulk load", 8,
        (LINE, '"Sales Dept".tb_order_line'), WRONG,
        'ALTER TABLE "Sales Dept".tb_order_line DISABLE TRIGGER USER',
    ),
    Fault(
        "trigger-all-disabled", "DISABLE TRIGGER ALL on a base table", 8,
        (ORDER, BASKET, '"Sales Dept".tb_order'), WRONG,
        'ALTER TABLE "Sales Dept".tb_order DISABLE TRIGGER ALL',
    ),
    Fault(
        "trigger-on-tview-disabled", "Triggers on the table of another TVIEW are disabled", 8,
        (SEGMENT, ORDER), WRONG, 'ALTER TABLE "Sales Dept".tv_order DISABLE TRIGGER USER',
    ),
    Fault(
        "trigger-replica-only", "A row trigger fires for replicated rows only", 8,
        (CUSTOMER, _BASE), WRONG, f"ALTER TABLE {_BASE} ENABLE REPLICA TRIGGER {_ROW}",
    ),
    Fault(
        "trigger-always", "A row trigger fires for replicated rows too", 11, (CUSTOMER, _BASE),
        FAILS, f"ALTER TABLE {_BASE} ENABLE ALWAYS TRIGGER {_ROW}",
        writes=(
            f"SET session_replication_role = replica; UPDATE {_BASE} SET name = 'always'"
            " WHERE pk_customer = 7; RESET session_replication_role",
        ),
        sqlstate="55000",
        again=False,
    ),
    Fault(
        "trigger-disabled-in-pg-trigger", "tgenabled is updated straight in pg_trigger", 8,
        (CUSTOMER, _BASE), WRONG,
        f"UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname = '{_ROW}'",
    ),
    Fault(
        "trigger-wrong-entity", "A row trigger is made again with another entity's argument", 8,
        (CUSTOMER, _BASE), WRONG,
        _instead(f"""CREATE TRIGGER {_ROW} AFTER INSERT OR DELETE OR UPDATE ON {_BASE}
        FOR EACH ROW EXECUTE FUNCTION tviews.pg_tview_trigger_handler('basket')"""),
    ),
    Fault(
        "trigger-when-condition", "A row trigger is made again with a WHEN condition", 8,
        (CUSTOMER, _BASE), WRONG,
        _instead(f"""CREATE TRIGGER {_ROW} AFTER UPDATE ON {_BASE}
        FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION {_HANDLER};
        CREATE TRIGGER trg_tview_row2 AFTER INSERT OR DELETE ON {_BASE}
        FOR EACH ROW EXECUTE FUNCTION {_HANDLER}"""),
    ),
    Fault(
        "trigger-when-false-same-type", "A row trigger has a WHEN condition that is never true", 8,
        (CUSTOMER, _BASE), WRONG,
        _instead(f"""CREATE TRIGGER {_ROW} AFTER INSERT OR DELETE OR UPDATE ON {_BASE}
        FOR EACH ROW WHEN (current_setting('server_version_num')::int < 0)
        EXECUTE FUNCTION {_HANDLER}"""),
    ),
    Fault(
        "trigger-update-of-column", "A row trigger is made again for some columns only", 8,
        (CUSTOMER, _BASE), WRONG,
        _instead(f"""CREATE TRIGGER {_ROW} AFTER INSERT OR DELETE OR UPDATE OF email ON {_BASE}
        FOR EACH ROW EXECUTE FUNCTION {_HANDLER}"""),
    ),
    Fault(
        "trigger-without-delete", "A row trigger is made again without DELETE", 8,
        (CUSTOMER, _BASE), WRONG,
        _instead(f"""CREATE TRIGGER {_ROW} AFTER INSERT OR UPDATE ON {_BASE}
        FOR EACH ROW EXECUTE FUNCTION {_HANDLER}"""),
        writes=(f"DELETE FROM {_BASE} WHERE name = 'nobody yet'",),
    ),
    Fault(
        "trigger-before", "A row trigger is made again as BEFORE", 8, (CUSTOMER, _BASE), RISK,
        _instead(f"""CREATE TRIGGER {_ROW} BEFORE INSERT OR DELETE OR UPDATE ON {_BASE}
        FOR EACH ROW EXECUTE FUNCTION {_HANDLER}"""),
    ),
    Fault(
        "trigger-per-statement", "A row trigger is made again per statement", 8,
        (CUSTOMER, _BASE), FAILS,
        _instead(f"""CREATE TRIGGER {_ROW} AFTER INSERT OR DELETE OR UPDATE ON {_BASE}
        FOR EACH STATEMENT EXECUTE FUNCTION {_HANDLER}"""),
    ),
    Fault(
        "trigger-deferred", "A row trigger is made again as a deferred constraint trigger", 8,
        (CUSTOMER, _BASE), FAILS,
        _instead(f"""CREATE CONSTRAINT TRIGGER {_ROW} AFTER INSERT OR DELETE OR UPDATE ON {_BASE}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {_HANDLER}"""),
    ),
    Fault(
        "trigger-transition-table-renamed", "A delta trigger names its transition table otherwise",
        8, (SEARCH, "public.tb_category"), FAILS,
        """DROP TRIGGER trg_tview_delta_u_search_on_public_tb_category ON public.tb_category;
        CREATE TRIGGER trg_tview_delta_u_search_on_public_tb_category
        AFTER UPDATE ON public.tb_category REFERENCING OLD TABLE AS was NEW TABLE AS is_now
        FOR EACH STATEMENT EXECUTE FUNCTION tviews.pg_tview_delta_trigger('search')""",
    ),
    Fault(
        "trigger-doubled", "A second row trigger of the same TVIEW under another name", 7,
        (CUSTOMER, _BASE), RISK,
        f"""CREATE TRIGGER zz_copy AFTER INSERT OR DELETE OR UPDATE ON {_BASE}
        FOR EACH ROW EXECUTE FUNCTION {_HANDLER}""",
    ),
    Fault(
        "trigger-foreign-row", "The row trigger of a TVIEW on a table that it does not read", 7,
        (CUSTOMER, "public.audit"), RISK,
        f"""CREATE TABLE public.audit (id int PRIMARY KEY, note text);
        CREATE TRIGGER mine AFTER INSERT OR UPDATE OR DELETE ON public.audit
        FOR EACH ROW EXECUTE FUNCTION {_HANDLER}""",
        writes=("INSERT INTO public.audit VALUES (1, 'x')",),
    ),
    Fault(
        "trigger-foreign-truncate", "Anybody's table reconciles a TVIEW through its truncate trigger",
        7, (CUSTOMER, "public.lever"), RISK,
        """CREATE TABLE public.lever (id int);
        CREATE TRIGGER pull AFTER TRUNCATE ON public.lever FOR EACH STATEMENT
        EXECUTE FUNCTION tviews.pg_tview_truncate_trigger('customer')""",
    ),
    Fault(
        "trigger-unknown-entity", "A trigger for a TVIEW that does not exist", 8, (_BASE,), RISK,
        f"""CREATE TRIGGER left_over AFTER INSERT OR UPDATE OR DELETE ON {_BASE}
        FOR EACH ROW EXECUTE FUNCTION tviews.pg_tview_trigger_handler('long_gone')""",
    ),
    Fault(
        "trigger-handler-replaced", "The trigger function itself is replaced by one that does nothing",
        8, EVERY, WRONG,
        """CREATE OR REPLACE FUNCTION tviews.pg_tview_trigger_handler() RETURNS trigger
        LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'""",
    ),
    Fault(
        "trigger-writes-back", "A user trigger writes its table again, without end", 8,
        (CUSTOMER, _BASE), FAILS,
        f"""CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE {_BASE} SET email = email || '.' WHERE pk_customer = NEW.pk_customer;
        RETURN NULL; END $$;
        CREATE TRIGGER again AFTER UPDATE ON {_BASE} FOR EACH ROW EXECUTE FUNCTION public.again()""",
        sqlstate="54001",
    ),
    Fault(
        "trigger-inserts-again", "A user trigger inserts into its own table at each insert", 8,
        (CUSTOMER, _BASE), FAILS,
        f"""CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO {_BASE} (name, email) VALUES ('copy; of', NEW.email);
        RETURN NEW; END $$;
        CREATE TRIGGER again AFTER INSERT ON {_BASE} FOR EACH ROW EXECUTE FUNCTION public.again()""",
        sqlstate="54001",
    ),
    Fault(
        "statement-trigger-again", "A statement trigger runs a statement of its kind on its table", 8,
        (CUSTOMER, _BASE), FAILS,
        f"""CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM {_BASE} WHERE name IS NULL; RETURN NULL; END $$;
        CREATE TRIGGER again AFTER DELETE ON {_BASE}
        FOR EACH STATEMENT EXECUTE FUNCTION public.again()""",
        sqlstate="54001",
    ),
    Fault(
        "triggers-in-a-ring", "Triggers of two tables write each other's, without end", 8,
        (CUSTOMER, _BASE), FAILS,
        f"""CREATE FUNCTION public.there() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE public.tb_category SET name = name WHERE pk_category = 1; RETURN NULL; END $$;
        CREATE FUNCTION public.back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE {_BASE} SET name = name WHERE pk_customer = 1; RETURN NULL; END $$;
        CREATE TRIGGER there AFTER UPDATE ON {_BASE} FOR EACH ROW EXECUTE FUNCTION public.there();
        CREATE TRIGGER back AFTER UPDATE ON public.tb_category
        FOR EACH ROW EXECUTE FUNCTION public.back()""",
        sqlstate="54001",
    ),
    Fault(
        "tview-trigger-swallows", "A BEFORE trigger on a tv_ table returns NULL", 8, (CUSTOMER,),
        WRONG,
        """CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON public.tv_customer
        FOR EACH ROW EXECUTE FUNCTION public.swallow()""",
    ),
    Fault(
        "tview-trigger-rewrites", "A BEFORE trigger on a tv_ table changes what is stored", 8,
        (CUSTOMER,), WRONG,
        """CREATE FUNCTION public.mask() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN NEW.data := NEW.data - ''email''; RETURN NEW; END';
        CREATE TRIGGER mask BEFORE INSERT OR UPDATE ON public.tv_customer
        FOR EACH ROW EXECUTE FUNCTION public.mask()""",
    ),
    Fault(
        "tview-trigger-raises", "A trigger on a tv_ table raises an error", 8, (CUSTOMER,), FAILS,
        """CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''tv_customer is read-only''; END';
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON public.tv_customer
        FOR EACH ROW EXECUTE FUNCTION public.refuse()""",
        sqlstate="P0001",
    ),
    Fault(
        "trigger-partition-flush-dropped", "A partition lost its own flush trigger", 8,
        (STOCK, "public.tb_stock_move_2026"), FAILS,
        "DROP TRIGGER trg_tview_flush_stock_on_public_tb_stock_move_2026"
        " ON public.tb_stock_move_2026",
        sqlstate="55000",
    ),
    Fault(
        "trigger-partition-truncate-dropped", "A partition lost its own truncate trigger", 8,
        (STOCK, "public.tb_stock_move_2026"), RISK,
        "DROP TRIGGER trg_tview_truncate_stock_on_public_tb_stock_move_2026"
        " ON public.tb_stock_move_2026",
        writes=("TRUNCATE public.tb_stock_move_2026",),
    ),
    Fault(
        "trigger-partition-clone-disabled", "The clone of a row trigger is disabled on a partition",
        8, (STOCK, "public.tb_stock_move_2025"), WRONG,
        "ALTER TABLE public.tb_stock_move_2025"
        " DISABLE TRIGGER trg_tview_row_stock_on_public_tb_stock_move",
    ),
    Fault(
        "event-trigger-end-disabled", "The event trigger that follows DDL is disabled", 12,
        ("*",), RISK, "ALTER EVENT TRIGGER pg_tviews_ddl_end DISABLE",
    ),
    Fault(
        "event-trigger-drop-disabled", "The event trigger that follows drops is disabled", 12,
        ("*",), RISK, "ALTER EVENT TRIGGER pg_tviews_sql_drop DISABLE",
    ),
    Fault(
        "event-trigger-replica", "An event trigger fires for replicas only", 12, ("*",), RISK,
        "ALTER EVENT TRIGGER pg_tviews_ddl_end ENABLE REPLICA",
    ),
    Fault(
        "event-trigger-dropped", "An event trigger of the extension is dropped", 12, ("*",), RISK,
        """ALTER EXTENSION pg_tviews DROP EVENT TRIGGER pg_tviews_ddl_end;
        DROP EVENT TRIGGER pg_tviews_ddl_end""",
    ),
    Fault(
        "event-triggers-off-database", "event_triggers = off is fixed for the database", 12,
        ("*",), RISK,
        "SELECT format('ALTER DATABASE %I SET event_triggers = off', current_database()) \\gexec",
    ),
    Fault(
        "meta-trigger-rebind-dropped", "The catalog's trigger that re-resolves OIDs is dropped", 10,
        ("*",), RISK,
        """ALTER TABLE tviews.pg_tview_meta DISABLE TRIGGER pg_tview_meta_rebind""",
    ),
    Fault(
        "meta-trigger-changed-dropped", "The catalog's trigger that tells other sessions is dropped",
        6, ("*",), RISK,
        "DROP TRIGGER pg_tview_meta_changed ON tviews.pg_tview_meta",
    ),
    Fault(
        "rule-on-tview-nothing", "A rule on a tv_ table does nothing instead", 8, (CUSTOMER,),
        FAILS,
        """CREATE RULE no_update AS ON UPDATE TO public.tv_customer DO INSTEAD NOTHING;
        CREATE RULE no_delete AS ON DELETE TO public.tv_customer DO INSTEAD NOTHING""",
    ),
)  # fmt: skip
