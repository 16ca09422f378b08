"""Generates healthy databases: shapes of definitions × styles of names, owners and options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Style:
    """How things are called, whose they are, and what every TVIEW is made with."""

    name: str
    suffix: str = ""
    schema: str = "public"
    tview_schema: str | None = None
    owner: str | None = "healthy_owner"
    options: tuple[tuple[str, str], ...] = ()
    key: str = "bigint"
    odd: str = ""  # more of the names of base tables: a TVIEW's own must be letters, digits, _

    def entity(self, word: str) -> str:
        full = word + self.suffix
        return full.encode()[:60].decode(errors="ignore") if self.suffix else full

    def pk(self, word: str) -> str:
        return quoted("pk_" + self.entity(word))

    def fk(self, word: str) -> str:
        return quoted("fk_" + self.entity(word))

    def tb(self, word: str) -> str:
        name = ("tb_" + self.entity(word) + self.odd).encode()[:63].decode(errors="ignore")
        return f"{quoted(self.schema)}.{quoted(name)}"

    def tv(self, word: str) -> str:
        return f"{quoted(self.tview_schema or self.schema)}.{quoted('tv_' + self.entity(word))}"

    def own(self, word: str) -> str:
        """Anything else: a view, a function, a type."""
        return f"{quoted(self.schema)}.{quoted(word + self.suffix[:8] + self.odd)}"

    def create(self, word: str, query: str, **options: str) -> str:
        """options: values as JSON."""
        merged = {**dict(self.options), **options}
        text = "{" + ", ".join(f'"{k}": {v}' for k, v in merged.items()) + "}"
        given = f", {literal(text)}" if merged else ""
        return f"SELECT tviews.pg_tviews_create_or_replace({literal(self.tv(word))}, $q${query}$q${given});"

    def value(self, number: str) -> str:
        """A key made of an integer expression."""
        return {
            "bigint": number,
            "integer": f"({number})::int",
            "smallint": f"({number})::smallint",
        }[self.key]


STYLES = (
    Style("plain"),
    Style("superuser", owner=None, options=(("fillfactor", "80"),)),
    Style(
        "quoted",
        suffix="_Mixed",
        odd=' "q".d',
        schema='Odd "Schema"',
        options=(("typename", '"Odd"'),),
    ),
    Style("emoji", suffix="_größe", odd="_😀", schema="größe 😀", key="smallint"),
    Style("long", suffix="_" + "x" * 60, schema="s" * 63, tview_schema="t" * 63),
    Style("unlogged", tview_schema="views", options=(("logged", "false"),), key="integer"),
)

# everything at once: spaces, quotes, dots, emoji, 63 bytes, two schemas
HOSTILE = Style(
    "hostile", suffix="_größe" + "x" * 20, odd=' "q".d😀' + "y" * 40, schema='Odd "Schema" 😀',
    tview_schema="t" * 63,
)  # fmt: skip


def base(s: Style) -> str:
    """Three tables: authors, their books, tags of books."""
    author, book, tag = s.tb("author"), s.tb("book"), s.tb("tag")
    return f"""
CREATE TABLE {author} ({s.pk("author")} {s.key} PRIMARY KEY, id uuid NOT NULL DEFAULT
  gen_random_uuid(), name text NOT NULL, {s.fk("parent")} {s.key} REFERENCES {author},
  born date, twice int GENERATED ALWAYS AS (length(name) * 2) STORED);
CREATE TABLE {book} ({s.pk("book")} {s.key} PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid(),
  {s.fk("author")} {s.key} REFERENCES {author}, title text NOT NULL, price numeric(8,2), tags text[],
  extra json, sold_on date NOT NULL DEFAULT '2026-01-01');
CREATE TABLE {tag} ({s.pk("tag")} {s.key} PRIMARY KEY, {s.fk("book")} {s.key} REFERENCES {book},
  label text);
CREATE INDEX ON {book} ({s.fk("author")});
CREATE INDEX ON {tag} ({s.fk("book")});
INSERT INTO {author} ({s.pk("author")}, name, {s.fk("parent")}, born)
  SELECT {s.value("g")}, 'Author ' || g, CASE WHEN g > 3 THEN {s.value("g - 3")} END,
         date '1950-01-01' + g FROM generate_series(1, 12) g;
