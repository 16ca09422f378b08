"""Healthy databases of every shape yield nothing above info, at any point of their lives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from healthy import SHAPES, STYLES, Shape, Style, build, databases, writes
from servers import Database, require_real

from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks
from pgtv.cluster.server import Server, new_server
from pgtv.finding import Severity

CASES = list(databases())
# all of them on the newer major, one style on the older one
ON_MAJORS = [(18, shape, style) for shape, style in CASES] + [
    (17, shape, STYLES[0]) for shape in SHAPES
]
TEMPLATE = "healthy_template"


@pytest.fixture(scope="session")
def healthy_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with new_server(require_real(request.param), ("pg_tviews",)) as server:
        server.psql("CREATE ROLE healthy_owner NOLOGIN; CREATE ROLE healthy_reader NOLOGIN")
        server.create_database(TEMPLATE)
        server.psql("CREATE EXTENSION pg_tviews", TEMPLATE)
        yield server


@pytest.fixture
def database(healthy_server: Server, request: pytest.FixtureRequest) -> Iterator[Database]:
    name = f"h{abs(hash(request.node.name)) % 10**9}"
    healthy_server.create_database(name, TEMPLATE)
    yield Database(healthy_server, name)
    for one in (name, f"{name}_restored"):
        healthy_server.drop_database(one)


def alarms(database: Database) -> list[str]:
    examination = examine(database.snapshot(), all_checks().values())
    return [
        f"{f.severity} {f.id}: {f.detail}"
        for f in examination.findings
        if f.severity is not Severity.INFO
    ]


def differing(database: Database) -> dict[str, int]:
    """TVIEW -> rows whose text is not in both the table and the definition."""
    with database.connect() as c:
        c.execute("SET search_path = pg_catalog, pg_temp")
        found = {}
        for table, view, columns in c.execute(
            "SELECT m.table_oid::text, m.view_oid::text, ARRAY(SELECT quote_ident(attname)"
            " FROM pg_attribute WHERE attrelid = m.view_oid AND attnum > 0 ORDER BY attnum)"
            " FROM tviews.pg_tview_meta m"
        ).fetchall():
            row = f"SELECT ROW({', '.join(columns)})::text FROM "
            (n,) = c.execute(
                f"SELECT count(*) FROM (({row}{table} EXCEPT ALL {row}{view})"
                f" UNION ALL ({row}{view} EXCEPT ALL {row}{table})) d".encode()
            ).fetchone() or (0,)
            if n:
                found[table] = n
        return found


def test_there_are_more_than_a_hundred() -> None:
    assert len(CASES) > 100
    assert {style.name for _, style in CASES} == {s.name for s in STYLES}


@pytest.mark.real
@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    ("healthy_server", "shape", "style"),
    ON_MAJORS,
    indirect=["healthy_server"],
    ids=[f"pg{major}-{shape.name}-{style.name}" for major, shape, style in ON_MAJORS],
)
def test_no_alarm(database: Database, shape: Shape, style: Style) -> None:
    database.sql(build(shape, style))
    assert alarms(database) == [], "new"
    for statement in (*writes(style), *shape.more(style)):
        database.sql(statement)
    if not shape.apart:
        assert differing(database) == {}
    database.sql("ANALYZE")
    assert alarms(database) == [], "after writes"


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("healthy_server", [18], indirect=True, ids=["pg18"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_no_alarm_after_dump_and_restore(database: Database, shape: Shape) -> None:
    style = STYLES[SHAPES.index(shape) % len(STYLES)]
    database.sql(build(shape, style))
    server = database.server
    archive, name = str(server.root / f"{database.name}.dump"), f"{database.name}_restored"
    server.program("pg_dump", "-Fc", "-f", archive, database.name)
    server.create_database(name)
    server.program("pg_restore", "-d", name, "--exit-on-error", archive)
    restored = Database(server, name)
    assert alarms(restored) == [], "restored"
    for statement in (*writes(style), *shape.more(style)):
        restored.sql(statement)
    if not shape.apart:
        assert differing(restored) == {}
    assert alarms(restored) == [], "restored, after writes"


@pytest.mark.real
@pytest.mark.parametrize("healthy_server", [18, 17], indirect=True, ids=["pg18", "pg17"])
def test_no_alarm_after_renames_and_registering_again(database: Database) -> None:
    style = STYLES[0]
    database.sql(build(next(s for s in SHAPES if s.name == "reads-tview"), style))
    database.sql(
        f"ALTER TABLE {style.tb('author')} RENAME TO tb_writer;"
        f"CREATE SCHEMA moved AUTHORIZATION {style.owner};"
        f"ALTER TABLE {style.tb('book')} SET SCHEMA moved"
    )
    assert any("names-stale" in alarm for alarm in alarms(database)), "restores would fail"
    for _ in range(3):  # the catalog's plan and text, as doctor prints it
        for finding in examine(database.snapshot(), all_checks().values()).causes:
            if finding.severity is not Severity.INFO and finding.remedy:
                database.sql("\n".join(finding.remedy.sql))
    assert alarms(database) == []
    database.sql("UPDATE public.tb_writer SET name = name || '?'")
    assert differing(database) == {}
