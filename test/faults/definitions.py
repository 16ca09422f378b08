"""Views, functions, types and tables changed under a TVIEW: what the definition means has moved."""

from __future__ import annotations

from declare import (
    BASKET,
    CATEGORY,
    CUSTOMER,
    FAILS,
    LINE,
    ORDER,
    PRODUCT,
    RISK,
    STOCK,
    WRONG,
    Beyond,
    Fault,
)  # fmt: skip

_PRICED = """CREATE FUNCTION public.label(t text) RETURNS text LANGUAGE sql IMMUTABLE
AS 'SELECT upper(t)';
SELECT tviews.pg_tviews_create_or_replace('public.tv_label', $$
    SELECT p.pk_product AS pk_label, jsonb_build_object('label', public.label(p.name)) AS data
    FROM public.tb_product p $$)"""
_WHOLE_ROW = """CREATE TABLE public.tb_note (pk_note bigint PRIMARY KEY, title text, secret text);
INSERT INTO public.tb_note SELECT g, 'note ' || g, 's' FROM generate_series(1, 20) g;
SELECT tviews.pg_tviews_create_or_replace('public.tv_note', $$
    SELECT n.pk_note, to_jsonb(n) AS data FROM public.tb_note n $$)"""
_ENUM = """CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE public.tb_pet (pk_pet bigint PRIMARY KEY, mood public.mood NOT NULL);
INSERT INTO public.tb_pet SELECT g, (ARRAY['sad','ok','happy'])[1 + g % 3]::public.mood
    FROM generate_series(1, 20) g;
SELECT tviews.pg_tviews_create_or_replace('public.tv_pet', $$
    SELECT p.pk_pet, jsonb_build_object('mood', p.mood) AS data FROM public.tb_pet p $$)"""
_MATVIEW = """CREATE MATERIALIZED VIEW public.mv_top AS
    SELECT fk_product, count(*) AS sold FROM "Sales Dept".tb_order_line GROUP BY 1;
SELECT tviews.pg_tviews_create_or_replace('public.tv_top', $$
    SELECT p.pk_product AS pk_top, jsonb_build_object('name', p.name, 'sold', m.sold) AS data
    FROM public.tb_product p LEFT JOIN public.mv_top m ON m.fk_product = p.pk_product $$,
    '{"uncascaded_tables": {"public.mv_top": "warn"}}')"""
_PLAIN = """CREATE TABLE public.tb_site (pk_site bigint PRIMARY KEY, name text, score int,
    twice int GENERATED ALWAYS AS (score * 2) STORED);
INSERT INTO public.tb_site SELECT g, 'site ' || g, g FROM generate_series(1, 20) g;
SELECT tviews.pg_tviews_create_or_replace('public.tv_site', $$
    SELECT s.pk_site, jsonb_build_object('name', s.name, 'twice', s.twice) AS data
    FROM public.tb_site s $$)"""
SITE, NOTE = "public.tv_site", "public.tv_note"
_BASE = "public.tb_customer"

