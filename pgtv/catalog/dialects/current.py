"""Releases from beta.28 on (contract 2): schema tviews, registry, plan."""

from __future__ import annotations

from pgtv.catalog.dialects.base import Dialect

DIALECT = Dialect(name="current")
