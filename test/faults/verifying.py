"""Findings about contents, as `pgtv doctor --verify` makes them."""

from __future__ import annotations

from bench import Bench

from pgtv.finding import Finding


def verified(b: Bench) -> list[Finding]:
    return []
