-- A believable shop: the schema of the demo, of the tests, and of the examples in the documents.
-- Needs the extension (or the lab stand-in) and a superuser. Runs once in an empty database.
-- psql variable `scale` (default 1) multiplies the rows.
\set ON_ERROR_STOP on
\if :{?scale} \else \set scale 1 \endif

SELECT NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'shop_owner') AS make_role \gset
\if :make_role
CREATE ROLE shop_owner NOLOGIN;
\endif
GRANT CREATE ON SCHEMA public TO shop_owner;
CREATE SCHEMA "Sales Dept" AUTHORIZATION shop_owner;
SET ROLE shop_owner;

CREATE TABLE public.tb_category (
    pk_category bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    name text NOT NULL
);
CREATE TABLE public.tb_product (
    pk_product bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    fk_category bigint NOT NULL REFERENCES public.tb_category,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price >= 0)
);
CREATE INDEX ON public.tb_product (fk_category);
CREATE TABLE public.tb_customer (
    pk_customer bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    name text NOT NULL,
    email text NOT NULL
);
CREATE TABLE "Sales Dept".tb_order (
    pk_order bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    fk_customer bigint NOT NULL REFERENCES public.tb_customer,
    placed_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'open'
);
CREATE INDEX ON "Sales Dept".tb_order (fk_customer);
CREATE TABLE "Sales Dept".tb_order_line (
    pk_order_line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    fk_order bigint NOT NULL REFERENCES "Sales Dept".tb_order,
    fk_product bigint NOT NULL REFERENCES public.tb_product,
    quantity integer NOT NULL DEFAULT 1 CHECK (quantity > 0)
);
CREATE INDEX ON "Sales Dept".tb_order_line (fk_order);
CREATE INDEX ON "Sales Dept".tb_order_line (fk_product);
CREATE TABLE public.tb_stock_move (
    pk_stock_move bigint GENERATED ALWAYS AS IDENTITY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    fk_product bigint NOT NULL REFERENCES public.tb_product,
    moved_on date NOT NULL,
    amount integer NOT NULL,
    PRIMARY KEY (pk_stock_move, moved_on)
) PARTITION BY RANGE (moved_on);
CREATE TABLE public.tb_stock_move_2025 PARTITION OF public.tb_stock_move
    FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE public.tb_stock_move_2026 PARTITION OF public.tb_stock_move
    FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON public.tb_stock_move (fk_product);
-- a plain helper view between a TVIEW and its base table
CREATE VIEW public.v_open_order AS
    SELECT o.pk_order, o.fk_customer, o.placed_at FROM "Sales Dept".tb_order o
    WHERE o.status = 'open';

INSERT INTO public.tb_category (name)
    SELECT 'Category ' || g FROM generate_series(1, 10 * :scale) g;
INSERT INTO public.tb_product (fk_category, name, price)
    SELECT 1 + g % (10 * :scale), 'Product ' || g, (g % 97) + 0.99
    FROM generate_series(1, 100 * :scale) g;
INSERT INTO public.tb_customer (name, email)
    SELECT 'Customer ' || g, 'customer' || g || '@example.com'
    FROM generate_series(1, 200 * :scale) g;
INSERT INTO "Sales Dept".tb_order (fk_customer, placed_at, status)
    SELECT 1 + g % (200 * :scale), timestamptz '2026-01-01 00:00Z' + g * interval '1 minute',
           (ARRAY['open', 'paid', 'shipped'])[1 + g % 3]
    FROM generate_series(1, 500 * :scale) g;
INSERT INTO "Sales Dept".tb_order_line (fk_order, fk_product, quantity)
    SELECT 1 + g % (500 * :scale), 1 + g % (100 * :scale), 1 + g % 5
    FROM generate_series(1, 1500 * :scale) g;
INSERT INTO public.tb_stock_move (fk_product, moved_on, amount)
    SELECT 1 + g % (100 * :scale), date '2025-06-01' + (g % 400), (g % 41) - 20
    FROM generate_series(1, 1000 * :scale) g;

SELECT tviews.pg_tviews_create_or_replace('public.tv_category', $$
    SELECT c.pk_category, c.id, jsonb_build_object('id', c.id, 'name', c.name) AS data
    FROM public.tb_category c $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_product', $$
    SELECT p.pk_product, p.id, p.fk_category,
           jsonb_build_object('id', p.id, 'name', p.name, 'price', p.price,
                              'category', vc.data) AS data
    FROM public.tb_product p
    JOIN public.tv_category vc ON vc.pk_category = p.fk_category $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_customer', $$
    SELECT c.pk_customer, c.id,
           jsonb_build_object('id', c.id, 'name', c.name, 'email', c.email) AS data
    FROM public.tb_customer c $$);
SELECT tviews.pg_tviews_create_or_replace('"Sales Dept".tv_order', $$
    SELECT o.pk_order, o.id, o.fk_customer,
           jsonb_build_object('id', o.id, 'status', o.status, 'placed_at', o.placed_at,
                              'customer', vc.data) AS data
    FROM "Sales Dept".tb_order o
    JOIN public.tv_customer vc ON vc.pk_customer = o.fk_customer $$);
SELECT tviews.pg_tviews_create_or_replace('"Sales Dept".tv_order_line', $$
    SELECT l.pk_order_line, l.id, l.fk_order, l.fk_product,
           jsonb_build_object('id', l.id, 'quantity', l.quantity, 'product', vp.data) AS data
    FROM "Sales Dept".tb_order_line l
    JOIN public.tv_product vp ON vp.pk_product = l.fk_product $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_stock', $$
    SELECT p.pk_product AS pk_stock,
           jsonb_build_object('product', p.name, 'moves', count(m.pk_stock_move),
                              'amount', coalesce(sum(m.amount), 0)) AS data
    FROM public.tb_product p
    LEFT JOIN public.tb_stock_move m ON m.fk_product = p.pk_product
    GROUP BY p.pk_product, p.name $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_basket', $$
    SELECT c.pk_customer AS pk_basket,
           jsonb_build_object('customer', c.name, 'open_orders',
               coalesce((SELECT jsonb_agg(v.pk_order ORDER BY v.pk_order)
                         FROM public.v_open_order v WHERE v.fk_customer = c.pk_customer),
                        '[]'::jsonb)) AS data
    FROM public.tb_customer c $$);
SELECT tviews.pg_tviews_create_or_replace('public.tv_search', $$
    SELECT p.pk_product AS pk_search, p.id, lower(p.name || ' ' || c.name) AS words,
           jsonb_build_object('name', p.name) AS data
    FROM public.tb_product p JOIN public.tb_category c ON c.pk_category = p.fk_category
    $$, '{"logged": false}');
-- reads the table of another TVIEW without embedding its document
SELECT tviews.pg_tviews_create_or_replace('public.tv_segment', $$
    SELECT c.pk_customer AS pk_segment,
           jsonb_build_object('customer', c.name, 'orders', count(o.pk_order)) AS data
    FROM public.tb_customer c
    LEFT JOIN "Sales Dept".tv_order o ON o.fk_customer = c.pk_customer
    GROUP BY c.pk_customer, c.name $$);
RESET ROLE;
ANALYZE;