FAULTS = (
    Fault(
        "view-dropped", "The backing view is dropped", 6, (CUSTOMER,), FAILS,
        "DROP VIEW tviews.public__tv_customer CASCADE", sqlstate="XX000",
    ),
    Fault(
        "view-replaced", "The backing view is replaced: fewer rows", 6, (CUSTOMER,), WRONG,
        """CREATE OR REPLACE VIEW tviews.public__tv_customer AS
        SELECT c.pk_customer, c.id,
               jsonb_build_object('id', c.id, 'name', c.name, 'email', c.email) AS data
        FROM public.tb_customer c WHERE c.pk_customer > 20""",
    ),
    Fault(
        "view-replaced-columns", "The backing view is replaced: a column more", 6, (CUSTOMER,),
        FAILS,
        """CREATE OR REPLACE VIEW tviews.public__tv_customer AS
        SELECT c.pk_customer, c.id,
               jsonb_build_object('id', c.id, 'name', c.name, 'email', c.email) AS data,
               c.email AS more
        FROM public.tb_customer c""",
    ),
    Fault(
        "view-column-renamed", "A column of the backing view is renamed", 6, (CUSTOMER,), FAILS,
        "ALTER VIEW tviews.public__tv_customer RENAME COLUMN data TO doc",
    ),
    Fault(
        "view-renamed", "The backing view is renamed", 6, (CUSTOMER,), RISK,
        "ALTER VIEW tviews.public__tv_customer RENAME TO customers",
    ),
    Fault(
        "view-moved", "The backing view is moved to another schema", 6, (CUSTOMER,), RISK,
        "ALTER VIEW tviews.public__tv_customer SET SCHEMA public",
    ),
    Fault(
        "view-other-owner", "The backing view belongs to a role that may not read", 6, (CUSTOMER,),
        FAILS,
        """CREATE ROLE fault_nobody NOLOGIN; GRANT CREATE, USAGE ON SCHEMA tviews TO fault_nobody;
        ALTER VIEW tviews.public__tv_customer OWNER TO fault_nobody""",
        undo="DROP ROLE IF EXISTS fault_nobody", sqlstate="42501",
    ),
    Fault(
        "view-select-revoked", "The owner may not read the backing view any more", 6, (CUSTOMER,),
        FAILS, "REVOKE ALL ON tviews.public__tv_customer FROM shop_owner", sqlstate="42501",
    ),
    Fault(
        "helper-view-replaced", "A plain view in between is replaced", 12,
        (BASKET, "public.v_open_order"), WRONG,
        """CREATE OR REPLACE VIEW public.v_open_order AS
        SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o
        WHERE o.status IN ('open', 'paid')""",
    ),
    Fault(
        "upstream-replaced", "A TVIEW is replaced, and another reads it through a third", 12,
        (LINE, PRODUCT, CATEGORY), WRONG,
        """SELECT tviews.pg_tviews_create_or_replace('public.tv_category', $q$
        SELECT c.pk_category, c.id, jsonb_build_object('id', c.id, 'called', c.name) AS data
        FROM public.tb_category c $q$)""",
        redefines=True,
    ),
    Fault(
        "helper-view-new-table", "A plain view in between reads another table now", 12,
        (BASKET, "public.v_open_order", "public.tb_hold"), WRONG,
        """CREATE TABLE public.tb_hold (pk_hold bigint PRIMARY KEY, fk_order bigint);
        ALTER TABLE public.tb_hold OWNER TO shop_owner;
        CREATE OR REPLACE VIEW public.v_open_order AS
        SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o
        WHERE o.status = 'open'
          AND NOT EXISTS (SELECT 1 FROM public.tb_hold h WHERE h.fk_order = o.pk_order)""",
        writes=("INSERT INTO public.tb_hold SELECT g, g FROM generate_series(1, 60) g",),
    ),
    Fault(
        "helper-view-cycle", "A plain view in between closes a cycle", 5,
        (BASKET, "public.v_open_order"), RISK,
        """CREATE OR REPLACE VIEW public.v_open_order AS
        SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o
        WHERE o.status = 'open' AND EXISTS (SELECT 1 FROM public.tv_basket b
              WHERE b.pk_basket = o.fk_customer)""",
        beyond=(
            Beyond.DECISION,
            "The view has to get back the text that it had: it is in a migration, not in the "
            "database.",
        ),
    ),
    Fault(
        "matview-cycle", "A materialized view closes a cycle", 5, ("public.tv_loop", CUSTOMER),
        WRONG,
        """CREATE MATERIALIZED VIEW public.mv_loop AS SELECT 1::bigint AS pk WITH NO DATA;
        DROP MATERIALIZED VIEW public.mv_loop;
        CREATE VIEW public.v_loop AS SELECT 0::bigint AS pk;
        CREATE MATERIALIZED VIEW public.mv_loop AS SELECT pk FROM public.v_loop;
        SELECT tviews.pg_tviews_create_or_replace('public.tv_loop', $$
            SELECT c.pk_customer AS pk_loop, jsonb_build_object('n', count(m.pk)) AS data
            FROM public.tb_customer c LEFT JOIN public.mv_loop m ON m.pk = c.pk_customer
            GROUP BY c.pk_customer $$, '{"uncascaded_tables": {"public.mv_loop": "warn"}}');
        CREATE OR REPLACE VIEW public.v_loop AS SELECT pk_loop AS pk FROM public.tv_loop;
        REFRESH MATERIALIZED VIEW public.mv_loop""",
        beyond=(
            Beyond.DECISION,
            "Which of the definitions in the ring is the wrong one, their author knows.",
        ),
    ),
    Fault(
        "helper-function-replaced", "A function in the definition is replaced", 12,
        ("public.tv_label",), WRONG,
        """CREATE OR REPLACE FUNCTION public.label(t text) RETURNS text LANGUAGE sql IMMUTABLE
        AS 'SELECT lower(t)'""",
        setup=_PRICED,
    ),
    Fault(
        "helper-function-volatile", "A function in the definition becomes volatile", 12,
        ("public.tv_label",), WRONG,
        """CREATE OR REPLACE FUNCTION public.label(t text) RETURNS text LANGUAGE sql VOLATILE
        AS 'SELECT upper(t) || random()'""",
        setup=_PRICED,
        beyond=(
            Beyond.DECISION,
            "A result that differs at each call has no right row: the function or the "
            "definition has to change.",
        ),
    ),
    Fault(
        "helper-function-reads", "A function in the definition reads a table now", 12,
        ("public.tv_label", "public.tb_category"), WRONG,
        """CREATE OR REPLACE FUNCTION public.label(t text) RETURNS text LANGUAGE sql STABLE
        AS 'SELECT t || (SELECT min(name) FROM public.tb_category)'""",
        setup=_PRICED, writes=("UPDATE public.tb_category SET name = 'AAA' WHERE pk_category = 2",),
    ),
    Fault(
        "helper-function-execute-revoked",
        "The owner may not call the definition's function any more",
        12,
        ("public.tv_label",),
        FAILS,
        "ALTER FUNCTION public.label(text) OWNER TO postgres;"
        " REVOKE EXECUTE ON FUNCTION public.label(text) FROM PUBLIC, shop_owner",
        setup=_PRICED,
        sqlstate="42501",
    ),
    Fault(
        "operator-function-replaced", "The function of an operator in a definition is replaced", 12,
        ("public.tv_sign",), WRONG,
        """CREATE OR REPLACE FUNCTION public.glue(text, text) RETURNS text IMMUTABLE LANGUAGE sql
        AS 'SELECT $2 || $1'""",
        setup="""CREATE FUNCTION public.glue(text, text) RETURNS text IMMUTABLE LANGUAGE sql
            AS 'SELECT $1 || $2';
        CREATE OPERATOR public.||| (FUNCTION = public.glue, LEFTARG = text, RIGHTARG = text);
        CREATE TABLE public.tv_sign AS SELECT c.pk_category AS pk_sign, c.id, jsonb_build_object('name',
            c.name OPERATOR(public.|||) '!'::text) AS data FROM public.tb_category c""",
    ),
    Fault(
        "inner-function-replaced", "A function that a definition's function calls is replaced", 12,
        ("public.tv_sign",), WRONG,
        """CREATE OR REPLACE FUNCTION public.inner_shout(text) RETURNS text IMMUTABLE LANGUAGE sql
        AS 'SELECT lower($1)'""",
        setup="""CREATE FUNCTION public.inner_shout(text) RETURNS text IMMUTABLE LANGUAGE sql
            AS 'SELECT upper($1)';
        CREATE FUNCTION public.shout(text) RETURNS text IMMUTABLE LANGUAGE sql
            AS 'SELECT public.inner_shout($1)';
        CREATE TABLE public.tv_sign AS SELECT c.pk_category AS pk_sign, c.id, jsonb_build_object('name',
            public.shout(c.name)) AS data FROM public.tb_category c""",
    ),
    Fault(
        "aggregate-function-replaced", "The function of an aggregate in a definition is replaced", 12,
        ("public.tv_sign",), WRONG,
        """CREATE OR REPLACE FUNCTION public.more(bigint, bigint) RETURNS bigint IMMUTABLE LANGUAGE sql
        AS 'SELECT coalesce($1, 0) + 2 * $2'""",
        setup="""CREATE FUNCTION public.more(bigint, bigint) RETURNS bigint IMMUTABLE LANGUAGE sql
            AS 'SELECT coalesce($1, 0) + $2';
        CREATE AGGREGATE public.total(bigint) (SFUNC = public.more, STYPE = bigint);
        CREATE TABLE public.tv_sign AS SELECT c.pk_category AS pk_sign, c.id, jsonb_build_object('sum',
            (SELECT public.total(p.pk_product) FROM public.tb_product p
              WHERE p.fk_category = c.pk_category)) AS data FROM public.tb_category c""",
    ),
    Fault(
        "helper-function-raises", "A function in the definition raises for some rows", 12,
        ("public.tv_label",), FAILS,
        """CREATE OR REPLACE FUNCTION public.label(t text) RETURNS text LANGUAGE sql IMMUTABLE
        AS 'SELECT (1 / (length(t) - length(t)))::text'""",
        setup=_PRICED, sqlstate="22012",
        beyond=(
            Beyond.DECISION,
            "The function fails for rows that exist: its text has to change.",
        ),
    ),
    Fault(
        "whole-row-definition",
        "A definition reads a table as a whole row: updates of columns it does not name are lost",
        12,
        (NOTE, "public.tb_note"),
        WRONG,
        _WHOLE_ROW,
        writes=("UPDATE public.tb_note SET title = title || '!' WHERE pk_note = 3",),
        beyond=(
            Beyond.DECISION,
            "The definition has to name its columns, and which ones readers may see is not "
            "written anywhere.",
        ),
    ),
    Fault(
        "whole-row-column-added", "A column is added to a table that is read as a whole row", 12,
        (NOTE, "public.tb_note"), WRONG,
        _WHOLE_ROW + "; ALTER TABLE public.tb_note ADD COLUMN stars int NOT NULL DEFAULT 3",
        beyond=(
            Beyond.DECISION,
            "The definition has to name its columns, and which ones readers may see is not "
            "written anywhere.",
        ),
    ),
    Fault(
        "whole-row-column-renamed", "A column of a table that is read as a whole row is renamed",
        12, (NOTE, "public.tb_note"), WRONG,
        _WHOLE_ROW + "; ALTER TABLE public.tb_note RENAME COLUMN title TO headline",
        beyond=(
            Beyond.DECISION,
            "The definition has to name its columns, and which ones readers may see is not "
            "written anywhere.",
        ),
    ),
    Fault(
        "whole-row-column-dropped", "A column of a table that is read as a whole row is dropped",
        12, (NOTE, "public.tb_note"), WRONG,
        _WHOLE_ROW + "; ALTER TABLE public.tb_note DROP COLUMN secret",
        beyond=(
            Beyond.DECISION,
            "The definition has to name its columns, and which ones readers may see is not "
            "written anywhere.",
        ),
    ),
    Fault(
        "base-renamed", "A base table is renamed: the next restore loses every registration", 10,
        (LINE, '"Sales Dept".tb_line'), RISK,
        'ALTER TABLE "Sales Dept".tb_order_line RENAME TO tb_line',
        writes=('UPDATE "Sales Dept".tb_line SET quantity = 9 WHERE pk_order_line = 5',),
    ),
    Fault(
        "base-moved", "A base table is moved to another schema", 10,
        (LINE, "archive.tb_order_line"), RISK,
        'CREATE SCHEMA archive; ALTER TABLE "Sales Dept".tb_order_line SET SCHEMA archive;'
        "GRANT USAGE ON SCHEMA archive TO shop_owner",
        writes=("UPDATE archive.tb_order_line SET quantity = 9 WHERE pk_order_line = 5",),
    ),
    Fault(
        "base-moved-unreadable", "A base table is moved where the owner may not look", 12,
        (LINE, "archive.tb_order_line"), FAILS,
        'CREATE SCHEMA archive; ALTER TABLE "Sales Dept".tb_order_line SET SCHEMA archive',
        writes=("UPDATE archive.tb_order_line SET quantity = 9 WHERE pk_order_line = 5",),
    ),
    Fault(
        "base-swapped", "A base table is exchanged by renaming: the TVIEW follows the old one", 12,
        (LINE, '"Sales Dept".tb_order_line', '"Sales Dept".tb_order_line_old'), WRONG,
        """BEGIN;
        CREATE TABLE "Sales Dept".tb_order_line_new
            (LIKE "Sales Dept".tb_order_line INCLUDING ALL);
        ALTER TABLE "Sales Dept".tb_order_line_new OWNER TO shop_owner;
        ALTER TABLE "Sales Dept".tb_order_line_new ALTER pk_order_line RESTART WITH 90000;
        INSERT INTO "Sales Dept".tb_order_line_new OVERRIDING SYSTEM VALUE
            SELECT * FROM "Sales Dept".tb_order_line;
        ALTER TABLE "Sales Dept".tb_order_line RENAME TO tb_order_line_old;
        ALTER TABLE "Sales Dept".tb_order_line_new RENAME TO tb_order_line;
        COMMIT""",
    ),
    Fault(
        "schema-renamed", "The schema of base tables is renamed", 10, (ORDER, LINE,
         "dept.tv_order", "dept.tv_order_line"), RISK, 'ALTER SCHEMA "Sales Dept" RENAME TO dept',
        writes=("UPDATE dept.tb_order SET status = 'paid' WHERE pk_order = 3",),
    ),
    Fault(
        "tview-column-added", "A tv_ table has a column more, NOT NULL", 6, (LINE,), FAILS,
        """ALTER EVENT TRIGGER pg_tviews_ddl_end DISABLE;
        ALTER TABLE "Sales Dept".tv_order_line ADD COLUMN seen boolean NOT NULL DEFAULT true;
        ALTER TABLE "Sales Dept".tv_order_line ALTER COLUMN seen DROP DEFAULT;
        ALTER EVENT TRIGGER pg_tviews_ddl_end ENABLE""",
        sqlstate="23502",
    ),
    Fault(
        "tview-check", "A CHECK constraint on a tv_ table refuses new rows", 6, (CUSTOMER,), FAILS,
        "ALTER TABLE public.tv_customer ADD CHECK (pk_customer <= 200)", sqlstate="23514",
    ),
    Fault(
        "tview-unique", "A unique constraint on a tv_ table that the definition does not keep", 6,
        (CUSTOMER,), FAILS,
        "CREATE UNIQUE INDEX one_name ON public.tv_customer ((data->>'name'))", sqlstate="23505",
        writes=(f"UPDATE {_BASE} SET name = 'Customer 9' WHERE pk_customer = 10",),
    ),
    Fault(
        "tview-foreign-key", "A foreign key points at a tv_ table", 6, (CUSTOMER,), FAILS,
        """CREATE TABLE public.letter (id int PRIMARY KEY,
            customer bigint REFERENCES public.tv_customer);
        INSERT INTO public.letter SELECT g, g FROM generate_series(1, 200) g;
        INSERT INTO public.tb_customer (name, email) VALUES ('short-lived', 'x');
        INSERT INTO public.letter SELECT 999, max(pk_customer) FROM public.tv_customer""",
        writes=("DELETE FROM public.tb_customer WHERE name = 'short-lived'",), sqlstate="23503",
    ),
    Fault(
        "tview-child", "A table inherits from a tv_ table: readers see its rows too", 6,
        (LINE,), WRONG,
        """CREATE TABLE public.more () INHERITS ("Sales Dept".tv_order_line);
        INSERT INTO public.more SELECT pk_order_line + 100000, id, data, fk_order, fk_product
        FROM "Sales Dept".tv_order_line LIMIT 3""",
    ),
    Fault(
        "tview-inherits", "A tv_ table is made the child of a table that others may write", 8,
        (CUSTOMER,), WRONG,
        """CREATE TABLE public.documents (data jsonb);
        ALTER TABLE public.tv_customer INHERIT public.documents;
        GRANT SELECT, UPDATE, DELETE ON public.documents TO fault_writer""",
        writes=("DELETE FROM public.documents WHERE data->>'name' LIKE '%7'",), writer="fault_writer",
        again=False,
    ),
    Fault(
        "tview-generated-default", "A tv_ table has its columns' defaults and no primary key", 6,
        (CUSTOMER,), FAILS, "ALTER TABLE public.tv_customer DROP CONSTRAINT tv_customer_pkey",
    ),
    Fault(
        "tview-index-dropped", "A lookup index of a tv_ table is dropped", 6, (ORDER,), RISK,
        'DROP INDEX "Sales Dept".idx_tv_order_fk_customer_pk_order',
    ),
    Fault(
        "tview-key-invalid", "The key of a tv_ table is an invalid index", 6, (CUSTOMER,), FAILS,
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = 'public.tv_customer_pkey'::regclass",
    ),
    Fault(
        "base-unlogged", "A base table is UNLOGGED under a logged TVIEW", 1, (LINE,
         '"Sales Dept".tb_order_line'), RISK,
        'ALTER TABLE "Sales Dept".tb_order_line SET UNLOGGED',
    ),
    Fault(
        "base-dropped-unseen", "A base table is dropped by CASCADE while event triggers are off",
        12, (STOCK, PRODUCT), FAILS,
        """ALTER EVENT TRIGGER pg_tviews_sql_drop DISABLE;
        DROP TABLE public.tb_stock_move CASCADE;
        ALTER EVENT TRIGGER pg_tviews_sql_drop ENABLE""",
        beyond=(
            Beyond.FILE,
            "The rows of the base table are in a backup, if anywhere; else the TVIEW goes, "
            "too.",
        ),
    ),
    Fault(
        "setting-dependent", "A definition depends on a setting of the session", 12,
        ("public.tv_greeting",), WRONG,
        """SELECT tviews.pg_tviews_create_or_replace('public.tv_greeting', $$
            SELECT c.pk_category AS pk_greeting, jsonb_build_object('in',
              coalesce(current_setting('app.language', true), 'none'), 'name', c.name) AS data
            FROM public.tb_category c $$)""",
        writes=("SET app.language = 'de'; UPDATE public.tb_category SET name = 'Neu'"
                " WHERE pk_category = 1; RESET app.language",),
        beyond=(
            Beyond.DECISION,
            "Which value of the setting the rows are to have, nobody wrote down.",
        ),
    ),
    Fault(
        "orphan-table", "A tv_ table made while the library was absent: a plain table, never updated", 6,
        ("public.tv_orphan",), RISK,
        "CREATE TABLE public.tv_orphan (pk_orphan bigint PRIMARY KEY, data jsonb);"
        "INSERT INTO public.tv_orphan SELECT pk_category, data FROM public.tv_category",
        beyond=(
            Beyond.DECISION,
            "Whether it is meant to be a TVIEW, and by which definition, is in a migration, not in the"
            " database: pgtv repair metadata --from FILE then makes it one.",
        ),
    ),
)  # fmt: skip
