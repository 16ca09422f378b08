"""What PostgreSQL prints of a query never counts as another query; what was changed in it does."""

from __future__ import annotations

import pytest
from servers import Database

from pgtv.definitions.atoms import atoms, differences

TABLES = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE a (id int PRIMARY KEY, name text, kind varchar(9), code char(3), at timestamptz,
                day date, n numeric(10,2), big bigint, ok bool, doc jsonb, tags text[], m mood,
                u uuid, span interval, "Odd ""Name" int);
CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a, name text, amount int);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
"""
REAL = {
    "id", "name", "kind", "code", "at", "day", "n", "big", "ok", "doc", "tags", "m", "u", "span",
    'Odd "Name', "a_id", "amount",
}  # fmt: skip
SAME = (
    "SELECT * FROM a",
    "SELECT a.* , b.amount FROM a JOIN b ON a.id = b.a_id",
    "SELECT id, name AS label FROM a WHERE kind = 'x' AND code <> 'abc' AND name != 'y'",
    "SELECT id FROM a WHERE id IN (1, 2, 3) AND id NOT IN (4) AND kind IN ('p', 'q')",
    "SELECT id FROM a WHERE (id, name) IN ((1, 'x'), (2, 'y')) OR (id, name) = (3, 'z')",
    "SELECT id FROM a WHERE id BETWEEN 1 AND 5 OR id NOT BETWEEN SYMMETRIC 9 AND 7",
    "SELECT id FROM a WHERE name LIKE 'x%' AND name NOT LIKE '_y' ESCAPE '!' AND name ILIKE 'z'",
    "SELECT id FROM a WHERE name SIMILAR TO '(a|b)' AND name ~ '^x' AND name !~* 'y'",
    "SELECT id FROM a WHERE name IS DISTINCT FROM 'x' AND kind IS NOT DISTINCT FROM 'y'",
    "SELECT id FROM a WHERE id = ANY (ARRAY[1, 2]) AND id <> ALL (ARRAY[3]) AND ok IS NOT TRUE",
    "SELECT id FROM a WHERE id = ANY (SELECT a_id FROM b) AND id NOT IN (SELECT id FROM b)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id) AND ok",
    "SELECT id, -1 AS m, - id AS neg, +id AS pos, 0 AS z, 1e3 AS e, 1.50 AS f FROM a",
    "SELECT id, '5' + id AS s, n * 1.10 AS t, big + 1 AS u, 2.5::float8 AS v, 0x10 AS h FROM a",
    "SELECT id, 7::bigint AS x, '12'::int AS y, int '9' AS z, 3::text AS t, text(4) AS u FROM a",
    "SELECT id FROM a WHERE at > '2024-1-1' AND day = date '2020-02-03' AND ok = 'yes'",
    "SELECT id FROM a WHERE span > '1 month' OR at < now() - interval '2 days 3:04'",
    "SELECT id FROM a WHERE m = 'glad' AND u = '0E3F0000-0000-0000-0000-00000000000A'",
    """SELECT id, doc->'k' AS k, doc->>'l' AS l, doc @> '{"a":1}' AS c, doc #>> '{a,b}' AS p FROM a""",
    "SELECT id, jsonb_build_object('x', name, 'y', jsonb_build_array(1, true, NULL)) AS j FROM a",
    "SELECT id, CASE WHEN ok THEN 'yes' ELSE 'no' END AS c, CASE kind WHEN 'a' THEN 1 END AS d FROM a",
    "SELECT id, COALESCE(name, kind, '-') AS c, NULLIF(name, '') AS d, GREATEST(id, 3) AS g FROM a",
    "SELECT id, EXTRACT(year FROM at) AS y, date_trunc('day', at) AS d, at AT TIME ZONE 'UTC' AS z"
    " FROM a",
    "SELECT id, substring(name FROM 1 FOR 2) AS s, substring(name, 2) AS t, position('x' IN name) AS p"
    " FROM a",
    "SELECT id, trim(both 'x' from name) AS t, trim(name) AS u, overlay(name placing 'z' from 2) AS o"
    " FROM a",
    "SELECT id, upper(name) || ' ' || lower(kind) AS w, format('%s-%s', name, id) AS f FROM a",
    "SELECT id, twice(id) AS t, public.twice(id + 1) AS u FROM a",
    "SELECT id, CURRENT_DATE AS d, CURRENT_TIMESTAMP AS t, LOCALTIME AS l, CURRENT_USER AS u, now() AS n"
    " FROM a",
    "SELECT id, CAST(name AS varchar(3)) AS v, n::numeric(12,1) AS w, kind::text AS k FROM a",
    "SELECT id, ARRAY[1, 2] AS x, '{3,4}'::int[] AS y, tags[1] AS z, tags[1:2] AS s FROM a",
    "SELECT id, ROW(id, 'x') = ROW(2, name) AS e, (id, name) < (3, 'z') AS l FROM a",
    "SELECT id, name COLLATE \"C\" AS c FROM a WHERE name COLLATE \"C\" < 'm'",
    'SELECT id, "Odd ""Name" AS o FROM a',
    "SELECT name, count(*) AS c, sum(n) FILTER (WHERE ok) AS s FROM a GROUP BY name HAVING count(*) > 1",
    "SELECT upper(name) AS amount, count(DISTINCT kind) AS c FROM a GROUP BY amount ORDER BY amount, 2",
    "SELECT name, kind, count(*) AS c FROM a GROUP BY GROUPING SETS ((name), (kind), ())",
    "SELECT name, kind, count(*) AS c FROM a GROUP BY ROLLUP (1, 2)",
    "SELECT string_agg(name, ', ' ORDER BY id DESC) AS s, array_agg(id ORDER BY name) AS x FROM a",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS p FROM a",
    "SELECT id, row_number() OVER (PARTITION BY kind ORDER BY id) AS r, lag(id, 2, 0) OVER w AS l FROM a"
    " WINDOW w AS (ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "SELECT id, sum(id) OVER (ORDER BY at RANGE BETWEEN '1 day' PRECEDING AND UNBOUNDED FOLLOWING) AS s"
    " FROM a",
    "SELECT DISTINCT ON (kind) id, kind FROM a ORDER BY kind, at DESC NULLS LAST LIMIT 10 OFFSET 2",
    "SELECT DISTINCT name FROM a FETCH FIRST 3 ROWS ONLY",
    "SELECT id FROM a LIMIT ALL",
    "SELECT id, name FROM a UNION ALL SELECT id, name FROM b EXCEPT SELECT 1, 'x'",
    "(SELECT id FROM a ORDER BY 1 LIMIT 1) UNION (SELECT id FROM b INTERSECT ALL SELECT 5) ORDER BY id",
    "WITH c AS (SELECT id, name FROM a WHERE id > 3), d AS MATERIALIZED (SELECT id FROM c)"
    " SELECT c.name FROM c JOIN d USING (id)",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT n FROM t",
    "SELECT x.id, y.amount FROM a AS x LEFT JOIN b y ON y.a_id = x.id RIGHT JOIN b z ON z.id = x.id",
    "SELECT id, a.kind, b.amount FROM a FULL JOIN b USING (id) CROSS JOIN (VALUES (1, 'v')) v(p, q)",
    "SELECT a.kind, b.amount FROM a NATURAL JOIN b",
    "SELECT a.id, l.s FROM a, LATERAL (SELECT sum(amount) AS s FROM b WHERE b.a_id = a.id) l WHERE true",
    "SELECT a.id, g.i FROM a, generate_series(1, 3) WITH ORDINALITY AS g(i, o)",
    "SELECT a.id, e.value FROM a CROSS JOIN LATERAL jsonb_array_elements(a.doc) AS e(value)",
    "SELECT a.id, r.x FROM a, ROWS FROM (unnest(a.tags), generate_series(1, 2)) AS r(x, y)",
    "SELECT q.total FROM (SELECT a_id, sum(amount) AS total FROM b GROUP BY a_id) q WHERE q.total > 5",
    "SELECT a FROM a",
    "SELECT id, a IS NULL AS n, a.* IS NOT NULL AS o FROM a",
    "SELECT id, (SELECT max(amount) FROM b WHERE b.a_id = a.id) AS m, ARRAY(SELECT 1) AS x FROM a",
    "SELECT id FROM a WHERE NOT (ok OR id > 3) AND name ISNULL AND kind NOTNULL AND ok IS UNKNOWN",
    "SELECT id FROM a TABLESAMPLE bernoulli (10) REPEATABLE (5)",
    "SELECT E'tab\\tand ''quote''' AS t, U&'\\00e9' AS u, $$dollar$$ AS d, B'101' AS b, id FROM a",
    "SELECT id, name AS \"Weird \"\"Name\", 'ünï' AS \"ü\" FROM a WHERE name = 'it''s'",
    "SELECT id, (at, span) OVERLAPS (now(), '1 day'::interval) AS o, age(at) AS g FROM a",
    "SELECT id, json_build_object('a', 1)->>'a' AS j, xmlelement(name x, name) AS x FROM a",
    "SELECT id, jsonb_path_query_first(doc, '$.a[*] ? (@ > 1)') AS p, name ^@ 'x' AS s FROM a",
    "TABLE a",
    "SELECT id FROM ONLY a FOR UPDATE",
    "SELECT 1 AS id, 'only'::text AS name",
    "SELECT id, 'x'::name AS n, 'public.b'::regclass IS NULL AS r FROM (SELECT 1 AS id) s WHERE false",
)  # fmt: skip
CHANGED = (
    ("SELECT id FROM a WHERE kind = 'x'", "SELECT id FROM a WHERE kind = 'y'"),
    ("SELECT id FROM a WHERE kind = 'x'", "SELECT id FROM a"),
    ("SELECT id FROM a", "SELECT id FROM a WHERE ok"),
    ("SELECT id FROM a WHERE id > 3", "SELECT id FROM a WHERE id > 4"),
    ("SELECT id FROM a WHERE id > 3", "SELECT id FROM a WHERE id >= 3"),
    ("SELECT id, upper(name) AS x FROM a", "SELECT id, lower(name) AS x FROM a"),
    ("SELECT id, name AS x FROM a", "SELECT id, kind::text AS x FROM a"),
    (
        "SELECT a.id FROM a JOIN b ON b.a_id = a.id",
        "SELECT a.id FROM a LEFT JOIN b ON b.a_id = a.id",
    ),
    ("SELECT id FROM a UNION SELECT id FROM b", "SELECT id FROM a UNION ALL SELECT id FROM b"),
    ("SELECT id FROM a ORDER BY id LIMIT 5", "SELECT id FROM a ORDER BY id LIMIT 6"),
    ("SELECT DISTINCT id FROM a", "SELECT id FROM a"),
    ("SELECT count(*) AS c FROM a", "SELECT count(*) FILTER (WHERE ok) AS c FROM a"),
)


