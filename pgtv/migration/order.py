"""A safer order: the file's own statements, what to add to each, and what goes before and after them.

The statements keep their order, because later ones stand on earlier ones. What changes is around them:
TVIEWs out of the way first, one short transaction for each strong lock, indexes built beside writers,
constraints checked after they were added, rows brought right at the end.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from pgtv.catalog.dialects import named, registering
from pgtv.catalog.dialects.base import DEFAULT_OPTIONS
from pgtv.catalog.model import Snapshot, Tview
from pgtv.finding import Severity
from pgtv.graph.edges import edges
from pgtv.lifecycle.restore.dump_contents import shown
from pgtv.migration.cures import refresh
from pgtv.migration.model import Stage, Statement, What
from pgtv.migration.rules import RULES

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s';"


def order(statements: Sequence[Statement], snapshot: Snapshot) -> tuple[Stage, ...]:
    """Nothing where nothing hurts."""
    if all(s.severity is Severity.INFO for s in statements):
        return ()
    graph = edges(snapshot)
    away = _away(statements, snapshot)
    reached = {t.table_oid: t for t in graph.affected([t.table_oid for t in away])}
    gone = graph.in_order(reached.values())
    stages = [Stage("Keep what you would need to go back", ("pgtv snapshot save before.json",))]
    if gone:
        dialect = named(snapshot.extension.generation)
        drops = tuple(dialect.drop_tview(t.label) for t in reversed(gone))
        stages.append(
            Stage("Take away the TVIEWs that stand on what changes, readers first", drops)
        )
    stages += _own(statements)
    if gone:
        stages += _again(statements, snapshot, gone, away)
    stages += _after(statements, snapshot, {t.label for t in gone})
    return tuple(stages)


def _away(statements: Iterable[Statement], snapshot: Snapshot) -> list[Tview]:
    """TVIEWs on which a statement would fail, or which CASCADE would take."""
    labels = {
        label
        for s in statements
        for e in s.effects
        if e.what in (What.FAILS, What.DROPS) and any(RULES[r].fix == "detach" for r in s.rules)
        for label in e.tviews
    }
    return [t for t in snapshot.tviews if t.label in labels]


def _own(statements: Sequence[Statement]) -> Iterator[Stage]:
    """The file's statements, one stage each where something is to be added to it."""
    plain: list[Statement] = []
    seen: set[str] = set()
    for statement in statements:
        if statement.block and statement.block in seen:
            continue  # the rest of a block that is a stage already
        seen.add(statement.block)
        stage = _stage(statement)
        if stage is None:
            plain.append(statement)
            continue
        if plain:
            yield _as_is(plain)
            plain = []
        yield stage
    if plain:
        yield _as_is(plain)


def _as_is(statements: Sequence[Statement]) -> Stage:
    first, last = statements[0], statements[-1]
    where = f"{first.file}:{first.line}"
    if len(statements) == 1:
        return Stage(f"{where} as it is")
    to = f"{last.line}" if last.file == first.file else f"{last.file}:{last.line}"
    return Stage(f"{where} to {to} as they are ({len(statements)} statements)")


def _stage(statement: Statement) -> Stage | None:
    """None for a statement that may run as it stands."""
    where = f"{statement.file}:{statement.line}"
    rules = set(statement.rules)
    sql = statement.sql.rstrip().rstrip(";") + ";"
    if rules & {"not-parsed", "dynamic", "calls", "block-not-parsed", "include", "made-here"}:
        return Stage(f"{where}: find out what it does before you run it", (sql,))
    if "concurrently/in-transaction" in rules:
        return Stage(f"{where}, outside any transaction", (sql,))
    if statement.kind in ("IndexStmt", "ReindexStmt") and rules & {"create-index", "reindex"}:
        return Stage(f"{where}, beside writers, outside any transaction", (_concurrently(sql),))
    split = _not_valid(statement)
    if split:
        return Stage(
            f"{where}, in two transactions: the first is short, the second keeps nobody waiting",
            (f"BEGIN;\n{LOCK_TIMEOUT}\n{split[0]}\nCOMMIT;", split[1]),
        )
    advice = [
        e for e in statement.effects if e.what in (What.UNTRACKED, What.RISK, What.WRITES_FAIL)
    ]
    said = tuple(c for e in advice for c in e.cure)
    fixed = next((RULES[r].fix for r in statement.rules if _worded(RULES[r].fix)), "")
    waits = {What.WAITS, What.REWRITES} & {e.what for e in statement.effects}
    strong = bool(waits) and any(m.stops_writers for _, m in statement.locks)
    failing = statement.fails is not None
    if (
        not strong
        and not advice
        and not (failing and "detach" not in {RULES[r].fix for r in rules})
    ):
        return None if not failing else Stage(f"{where}, now that they are away", _short(sql))
    if failing and fixed:
        return Stage(f"{where} fails as it is: {fixed}", (sql,))
    if failing:
        return Stage(f"{where}, now that they are away", _short(sql))
    comment = tuple(f"-- {line}" for c in said for line in c.splitlines())
    text = f"{where}, in a short transaction of its own" if strong else where
    if statement.rewrites and strong:
        text = f"{where}, while nobody needs the table"
    if fixed and (statement.rewrites or not strong):
        text += f"; better: {fixed}"
    return Stage(text, (*comment, *(_short(sql) if strong else (sql,))))