INSERT INTO {book} ({s.pk("book")}, {s.fk("author")}, title, price, tags, extra)
  SELECT {s.value("g")}, {s.value("1 + g % 12")}, 'Book ' || g, g + 0.50, ARRAY['a', 'b' || g],
         '{{"pages": 100}}' FROM generate_series(1, 40) g;
INSERT INTO {tag} SELECT {s.value("g")}, {s.value("1 + g % 40")}, 'tag ' || g
  FROM generate_series(1, 60) g;
"""


def writes(s: Style) -> tuple[str, ...]:
    author, book, tag = s.tb("author"), s.tb("book"), s.tb("tag")
    return (
        f"UPDATE {author} SET name = name || ' jr' WHERE {s.pk('author')} = {s.value('3')}",
        f"INSERT INTO {author} ({s.pk('author')}, name) VALUES ({s.value('99')}, 'New')",
        f"UPDATE {book} SET {s.fk('author')} = {s.value('2')}, price = 7.5"
        f" WHERE {s.pk('book')} = {s.value('5')}",
        f"INSERT INTO {book} ({s.pk('book')}, {s.fk('author')}, title) VALUES"
        f" ({s.value('99')}, {s.value('99')}, 'New'), ({s.value('98')}, NULL, 'Nobody''s')",
        f"DELETE FROM {tag} WHERE {s.pk('tag')} = {s.value('7')}",
        f"INSERT INTO {tag} VALUES ({s.value('99')}, {s.value('99')}, 'fresh')",
        f"DELETE FROM {book} WHERE {s.pk('book')} = {s.value('98')}",
        f"UPDATE {book} SET title = title || '!'",
        f"TRUNCATE {tag}",
    )


@dataclass(frozen=True)
class Shape:
    """One form of definitions. `apart`: contents may rightly differ from the definition."""

    name: str
    make: Callable[[Style], str]
    apart: bool = False
    more: Callable[[Style], tuple[str, ...]] = field(default=lambda s: ())


def _author(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT a.{s.pk('author')}, a.id, jsonb_build_object('name', a.name) AS data"
        f" FROM {s.tb('author')} a",
    )


def _simple(s: Style) -> str:
    return _author(s)


def _no_id(s: Style) -> str:
    return s.create("author", f"SELECT a.{s.pk('author')}, a.name, a.born FROM {s.tb('author')} a")


def _embed(s: Style) -> str:
    return _author(s) + s.create(
        "book",
        f"SELECT b.{s.pk('book')}, b.id, b.{s.fk('author')}, jsonb_build_object('title', b.title,"
        f" 'author', va.data) AS data FROM {s.tb('book')} b"
        f" JOIN {s.tv('author')} va ON va.{s.pk('author')} = b.{s.fk('author')}",
    )


def _embed_by_view(s: Style) -> str:
    """As early releases wanted it: read is the other's backing view, which updates leave so."""
    backing = quoted(f"{s.tview_schema or s.schema}__tv_{s.entity('author')}")
    return _embed(s).replace(f"JOIN {s.tv('author')} va", f"JOIN tviews.{backing} va")


def _chain(s: Style) -> str:
    return _embed(s) + s.create(
        "tag",
        f"SELECT t.{s.pk('tag')}, t.{s.fk('book')}, jsonb_build_object('label', t.label, 'book',"
        f" vb.data) AS data FROM {s.tb('tag')} t"
        f" LEFT JOIN {s.tv('book')} vb ON vb.{s.pk('book')} = t.{s.fk('book')}",
    )


