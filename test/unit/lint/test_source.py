"""Offsets of bytes, which the parser gives, as offsets of characters, which people count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgtv.lint.source import Bytes


@given(st.text(st.characters(codec="utf-8")))
def test_every_character_is_found_by_its_first_byte(text: str) -> None:
    known = Bytes(text)
    for i in range(len(text) + 1):
        assert known.character(len(text[:i].encode())) == i
    assert known.character(-1) == 0
