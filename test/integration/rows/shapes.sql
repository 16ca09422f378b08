-- TVIEWs of every shape that comparing has to cope with; needs the extension.
CREATE SCHEMA "We ird";
CREATE DOMAIN posint AS int CHECK (value > 0);
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE TABLE tb_a (
    pk_a int PRIMARY KEY, t text NOT NULL, n numeric, j json, p point, v tsvector, f float8, m mood,
    d posint, c char(5), arr int[], r int4range, ts timestamptz, b bytea, x bit(3), i interval
);
INSERT INTO tb_a
SELECT g, 'k' || (g % 7) || '-' || g, g * 1.10, json_build_object('a', g), point(g, g),
       to_tsvector('simple', 'word' || g), g / 3.0, CASE WHEN g % 2 = 0 THEN 'ok' ELSE 'bad' END::mood,
       g, 'c' || g, ARRAY[g, g], int4range(g, g + 1), timestamptz '2026-01-01Z', '\x01', B'101', '1 day'
FROM generate_series(1, 40) g;
CREATE TABLE "We ird"."tb_Ünï ""q"".x %s 😀" ("PK" bigint PRIMARY KEY, "the data" text);
INSERT INTO "We ird"."tb_Ünï ""q"".x %s 😀" SELECT g, 'x' || g FROM generate_series(1, 20) g;
CREATE MATERIALIZED VIEW mv AS SELECT pk_a, t FROM tb_a;

SELECT tviews.pg_tviews_create('public.tv_types', $$
    SELECT a.pk_a AS pk_types, a.t, a.n, a.j, a.p, a.v, a.f, a.m, a.d, a.c, a.arr, a.r, a.ts, a.b, a.x,
           a.i, jsonb_build_object('n', a.n) AS data FROM tb_a a $$);
SELECT tviews.pg_tviews_create('public.tv_grouped', $$
    SELECT a.d AS pk_grouped, a.m, jsonb_build_object('n', count(*)) AS data
    FROM tb_a a GROUP BY a.d, a.m $$);
SELECT tviews.pg_tviews_create('public.tv_newest', $$
    SELECT DISTINCT ON (a.m) a.m, a.pk_a AS pk_newest, jsonb_build_object('t', a.t) AS data
    FROM tb_a a ORDER BY a.m, a.pk_a DESC $$);
SELECT tviews.pg_tviews_create('public.tv_union', $$
    SELECT a.pk_a AS pk_union, jsonb_build_object('t', a.t) AS data FROM tb_a a
    UNION ALL
    SELECT b."PK" + 1000 AS pk_union, jsonb_build_object('x', b."the data") AS data
    FROM "We ird"."tb_Ünï ""q"".x %s 😀" b $$);
SELECT tviews.pg_tviews_create('"We ird"."tv_Größe"', $$
    SELECT b."PK" AS "pk_Größe", b."the data" AS "da'ta ""%s"" {x} $1",
           jsonb_build_object('a b', b."the data", 'ünï', 1.10, '', null) AS data
    FROM "We ird"."tb_Ünï ""q"".x %s 😀" b $$);
SELECT tviews.pg_tviews_create('public.tv_bare', $$ SELECT a.pk_a AS pk_bare FROM tb_a a $$);
SELECT tviews.pg_tviews_create('public.tv_clock', $$
    SELECT a.pk_a AS pk_clock, jsonb_build_object('day', current_date) AS data FROM tb_a a
    $$, '{"time_refresh": "external"}');
SELECT tviews.pg_tviews_create('public.tv_warned', $$
    SELECT a.pk_a AS pk_warned, jsonb_build_object('t', m.t) AS data
    FROM tb_a a JOIN mv m ON m.pk_a = a.pk_a $$, '{"uncascaded_policy": "warn"}');
