"""DDL on the tables of TVIEWs themselves."""

from __future__ import annotations

from pgtv.definitions.parse import Node
from pgtv.migration import tables
from pgtv.migration.heard import Heard
from pgtv.migration.owners import role_of, superusers
from pgtv.migration.triggers import switch


def alter_tview(heard: Heard, oid: int, node: Node) -> None:
    """Each subcommand of ALTER TABLE tv_…."""
    copy, tview = heard.copy, heard.copy.graph.tviews[oid]
    for item in node.get("cmds", []):
        command = item["AlterTableCmd"]
        what = command.get("subtype", "")
        if what in ("AT_DropColumn", "AT_AlterColumnType"):
            heard.say("tview-columns", oid, tviews=[tview])
        elif what == "AT_AddColumn":
            heard.say("tview-add-column", oid, tviews=[tview])
        elif what == "AT_DropConstraint":
            _constraint(heard, oid, command.get("name", ""))
        elif what == "AT_AddConstraint":
            tables.add_constraint(heard, oid, command, True)
            heard.say("tview-constraint", None, tviews=[tview], uses=copy.label(oid))
        elif what in ("AT_SetLogged", "AT_SetUnLogged"):
            heard.say("tview-persistence", oid, tviews=[tview])
        elif what == "AT_ChangeOwner":
            _owner(heard, oid, role_of(command.get("newowner")))
        elif what in ("AT_EnableRowSecurity", "AT_ForceRowSecurity"):
            _row_security(heard, oid, what == "AT_ForceRowSecurity")
        elif what in tables.TRIGGERS:
            switch(heard, oid, what, command.get("name"), False)
        else:
            tables.alter_table(heard, oid, {**node, "cmds": [item]})


def _constraint(heard: Heard, oid: int, name: str) -> None:
    copy, tview = heard.copy, heard.copy.graph.tviews[oid]
    index = next((i for i in copy.snapshot.indexes_on.get(oid, []) if i.name == name), None)
    if index is not None and index.unique and set(index.columns) == set(tview.identity):
        heard.say("tview-key", oid, tviews=[tview])
    else:
        heard.say("drop-constraint", oid)


def _owner(heard: Heard, oid: int, to: str | None) -> None:
    """The new owner has to read what it reads, and the owners of its readers it."""
    copy, tview = heard.copy, heard.copy.graph.tviews[oid]
    before = copy.relation(oid).owner
    losing = [t for t in copy.nearest(oid) if copy.relation(t.table_oid).owner == before]
    may = to in superusers(copy) or all(copy.relation(o).owner == to for o in copy.tables_of(oid))
    if to == before or (may and not losing):
        heard.say("owner", oid)
    else:
        heard.say("tview-owner", oid, tviews=[tview, *losing], uses=to or "the new owner")


def _row_security(heard: Heard, oid: int, force: bool) -> None:
    """Without FORCE the owner, as whom the extension writes, is above policies."""
    copy, relation = heard.copy, heard.copy.relation(oid)
    bypass = {r.name for r in copy.snapshot.roles if r.bypass_rls or r.superuser}
    enabled = relation.row_security or oid in copy.secured or not force
    forced = relation.force_row_security or force or oid in copy.forced
    (copy.forced if force else copy.secured).add(oid)
    if enabled and forced and relation.owner not in bypass:
        heard.say("row-security/tview", oid, tviews=[copy.graph.tviews[oid]])
    else:
        heard.say("row-security", oid)


def renamed(heard: Heard, oid: int, schema: str, name: str) -> None:
    """The view behind it is renamed too, by the owner, who seldom may create in its schema."""
    copy = heard.copy
    owner = copy.relation(oid).owner
    may = superusers(copy) | set(copy.snapshot.extension.creators)
    if owner in may or owner == copy.snapshot.extension.owner:
        heard.say("tview-rename/allowed", oid)
        heard.then.append(lambda: copy.rename(oid, schema, name))
    else:
        heard.say("tview-rename", oid, tviews=[copy.graph.tviews[oid]], uses=owner)
