"""Statements that migrations consist of, each in the situations that make a difference.

Case(sql) runs in one transaction on the shop and is rolled back; with a setup, or autocommit, it runs
in a database of its own. Together they meet every rule of pgtv.migration.rules: a test sees to it.
"""

from __future__ import annotations

from dataclasses import dataclass

ORDER, LINE = '"Sales Dept".tb_order', '"Sales Dept".tb_order_line'
NOTE = "ALTER TABLE tb_customer ADD COLUMN note {}"
FUNCTION = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end';"
MATVIEW = f"""
CREATE MATERIALIZED VIEW mv AS SELECT fk_customer, count(*) n FROM {ORDER} GROUP BY 1;
CREATE UNIQUE INDEX ON mv (fk_customer);
SELECT tviews.pg_tviews_create('tv_reading', $$ SELECT c.pk_customer AS pk_reading, m.n
  FROM tb_customer c JOIN mv m ON m.fk_customer = c.pk_customer $$, '{{"uncascaded_policy": "warn"}}');
INSERT INTO {ORDER} (fk_customer) VALUES (1);
"""
CALLING = """
CREATE FUNCTION loud(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper($1) $$;
SELECT tviews.pg_tviews_create('tv_calling',
  $$ SELECT c.pk_customer AS pk_calling, loud(c.name) AS loud FROM tb_customer c $$);
"""
ENUM = """
CREATE TYPE mood AS ENUM ('a', 'b');
ALTER TABLE tb_customer ADD COLUMN mood mood DEFAULT 'a';
SELECT tviews.pg_tviews_create('tv_moody',
  $$ SELECT c.pk_customer AS pk_moody, c.mood::text AS mood FROM tb_customer c $$);
"""
GROUPED = """
CREATE TABLE tb_g (pk_g int PRIMARY KEY, n text);
INSERT INTO tb_g VALUES (1, 'a');
SELECT tviews.pg_tviews_create('tv_g', 'SELECT g.pk_g, g.n, count(*) AS c FROM tb_g g GROUP BY g.pk_g');
"""
OWNED = """
SELECT tviews.pg_tviews_create('tv_owned', 'SELECT c.pk_customer AS pk_owned, c.name FROM tb_customer c');
"""
PART = """
CREATE TABLE p27 (pk_stock_move bigint NOT NULL, id uuid NOT NULL, fk_product bigint NOT NULL,
                  moved_on date NOT NULL, amount int NOT NULL);
INSERT INTO p27 VALUES (99999, gen_random_uuid(), 1, '2027-02-02', 7);
"""
CATEGORY = "SELECT tviews.pg_tviews_create_or_replace('public.tv_category', $${}$${})"
SAME = (
    "SELECT c.pk_category, c.id, jsonb_build_object('id', c.id, 'name', c.name) AS data"
    " FROM tb_category c -- as it is"
    "\n"
)
BASKET = "SELECT tviews.pg_tviews_create_or_replace('public.tv_basket', $${}$$)"
HELPER = "CREATE OR REPLACE VIEW v_open_order AS SELECT {} FROM {} WHERE {}"
COLUMNS = "o.pk_order, o.fk_customer, o.placed_at"


@dataclass(frozen=True)
class Case:
    sql: str
    setup: str = ""
    autocommit: bool = False
    majors: tuple[int, ...] = (17, 18)

    @property
    def name(self) -> str:
        return " ".join(self.sql.split())[:90]


def _alone(sql: str, setup: str = "") -> Case:
    return Case(sql, setup, autocommit=True)


