"""The note that rows are owed leaves what else a comment says as it is."""

from __future__ import annotations

import pytest

from pgtv.catalog.dialects.base import literal
from pgtv.rows.owing import NOTE, forget, is_owed, note

SEPARATED = "orders\u2028of\u2029shops\u0085and more\nfor the till"


@pytest.mark.parametrize("own", [SEPARATED, "", "\n", "ends\n"])
def test_the_comment_of_somebody_else_stays(own: str) -> None:
    both = f"{own}\n{NOTE}" if own else NOTE
    assert note("public.v", own or None) == f"COMMENT ON VIEW public.v IS {literal(both)};"
    assert is_owed(both) and not is_owed(own)
    kept = literal(own) if own else "NULL"
    assert forget("public.v", both) == f"COMMENT ON VIEW public.v IS {kept};"


def test_what_only_looks_like_a_line_is_no_note() -> None:
    assert not is_owed(f"they wrote\u2028{NOTE}")
