"""What the release names and catalog revisions of library, SQL and control file say; no check."""

from __future__ import annotations

import re

from pgtv.catalog.dialects.registering import REVISIONS
from pgtv.checks.declare import Context
from pgtv.finding import Remedy


def required_revision(context: Context) -> int | None:
    """The catalog revision that the library insists on; None for releases not known."""
    return REVISIONS.get(context.snapshot.extension.library_version or "")


def updates_in_place(version: str | None) -> bool:
    """Whether ALTER EXTENSION leads from that release to the current one: known from beta.20 on."""
    return version in REVISIONS


def newer(version: str | None, than: str | None) -> bool:
    """Whether one release name is later than another, by the numbers in it."""
    return bool(version and than) and _numbers(version) > _numbers(than)


def _numbers(version: str | None) -> list[int]:
    # a release without a beta suffix comes after all its betas
    found = [int(n) for n in re.findall(r"\d+", version or "")[:6]]
    return found if len(found) > 3 else [*found, 10**9]


def update(context: Context, note: str) -> Remedy:
    """The update of the extension in this database; a release may change the tables of TVIEWs."""
    labels = ", ".join(t.label for t in context.snapshot.tviews)
    return Remedy(
        sql=("SET lock_timeout = '2s';", context.dialect.update_extension()),
        role=f"owner of the extension ({context.snapshot.extension.owner})",
        locks=(f"ACCESS EXCLUSIVE on {labels}",) if labels else (),
        note=note,
    )
