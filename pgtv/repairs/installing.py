"""Steps that make the extension and give back what was granted on its objects."""

from __future__ import annotations

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import EXTENSION, ident
from pgtv.catalog.model import Privilege, Snapshot
from pgtv.plan import Step


def installation(now: Snapshot, then: Snapshot | None) -> list[Step]:
    """The extension itself, as its owner, and the privileges that were granted on its objects."""
    steps = []
    dialect = dialects.named(now.extension.generation)
    if not now.extension.installed:
        roles = {r.name for r in then.roles if r.superuser} if then else set()
        owner = then.extension.owner if then and then.extension.owner in roles else None
        become = (f"SET LOCAL ROLE {ident(owner)};",) if owner else ()
        steps.append(
            Step(
                phase="installation",
                title=f"Create the extension {EXTENSION}",
                statements=("BEGIN;", *become, dialect.create_extension(), "COMMIT;"),
                role="superuser",
                undo=(f"DROP EXTENSION {EXTENSION};",),
            )
        )
    # those of another generation are on objects that this one does not have, nor need them
    same = then is not None and then.extension.generation == now.extension.generation
    privileges = then.extension.privileges if then and same else ()
    lacking = [p for p in privileges if p not in now.extension.privileges]
    if lacking:
        steps.append(
            Step(
                phase="installation",
                title=f"Grants on objects of {EXTENSION}, as they were",
                statements=tuple(_grant(p) for p in lacking),
                role="superuser",
                undo=tuple(_grant(p, back=True) for p in lacking),
            )
        )
    return steps


def _grant(p: Privilege, *, back: bool = False) -> str:
    who = "PUBLIC" if p.grantee == "PUBLIC" else ident(p.grantee)
    if p.given is not back:
        more = " WITH GRANT OPTION" if p.grantable else ""
        return f"GRANT {p.privilege} ON {p.object} TO {who}{more};"
    return f"REVOKE {p.privilege} ON {p.object} FROM {who};"
