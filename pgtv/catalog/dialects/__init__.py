"""Generations of the extension's catalog: the only place that knows its physical names.

One module a generation, differences only. `choose` probes for objects and treats versions as hints.
Checks and repairs ask the dialect for statements; they never spell a name of the extension.
"""

from __future__ import annotations

from pgtv.catalog.dialects import beta19, current, lab, unknown
from pgtv.catalog.dialects.base import Dialect

ALL: dict[str, Dialect] = {
    d.name: d for d in (current.DIALECT, lab.DIALECT, beta19.DIALECT, unknown.DIALECT)
}


def named(name: str) -> Dialect:
    """The dialect a snapshot was read with; the one that knows nothing for names not known."""
    return ALL.get(name, unknown.DIALECT)


def choose(present: frozenset[str], installed: bool, lab_marker: bool) -> Dialect:
    """The generation whose objects are there.

    present: of `base.PROBES`, the keys that exist. Without the extension (dropped, or never
    created) the current generation is assumed: its leftovers are recognised by their shape.
    """
    if lab_marker:
        return lab.DIALECT
    if not installed:
        return current.DIALECT
    if not present >= {"meta", "meta_table_oid", "meta_view_oid", "meta_definition"}:
        return unknown.DIALECT
    if "meta_plan" in present and "registry" in present:
        return current.DIALECT
    # releases of which some made their catalog in schema tviews, with a registry, before they had plans
    if "meta_cascade_paths" in present and "registry" not in present:
        return beta19.DIALECT
    return unknown.DIALECT


def trusted(dialect: Dialect, contract_version: object) -> Dialect:
    """`dialect`, unless the catalog says that its contract is one that `dialect` was not made for."""
    known = dialect.contract_versions
    if known and contract_version is not None and contract_version not in known:
        return unknown.DIALECT
    return dialect
