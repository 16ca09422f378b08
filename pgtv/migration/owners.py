"""Owners, privileges and row security: whether the extension can still read what it reads.

It reads base tables as the owner of the TVIEW. A superuser reads everything.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from pgtv.catalog.model import Tview
from pgtv.definitions.parse import Node
from pgtv.migration.copy import Copy
from pgtv.migration.heard import Heard
from pgtv.migration.model import Mode
from pgtv.migration.usage import falling
from pgtv.migration.words import listed


def role_of(node: Node | None) -> str | None:
    """A role's name; None for CURRENT_USER and its like, which depend on who runs the file."""
    return (
        (node or {}).get("rolename") if (node or {}).get("roletype") == "ROLESPEC_CSTRING" else None
    )


def superusers(copy: Copy) -> set[str]:
    return {r.name for r in copy.snapshot.roles if r.superuser}


def reading_as(copy: Copy, oid: int) -> dict[str, list[Tview]]:
    """TVIEWs that read a relation, by their owner."""
    found: dict[str, list[Tview]] = {}
    for tview in copy.nearest(oid):
        owner = copy.snapshot.by_oid.get(tview.table_oid)
        if owner is not None:
            found.setdefault(owner.owner, []).append(tview)
    return found


def changed_owner(heard: Heard, oid: int, command: Node, _: bool) -> None:
    """A TVIEW's owner that owned the table, and no longer does, cannot read it."""
    copy, to = heard.copy, role_of(command.get("newowner"))
    before = copy.relation(oid).owner
    strong = superusers(copy)
    lost = [
        (role, tviews)
        for role, tviews in reading_as(copy, oid).items()
        if role == before and role not in strong and role != to
    ]
    if not lost:
        heard.say("owner", oid)
    for role, tviews in lost:
        heard.say("owner/cannot-read", oid, tviews=tviews, uses=role)


def row_security(heard: Heard, oid: int, command: Node, _: bool) -> None:
    """Policies hide rows from every reader but superusers, BYPASSRLS, and an owner without FORCE."""
    copy, relation = heard.copy, heard.copy.relation(oid)
    force = command.get("subtype") == "AT_ForceRowSecurity"
    (copy.forced if force else copy.secured).add(oid)  # both may stand in one statement
    enabled = relation.row_security or oid in copy.secured or not force
    forced = relation.force_row_security or oid in copy.forced or force
    bypass = {r.name for r in copy.snapshot.roles if r.bypass_rls or r.superuser}
    hidden = [
        (role, tviews)
        for role, tviews in reading_as(copy, oid).items()
        if role not in bypass and (forced or role != relation.owner)
    ]
    if not enabled or not hidden:
        heard.say("row-security", oid)
        return
    for role, tviews in hidden:
        heard.say("row-security/hides", oid, tviews=tviews, uses=role)


def grant(heard: Heard, node: Node) -> None:
    """REVOKE of what a TVIEW's owner reads by; a GRANT hurts nobody."""
    copy = heard.copy
    if node.get("is_grant"):
        _granted(heard, node)
        return
    privileges = {p["AccessPriv"].get("priv_name", "all") for p in node.get("privileges", [])}
    given = {role_of(g["RoleSpec"]) or "PUBLIC" for g in node.get("grantees", [])}
    if node.get("objtype") == "OBJECT_TABLE" and (not privileges or privileges & {"select", "all"}):
        for item in _targets(copy, node):
            _revoked(heard, item, given)
    elif node.get("objtype") == "OBJECT_SCHEMA" and (
        not privileges or privileges & {"usage", "all"}
    ):
        schemas = {o["String"]["sval"] for o in node.get("objects", [])}
        for relation in copy.snapshot.relations:
            if copy.labels.get(relation.oid, ("", ""))[0] in schemas:
                _revoked(heard, relation.oid, given)


def _granted(heard: Heard, node: Node) -> None:
    """Who may use the schemas that these files made."""
    if node.get("objtype") == "OBJECT_SCHEMA":
        given = {role_of(g["RoleSpec"]) or "PUBLIC" for g in node.get("grantees", [])}
        for item in node.get("objects", []):
            users = heard.copy.schemas.get(item["String"]["sval"])
            if users is not None:
                heard.then.append(functools.partial(users.update, given))


def create_schema(heard: Heard, node: Node) -> None:
    name = node.get("schemaname") or role_of(node.get("authrole")) or ""
    users = {r for r in [role_of(node.get("authrole"))] if r}
    heard.then.append(lambda: heard.copy.schemas.update({name: users}))


def cannot_use(copy: Copy, schema: str, oid: int) -> tuple[bool | None, list[str]]:
    """Whether owners of TVIEWs lack a schema that `oid` moves to, None for not known; and who."""
    roles = [r for r in reading_as(copy, oid) if r not in superusers(copy)]
    if schema == "public" or not roles:
        return False, roles
    if schema in copy.schemas:
        lacking = [r for r in roles if not copy.schemas[schema] & {r, "PUBLIC"}]
        return bool(lacking), lacking
    used = {a.role for a in copy.snapshot.access if a.usage and a.relation in copy.labels
            and copy.labels[a.relation][0] == schema}  # fmt: skip
    unsure = [r for r in roles if r not in used]
    return (None if unsure else False), unsure


def _targets(copy: Copy, node: Node) -> list[int]:
    if node.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
        schemas = {o["String"]["sval"] for o in node.get("objects", [])}
        return [oid for oid, (schema, _) in copy.labels.items() if schema in schemas]
    found = [copy.find(o["RangeVar"].get("schemaname"), o["RangeVar"]["relname"])
             for o in node.get("objects", []) if "RangeVar" in o]  # fmt: skip
    return [o for o in found if o is not None and o >= 0]


def _revoked(heard: Heard, oid: int, roles: Iterable[str]) -> None:
    """Rights that a role has as the table's owner can be revoked from it as well."""
    copy, strong = heard.copy, superusers(heard.copy)
    readers = reading_as(copy, oid)
    own = copy.tview(oid)
    if own is not None:
        readers.setdefault(copy.relation(oid).owner, []).append(own)
    hit = {r: t for r, t in readers.items() if r in roles and r not in strong}
    for role, tviews in hit.items():
        heard.say("revoke-read", oid, tviews=tviews, uses=role)


def reassign(heard: Heard, node: Node) -> None:
    """REASSIGN OWNED: everything of a role changes hands."""
    roles = {role_of(r["RoleSpec"]) for r in node.get("roles", [])}
    copy = heard.copy
    owned = [r.oid for r in copy.snapshot.relations if r.owner in roles and not copy.ours(r.oid)]
    tviews = [t for o in owned if (t := copy.tview(o))]
    if not owned:
        return
    for oid in owned:
        heard.say("reassign-owned", oid, tviews=tviews)
    heard.effects = list(dict.fromkeys(heard.effects))


def drop_owned(heard: Heard, node: Node) -> None:
    roles = {role_of(r["RoleSpec"]) for r in node.get("roles", [])}
    copy = heard.copy
    owned = [r.oid for r in copy.snapshot.relations if r.owner in roles and not copy.ours(r.oid)]
    if not owned:
        return
    tviews = {t.table_oid: t for o in owned if (t := copy.tview(o))}
    tviews |= {t.table_oid: t for t in falling(heard, [u for o in owned for u in copy.users(o)])}
    heard.say("drop-owned", None, tviews=tviews.values(), uses=listed(r for r in roles if r))
    for oid in owned:
        heard.lock(oid, Mode.ACCESS_EXCLUSIVE)
    heard.then.append(lambda: copy.drop(owned))