def _array(s: Style) -> str:
    return s.create(
        "tag",
        f"SELECT t.{s.pk('tag')}, t.{s.fk('book')}, jsonb_build_object('label', t.label) AS data"
        f" FROM {s.tb('tag')} t",
    ) + s.create(
        "book",
        f"SELECT b.{s.pk('book')}, b.id, jsonb_build_object('title', b.title, 'tags',"
        f" coalesce(jsonb_agg(vt.data ORDER BY vt.{s.pk('tag')}) FILTER (WHERE vt.{s.pk('tag')} IS NOT NULL),"
        f" '[]'::jsonb)) AS data FROM {s.tb('book')} b LEFT JOIN {s.tv('tag')} vt"
        f" ON vt.{s.fk('book')} = b.{s.pk('book')} GROUP BY b.{s.pk('book')}, b.id, b.title",
    )


def _group(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('books', count(b.{s.pk('book')}), 'worth',"
        f" coalesce(sum(b.price), 0)) AS data FROM {s.tb('author')} a LEFT JOIN {s.tb('book')} b"
        f" ON b.{s.fk('author')} = a.{s.pk('author')} GROUP BY a.{s.pk('author')}",
    )


def _distinct_on(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT DISTINCT ON (b.{s.fk('author')}) b.{s.fk('author')} AS {s.pk('author')},"
        f" jsonb_build_object('dearest', b.title) AS data FROM {s.tb('book')} b"
        f" WHERE b.{s.fk('author')} IS NOT NULL"
        f" ORDER BY b.{s.fk('author')}, b.price DESC, b.{s.pk('book')}",
    )


def _union(s: Style) -> str:
    half = (
        f"SELECT b.{s.pk('book')}, jsonb_build_object('title', b.title, 'kind', '{{}}') AS data"
        f" FROM {s.tb('book')} b WHERE b.price {{}} 10"
    )
    return s.create("book", half.format("cheap", "<") + " UNION ALL " + half.format("dear", ">="))


def _cte(s: Style) -> str:
    return s.create(
        "author",
        f"WITH n AS (SELECT b.{s.fk('author')} AS k, count(*) AS books FROM {s.tb('book')} b"
        f" GROUP BY b.{s.fk('author')}) SELECT a.{s.pk('author')}, jsonb_build_object('name', a.name,"
        f" 'books', coalesce(n.books, 0)) AS data FROM {s.tb('author')} a"
        f" LEFT JOIN n ON n.k = a.{s.pk('author')}",
    )


def _lateral(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('name', a.name, 'books', l.n) AS data"
        f" FROM {s.tb('author')} a CROSS JOIN LATERAL (SELECT count(*) AS n FROM {s.tb('book')} b"
        f" WHERE b.{s.fk('author')} = a.{s.pk('author')}) l",
    )


def _recursive(s: Style) -> str:
    return s.create(
        "author",
        f"WITH RECURSIVE up AS (SELECT a.{s.pk('author')} AS k, a.{s.fk('parent')} AS p, 0 AS depth"
        f" FROM {s.tb('author')} a UNION ALL SELECT up.k, a.{s.fk('parent')}, up.depth + 1 FROM up"
        f" JOIN {s.tb('author')} a ON a.{s.pk('author')} = up.p)"
        f" SELECT up.k AS {s.pk('author')}, jsonb_build_object('depth', max(up.depth)) AS data"
        f" FROM up GROUP BY up.k",
        uncascaded_policy='"full_refresh"',
    )


def _self_join(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT a.{s.pk('author')}, a.id, jsonb_build_object('name', a.name, 'parent', p.name) AS data"
        f" FROM {s.tb('author')} a LEFT JOIN {s.tb('author')} p"
        f" ON p.{s.pk('author')} = a.{s.fk('parent')}",
    )


def _mapped(s: Style) -> str:
    return s.create(
        "book",
        f"SELECT b.{s.pk('book')}, b.id, jsonb_build_object('title', b.title, 'author', a.name) AS data"
        f" FROM {s.tb('book')} b JOIN {s.tb('author')} a"
        f" ON a.{s.pk('author')} = b.{s.fk('author')}",
    )


def _reads_tview(s: Style) -> str:
    return _embed(s) + s.create(
        "shelf",
        f"SELECT a.{s.pk('author')} AS {s.pk('shelf')}, jsonb_build_object('books',"
        f" count(vb.{s.pk('book')})) AS data FROM {s.tb('author')} a LEFT JOIN {s.tv('book')} vb"
        f" ON vb.{s.fk('author')} = a.{s.pk('author')} GROUP BY a.{s.pk('author')}",
    )


def _helper_view(s: Style) -> str:
    return (
        f"CREATE VIEW {s.own('v_dear')} AS SELECT b.{s.pk('book')}, b.title, b.{s.fk('author')}"
        f" FROM {s.tb('book')} b WHERE b.price > 10;"
        f"CREATE VIEW {s.own('v_dearer')} AS SELECT * FROM {s.own('v_dear')};"
    ) + s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('dear', (SELECT count(*)"
        f" FROM {s.own('v_dearer')} v WHERE v.{s.fk('author')} = a.{s.pk('author')})) AS data"
        f" FROM {s.tb('author')} a",
    )


def _immutable_function(s: Style) -> str:
    return (
        f"CREATE FUNCTION {s.own('shout')}(t text) RETURNS text LANGUAGE sql IMMUTABLE"
        f" AS 'SELECT upper(t) || ''!''';"
    ) + s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('name', {s.own('shout')}(a.name)) AS data"
        f" FROM {s.tb('author')} a",
    )


def _reading_function(s: Style) -> str:
    from json import dumps

    function = s.own("dearest")
    return (
        f"CREATE FUNCTION {function}() RETURNS text LANGUAGE sql STABLE"
        f" AS $f$SELECT max(label) FROM {s.tb('tag')}$f$;"
    ) + s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('top', {function}()) AS data"
        f" FROM {s.tb('author')} a",
        function_reads=dumps({function + "()": [s.tb("tag")]}),
        uncascaded_policy='"full_refresh"',
    )


