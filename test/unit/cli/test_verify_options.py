"""Options of verify, without a server."""

from __future__ import annotations

from pgtv.cli.verify import _wanted


def test_the_smallest_sample_is_of_some_rows() -> None:
    """A share that rounds to none of a million would compare nothing, and be equal."""
    assert _wanted(False, "0.00001%", 1, 20).sample == (1, 1)
    assert _wanted(False, "0.3", 1, 20).sample_rows == 1
