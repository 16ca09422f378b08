"""ALTER TABLE and what else is done to one table that TVIEWs read: which rule holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgtv.definitions.parse import Node
from pgtv.migration import columns
from pgtv.migration.heard import Heard
from pgtv.migration.model import Mode
from pgtv.migration.owners import changed_owner, row_security
from pgtv.migration.triggers import switch
from pgtv.migration.usage import falling, keys_used, used_by
from pgtv.migration.words import listed

Handler = Callable[[Heard, int, Node, bool], None]


def alter_table(heard: Heard, oid: int, node: Node) -> None:
    """Each subcommand of ALTER TABLE on a table that is no TVIEW."""
    only = not node["relation"].get("inh", False)
    for item in node.get("cmds", []):
        command = item["AlterTableCmd"]
        what = command.get("subtype", "")
        if columns.amiss(heard, oid, command):
            continue
        if what in _SIMPLE:
            heard.say(_SIMPLE[what], oid, only=only)
        elif what in _HANDLERS:
            _HANDLERS[what](heard, oid, command, only)
        elif what in TRIGGERS:
            switch(heard, oid, what, command.get("name"), only)
        else:
            heard.say("alter-other", oid, only=only, other=what.removeprefix("AT_") or "this")


TRIGGERS = frozenset(
    {
        "AT_EnableTrig", "AT_EnableAlwaysTrig", "AT_EnableReplicaTrig", "AT_DisableTrig",
        "AT_EnableTrigAll", "AT_DisableTrigAll", "AT_EnableTrigUser", "AT_DisableTrigUser",
    }
)  # fmt: skip

_SIMPLE = {
    "AT_ColumnDefault": "column-default",
    "AT_DropNotNull": "drop-not-null",
    "AT_SetStatistics": "column-statistics",
    "AT_SetOptions": "column-options",
    "AT_ResetOptions": "column-options",
    "AT_SetStorage": "column-storage",
    "AT_SetCompression": "column-storage",
    "AT_AddIdentity": "column-identity",
    "AT_SetIdentity": "column-identity",
    "AT_DropIdentity": "column-identity",
    "AT_SetExpression": "column-expression",
    "AT_DropExpression": "drop-expression",
    "AT_ValidateConstraint": "validate",
    "AT_AlterConstraint": "alter-constraint",
    "AT_SetRelOptions": "storage-parameters",
    "AT_ResetRelOptions": "storage-parameters",
    "AT_SetTableSpace": "set-tablespace",
    "AT_ClusterOn": "cluster-on",
    "AT_DropCluster": "cluster-on",
    "AT_ReplicaIdentity": "replica-identity",
    "AT_NoForceRowSecurity": "row-security",
    "AT_DisableRowSecurity": "row-security",
}


def add_constraint(heard: Heard, oid: int, command: Node, only: bool) -> None:
    constraint = command["def"]["Constraint"]
    kind = constraint.get("contype")
    unchecked = constraint.get("skip_validation", False)
    if kind == "CONSTR_FOREIGN":
        partitioned = heard.copy.relation(oid).kind == "p"
        if unchecked and partitioned and heard.copy.major < 18:
            heard.say("add-foreign-key/partitioned", oid)
            return
        rule = "add-foreign-key/not-valid" if unchecked else "add-foreign-key"
        heard.say(rule, oid, only=only, others=columns.referred(heard, constraint))
    elif kind in ("CONSTR_UNIQUE", "CONSTR_PRIMARY", "CONSTR_EXCLUSION"):
        if "indexname" in constraint:
            heard.say("add-unique/using-index", oid, only=only)
        elif heard.copy.major < 18 and heard.copy.relation(oid).kind == "p":
            heard.say("add-unique/partitioned", oid, only=only)
            for part in heard.copy.parts(oid):
                heard.lock(part, Mode.SHARE)
        else:
            heard.say("add-unique", oid, only=only)
    else:
        heard.say("add-check/not-valid" if unchecked else "add-check", oid, only=only)


def drop_constraint(heard: Heard, oid: int, command: Node, only: bool) -> None:
    name, copy = command.get("name", ""), heard.copy
    cascade = command.get("behavior") == "DROP_CASCADE"
    foreign = next((f for f in copy.foreign_keys(oid) if f[0] == name), None)
    if foreign is not None and foreign[1] == copy.relation(oid).qualified:
        heard.say("drop-constraint/foreign-key", oid, only=only, others=foreign[2])
        return
    index = next((i for i in copy.snapshot.indexes_on.get(oid, []) if i.name == name), None)
    if index is None or not index.constraint:
        heard.say("drop-constraint", oid, only=only)
        return
    referring, views = keys_used(copy, oid, index)
    if not referring and not views:
        heard.say("drop-constraint", oid, only=only)
    elif not cascade:
        tviews, uses = used_by(copy, oid, None, views)
        said = [*([f"foreign keys of {listed(n for n, _ in referring)}"] if referring else []),
                *([uses] if views else [])]  # fmt: skip
        heard.say(
            "drop-constraint/key-used", oid, tviews=tviews, other=name, uses=" and ".join(said)
        )
    else:
        others = [o for _, ends in referring for o in ends]
        others += [p for o in others for p in copy.parts(o)]
        rule = "drop-constraint/key-drops" if views else "drop-constraint/key-cascade"
        heard.say(rule, oid, only=only, others=others, other=name, tviews=falling(heard, views))


def set_logged(heard: Heard, oid: int, command: Node, _: bool) -> None:
    unlogged = command.get("subtype") == "AT_SetUnLogged"
    copy, relation = heard.copy, heard.copy.relation(oid)
    if relation.kind == "p":
        heard.say("set-logged/partitioned" if copy.major >= 18 else "set-logged/root", oid)
        return
    wanted = "u" if unlogged else "p"
    if copy.persistence.get(oid, relation.persistence) == wanted:
        heard.say("set-logged/already", oid)
        return
    blocking = [
        end
        for _name, table, ends in copy.foreign_keys(oid)
        for end in ends
        if unlogged == (table != relation.qualified)
        and copy.persistence.get(end, copy.relation(end).persistence) != wanted
    ]
    if blocking:
        names = listed(copy.label(o) for o in blocking)
        heard.say(
            "set-unlogged/foreign-key" if unlogged else "set-logged/foreign-key", oid, other=names
        )
        return
    heard.say("set-unlogged" if unlogged else "set-logged", oid, tviews=copy.affected(oid))
    heard.then.append(lambda: copy.persistence.update({oid: wanted}))


def attach(heard: Heard, oid: int, command: Node, _: bool) -> None:
    """The extension brings the rows of an attached or detached partition itself."""
    part = _partition(heard, command)
    if part is None:
        heard.say("attach-partition", oid)
    else:
        heard.say("attach-partition/own", oid, others=[part])
        heard.then.append(lambda: heard.copy.put_under(part, oid))
    # one that was a partition has the foreign key already, and it is merged with the root's
    referred_by(heard, oid, Mode.SHARE_ROW_EXCLUSIVE if part is None else Mode.ACCESS_EXCLUSIVE)
    heard.upto.update(dict.fromkeys(t.label for t in heard.copy.affected(oid)))


def detach(heard: Heard, oid: int, command: Node, _: bool) -> None:
    part = _partition(heard, command)
    others = [part] if part is not None else []
    if part is not None:
        heard.then.append(lambda: heard.copy.put_under(part, None))
    if command["def"]["PartitionCmd"].get("concurrent"):
        heard.concurrently("ALTER TABLE … DETACH PARTITION … CONCURRENTLY")
        heard.say("detach-partition/concurrently", oid, others=others)
    else:
        heard.say("detach-partition", oid, only=True, others=others)
    referred_by(heard, oid)
    heard.upto.update(dict.fromkeys(t.label for t in heard.copy.affected(oid)))


def _partition(heard: Heard, command: Node) -> int | None:
    target = command["def"]["PartitionCmd"]["name"]
    found = heard.copy.find(target.get("schemaname"), target["relname"])
    return found if found is not None and found >= 0 else None


def referred_by(heard: Heard, root: int, mode: Mode = Mode.SHARE_ROW_EXCLUSIVE) -> None:
    """A partition's own copies of its root's foreign keys come or go: their targets are locked."""
    for _, table, ends in heard.copy.foreign_keys(root):
        if table == heard.copy.relation(root).qualified:
            for end in ends:
                heard.lock(end, mode)


def inherit(heard: Heard, command: Node) -> bool:
    """INHERIT of a parent that a TVIEW reads, which the extension refuses; whether it is one."""
    target = command.get("def", {}).get("RangeVar", {})
    parent = heard.named(target)
    tviews = heard.copy.nearest(parent) if parent is not None else []
    if parent is not None and tviews:
        heard.say("inherit/read", parent, tviews=tviews)
    return bool(tviews)


def _inherit(heard: Heard, oid: int, command: Node, _: bool) -> None:
    if not inherit(heard, command):
        heard.say("inherit", oid)


_HANDLERS: dict[str, Any] = {
    "AT_AddColumn": columns.add_column,
    "AT_DropColumn": columns.drop_column,
    "AT_AlterColumnType": columns.alter_type,
    "AT_SetNotNull": columns.set_not_null,
    "AT_AddConstraint": add_constraint,
    "AT_DropConstraint": drop_constraint,
    "AT_SetLogged": set_logged,
    "AT_SetUnLogged": set_logged,
    "AT_ChangeOwner": changed_owner,
    "AT_EnableRowSecurity": row_security,
    "AT_ForceRowSecurity": row_security,
    "AT_AttachPartition": attach,
    "AT_DetachPartition": detach,
    "AT_AddInherit": _inherit,
}