CASES = (
    # Columns.
    Case(NOTE.format("text")),
    Case(NOTE.format("text NOT NULL DEFAULT 'x'")),
    Case(NOTE.format("timestamptz DEFAULT now()")),
    Case(NOTE.format("uuid DEFAULT gen_random_uuid()")),
    Case(NOTE.format("bigserial")),
    Case(NOTE.format("text GENERATED ALWAYS AS (lower(name)) STORED")),
    Case(NOTE.format("text GENERATED ALWAYS AS (lower(name)) VIRTUAL"), majors=(18,)),
    Case(NOTE.format("bigint REFERENCES tb_category")),
    Case(NOTE.format("text UNIQUE")),
    Case(NOTE.format("int CHECK (note > 0)")),
    Case("ALTER TABLE tb_customer ADD COLUMN email text"),
    Case("ALTER TABLE tb_customer ADD COLUMN IF NOT EXISTS email text"),
    Case("ALTER TABLE tb_customer ADD COLUMN n int, ALTER COLUMN n SET DEFAULT 1"),
    Case("ALTER TABLE tb_customer DROP COLUMN IF EXISTS nope"),
    Case("ALTER TABLE tb_customer DROP COLUMN nope"),
    Case("ALTER TABLE tb_customer RENAME COLUMN nope TO no"),
    Case("ALTER TABLE tb_customer RENAME email TO mail; ALTER TABLE tb_customer ALTER email DROP NOT NULL"),
    Case("ALTER TABLE tb_stock_move ADD COLUMN note text"),
    Case("ALTER TABLE tb_stock_move ADD COLUMN u uuid DEFAULT gen_random_uuid()"),
    Case("ALTER TABLE tb_stock_move DROP COLUMN id"),
    Case("ALTER TABLE tb_stock_move_2025 DROP COLUMN id"),
    Case("ALTER TABLE tb_customer DROP COLUMN email"),
    Case("ALTER TABLE tb_customer DROP COLUMN IF EXISTS email, ADD COLUMN mail text"),
    Case("ALTER TABLE tb_customer DROP COLUMN email CASCADE"),
    Case("ALTER TABLE tb_product DROP COLUMN price CASCADE"),
    Case(f"ALTER TABLE {ORDER} DROP COLUMN placed_at"),
    Case(f"ALTER TABLE {ORDER} DROP COLUMN placed_at CASCADE"),
    Case("ALTER TABLE tb_customer ADD COLUMN n text; ALTER TABLE tb_customer DROP COLUMN n"),
    Case("ALTER TABLE tb_customer RENAME COLUMN email TO mail"),
    Case("ALTER TABLE tb_customer RENAME email TO mail; ALTER TABLE tb_customer DROP COLUMN mail"),
    Case("ALTER TABLE tb_stock_move RENAME COLUMN amount TO quantity"),
    Case("ALTER TABLE tb_stock_move RENAME COLUMN id TO uid"),
    Case("ALTER TABLE tb_customer ALTER COLUMN email TYPE varchar(300)"),
    Case("ALTER TABLE tb_stock_move ALTER COLUMN id TYPE text"),
    Case("ALTER TABLE tb_customer ALTER note TYPE text", NOTE.format("varchar(10)")),
    Case("ALTER TABLE tb_customer ALTER note TYPE varchar(20)", NOTE.format("varchar(10)")),
    Case("ALTER TABLE tb_customer ALTER note TYPE varchar(5)", NOTE.format("varchar(10)")),
    Case("ALTER TABLE tb_customer ALTER note TYPE varchar", NOTE.format("varchar(10)")),
    Case("ALTER TABLE tb_customer ALTER note TYPE bigint", NOTE.format("int")),
    Case("ALTER TABLE tb_customer ALTER note TYPE int USING note::int", NOTE.format("text")),
    Case("ALTER TABLE tb_customer ALTER note TYPE numeric(12, 2)", NOTE.format("numeric(10, 2)")),
    Case("ALTER TABLE tb_customer ALTER note TYPE numeric(12, 3)", NOTE.format("numeric(10, 2)")),
    Case("ALTER TABLE tb_customer ALTER note TYPE numeric", NOTE.format("numeric(10, 2)")),
    Case("ALTER TABLE tb_customer ALTER note TYPE timestamptz(3)", NOTE.format("timestamptz")),
    Case("ALTER TABLE tb_customer ALTER note TYPE inet", NOTE.format("cidr")),
    Case("ALTER TABLE tb_customer ALTER note TYPE jsonb USING note::jsonb", NOTE.format("json")),
    Case("ALTER TABLE tb_customer ALTER COLUMN name SET NOT NULL"),
    Case("ALTER TABLE tb_customer ALTER note SET NOT NULL", NOTE.format("text DEFAULT ''")),
    Case("ALTER TABLE tb_stock_move ALTER COLUMN amount SET NOT NULL"),
    Case("ALTER TABLE tb_stock_move ALTER COLUMN amount DROP NOT NULL"),
    Case("ALTER TABLE tb_stock_move ALTER COLUMN amount SET DEFAULT 1"),
    Case("ALTER TABLE tb_stock_move ALTER COLUMN amount SET STATISTICS 100"),
    Case("ALTER TABLE tb_customer ALTER COLUMN name SET (n_distinct = 5)"),
    Case("ALTER TABLE tb_stock_move ALTER COLUMN amount SET STORAGE PLAIN"),
    Case("ALTER TABLE tb_customer ALTER COLUMN pk_customer SET GENERATED BY DEFAULT"),
    Case("ALTER TABLE tb_customer ALTER COLUMN pk_customer DROP IDENTITY"),
    Case("ALTER TABLE tb_customer ALTER note SET EXPRESSION AS (upper(name))",
         NOTE.format("text GENERATED ALWAYS AS (lower(name)) STORED")),
    Case("ALTER TABLE tb_customer ALTER note DROP EXPRESSION",
         NOTE.format("text GENERATED ALWAYS AS (lower(name)) STORED")),
    # Constraints.
    Case("ALTER TABLE tb_customer ADD CONSTRAINT c CHECK (name <> '')"),
    Case("ALTER TABLE tb_stock_move ADD CONSTRAINT c CHECK (amount < 1000)"),
    Case("ALTER TABLE tb_stock_move ADD CONSTRAINT c CHECK (amount < 1000) NOT VALID"),
    Case("ALTER TABLE tb_stock_move VALIDATE CONSTRAINT c",
         "ALTER TABLE tb_stock_move ADD CONSTRAINT c CHECK (amount < 1000) NOT VALID"),
    Case("ALTER TABLE tb_customer ADD CONSTRAINT f FOREIGN KEY (note) REFERENCES tb_category",
         NOTE.format("bigint")),
    Case("ALTER TABLE tb_customer ADD CONSTRAINT f FOREIGN KEY (note) REFERENCES tb_category NOT VALID",
         NOTE.format("bigint")),
    Case("ALTER TABLE tb_customer VALIDATE CONSTRAINT f", NOTE.format("bigint") + """;
         ALTER TABLE tb_customer ADD CONSTRAINT f FOREIGN KEY (note) REFERENCES tb_category NOT VALID"""),
    Case("ALTER TABLE tb_stock_move ADD CONSTRAINT f FOREIGN KEY (amount) REFERENCES tb_category NOT VALID"),
    Case("ALTER TABLE tb_customer ADD CONSTRAINT c UNIQUE (email)"),
    Case("ALTER TABLE tb_stock_move ADD CONSTRAINT c UNIQUE (id, moved_on)"),
    Case("ALTER TABLE tb_customer ADD CONSTRAINT c UNIQUE USING INDEX i",
         "CREATE UNIQUE INDEX i ON tb_customer (email)"),
    Case("ALTER TABLE tb_product DROP CONSTRAINT tb_product_price_check"),
    Case("ALTER TABLE tb_product DROP CONSTRAINT tb_product_fk_category_fkey"),
    Case("ALTER TABLE tb_stock_move DROP CONSTRAINT tb_stock_move_fk_product_fkey"),
    Case("ALTER TABLE tb_customer DROP CONSTRAINT tb_customer_pkey"),
    Case("ALTER TABLE tb_customer DROP CONSTRAINT tb_customer_pkey CASCADE"),
    Case("ALTER TABLE tb_product DROP CONSTRAINT tb_product_pkey CASCADE"),
    Case("ALTER TABLE tb_customer DROP CONSTRAINT tb_customer_id_key"),
    Case("ALTER TABLE tb_g DROP CONSTRAINT tb_g_pkey", GROUPED),
    Case("ALTER TABLE tb_g DROP CONSTRAINT tb_g_pkey CASCADE", GROUPED),
    Case("ALTER TABLE tb_product ALTER CONSTRAINT tb_product_fk_category_fkey DEFERRABLE"),
    Case("ALTER TABLE tb_customer RENAME CONSTRAINT tb_customer_pkey TO other"),
    Case("ALTER DOMAIN d ADD CHECK (VALUE <> '')",
         "CREATE DOMAIN d AS text; ALTER TABLE tb_customer ADD COLUMN dd d"),
    Case("CREATE TABLE other (fk bigint REFERENCES tb_customer)"),
    # Tables.
    Case("ALTER TABLE tb_customer RENAME TO tb_client"),
    Case("ALTER TABLE tb_customer RENAME TO tb_client; ALTER TABLE tb_client DROP COLUMN email"),
    Case("CREATE SCHEMA n; ALTER TABLE tb_customer SET SCHEMA n"),
    Case('ALTER SCHEMA "Sales Dept" RENAME TO sales'),
    Case("ALTER TABLE tb_stock_move_2025 RENAME TO p25"),
    Case(f"ALTER TABLE {LINE} SET UNLOGGED"),
    Case("ALTER TABLE tb_customer SET UNLOGGED"),
    Case("ALTER TABLE tb_customer SET LOGGED"),
    Case(f"ALTER TABLE {LINE} SET LOGGED", f"ALTER TABLE {LINE} SET UNLOGGED"),
    Case(f"ALTER TABLE {ORDER} SET LOGGED; ALTER TABLE {LINE} SET LOGGED",
         f"ALTER TABLE {LINE} SET UNLOGGED; ALTER TABLE {ORDER} SET UNLOGGED"),
    Case(f"ALTER TABLE {LINE} SET LOGGED",
         f"ALTER TABLE {LINE} SET UNLOGGED; ALTER TABLE {ORDER} SET UNLOGGED"),
    Case("ALTER TABLE tb_stock_move SET UNLOGGED"),
    Case("ALTER TABLE tb_customer SET (fillfactor = 80)"),
    Case("ALTER TABLE tb_customer SET TABLESPACE pg_default"),
    Case("ALTER TABLE tb_customer CLUSTER ON tb_customer_pkey"),
    Case("ALTER TABLE tb_customer REPLICA IDENTITY FULL"),
    Case("ALTER TABLE tb_customer SET WITHOUT OIDS"),
    Case("ALTER TABLE tb_customer OWNER TO postgres"),
    Case("ALTER TABLE tb_customer OWNER TO shop_owner"),
    Case("ALTER TABLE tb_customer ENABLE ROW LEVEL SECURITY"),
    Case("ALTER TABLE tb_customer ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"),
    Case("ALTER TABLE tb_customer ENABLE ROW LEVEL SECURITY",
         "ALTER TABLE tb_customer OWNER TO postgres; GRANT SELECT ON tb_customer TO shop_owner"),
    Case("CREATE POLICY p ON tb_customer USING (true)"),
    Case("DROP POLICY p ON tb_customer", "CREATE POLICY p ON tb_customer USING (true)"),
    Case("CREATE RULE r AS ON DELETE TO tb_customer DO ALSO SELECT 1"),
    Case("DROP RULE r ON tb_customer", "CREATE RULE r AS ON DELETE TO tb_customer DO ALSO SELECT 1"),
    Case("REVOKE SELECT ON tb_customer FROM shop_owner"),
    Case("GRANT SELECT ON tb_customer TO PUBLIC"),
    Case('REVOKE USAGE ON SCHEMA "Sales Dept" FROM shop_owner'),
    Case('ALTER SCHEMA "Sales Dept" OWNER TO postgres'),
    Case("COMMENT ON COLUMN tb_customer.name IS 'x'"),
    Case("CREATE STATISTICS s ON name, email FROM tb_customer"),
    Case("CREATE PUBLICATION p FOR TABLE tb_customer"),
    Case("LOCK TABLE tb_stock_move IN SHARE MODE"),
    Case("ANALYZE tb_stock_move"),
    # Triggers.
    Case("ALTER TABLE tb_customer DISABLE TRIGGER USER"),
    Case("ALTER TABLE tb_stock_move DISABLE TRIGGER ALL"),
    Case("ALTER TABLE ONLY tb_stock_move DISABLE TRIGGER USER"),
    Case("ALTER TABLE tb_customer DISABLE TRIGGER USER;"
         " UPDATE tb_customer SET name = 'zz' WHERE pk_customer = 1;"
         " ALTER TABLE tb_customer ENABLE TRIGGER USER"),
    Case("ALTER TABLE tb_customer DISABLE TRIGGER trg_tview_row_customer_on_public_tb_customer"),
    Case("ALTER TABLE tb_customer DISABLE TRIGGER trg_tview_flush_customer_on_public_tb_customer"),
    _alone(f'ALTER TABLE {LINE} DISABLE TRIGGER "trg_tview_flush_order_line_on_Sales Dept_tb_order_line"'),
    Case("ALTER TABLE tb_customer DISABLE TRIGGER t",
         FUNCTION + "CREATE TRIGGER t BEFORE UPDATE ON tb_customer FOR EACH ROW EXECUTE FUNCTION f()"),
    Case("ALTER TABLE tb_customer ENABLE ALWAYS TRIGGER trg_tview_row_customer_on_public_tb_customer"),
    Case("ALTER TABLE tb_customer ENABLE REPLICA TRIGGER trg_tview_row_customer_on_public_tb_customer"),
    Case("ALTER TABLE tb_customer ENABLE TRIGGER USER", "ALTER TABLE tb_customer DISABLE TRIGGER USER"),
    Case(FUNCTION + "CREATE TRIGGER t AFTER UPDATE ON tb_stock_move FOR EACH ROW EXECUTE FUNCTION f()"),
    Case("DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON tb_customer"),
    Case("DROP TRIGGER t ON tb_customer",
         FUNCTION + "CREATE TRIGGER t BEFORE UPDATE ON tb_customer FOR EACH ROW EXECUTE FUNCTION f()"),
    Case("ALTER TRIGGER trg_tview_row_customer_on_public_tb_customer ON tb_customer RENAME TO other"),
    # Partitions and inheritance.
    Case("CREATE TABLE p27 PARTITION OF tb_stock_move FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')"),
    Case("ALTER TABLE tb_stock_move ATTACH PARTITION p27 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
         PART),
    Case("ALTER TABLE tb_stock_move DETACH PARTITION tb_stock_move_2025"),
    Case("ALTER TABLE tb_stock_move DETACH PARTITION tb_stock_move_2025 CONCURRENTLY"),
    _alone("ALTER TABLE tb_stock_move DETACH PARTITION tb_stock_move_2025 CONCURRENTLY"),
    Case(
        "ALTER TABLE tb_stock_move DETACH PARTITION tb_stock_move_2025;"
        " ALTER TABLE tb_stock_move ATTACH PARTITION tb_stock_move_2025"
        " FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
    ),
    Case(
        "ALTER TABLE tb_stock_move DETACH PARTITION tb_stock_move_2025;"
        " UPDATE tb_stock_move_2025 SET amount = 0; ALTER TABLE tb_stock_move_2025 DROP COLUMN amount"
    ),
    Case("DROP TABLE tb_stock_move_2025"),
    Case("CREATE TABLE dad (pk_customer bigint); ALTER TABLE tb_customer INHERIT dad"),
    Case("CREATE TABLE kid () INHERITS (tb_customer)"),
    Case("CREATE TABLE kid (LIKE tb_customer); ALTER TABLE kid INHERIT tb_customer"),
    # Dropping.
    Case(f"DROP TABLE {LINE}"),
    Case(f"DROP TABLE {LINE} CASCADE"),
    Case("DROP TABLE tb_customer CASCADE"),
    Case(f"DROP TABLE tb_stock_move, {LINE} CASCADE"),
    Case(f"SELECT tviews.pg_tviews_drop('tv_order_line'); DROP TABLE {LINE}"),
    Case('DROP SCHEMA "Sales Dept"'),
    Case('DROP SCHEMA "Sales Dept" CASCADE'),
    Case("DROP OWNED BY shop_owner CASCADE"),
    Case("REASSIGN OWNED BY shop_owner TO postgres"),
    Case("DROP EXTENSION pg_tviews"),
    Case("DROP EXTENSION pg_tviews CASCADE"),
    Case("ALTER EXTENSION pg_tviews UPDATE"),
    # Rows.
    Case("UPDATE tb_customer SET name = name || 'x'"),
    Case("UPDATE tb_stock_move SET amount = amount + 1"),
    Case("UPDATE tb_stock_move SET id = gen_random_uuid()"),
    Case(f"WITH gone AS (DELETE FROM {LINE} RETURNING 1) SELECT count(*) FROM gone"),
    Case("INSERT INTO tb_category (name) VALUES ('new')"),
    Case("MERGE INTO tb_category c USING (SELECT 1 AS pk) s ON c.pk_category = s.pk"
         " WHEN MATCHED THEN UPDATE SET name = 'm'"),
    Case("COPY tb_category (name) FROM PROGRAM 'echo a'"),
    Case("SET LOCAL pg_tviews.max_queue_size = 100; UPDATE tb_customer SET name = name || 'x'"),
    Case("SET LOCAL session_replication_role = replica;"
         " UPDATE tb_customer SET name = 's' WHERE pk_customer = 1;"
         " SET LOCAL session_replication_role = origin"),
    Case(f"TRUNCATE {LINE}"),
    Case("TRUNCATE tb_stock_move"),
    Case("TRUNCATE tb_stock_move_2025"),
    Case("TRUNCATE tb_customer"),
    Case("TRUNCATE tb_customer CASCADE"),
    Case(f"ALTER TABLE {LINE} DISABLE TRIGGER USER; TRUNCATE {LINE}"),
    # Indexes and maintenance.
    Case("CREATE INDEX i ON tb_customer (email)"),
    Case("CREATE INDEX i ON tb_stock_move (amount)"),
    Case("CREATE INDEX CONCURRENTLY i ON tb_customer (email)"),
    _alone("CREATE INDEX CONCURRENTLY i ON tb_customer (email)"),
    Case("DROP INDEX i", "CREATE INDEX i ON tb_customer (email)"),
    Case('DROP INDEX "Sales Dept".tb_order_fk_customer_idx'),
    Case("DROP INDEX tb_stock_move_fk_product_idx"),
    Case("DROP INDEX tb_customer_pkey"),
    _alone("DROP INDEX CONCURRENTLY i", "CREATE INDEX i ON tb_customer (email)"),
    Case("REINDEX TABLE tb_customer"),
    Case("REINDEX INDEX tb_customer_pkey"),
    _alone("REINDEX TABLE CONCURRENTLY tb_customer"),
    Case("CLUSTER tb_customer USING tb_customer_pkey"),
    Case("VACUUM FULL tb_customer"),
    _alone("VACUUM FULL tb_customer"),
    _alone("VACUUM tb_customer"),
    # Views, functions, types.
    Case(HELPER.format(COLUMNS, f"{ORDER} o", "o.status = 'open'")),
    Case(HELPER.format(COLUMNS, f"{ORDER} o", "o.status = 'paid'")),
    Case(HELPER.format(COLUMNS + ", o.status", f"{ORDER} o", "o.status = 'paid'")),
    Case(HELPER.format("o.pk_order", f"{ORDER} o", "o.status = 'paid'")),
    Case(HELPER.format(COLUMNS, f"{ORDER} o JOIN {LINE} l ON l.fk_order = o.pk_order", "true")),
    _alone(HELPER.format(COLUMNS, f"{ORDER} o JOIN tv_basket b ON b.pk_basket = o.fk_customer",
                         "o.status = 'paid'")),
    Case("CREATE VIEW v_open_order AS SELECT 1"),
    Case("CREATE OR REPLACE VIEW tviews.public__tv_category AS"
         " SELECT c.pk_category, c.id, jsonb_build_object('z', c.name) AS data FROM tb_category c"),
    Case("ALTER VIEW v_open_order RENAME TO v_oo"),
    Case("ALTER VIEW v_open_order RENAME COLUMN pk_order TO pko"),
    Case("ALTER VIEW v_open_order ALTER COLUMN pk_order SET DEFAULT 1"),
    Case("ALTER VIEW v_open_order OWNER TO postgres"),
    Case("DROP VIEW v_open_order"),
    Case("DROP VIEW v_open_order CASCADE"),
    Case("SELECT tviews.pg_tviews_drop('tv_basket'); DROP VIEW v_open_order"),
    Case(
        "SELECT tviews.pg_tviews_drop('tv_basket');"
        + HELPER.format(COLUMNS, f"{ORDER} o", "o.status = 'paid'")
    ),
    Case("SELECT tviews.pg_tviews_drop('tv_reading'); REFRESH MATERIALIZED VIEW mv", MATVIEW),
    Case("DROP VIEW tviews.public__tv_customer"),
    Case("REFRESH MATERIALIZED VIEW mv", MATVIEW),
    Case("REFRESH MATERIALIZED VIEW CONCURRENTLY mv", MATVIEW),
    Case("DROP MATERIALIZED VIEW mv", MATVIEW),
    Case("DROP MATERIALIZED VIEW mv CASCADE", MATVIEW),
    Case("CREATE OR REPLACE FUNCTION loud(text) RETURNS text LANGUAGE sql IMMUTABLE"
         " AS $$ SELECT lower($1) $$", CALLING),
    Case("ALTER FUNCTION loud(text) RENAME TO louder", CALLING),
    Case("ALTER FUNCTION loud(text) STABLE", CALLING),
    Case("DROP FUNCTION loud(text)", CALLING),
    Case("DROP FUNCTION loud CASCADE", CALLING),
    Case("ALTER TYPE mood ADD VALUE 'c'", ENUM),
    Case("ALTER TYPE mood RENAME VALUE 'a' TO 'z'", ENUM),
    Case("DROP TYPE mood", ENUM),
    Case("DROP TYPE mood CASCADE", ENUM),
    # TVIEWs' own tables.
    Case("ALTER TABLE tv_customer DROP COLUMN data"),
    Case("ALTER TABLE tv_customer ALTER COLUMN data TYPE json"),
    Case("ALTER TABLE tv_customer RENAME COLUMN data TO d"),
    Case("ALTER TABLE tv_customer ADD COLUMN x int"),
    Case("ALTER TABLE tv_customer RENAME TO tv_client"),
    Case("CREATE SCHEMA n; ALTER TABLE tv_customer SET SCHEMA n"),
    Case("ALTER TABLE tv_owned RENAME TO tv_mine", OWNED),
    Case("ALTER TABLE tv_customer DROP CONSTRAINT tv_customer_pkey"),
    Case("ALTER TABLE tv_customer ADD CONSTRAINT c CHECK (data IS NOT NULL)"),
    Case("ALTER TABLE tv_basket SET UNLOGGED"),
    Case("ALTER TABLE tv_customer OWNER TO postgres"),
    Case("ALTER TABLE tv_basket OWNER TO postgres"),
    Case("ALTER TABLE tv_customer ENABLE ROW LEVEL SECURITY"),
    Case("ALTER TABLE tv_basket ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"),
    Case('ALTER TABLE "Sales Dept".tv_order DISABLE TRIGGER ALL'),
    Case("ALTER TABLE tv_customer SET (fillfactor = 80)"),
    Case(FUNCTION + "CREATE TRIGGER t BEFORE UPDATE ON tv_customer FOR EACH ROW EXECUTE FUNCTION f()"),
    Case("UPDATE tv_customer SET data = '{}' WHERE pk_customer = 1"),
    Case("UPDATE \"Sales Dept\".tv_order SET data = '{}' WHERE pk_order = 1"),
    Case("TRUNCATE tv_customer"),
    Case('TRUNCATE "Sales Dept".tv_order'),
    Case("DROP TABLE tv_basket"),
    Case("DROP TABLE tv_customer"),
    Case("DROP TABLE tv_customer CASCADE"),
    Case("DROP TABLE tv_stock"),
    Case("SELECT tviews.pg_tviews_drop('tv_customer')"),
    Case("SELECT tviews.pg_tviews_drop('tv_customer', false, true)"),
    Case("VACUUM FULL tv_customer"),
    Case('DROP INDEX "Sales Dept".idx_tv_order_fk_customer_pk_order'),
    # Definitions.
    Case("SELECT tviews.pg_tviews_create('public.tv_category', 'SELECT pk_category FROM tb_category')"),
    Case("SELECT tviews.pg_tviews_create('tv_fresh',"
         " 'SELECT c.pk_customer AS pk_fresh, c.name FROM tb_customer c')"),
    Case("CREATE TABLE tv_fresh AS SELECT o.pk_order AS pk_fresh, v.data FROM "
         f"{ORDER} o JOIN tv_customer v ON v.pk_customer = o.fk_customer"),
    Case("CREATE TABLE tv_fresh AS SELECT p.pk_product AS pk_fresh, count(m.amount) AS n FROM tb_product p"
         " JOIN tb_stock_move m ON m.fk_product = p.pk_product GROUP BY p.pk_product"),
    Case(CATEGORY.format(SAME, "")),
    Case(CATEGORY.format(SAME, """, '{"fillfactor": 80}'""")),
    Case(CATEGORY.format(SAME, """, '{"typename": "Kind"}'""")),
    Case(CATEGORY.format(SAME, """, '{"logged": false}'""")),
    Case(CATEGORY.format(SAME, """, '{"data_storage": "extended"}'""")),
    Case(CATEGORY.format(SAME, """, '{"data_gin_index": true}'""")),
    Case(CATEGORY.format(SAME.replace("'name', c", "'nom', c"), "")),
    Case(CATEGORY.format(SAME.replace("AS data", "AS data, c.name"), "")),
    Case("SELECT tviews.pg_tviews_create_or_replace('public.tv_customer', $$ SELECT c.pk_customer, c.id,"
         " jsonb_build_object('nom', c.name) AS data FROM tb_customer c $$)"),
    Case("""SELECT tviews.pg_tviews_create_or_replace('"Sales Dept".tv_order', $$ SELECT o.pk_order, o.id,"""
         f" o.fk_customer, jsonb_build_object('x', o.status) AS data FROM {ORDER} o"
         " WHERE o.status <> 'open' $$)"),
    Case(BASKET.format("SELECT c.pk_customer AS pk_basket, jsonb_build_object('c', c.name) AS data"
                       " FROM tb_customer c")),
    Case(BASKET.format("SELECT c.pk_customer AS pk_basket, jsonb_build_object('c', c.name) AS data,"
                       " c.email FROM tb_customer c")),
    Case("SELECT tviews.pg_tviews_create_or_replace('public.tv_customer', $$ SELECT c.pk_customer, c.id,"
         " jsonb_build_object('s', s.data) AS data FROM tb_customer c"
         " JOIN tv_segment s ON s.pk_segment = c.pk_customer $$)"),
    Case("SELECT tviews.pg_tviews_refresh('tv_customer')"),
    Case("SELECT tviews.pg_tviews_refresh_all()"),
    Case("SELECT tviews.pg_tviews_reregister('tv_customer')"),
    # Blocks.
    Case("DO $$ BEGIN IF EXISTS (SELECT 1) THEN ALTER TABLE tb_customer DROP COLUMN email; END IF; END $$"),
    Case("DO $$ BEGIN EXECUTE 'ALTER TABLE tb_customer DROP COLUMN email CASCADE'; END $$"),
    Case("DO $$ BEGIN CREATE INDEX i ON tb_customer (email); UPDATE tb_category SET name = 'x'; END $$"),
)  # fmt: skip
