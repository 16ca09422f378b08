"""Where to connect, in another database of the same server."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgtv.session import Target


@pytest.mark.parametrize(
    "given",
    ["shop", "host=db1 dbname=shop", "postgresql://db1/shop?sslmode=require", None],
)
@pytest.mark.parametrize("name", ["other", "a=b", "it's \\ odd", "postgresql://x", "🙂"])
def test_the_name_is_a_name_whatever_it_looks_like(given: str | None, name: str) -> None:
    before = conninfo_to_dict(Target(dbname=given, user="u").conninfo())
    after = conninfo_to_dict(Target(dbname=given, user="u").in_database(name).conninfo())
    assert after.pop("dbname") == name
    before.pop("dbname", None)
    assert after == before