def _matview(s: Style) -> str:
    from json import dumps

    view = s.own("mv_count")
    return (
        f"CREATE MATERIALIZED VIEW {view} AS SELECT {s.fk('author')} AS k, count(*) AS n"
        f" FROM {s.tb('book')} GROUP BY 1;"
    ) + s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('books', m.n) AS data"
        f" FROM {s.tb('author')} a LEFT JOIN {view} m ON m.k = a.{s.pk('author')}",
        uncascaded_tables=dumps({view: "warn"}),
    )


def _window(s: Style) -> str:
    return s.create(
        "book",
        f"SELECT b.{s.pk('book')}, jsonb_build_object('rank', rank() OVER (ORDER BY b.price)) AS data"
        f" FROM {s.tb('book')} b",
        uncascaded_policy='"full_refresh"',
    )


def _limit(s: Style) -> str:
    return s.create(
        "book",
        f"SELECT b.{s.pk('book')}, jsonb_build_object('title', b.title) AS data"
        f" FROM {s.tb('book')} b ORDER BY b.price DESC LIMIT 5",
        uncascaded_policy='"warn"',
    )


def _time(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('age', current_date - a.born) AS data"
        f" FROM {s.tb('author')} a",
        time_refresh='"external"',
    )


def _types(s: Style) -> str:
    return (
        f"CREATE TYPE {s.own('mood')} AS ENUM ('sad', 'ok');"
        f"CREATE DOMAIN {s.own('short')} AS text CHECK (length(value) < 900);"
        f"ALTER TABLE {s.tb('book')} ADD mood {s.own('mood')} DEFAULT 'ok', ADD note {s.own('short')},"
        f" ADD spot point, ADD found tsvector, ADD span interval DEFAULT '1 day';"
    ) + s.create(
        "book",
        f"SELECT b.{s.pk('book')}, b.mood, b.note, b.spot, b.found, b.span, b.tags, b.extra, b.price,"
        f" jsonb_build_object('x', b.price) AS data FROM {s.tb('book')} b",
    )


def _generated(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('twice', a.twice) AS data"
        f" FROM {s.tb('author')} a",
    )


def _filtered(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT a.{s.pk('author')}, a.id, jsonb_build_object('name', a.name) AS data"
        f" FROM {s.tb('author')} a WHERE EXISTS (SELECT 1 FROM {s.tb('book')} b"
        f" WHERE b.{s.fk('author')} = a.{s.pk('author')} AND b.price > 20)",
    )


