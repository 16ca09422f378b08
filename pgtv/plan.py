"""A Plan is what will be done, a Receipt what was: pure data, as JSON files that people can read.

A plan is made of steps; a step is made of statements that run in psql as they stand. It carries the
identity of its database, so that it is never applied to another one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv import __version__, costing
from pgtv.costing import Cost
from pgtv.errors import UsageError
from pgtv.rows.written import RefreshedTview

if TYPE_CHECKING:
    from pgtv.catalog.dialects.base import Dialect
    from pgtv.catalog.model import Snapshot
    from pgtv.saving import Texts

SCHEMA = "pgtv.plan/1"
RECEIPT_SCHEMA = "pgtv.receipt/1"

# order of phases: what exists, what is registered, what fires, and only then what the rows hold
PHASES = ("installation", "registration", "triggers", "other", "rows")


@dataclass(frozen=True)
class Step:
    """One thing to do.

    statements: in order; from a `BEGIN;` to its `COMMIT;` they are one transaction, else each is
    one of its own. cures: ids of the findings that should be gone afterwards. undo: statements, or
    None where nothing can take it back. merge: the rows of `tviews` are compared and brought up to
    date in batches beside running writers; there are no statements for psql. command: what does a
    merge, where refresh would not do all of it; of other steps, what takes them back. cost: by
    statistics, so no part of what a plan is: ANALYZE does not outdate one.
    """

    phase: str
    title: str
    statements: tuple[str, ...]
    cures: tuple[str, ...] = ()
    role: str | None = None
    locks: tuple[str, ...] = ()
    undo: tuple[str, ...] | None = None
    note: str | None = None
    tviews: tuple[str, ...] = ()
    merge: bool = False
    command: str | None = None
    cost: Cost | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Left:
    """A finding that the plan leaves alone, and why."""

    finding: str
    why: str


@dataclass(frozen=True)
class Plan:
    """Steps for one database. system_identifier is None where it may not be seen.

    untested: why this plan is only printed; None where it may be applied.
    """

    made_at: str
    pgtv_version: str
    database: str
    database_oid: int
    system_identifier: str | None
    generation: str
    steps: tuple[Step, ...] = ()
    left: tuple[Left, ...] = ()
    asked: tuple[str, ...] = ()
    untested: str | None = None
    schema: str = SCHEMA

    def same_work(self, other: Plan) -> bool:
        """Whether both would do the same to the same database, whenever they were made."""
        return (
            self.steps == other.steps
            and self.database_oid == other.database_oid
            and self.database == other.database
            and self.system_identifier == other.system_identifier
        )


def plan_for(
    snapshot: Snapshot,
    steps: Iterable[Step],
    *,
    left: Iterable[Left] = (),
    asked: Iterable[str] = (),
) -> Plan:
    """A plan made now, for the database that `snapshot` shows. asked: what was asked for, in words."""
    return Plan(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        pgtv_version=__version__,
        database=snapshot.server.database,
        database_oid=snapshot.server.database_oid,
        system_identifier=snapshot.server.system_identifier,
        generation=snapshot.extension.generation,
        steps=costed(snapshot, steps),
        left=tuple(left),
        asked=tuple(asked),
    )


def costed(snapshot: Snapshot, steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps with what each costs in this database."""
    from pgtv.catalog import dialects
    from pgtv.graph.edges import edges

    graph = edges(snapshot)
    dialect = dialects.named(snapshot.extension.generation)

    def cost(step: Step) -> Cost:
        if step.merge or rebuilds(step, dialect):
            return costing.of_rows(snapshot, graph, step.tviews)
        return costing.of_statements(snapshot, step.statements)

    return tuple(replace(s, cost=cost(s)) for s in steps)


def rebuilds(step: Step, dialect: Dialect) -> bool:
    """Whether it has the extension's own refresh of one of its TVIEWs."""
    return any(dialect.refresh(t) in step.statements for t in step.tviews)


@dataclass
class Done:
    """One statement of a receipt: what ran, when, how long it took, and how it ended."""

    step: int
    statement: str
    at: str
    milliseconds: float
    attempts: int
    outcome: str  # done | failed | interrupted
    error: str | None = None


