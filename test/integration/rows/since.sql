-- TVIEWs whose rows hang together with base rows in ways that are hard to follow; needs the extension.
CREATE TABLE tb_dept (pk_dept bigint PRIMARY KEY, name text NOT NULL, active boolean NOT NULL);
CREATE TABLE tb_person (
    pk_person bigint PRIMARY KEY, fk_dept bigint, fk_boss bigint, name text NOT NULL, age int NOT NULL
);
CREATE TABLE tb_badge (pk_badge bigint NOT NULL UNIQUE, id uuid PRIMARY KEY, fk_person bigint NOT NULL, label text NOT NULL);
CREATE INDEX ON tb_person (fk_dept);
CREATE INDEX ON tb_person (fk_boss);
CREATE INDEX ON tb_badge (fk_person);
INSERT INTO tb_dept SELECT g, 'd' || g, g % 3 > 0 FROM generate_series(1, 9) g;
INSERT INTO tb_person SELECT g, 1 + g % 11, 1 + g % 7, 'p' || g, 20 + g % 5 FROM generate_series(1, 60) g;
INSERT INTO tb_badge SELECT 100 - g, md5(g::text)::uuid, 1 + g % 70, 'b' || g FROM generate_series(1, 90) g;

SELECT tviews.pg_tviews_create('public.tv_dept', $$
    SELECT d.pk_dept, d.name, jsonb_build_object('name', d.name) AS data FROM tb_dept d
    WHERE d.active $$);
SELECT tviews.pg_tviews_create('public.tv_person', $$
    SELECT p.pk_person, p.fk_dept, jsonb_build_object('name', p.name, 'dept', v.data) AS data
    FROM tb_person p LEFT JOIN tv_dept v ON v.pk_dept = p.fk_dept $$);
SELECT tviews.pg_tviews_create('public.tv_team', $$
    SELECT b.pk_person AS pk_team, b.name AS boss, jsonb_build_object('team',
           coalesce((SELECT jsonb_agg(p.name ORDER BY p.pk_person) FROM tb_person p
                     WHERE p.fk_boss = b.pk_person), '[]')) AS data
    FROM tb_person b $$);
SELECT tviews.pg_tviews_create('public.tv_lonely', $$
    SELECT p.pk_person AS pk_lonely, p.name FROM tb_person p
    WHERE NOT EXISTS (SELECT FROM tb_badge g WHERE g.fk_person = p.pk_person) $$);
SELECT tviews.pg_tviews_create('public.tv_eldest', $$
    SELECT DISTINCT ON (p.fk_dept) p.fk_dept AS pk_eldest, p.name, p.age FROM tb_person p
    WHERE p.fk_dept IS NOT NULL ORDER BY p.fk_dept, p.age DESC, p.pk_person $$);
SELECT tviews.pg_tviews_create('public.tv_far', $$
    SELECT d.pk_dept AS pk_far, jsonb_build_object('badges', count(g.pk_badge)) AS data
    FROM tb_dept d LEFT JOIN tb_person p ON p.fk_dept = d.pk_dept
    LEFT JOIN tb_badge g ON g.fk_person = p.pk_person GROUP BY d.pk_dept $$);
SELECT tviews.pg_tviews_create('public.tv_some', $$
    SELECT d.pk_dept AS pk_some, d.name FROM tb_dept d UNION ALL
    SELECT p.pk_person + 1000, p.name FROM tb_person p WHERE p.age > 22 $$);
SELECT tviews.pg_tviews_create('public.tv_badge', $$
    SELECT g.pk_badge, g.fk_person, jsonb_build_object('label', g.label, 'of', v.data) AS data
    FROM tb_badge g JOIN tv_person v ON v.pk_person = g.fk_person $$);
ANALYZE;