def _worded(fix: str) -> bool:
    """Whether a rule's fix is a sentence, and none of the words that stand for one."""
    return " " in fix and "{" not in fix


def _short(sql: str) -> tuple[str, ...]:
    return (f"BEGIN;\n{LOCK_TIMEOUT}\n{sql}\nCOMMIT;",)


def _concurrently(sql: str) -> str:
    if re.match(r"\s*reindex\b", sql, re.IGNORECASE):
        return re.sub(r"(?i)^(\s*reindex\s*(?:\([^)]*\)\s*)?(?:table|index|schema|database)\b)",
                      r"\1 CONCURRENTLY", sql)  # fmt: skip
    return re.sub(r"(?i)^(\s*create\s+(?:unique\s+)?index\b)", r"\1 CONCURRENTLY", sql)


def _not_valid(statement: Statement) -> tuple[str, str] | None:
    """The two statements that one ADD CONSTRAINT with a name becomes; None for anything else."""
    commands = statement.node.get("cmds", [])
    if statement.kind != "AlterTableStmt" or len(commands) != 1:
        return None
    constraint = commands[0].get("AlterTableCmd", {}).get("def", {}).get("Constraint", {})
    if not set(statement.rules) & {"add-check", "add-foreign-key"} or not constraint.get("conname"):
        return None
    relation = statement.node["relation"]
    table = shown(tuple(n for n in (relation.get("schemaname"), relation["relname"]) if n))
    added = statement.sql.rstrip().rstrip(";") + " NOT VALID;"
    return added, f"ALTER TABLE {table} VALIDATE CONSTRAINT {shown((constraint['conname'],))};"


def _again(
    statements: Sequence[Statement],
    snapshot: Snapshot,
    gone: Sequence[Tview],
    away: Sequence[Tview],
) -> Iterator[Stage]:
    """Create statements for the TVIEWs that were taken away, embedded ones first."""
    made = {s.makes for s in statements if s.makes}
    changed = {t.label for t in away} | {
        label
        for s in statements
        for e in s.effects
        if e.what is What.NAMES or "rename-column/used" in s.rules
        for label in e.tviews
    }
    sql = []
    for tview in gone:
        if {tview.label, tview.name} & made:
            continue
        owner = (
            snapshot.by_oid[tview.table_oid].owner if tview.table_oid in snapshot.by_oid else None
        )
        options = {
            k: tview.options[k] for k, d in DEFAULT_OPTIONS.items()
            if k in tview.options and tview.options[k] != d
        }  # fmt: skip
        lines = [registering.replace(tview.label, tview.definition, options)]
        if tview.label in changed:
            lines.insert(
                0, "-- it stands on what this migration changes: change the definition first"
            )
        if owner is not None:
            lines = [f"SET ROLE {shown((owner,))};", *lines, "RESET ROLE;"]
        sql.append("\n".join(lines))
    if sql:
        yield Stage(
            "Create them again, what is read first; each is filled by one query while writers of its "
            "tables wait. Grants and indexes of your own went with them: before.json has them",
            tuple(sql),
        )


def _after(statements: Sequence[Statement], snapshot: Snapshot, gone: set[str]) -> Iterator[Stage]:
    """Names, rows, and a look at all of it."""
    named_tviews = {t.label: t for t in snapshot.tviews if t.label not in gone}
    graph = edges(snapshot)
    dialect = named(snapshot.extension.generation)

    def of(*whats: What) -> list[Tview]:
        labels = {t for s in statements for e in s.effects if e.what in whats for t in e.tviews}
        return graph.in_order(t for label, t in named_tviews.items() if label in labels)

    if renamed := of(What.NAMES):
        yield Stage(
            "Tell the registrations the new names",
            tuple(dialect.reregister(t.label) for t in renamed),
        )
    if stale := of(What.STALE, What.UNTRACKED):
        yield Stage("Bring rows right, beside readers and writers", (refresh(stale),))
    touched = of(*What)
    if touched:
        names = shlex.join(t.label for t in touched)
        yield Stage("Look at it", (f"pgtv verify {names}", "pgtv doctor"))
