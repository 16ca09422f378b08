"""Definitions of an early generation, carried over: names change, nothing else does."""

from __future__ import annotations

import pytest

from pgtv.repairs.carrying import carried

TABLES = {("public", "v_user"): ("public", "tv_user"), ('S "x" ü', "v_a"): ('S "x" ü', "tv_a")}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (
            "SELECT v_user.data FROM (public.tb_post p JOIN public.v_user ON true)",
            'SELECT v_user.data FROM (public.tb_post p JOIN "public"."tv_user" "v_user" ON true)',
        ),
        (
            "SELECT vu.data FROM public.v_user vu, public.v_user",
            'SELECT vu.data FROM "public"."tv_user" vu, "public"."tv_user" "v_user"',
        ),
        (
            'SELECT \'ü public.v_user\' AS x, 1 FROM "S ""x"" ü".v_a;',
            'SELECT \'ü public.v_user\' AS x, 1 FROM "S ""x"" ü"."tv_a" "v_a";',
        ),
        (
            "WITH v_user AS (SELECT 1 AS a) SELECT (SELECT a FROM v_user), other.v_user.b"
            " FROM other.v_user",
            "WITH v_user AS (SELECT 1 AS a) SELECT (SELECT a FROM v_user), other.v_user.b"
            " FROM other.v_user",
        ),
    ],
)
def test_only_the_relations_are_renamed(query: str, wanted: str) -> None:
    assert carried(query, TABLES) == wanted
