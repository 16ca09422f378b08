"""Roles and tablespaces that a dump takes for granted are found in its SQL, and nowhere in its rows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pgtv.catalog.dialects.base import ident
from pgtv.lifecycle.restore.roles import needed, safe_globals

NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\0"),
    min_size=1, max_size=20,
).filter(lambda n: not n.startswith("pg_") and n.lower() not in (
    "public", "default", "current_user", "session_user", "current_role"
))  # fmt: skip


@settings(deadline=None)  # a busy machine
@given(NAMES, NAMES, NAMES)
def test_every_statement_that_names_a_role(owner: str, reader: str, space: str) -> None:
    lines = [
        f"ALTER TABLE public.t OWNER TO {ident(owner)};",
        f"GRANT SELECT ON TABLE public.t TO {ident(reader)} WITH GRANT OPTION;",
        f"REVOKE ALL ON SCHEMA public FROM {ident(reader)};",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(owner)} IN SCHEMA public"
        f" GRANT SELECT ON TABLES TO {ident(reader)};",
        f"CREATE POLICY p ON public.t FOR SELECT TO {ident(owner)}, {ident(reader)} USING (true);",
        f"SET default_tablespace = {ident(space)};",
        "SET default_tablespace = '';",
        "GRANT SELECT ON TABLE public.t TO PUBLIC;",
        "GRANT SELECT ON TABLE public.t TO pg_monitor;",
    ]
    for number, line in enumerate(lines[:5]):
        expected = ({owner}, {reader}, {reader}, {owner, reader}, {owner, reader})[number]
        assert set(needed([line]).roles) == expected, line
    assert needed(lines).tablespaces == (space,)


@settings(deadline=None)  # a busy machine
@given(st.lists(NAMES))
def test_rows_are_no_statements(names: list[str]) -> None:
    rows = [f"ALTER TABLE x OWNER TO {ident(n)};" for n in names]
    lines = ["COPY public.t (a) FROM stdin;", *rows, "\\.", "ALTER TABLE public.t OWNER TO real;"]
    assert needed(lines).roles == ("real",)


def test_globals_leave_folders_of_others_alone() -> None:
    lines = [
        "CREATE ROLE shop_owner;",
        "CREATE TABLESPACE fast OWNER postgres LOCATION '/srv/fast';",
        "ALTER TABLESPACE fast SET (seq_page_cost=1);",
        "GRANT ALL ON TABLESPACE fast TO shop_owner;",
        "GRANT shop_owner TO app;",
    ]
    assert list(safe_globals(lines)) == [lines[0], lines[4]]