@dataclass(frozen=True)
class ObjectState:
    """An object that undo statements name: kind and name as `pgtv snapshot diff` has them.

    before, after: the fields that the run changed, as they were and as it left them; null where the
    object was not there. oid: of a relation, by which it is known under another name.
    """

    kind: str
    object: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    oid: int | None = None


@dataclass
class Receipt:
    """What was applied, kept as a file next to whoever applied it; grows statement by statement.

    by: the login; started_from: `user@host`, the account that ran pgtv and the machine that it ran on.
    pgtv_version: of the pgtv that applied it, where the plan has that of the one that made it. Receipts
    of early versions lack both. rows: what merges did to each TVIEW, with keys and old values, as a
    receipt of refresh has it; of one that the extension's own refresh rebuilt, how that ended. objects:
    what the run left of what its undo statements name; null where that was not seen, as of a run that was
    killed.
    """

    plan: Plan
    started_at: str
    by: str
    application: str
    done: list[Done] = dataclasses.field(default_factory=list)
    finished_at: str | None = None
    outcome: str = "running"  # complete | failed | interrupted
    remaining: tuple[str, ...] = ()  # ids of findings that were still there afterwards
    rows: list[RefreshedTview] = dataclasses.field(default_factory=list)
    started_from: str | None = None
    pgtv_version: str | None = None
    objects: tuple[ObjectState, ...] | None = None
    schema: str = RECEIPT_SCHEMA


def dumps(document: Plan | Receipt, texts: Texts | None = None) -> str:
    """The file's text. texts: of the rows of a receipt that is written often."""
    if isinstance(document, Plan):
        return json.dumps(dataclasses.asdict(document), ensure_ascii=False, indent=2) + "\n"
    from pgtv.saving import Texts

    head = dataclasses.asdict(replace(document, rows=[]))
    text = json.dumps(head, ensure_ascii=False, indent=2)
    return (texts or Texts()).within(text, "rows", document.rows) + "\n"


def write(document: Plan | Receipt, path: Path, texts: Texts | None = None) -> None:
    """Write atomically, readable by the owner alone. Raises UsageError when it cannot be written."""
    save(dumps(document, texts), path)


def save(text: str, path: Path) -> None:
    """A file's whole text; as `write`."""
    partial = path.with_name(path.name + ".partial")
    try:
        if path.exists() and not path.is_file():  # a pipe or a device: never replaced
            path.write_text(text, encoding="utf-8")
            return
        partial.touch(mode=0o600)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as e:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise UsageError(f"cannot write {path}: {e.strerror or e}") from None


def load_plan(path: Path) -> Plan:
    """Read a plan file. Raises UsageError when it is none."""
    raw = _load(path, SCHEMA, "plan", "make one with: pgtv repair -o plan.json")
    return _plan(raw, path)


def load_receipt(path: Path) -> Receipt:
    """Read a receipt file. Raises UsageError when it is none."""
    raw = _load(path, RECEIPT_SCHEMA, "receipt", "pgtv repair --apply prints where it wrote one")
    try:
        plan = _plan(raw.pop("plan"), path)
        done = [Done(**d) for d in raw.pop("done")]
        raw["remaining"] = tuple(raw["remaining"])
        if raw.get("objects") is not None:
            raw["objects"] = tuple(ObjectState(**o) for o in raw["objects"])
        return Receipt(plan=plan, done=done, **raw)
    except (KeyError, TypeError) as e:
        raise UsageError(f"{path} is a damaged receipt: {e}") from None


def _load(path: Path, schema: str, what: str, hint: str) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(f"cannot read {what} {path}: {e.strerror or e}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text", hint) from None
    except json.JSONDecodeError as e:
        raise UsageError(f"{path} is not JSON: {e.msg} at line {e.lineno}", hint) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, a thousand brackets
        raise UsageError(f"{path} is not JSON that can be read", hint) from None
    if not isinstance(raw, dict) or raw.get("schema") != schema:
        raise UsageError(f"{path} is no {what} of schema {schema}", hint)
    return raw


