"""ALTER TABLE on columns of tables that TVIEWs read: which rule holds."""

from __future__ import annotations

from pgtv.definitions.parse import Node
from pgtv.migration import recast
from pgtv.migration.heard import Heard
from pgtv.migration.usage import falling, used_by

_ON_COLUMN = frozenset(
    {
        "AT_DropColumn", "AT_AlterColumnType", "AT_ColumnDefault", "AT_SetNotNull", "AT_DropNotNull",
        "AT_SetStatistics", "AT_SetStorage", "AT_SetCompression", "AT_SetExpression", "AT_DropExpression",
        "AT_AddIdentity", "AT_SetIdentity", "AT_DropIdentity",
    }
)  # fmt: skip


def amiss(heard: Heard, oid: int, command: Node) -> bool:
    """A column that is not there, or one that is there already; said, unless IF [NOT] EXISTS was."""
    what = command.get("subtype")
    if what == "AT_AddColumn":
        name = command["def"]["ColumnDef"]["colname"]
        if not heard.copy.has_column(oid, name):
            return False
        heard.say(
            "column-as-is" if command.get("missing_ok") else "column-exists", oid, column=name
        )
        return True
    name = command.get("name", "")
    if name in heard.adding:
        return False
    if what not in _ON_COLUMN or not name or heard.copy.has_column(oid, name) is not False:
        return False
    heard.say("column-as-is" if command.get("missing_ok") else "no-such-column", oid, column=name)
    return True


def add_column(heard: Heard, oid: int, command: Node, only: bool) -> None:
    column = command["def"]["ColumnDef"]
    name, copy = column["colname"], heard.copy
    constraints = [c["Constraint"] for c in column.get("constraints", [])]
    kinds = {c.get("contype") for c in constraints}
    known = {
        f.signature.split("(")[0].rsplit(".", 1)[-1]: f.volatility for f in copy.snapshot.functions
    }
    default = next(
        (c.get("raw_expr") for c in constraints if c.get("contype") == "CONSTR_DEFAULT"), None
    )
    worst = recast.volatile(default, known) if default else None
    stored = any(
        c.get("contype") == "CONSTR_GENERATED" and c.get("generated_kind", "s") == "s"
        for c in constraints
    )
    serial = recast.typed(column.get("typeName", {}))[0] in recast.SERIAL
    if worst == "volatile" or serial or stored or "CONSTR_IDENTITY" in kinds:
        heard.say("add-column/rewrite", oid, only=only)
    elif worst:
        heard.say("add-column/maybe-rewrite", oid, only=only, other=f"{worst[1:]}()")
    else:
        heard.say("add-column", oid, only=only)
    if kinds & {"CONSTR_UNIQUE", "CONSTR_PRIMARY"}:
        heard.say("add-column/index", oid, only=only)
    for constraint in constraints:
        if constraint.get("contype") == "CONSTR_FOREIGN":
            heard.say("add-column/references", oid, only=only, others=referred(heard, constraint))
    heard.adding.add(name)
    heard.then.append(lambda: copy.added.setdefault(oid, set()).add(name))


def referred(heard: Heard, constraint: Node) -> list[int]:
    target = constraint.get("pktable", {})
    found = heard.copy.find(target.get("schemaname"), target.get("relname", ""))
    return [found] if found is not None and found >= 0 else []


def drop_column(heard: Heard, oid: int, command: Node, only: bool) -> None:
    name, copy = command.get("name", ""), heard.copy
    column = copy.column(oid, name)
    if column is not None and copy.relation(oid).partition_of is not None:
        heard.say("drop-column/inherited", oid, column=name)
        return
    users = copy.users(oid, column) if column is not None else []
    heard.then.append(lambda: _forget(heard, oid, name, column))
    if not users:
        heard.say("drop-column", oid, only=only)
        return
    tviews, uses = used_by(copy, oid, column, users)
    if command.get("behavior") != "DROP_CASCADE":
        heard.say("drop-column/used", oid, tviews=tviews, column=name, uses=uses)
        return
    heard.say("drop-column/cascade", oid, only=only, column=name, tviews=falling(heard, users))


def _forget(heard: Heard, oid: int, name: str, column: str | None) -> None:
    copy = heard.copy
    if column is None:
        copy.added.get(oid, set()).discard(name)
    elif oid in copy.snapshot.by_oid:
        copy.dropped.setdefault(oid, set()).add(column)
        copy.columns.get(oid, {}).pop(name, None)


def alter_type(heard: Heard, oid: int, command: Node, only: bool) -> None:
    name, copy = command.get("name", ""), heard.copy
    column = copy.column(oid, name)
    users = copy.users(oid, column) if column is not None else []
    if users:
        tviews, uses = used_by(copy, oid, column, users)
        heard.say("alter-type/used", oid, tviews=tviews, column=name, uses=uses)
        return
    definition = command["def"]["ColumnDef"]
    old = next((c.type for c in copy.relation(oid).columns if c.name == column), None)
    new = recast.typed(definition.get("typeName", {}))
    rewrites = recast.rewrites(
        recast.of_catalog(old) if old else None, new, definition.get("raw_default")
    )
    rule = {True: "alter-type/rewrite", False: "alter-type", None: "alter-type/maybe-rewrite"}[
        rewrites
    ]
    heard.say(rule, oid, only=only, column=name, other=new[0])


def set_not_null(heard: Heard, oid: int, command: Node, only: bool) -> None:
    column = heard.copy.column(oid, command.get("name", ""))
    already = any(c.name == column and c.not_null for c in heard.copy.relation(oid).columns)
    heard.say("set-not-null/already" if already else "set-not-null", oid, only=only,
              column=command.get("name", ""))  # fmt: skip
