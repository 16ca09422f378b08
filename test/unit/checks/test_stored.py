"""Which relations a stored definition names."""

from __future__ import annotations

import pytest

from pgtv.definitions.walk import read
from pgtv.errors import DefinitionError


@pytest.mark.parametrize(
    ("definition", "relations"),
    [
        ("SELECT 1 FROM a, public.b JOIN \"C d\".\"e.f\" ON true", {"a", "public.b", "C d.e.f"}),
        ("WITH x AS (SELECT 1 FROM a) SELECT 1 FROM x", {"a"}),
        ("WITH x AS (SELECT 1 FROM a) SELECT 1 FROM public.x", {"a", "public.x"}),
        ("WITH RECURSIVE x AS (SELECT 1 UNION SELECT 1 FROM x, b) SELECT 1 FROM x", {"b"}),
        ("SELECT (SELECT 1 FROM a), EXISTS (SELECT FROM b) FROM c UNION TABLE d", {*"abcd"}),
        ("SELECT 1 FROM ONLY a, LATERAL (SELECT 1 FROM b) x, f(1), generate_series(1, 2)", {*"ab"}),
        ("SELECT 1 FROM a TABLESAMPLE system (1) -- FROM b", {"a"}),
    ],
)  # fmt: skip
def test_named(definition: str, relations: set[str]) -> None:
    assert {f"{s}.{n}" if s else n for s, n in read(definition).relations} == relations


@pytest.mark.parametrize(
    "definition", ["", "SELECT FROM WHERE", "DELETE FROM a", "SELECT 1; SELECT 2"]
)
def test_no_definition(definition: str) -> None:
    with pytest.raises(DefinitionError):
        read(definition)
