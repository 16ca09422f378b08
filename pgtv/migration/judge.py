"""Files to a Migration: each statement judged on the working copy that those before it left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot
from pgtv.definitions.builtin import SESSION, VOLATILE
from pgtv.definitions.parse import Node
from pgtv.lint.place import string
from pgtv.lint.source import Source
from pgtv.migration import (
    definitions,
    dropping,
    indexes,
    names,
    objects,
    owners,
    recast,
    settings,
    tables,
    triggers,
    writes,
)
from pgtv.migration.copy import Copy
from pgtv.migration.heard import Heard
from pgtv.migration.model import Migration, Statement, What
from pgtv.migration.order import order
from pgtv.migration.read import Step, steps
from pgtv.migration.rules import RULES
from pgtv.migration.tviews import alter_tview

# Sections of a snapshot without which effects would be missed.
NEEDED = frozenset(
    {"tviews", "registry", "relations", "columns", "reads", "functions", "triggers", "indexes"}
)


def judge(
    sources: Sequence[Source],
    snapshot: Snapshot,
    against: str,
    *,
    path: Sequence[str] = ("public",),
    single: bool = False,
) -> Migration:
    """What the files would do, run one after the other.

    path: schemas that unqualified names are looked for in, until a file sets its own. single: all of a
    file runs in one transaction, as psql -1 and most migration tools do it. A statement that would fail
    changes nothing, and those after it are judged as if it had not been there.
    """
    copy = Copy(snapshot, tuple(path))
    found: list[Statement] = []
    for source in sources:
        if single:
            copy.begin()
        for step in steps(source):
            found += _statement(copy, step)
        if single:
            copy.commit()
    found = made_again(kept_out(found))
    unseen = tuple(f"{g.section}: {g.reason}" for g in snapshot.gaps if g.section in NEEDED)
    return Migration(
        tuple(s.name for s in sources), against, tuple(found), order(found, snapshot), unseen
    )


def kept_out(statements: Sequence[Statement]) -> list[Statement]:
    """Triggers that are off and on again within one transaction: its lock keeps other writers out.

    What the transaction writes itself meanwhile has effects of its own.
    """
    found = list(statements)
    for number, statement in enumerate(found):
        if "disable-triggers" not in statement.rules or not statement.transaction:
            continue
        for later in found[number + 1 :]:
            if later.file != statement.file or not later.transaction:
                break
            if "enable-triggers" in later.rules and later.locks[:1] == statement.locks[:1]:
                found[number] = replace(
                    statement,
                    effects=tuple(
                        replace(e, what=What.NOTE, text=e.text + " until they are enabled again, in this "
                                "transaction: its lock keeps other writers out", cure=())
                        if e.what is What.UNTRACKED else e
                        for e in statement.effects
                    ),
                )  # fmt: skip
                break
    return found


def made_again(statements: Sequence[Statement]) -> list[Statement]:
    """TVIEWs that are dropped, and made again further down, are rebuilt: that is the way to do it."""
    found = list(statements)
    for number, statement in enumerate(found):
        later = {s.makes for s in found[number + 1 :] if s.makes and s.fails is None}
        if later:
            found[number] = replace(
                statement,
                effects=tuple(
                    replace(e, what=What.REBUILDS, text=e.text + "; made again below", cure=())
                    if e.what is What.DROPS and all(_among(t, later) for t in e.tviews)
                    else e
                    for e in statement.effects
                ),
            )
    return found


def _among(label: str, made: Iterable[str]) -> bool:
    """Whether a qualified name is one of names that may lack the schema."""
    return any(label == name or label.endswith(f".{name}") for name in made)


def _statement(copy: Copy, step: Step) -> Iterable[Statement]:
    heard = Heard(copy, step)
    if step.problem is not None:
        heard.say(step.problem, other=step.about)
    else:
        handler = _HANDLERS.get(step.kind)
        if handler is not None:
            handler(heard, step.node)
        if step.kind not in ("CreateStmt", "CreateTableAsStmt"):
            for kind, node in writes.written({step.kind: step.node}):
                writes.write(heard, kind, node)
        _made_here(heard, step)
    yield heard.heard()


_HARMLESS = (*writes.WRITING, "CopyStmt", "IndexStmt", "CommentStmt", "GrantStmt", "SelectStmt",
             "CreateTableAsStmt")  # fmt: skip


def _made_here(heard: Heard, step: Step) -> None:
    """TVIEWs of these files are known by name only: what is done to what they read is not followed."""
    if step.kind in _HARMLESS:
        return
    for tview, (reads, what) in heard.copy.made.items():
        if any(name == other and (schema == place or None in (schema, place))
               for schema, name in reads for place, other in heard.touched):  # fmt: skip
            heard.unknown("made-here", tview, what)


def alter(heard: Heard, node: Node) -> None:
    kind = node.get("objtype")
    oid = heard.named(node.get("relation", {}))
    if oid is None:
        for item in node.get("cmds", []):
            if item["AlterTableCmd"].get("subtype") == "AT_AddInherit":
                tables.inherit(heard, item["AlterTableCmd"])
        return
    relation = heard.copy.relation(oid)
    if heard.copy.ours(oid):
        heard.say("catalog", oid)
    elif relation.kind in "vm":
        names.alter_view(heard, oid, node)
    elif heard.copy.tview(oid) is not None:
        alter_tview(heard, oid, node)
    elif kind in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
        tables.alter_table(heard, oid, node)


def create_table(heard: Heard, node: Node) -> None:
    relation = node["relation"]
    schema, name = relation.get("schemaname"), relation["relname"]
    if heard.copy.find(schema, name) is None:
        heard.then.append(lambda: heard.copy.make(schema, name))
    elif node.get("if_not_exists"):
        return
    for item in node.get("inhRelations", []):
        parent = heard.named(item["RangeVar"])
        if parent is None:
            continue
        if "partbound" in node:
            heard.say("create-partition", parent)
            tables.referred_by(heard, parent)
        elif tviews := heard.copy.nearest(parent):
            heard.say("inherit/read", parent, tviews=tviews)
    for element in node.get("tableElts", []):
        held = element.get("ColumnDef", {}).get("constraints", [])
        for constraint in [element, *held]:
            target = constraint.get("Constraint", {}).get("pktable")
            oid = heard.named(target) if target else None
            if oid is not None:
                heard.say("create-table/references", oid)


def select(heard: Heard, node: Node) -> None:
    if definitions.calls(heard, node):
        return
    for call in definitions.found_calls(node):
        name = call["funcname"][-1]["String"]["sval"]
        arguments = [string(a) for a in call.get("args", [])]
        if name == "set_config" and len(arguments) == 3 and arguments[0] and arguments[1]:
            local = call["args"][2].get("A_Const", {}).get("boolval", {}).get("boolval", False)
            settings.put(heard, arguments[0][0], arguments[1][0], local)
        elif name in heard.copy.made_functions or ("fromClause" not in node and not _builtin(call)):
            heard.say("calls", other=f"{name}()")


def _builtin(call: Node) -> bool:
    name = call["funcname"][-1]["String"]["sval"]
    return (
        call["funcname"][0]["String"]["sval"] == "pg_catalog" or name.startswith("pg_")
        or name in VOLATILE | SESSION or recast.steady(name)
    )  # fmt: skip


def rule(id_: str, key: str = "relation") -> Callable[[Heard, Node], None]:
    """A handler for a statement on one relation, whatever TVIEWs do with it."""

    def handle(heard: Heard, node: Node) -> None:
        oid = heard.named(node.get(key, {}))
        if oid is not None:
            heard.say(id_, oid)

    assert id_ in RULES
    return handle


def called(heard: Heard, node: Node) -> None:
    names = node.get("funccall", {}).get("funcname", [])
    heard.say("calls", other=f"CALL {names[-1]['String']['sval'] if names else ''}".strip())


def extension(heard: Heard, node: Node) -> None:
    if node.get("extname") == EXTENSION:
        heard.say("update-extension")


_HANDLERS: dict[str, Callable[[Heard, Node], None]] = {
    "AlterTableStmt": alter,
    "RenameStmt": names.rename,
    "AlterObjectSchemaStmt": names.set_schema,
    "AlterExtensionStmt": extension,
    "CreateStmt": create_table,
    "CreateTableAsStmt": definitions.create_as,
    "SelectStmt": select,
    "CallStmt": called,
    "DropStmt": dropping.drop,
    "TruncateStmt": writes.truncate,
    "CopyStmt": writes.copy_from,
    "ViewStmt": objects.replace_view,
    "RefreshMatViewStmt": objects.refresh_matview,
    "CreateFunctionStmt": objects.create_function,
    "AlterFunctionStmt": lambda heard, node: objects.alter_function(
        heard, node.get("func", {}), False
    ),
    "AlterEnumStmt": objects.alter_enum,
    "IndexStmt": indexes.create,
    "ReindexStmt": indexes.reindex,
    "ClusterStmt": rule("cluster"),
    "VacuumStmt": indexes.vacuum,
    "LockStmt": indexes.lock,
    "CommentStmt": names.comment,
    "CreateStatsStmt": names.statistics,
    "CreatePublicationStmt": names.publication,
    "AlterPublicationStmt": names.publication,
    "CreateTrigStmt": triggers.create_trigger,
    "CreatePolicyStmt": rule("policy", "table"),
    "AlterPolicyStmt": rule("policy", "table"),
    "RuleStmt": rule("rule"),
    "GrantStmt": owners.grant,
    "CreateSchemaStmt": owners.create_schema,
    "ReassignOwnedStmt": owners.reassign,
    "DropOwnedStmt": owners.drop_owned,
    "VariableSetStmt": settings.variable,
    "AlterRoleSetStmt": settings.lasting,
    "AlterDatabaseSetStmt": settings.lasting,
    "TransactionStmt": settings.transaction,
    "AlterDomainStmt": names.domain,
    "AlterOwnerStmt": names.owner,
}
