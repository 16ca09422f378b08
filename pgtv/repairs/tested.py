"""On which catalogs pgtv writes: those that its cures were tested on."""

from __future__ import annotations

from pgtv.catalog import dialects
from pgtv.catalog.model import Extension
from pgtv.errors import NotPossible


def untested(extension: Extension) -> str | None:
    """Why cures are only printed on this catalog; None where they were tested, and where the library
    keeps the revision from being told (then what doctor says of the library comes first)."""
    dialect = dialects.named(extension.generation)
    if not extension.installed:
        return None
    if not dialect.acts:
        return f"pgtv only looks at catalogs of the generation {dialect.name}"
    revision = extension.catalog_revision
    if revision is None or not dialect.revisions or revision in dialect.revisions:
        return None
    known = " and ".join(map(str, dialect.revisions))
    return f"the catalog has revision {revision}, and cures were tested on {known}"


def may_write(extension: Extension) -> None:
    """Raises NotPossible on a catalog that nothing was tested on."""
    if why := untested(extension):
        raise refusal(why)


def refusal(why: str, done: str = "nothing was applied") -> NotPossible:
    """What is said where nothing is written because of `why`."""
    return NotPossible(
        f"{done}: {why}",
        "look for a newer pgtv; what is printed can be read, tried on a copy and pasted",
    )