def _partitioned(s: Style) -> str:
    sale = s.tb("sale")
    part = [s.tb(f"sale{n}") for n in range(4)]
    return (
        f"CREATE TABLE {sale} ({s.pk('sale')} bigint, {s.fk('book')} {s.key}, sold_on date,"
        f" n int) PARTITION BY RANGE (sold_on);"
        f"CREATE TABLE {part[0]} PARTITION OF {sale} FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');"
        f"CREATE TABLE {part[1]} PARTITION OF {sale} FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')"
        f" PARTITION BY HASH ({s.pk('sale')});"
        f"CREATE TABLE {part[2]} PARTITION OF {part[1]} FOR VALUES WITH (modulus 1, remainder 0);"
        f"CREATE TABLE {part[3]} PARTITION OF {sale} DEFAULT;"
        f"INSERT INTO {sale} SELECT g, {s.value('1 + g % 40')}, date '2026-01-01' + g, g"
        f" FROM generate_series(1, 70) g;"
    ) + s.create(
        "book",
        f"SELECT b.{s.pk('book')}, b.id, jsonb_build_object('sold', coalesce(sum(x.n), 0)) AS data"
        f" FROM {s.tb('book')} b LEFT JOIN {sale} x ON x.{s.fk('book')} = b.{s.pk('book')}"
        f" GROUP BY b.{s.pk('book')}, b.id",
    )


def _partitioned_writes(s: Style) -> tuple[str, ...]:
    return (
        f"INSERT INTO {s.tb('sale')} VALUES (900, {s.value('3')}, '2026-01-15', 1),"
        f" (901, {s.value('3')}, '2026-02-15', 1), (902, {s.value('4')}, '2030-01-01', 1)",
        f"UPDATE {s.tb('sale')} SET sold_on = '2026-02-20' WHERE {s.pk('sale')} = 900",
        f"CREATE TABLE {s.tb('sale9')} PARTITION OF {s.tb('sale')}"
        f" FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
        f"INSERT INTO {s.tb('sale')} VALUES (903, {s.value('5')}, '2027-05-05', 9)",
        f"ALTER TABLE {s.tb('sale')} DETACH PARTITION {s.tb('sale0')}",
    )


def _local_partitioned(s: Style) -> str:
    event = s.tb("event")
    return (
        f"CREATE TABLE {event} ({s.pk('event')} {s.key} PRIMARY KEY, what text)"
        f" PARTITION BY HASH ({s.pk('event')});"
        f"CREATE TABLE {s.tb('event0')} PARTITION OF {event} FOR VALUES WITH (modulus 2, remainder 0);"
        f"CREATE TABLE {s.tb('event1')} PARTITION OF {event} FOR VALUES WITH (modulus 2, remainder 1);"
        f"INSERT INTO {event} SELECT {s.value('g')}, 'e' || g FROM generate_series(1, 20) g;"
    ) + s.create(
        "event",
        f"SELECT e.{s.pk('event')}, jsonb_build_object('what', e.what) AS data FROM {event} e",
    )


def _rls(s: Style) -> str:
    return (
        f"ALTER TABLE {s.tb('author')} ENABLE ROW LEVEL SECURITY;"
        f"CREATE POLICY readers ON {s.tb('author')} FOR SELECT USING (name <> 'secret');"
    ) + _author(s)


def _audited(s: Style) -> str:
    """A user's own trigger beside the extension's, and consumers of the TVIEW."""
    return (
        f"CREATE TABLE {s.own('log')} (at timestamptz DEFAULT now(), what text);"
        f"CREATE FUNCTION {s.own('note')}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN"
        f" INSERT INTO {s.own('log')} (what) VALUES (TG_OP); RETURN NULL; END $f$;"
        f"CREATE TRIGGER audit AFTER INSERT OR UPDATE ON {s.tb('author')} FOR EACH ROW"
        f" EXECUTE FUNCTION {s.own('note')}();"
        f"CREATE FUNCTION {s.own('trim')}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN"
        f" NEW.name := btrim(NEW.name); RETURN NEW; END $f$;"
        f"CREATE TRIGGER tidy BEFORE INSERT OR UPDATE ON {s.tb('author')} FOR EACH ROW"
        f" EXECUTE FUNCTION {s.own('trim')}();"
        + _author(s)
        + f"CREATE VIEW {s.own('v_names')} AS SELECT data->>'name' AS name FROM {s.tv('author')};"
        f"GRANT SELECT ON {s.tv('author')}, {s.own('v_names')} TO healthy_reader;"
    )