def _printed(database: Database, definition: str) -> str:
    with database.connect() as c:
        c.execute("SET search_path = public")
        c.execute(f"CREATE OR REPLACE VIEW v AS {definition}".encode())
        c.execute("SET search_path = pg_catalog, pg_temp")
        row = c.execute("SELECT pg_get_viewdef('public.v'::regclass)").fetchone()
        c.execute("DROP VIEW public.v")
    assert row
    return str(row[0]).rstrip().removesuffix(";")


def _differ(author: str, printed: str) -> list[tuple[str, str, str]]:
    return list(differences(atoms(author), atoms(printed), REAL))


def test_printing_is_no_difference(empty: Database) -> None:
    empty.sql(TABLES)
    found = []
    for definition in SAME:
        printed = _printed(empty, definition)
        if differing := _differ(definition, printed):
            found.append(f"{differing}\n  {definition}\n  {printed}")
    assert not found, "\n".join(found)


def test_what_was_changed_is_a_difference(empty: Database) -> None:
    empty.sql(TABLES)
    missed = [
        (author, other) for author, other in CHANGED if not _differ(author, _printed(empty, other))
    ]
    assert not missed


@pytest.mark.parametrize("definition", SAME[:6])
def test_a_query_is_like_itself(definition: str) -> None:
    assert _differ(definition, definition) == []
