"""Whether TVIEWs equal their definitions, and writes that have to reach them: for any test."""

from __future__ import annotations

from psycopg import sql
from servers import Database


def differing(shop: Database) -> dict[str, int]:
    """Rows by TVIEW that are not what its view gives now, by the text of the view's columns."""
    found = {}
    with shop.connect() as connection:
        tviews = connection.execute(
            "SELECT format('%I.%I', schema, name), view::text,"
            " (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute"
            "   WHERE attrelid = view AND attnum > 0 AND NOT attisdropped)"
            " FROM tviews.registry WHERE NOT coalesce(time_dependent, false)"
        ).fetchall()
        for table, view, columns in tviews:
            assert view and columns, f"{table} has no backing view"
            row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, columns)))
            a = sql.SQL("SELECT {} FROM ").format(row) + sql.SQL(view)
            b = sql.SQL("SELECT {} FROM ").format(row) + sql.SQL(table)
            query = sql.SQL(
                "SELECT count(*) FROM ((({a}) EXCEPT ALL ({b})) UNION ALL (({b}) EXCEPT ALL ({a}))) x"
            ).format(a=a, b=b)
            ((differing,),) = connection.execute(query).fetchall()
            if differing:
                found[table] = differing
    return found


def write_everywhere(shop: Database) -> None:
    """Change one value in every base table of a TVIEW."""
    with shop.connect() as connection:
        targets = connection.execute(
            "SELECT DISTINCT ON (c.oid) c.oid::regclass::text, a.attname::text, t.typcategory"
            " FROM tviews.registry r CROSS JOIN unnest(r.base_tables) b"
            " JOIN pg_class c ON c.oid = b AND c.relkind IN ('r', 'p')"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            r" AND a.attname !~ '^(pk|fk)_|^id$'"
            " JOIN pg_type t ON t.oid = a.atttypid AND t.typcategory IN ('S', 'N')"
            " WHERE c.oid NOT IN (SELECT table_oid FROM tviews.pg_tview_meta)"
            " ORDER BY c.oid, a.attnum"
        ).fetchall()
        assert targets, "no base table to write to"
        for table, column, category in targets:
            connection.execute(
                sql.SQL(
                    "UPDATE {t} SET {c} = {c} {change} WHERE (tableoid, ctid) ="
                    " (SELECT tableoid, ctid FROM {t} WHERE {c} IS NOT NULL LIMIT 1)"
                ).format(
                    t=sql.SQL(table),
                    c=sql.Identifier(column),
                    change=sql.SQL("|| 'x'" if category == "S" else "+ 1"),
                )
            )