def _indexed(s: Style) -> str:
    return _embed(s) + (
        f"CREATE INDEX ON {s.tv('book')} ((data->>'title'));"
        f"CREATE INDEX ON {s.tv('book')} USING gin (data);"
        f"ALTER TABLE {s.tv('book')} ALTER COLUMN data SET STATISTICS 50;"
    )


def _empty(s: Style) -> str:
    return f"TRUNCATE {s.tb('author')}, {s.tb('book')}, {s.tb('tag')};" + _chain(s)


def _ctas(s: Style) -> str:
    return (
        f"CREATE TABLE {s.tv('author')} AS SELECT a.{s.pk('author')}, a.id,"
        f" jsonb_build_object('name', a.name) AS data FROM {s.tb('author')} a;"
    )


def _replaced(s: Style) -> str:
    """Created, then replaced by a definition with another column."""
    return _author(s) + s.create(
        "author",
        f"SELECT a.{s.pk('author')}, a.id, a.born, jsonb_build_object('name', a.name, 'born', a.born)"
        f" AS data FROM {s.tb('author')} a",
    )


def _values(s: Style) -> str:
    return s.create(
        "author",
        f"SELECT a.{s.pk('author')}, jsonb_build_object('kind', k.label) AS data"
        f" FROM {s.tb('author')} a JOIN (VALUES (true, 'long'), (false, 'short')) AS k(long, label)"
        f" ON k.long = (length(a.name) > 8)",
    )


SHAPES = (
    Shape("simple", _simple), Shape("no-id-no-data", _no_id), Shape("embed", _embed),
    Shape("chain", _chain), Shape("array", _array), Shape("group-by", _group),
    Shape("distinct-on", _distinct_on), Shape("union", _union), Shape("cte", _cte),
    Shape("lateral", _lateral), Shape("recursive", _recursive), Shape("self-join", _self_join),
    Shape("mapped", _mapped), Shape("reads-tview", _reads_tview),
    Shape("helper-view", _helper_view), Shape("immutable-function", _immutable_function),
    Shape("reading-function", _reading_function), Shape("matview", _matview, apart=True),
    Shape("window", _window), Shape("limit", _limit, apart=True), Shape("time", _time, apart=True),
    Shape("types", _types), Shape("generated", _generated),
    Shape("filtered", _filtered), Shape("partitioned", _partitioned, more=_partitioned_writes),
    Shape("local-partitioned", _local_partitioned), Shape("rls", _rls), Shape("audited", _audited),
    Shape("indexed", _indexed), Shape("empty", _empty), Shape("ctas", _ctas),
    Shape("replaced", _replaced), Shape("values", _values), Shape("embed-by-view", _embed_by_view),
)  # fmt: skip


def databases() -> Iterator[tuple[Shape, Style]]:
    """Every shape in three styles or more, every style with every third shape or more."""
    for i, shape in enumerate(SHAPES):
        for j, style in enumerate(STYLES):
            if j == 0 or (i + j) % 2 == 0:
                yield shape, style


def build(shape: Shape, style: Style) -> str:
    """SQL that makes the database, as the style's owner."""
    schemas = {style.schema, style.tview_schema or style.schema} - {"public"}
    owner = style.owner or "CURRENT_USER"
    return (
        "".join(f"CREATE SCHEMA {quoted(n)} AUTHORIZATION {owner};" for n in sorted(schemas))
        + (f"GRANT CREATE ON SCHEMA public TO {owner}; SET ROLE {owner};" if style.owner else "")
        + base(style)
        + shape.make(style)
    )