def _plan(raw: dict[str, Any], path: Path) -> Plan:
    try:
        steps = tuple(_step(s) for s in raw.pop("steps"))
        left = tuple(Left(**x) for x in raw.pop("left"))
        asked = tuple(raw.pop("asked"))
        return Plan(steps=steps, left=left, asked=asked, **raw)
    except (KeyError, TypeError, AttributeError) as e:
        raise UsageError(f"{path} is a damaged plan: {e}") from None


def _step(raw: dict[str, Any]) -> Step:
    """A step of a file; lists become tuples again."""
    given = _tuples(raw)
    if isinstance(given.get("cost"), dict):
        given["cost"] = Cost(**_tuples(given["cost"]))
    return Step(**given)


def _tuples(raw: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}


def script(plan: Plan, lock_limit: str = "'2s'") -> str:
    """The plan as a script for psql: stops at the first error, bounds every wait for a lock.

    lock_limit: for how long, as an SQL literal.
    """
    lines = [
        *_comment(
            f"{plan.database}: {len(plan.steps)} steps, made {plan.made_at} by pgtv "
            f"{plan.pgtv_version}"
        ),
        *(_comment(f"Not tested: {plan.untested}") if plan.untested else []),
        "\\set ON_ERROR_STOP on",
        f"SET lock_timeout = {lock_limit};",
    ]
    for number, step in enumerate(plan.steps, 1):
        lines += ["", *_comment(f"{number}. {step.title}")]
        if step.role:
            lines += _comment(f"as {step.role}")
        for lock in step.locks:
            lines += _comment(f"takes {lock}")
        if step.cost:
            lines += _comment(costing.words(step.cost))
        if step.note:
            lines += _comment(step.note)
        if step.merge:
            lines += _comment(
                "No SQL for psql alone: pgtv compares, writes what differs in batches and waits for "
                "running writers. With --strategy rebuild this is one statement that readers wait for."
            )
            lines.append(f"\\echo {_refresh(step)}")
        # what follows a merge holds only once it was done
        lines += _comment(" ".join(step.statements)) if step.merge else step.statements
        lines += _comment(f"undo: {_undo(step)}")
    for left in plan.left:
        lines += ["", *_comment(f"left alone: {left.finding}: {left.why}")]
    return "\n".join(lines) + "\n"


def _undo(step: Step) -> str:
    if step.undo:
        return " ".join(step.undo)
    return step.command if step.command and not step.merge else "none, it cannot be taken back"


def _refresh(step: Step) -> str:
    """The command that does a merge step, quoted for the shell, and that once more for psql."""
    import shlex

    command = f"run: {step.command or f'pgtv refresh {shlex.join(step.tviews)} --apply'}"
    if "'" not in command:
        return command
    quoted = command.replace("\\", "\\\\").replace("'", "''")
    return "'" + "".join(c if c.isprintable() else _for_psql(c) for c in quoted) + "'"


def _for_psql(character: str) -> str:
    """As psql reads it inside quotes: bytes in octal."""
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "replace"))


def _comment(text: str) -> list[str]:
    from pgtv.shown import printable

    return [
        "-- " + line
        for part in printable(text).splitlines()
        for line in textwrap.wrap(part, 96, break_long_words=False, break_on_hyphens=False)
    ]


def units(statements: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Statements as they have to run together: a transaction block, or one alone.

    Comments alone are left out. Raises UsageError for a block that never ends.
    """
    block: list[str] = []
    for statement in statements:
        if not _code(statement):
            continue
        word = _code(statement).rstrip("; ").upper()
        if block:
            block.append(statement)
            if word in ("COMMIT", "END"):
                yield tuple(block)
                block = []
        elif word in ("BEGIN", "START TRANSACTION"):
            block = [statement]
        else:
            yield (statement,)
    if block:
        raise UsageError("a step begins a transaction and does not end it")


def _code(statement: str) -> str:
    """A statement without its leading comment lines."""
    lines = statement.strip().splitlines()
    while lines and (not lines[0].strip() or lines[0].lstrip().startswith("--")):
        lines.pop(0)
    return "\n".join(lines).strip()
