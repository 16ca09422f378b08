"""Which generation is told by the objects that are there."""

from __future__ import annotations

import pytest

from pgtv.catalog.dialects import choose

META = {"meta", "meta_table_oid", "meta_view_oid", "meta_definition"}


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"meta_cascade_paths"}, "beta19"),
        # beta.20 to beta.26: taken for the former, their triggers would be called changed, and dropped
        ({"meta_cascade_paths", "registry"}, "unknown"),
        ({"meta_plan", "registry"}, "current"),
        (set(), "unknown"),
    ],
)
def test_generations(more: set[str], name: str) -> None:
    assert choose(frozenset(META | more), True, False).name == name
