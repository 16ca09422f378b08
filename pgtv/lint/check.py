"""The rules applied: facts of all files in, problems out."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable
from itertools import pairwise

from pgtv.catalog.dialects.base import OPTIONS
from pgtv.definitions.builtin import ORDERED_AGGREGATES, SESSION, TIME, VOLATILE
from pgtv.definitions.parse import Node
from pgtv.definitions.reads import EXISTENCE, WHOLE, Call, Level, Reads, Relation
from pgtv.definitions.scope import SYSTEM
from pgtv.definitions.walk import read
from pgtv.errors import DefinitionError
from pgtv.lint import rules
from pgtv.lint.facts import PREFIX, Definition, Facts, Table, read_file
from pgtv.lint.keys import key_problems
from pgtv.lint.rules import Problem
from pgtv.lint.source import Source

_POLICIES = ("error", "full_refresh", "warn")
_SEQUENCE = frozenset({"nextval", "currval", "setval", "lastval"})
_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
_PLACES = {"EXISTS", "EXPR", "ARRAY"}
_IGNORE = re.compile(
    r"--[^\n]*?\bpgtv:\s*ignore\b(?P<rules>(?:[ ,]+[a-z][a-z-]+)*)|/\*\s*pgtv:\s*ignore\b"
    r"(?P<inner>(?:[ ,]+[a-z][a-z-]+)*)\s*\*/"
)


def lint(
    sources: Iterable[Source], schema: Iterable[Source] = (), ignore: Iterable[str] = ()
) -> list[Problem]:
    """All problems of `sources`, in the order of files and lines.

    schema: files that only tell which tables exist. ignore: rule ids to leave out everywhere.
    A comment `-- pgtv: ignore rule-id` silences its own line, the next one, and a definition that
    begins on either.
    """
    # Trees of large files are millions of small objects that all live to the end: looking through
    # them for garbage again and again would take most of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _lint(list(sources), schema, frozenset(ignore))
    finally:
        if collecting:
            gc.enable()


def _lint(listed: list[Source], schema: Iterable[Source], ignore: frozenset[str]) -> list[Problem]:
    facts = Facts()
    for source in schema:
        read_file(source, facts)
    facts.definitions.clear()
    facts.events.clear()
    facts.others.clear()
    for source in listed:
        source.ignored = _ignored(source)
        read_file(source, facts)
    found = _Found(facts, ignore)
    for definition in facts.definitions:
        _definition(found, definition)
    _others(found)
    _duplicates(found)
    _cycles(found)
    place = {s.name: i for i, s in enumerate(listed)}
    return sorted(
        dict.fromkeys(found.problems),
        key=lambda p: (place.get(p.file, len(place)), p.line, p.column, p.rule.id),
    )


def _ignored(source: Source) -> dict[int, frozenset[str] | None]:
    """Silenced rules by line; None for all rules."""
    found: dict[int, frozenset[str] | None] = {}
    if "pgtv:" not in source.text:
        return found
    for match in _IGNORE.finditer(source.text):
        names = re.split(r"[ ,]+", (match["rules"] or match["inner"] or "").strip())
        line, _ = source.position(match.start())
        given = frozenset(n for n in names if n) or None
        for at in (line, line + 1):
            before = found.get(at, frozenset())
            found[at] = None if given is None or before is None else before | given
    return found


class _Found:
    """Collects problems; knows what is silenced and the columns of relations."""

    def __init__(self, facts: Facts, ignore: frozenset[str]) -> None:
        self.facts = facts
        self.ignore = ignore
        self.problems: list[Problem] = []
        self.latest: dict[str, Definition] = {}
        for kind, what in facts.events:
            if kind == "define":
                self.latest[what.table] = what
            else:
                self.latest.pop(what[1], None)
        self.named = {d.table for d in facts.definitions}
        self.children = {
            (schema or "public", name): table.name
            for table in facts.tables.values()
            for schema, name in table.inherits
        }
        self.outputs: dict[str, list[str] | None] = {}
        self.busy: set[str] = set()
        self.walked: dict[int, Reads] = {}  # by the identity of trees, which live as long as facts

    def add(
        self, source: Source, at: int, rule: str, message: str, hint: str = "",
        begins: int | None = None,
    ) -> None:  # fmt: skip
        if rule in self.ignore:
            return
        line, column = source.position(at)
        for silent in {line, source.position(begins)[0] if begins is not None else line}:
            names = source.ignored.get(silent, frozenset())
            if names is None or rule in names:
                return
        self.problems.append(Problem(source.name, line, column, rules.ALL[rule], message, hint))

    def columns(self, relation: Relation) -> list[str] | None:
        """Output columns of a table, view or TVIEW of the files; None for unknown."""
        schema, name = relation
        definition = self.latest.get(name) if schema in (None, "public") or name else None
        if definition is not None and (schema is None or schema == (definition.schema or "public")):
            return self._outputs(f"tview {name}", definition.node)
        table = self.facts.table(relation)
        if table is None:
            return None
        if table.node is not None:
            return self._outputs(f"view {table.schema}.{name}", table.node)
        return list(table.columns) if table.columns is not None else None

    def reads(self, node: Node) -> Reads:
        """What a SELECT of the files reads, walked once. Raises DefinitionError."""
        known = self.walked.get(id(node))
        if known is None:
            known = self.walked[id(node)] = read(node, self.columns)
        return known

    def _outputs(self, key: str, node: object) -> list[str] | None:
        if key in self.outputs:
            return self.outputs[key]
        if key in self.busy or not isinstance(node, dict):
            return None  # reads itself
        self.busy.add(key)
        names: list[str] | None
        try:
            given = [o.name for o in self.reads(node).outputs]
            names = None if WHOLE in given or None in given else [n for n in given if n]
        except DefinitionError:
            names = None
        self.busy.discard(key)
        self.outputs[key] = names
        return names


def _definition(found: _Found, definition: Definition) -> None:
    def add(rule: str, message: str, at: int | None = None, hint: str = "") -> None:
        where = definition.at if at is None or at < 0 else definition.where(at)
        found.add(definition.source, where, rule, message, hint, definition.at)

    if definition.error is not None:
        _unreadable(found, definition)
        return
    if definition.node is None:
        return
    try:
        reads = found.reads(definition.node)
    except DefinitionError as e:
        add("syntax", f"{definition.name}: {e.message}")
        return
    definition.reads = reads
    for at in reads.parameters:
        add("create-form", f"{definition.name}: a parameter is not possible in a definition", at)
    key_problems(found.facts, definition, reads, add)
    _form(definition, reads, add)
    _options(definition, add)
    _relations(found, definition, reads, add)
    _values(found, definition, reads, add)
    _levels(definition, reads, add)


Add = Callable[..., None]


def _unreadable(found: _Found, definition: Definition) -> None:
    at = definition.error_at if definition.error_at is not None else definition.at
    message = definition.error or ""
    if message.startswith("CREATE TABLE"):
        rule, message = "create-form", f"{definition.name}: {message} makes no TVIEW"
    elif message.startswith("a definition is"):
        rule, message = "several-statements", f"{definition.name}: {message}"
    else:
        rule, message = "syntax", f"{definition.name}: {message}"
    found.add(definition.source, at, rule, message, begins=definition.at)


def _form(definition: Definition, reads: Reads, add: Add) -> None:
    into = definition.into
    if into is None:
        return
    refused = {
        "a temporary table": into["rel"].get("relpersistence") == "t",
        "a column list": "colNames" in into,
        "TABLESPACE": "tableSpaceName" in into,
        "USING": "accessMethod" in into,
        "WITH NO DATA": into.get("skipData", False),
    }
    for option in into.get("options", []):
        name = option["DefElem"]["defname"]
        if name not in ("fillfactor", "toast_tuple_target"):
            refused[f"storage parameter {name}"] = True
    for what, is_so in refused.items():
        if is_so:
            add("create-form", f"{definition.name}: {what} is not possible for a TVIEW")
    for level in reads.levels:
        if level.place in ("ANY", "ALL"):
            add(
                "in-subquery",
                f"{definition.name}: CREATE TABLE … AS is refused with a comparison against a "
                "sub-select",
                level.location,
                "write EXISTS, or create it by the function",
            )
            break


def _options(definition: Definition, add: Add) -> None:
    options = definition.options or {}
    for name, value in options.items():
        if name == "":
            add("option", f"{definition.name}: options are not a JSON object: {value!r:.60}")
        elif name not in OPTIONS:
            known = ", ".join(sorted(OPTIONS))
            add("option", f"{definition.name}: unknown option {name!r}", None, f"known: {known}")
    policy = options.get("uncascaded_policy", "error")
    if policy not in _POLICIES:
        add("option", f"{definition.name}: uncascaded_policy is one of {', '.join(_POLICIES)}")


def _declared(definition: Definition) -> bool:
    """Whether writes that cannot be traced were declared, or may have been."""
    options = definition.options
    return options is None or (
        options.get("uncascaded_policy") in ("warn", "full_refresh")
        or bool(options.get("uncascaded_tables"))
    )


def _relations(found: _Found, definition: Definition, reads: Reads, add: Add) -> None:
    facts = found.facts
    if not reads.relations:
        add("no-table", f"{definition.name} reads no table: nothing could ever refresh it")
    for (schema, name), location in reads.relations.items():
        table = facts.table((schema, name))
        own = found.latest.get(name)
        if schema in _SYSTEM_SCHEMAS or (table is None and own is None and name.startswith("pg_")):
            add("system-catalog", f"{definition.name} reads {name}, a system catalog", location)
        elif table is None and own is None and facts.tables:
            if name not in found.named:
                full = f"{schema}.{name}" if schema else name
                add("unknown-relation", f"{definition.name} reads {full}, which no file defines",
                    location, _near(name, facts, found))  # fmt: skip
        elif table is not None and table.kind == "matview" and not _declared(definition):
            add("materialized-view",
                f"{definition.name} reads the materialized view {name}: REFRESH fires no trigger",
                location)  # fmt: skip
        if table is not None and (schema, name) in reads.inherited:
            child = found.children.get((table.schema or "public", table.name))
            if child is not None:
                add("inheritance", f"{definition.name} reads {name} with its child {child}",
                    location, f"read FROM ONLY {name}, or partition it")  # fmt: skip
    for relation, column in reads.unknown:
        add("unknown-column", f"{definition.name} reads {relation[1]}.{column}, which has no such "
            "column", reads.unknown[relation, column])  # fmt: skip


def _near(name: str, facts: Facts, found: _Found) -> str:
    import difflib

    names = [n for _, n in facts.tables] + list(found.latest)
    close = difflib.get_close_matches(name, names, 2)
    return f"near: {', '.join(close)}" if close else ""


def _values(found: _Found, definition: Definition, reads: Reads, add: Add) -> None:
    options = definition.options
    timed = (
        options is None or "time_refresh" in options or options.get("uncascaded_policy") == "warn"
    )
    times = [(word, at) for word, at in reads.time]
    declared = {} if options is None else options.get("function_reads", {})
    names = " ".join(declared) if isinstance(declared, dict) else ""
    for call in reads.functions:
        builtin = call.schema in (None, "pg_catalog")
        volatility = found.facts.functions.get(call.name) if call.schema != "pg_catalog" else None
        if volatility is not None:
            if volatility != "immutable" and options is not None and call.name not in names:
                add("function-reads",
                    f"{definition.name} calls {call.name}, which is {volatility} and not declared in "
                    "function_reads", call.location)  # fmt: skip
        elif builtin and (call.name in TIME or (call.name == "age" and call.args == 1)):
            times.append((f"{call.name}()", call.location))
        elif builtin and call.name in _SEQUENCE:
            add("sequence", f"{definition.name} calls {call.name}", call.location)
        elif builtin and call.name in VOLATILE:
            add("volatile-function", f"{definition.name} calls {call.name}(), which is volatile",
                call.location)  # fmt: skip
        elif builtin and call.name in SESSION:
            add("session-dependent", f"{definition.name} depends on the session: {call.name}",
                call.location)  # fmt: skip
        elif builtin and _unordered(call, reads):
            add("aggregate-order", f"{definition.name}: {call.name} without ORDER BY",
                call.location)  # fmt: skip
    for word, at in times:
        if not timed:
            add("time-dependent", f"{definition.name} reads the current time ({word})", at,
                'declare {"time_refresh": "external"}, or take the time out')  # fmt: skip
    if options and options.get("time_refresh") is not None and not times:
        add("option", f"{definition.name} declares time_refresh and reads no time")
    for word, at in reads.frozen:
        add("frozen-time", f"{definition.name}: {word} is evaluated once, at creation", at)
    for relation, column in reads.columns:
        if column in SYSTEM and column != "tableoid":
            add("system-column", f"{definition.name} reads {relation[1]}.{column}",
                reads.relations.get(relation))  # fmt: skip


def _unordered(call: Call, reads: Reads) -> bool:
    """An aggregate whose result depends on the order of its rows, which nothing fixes."""
    return (
        call.name in ORDERED_AGGREGATES
        and not (call.ordered or call.distinct or call.window)
        and not reads.levels[call.level].from_ordered
    )


def _levels(definition: Definition, reads: Reads, add: Add) -> None:
    name, declared = definition.name, _declared(definition)
    for index, level in enumerate(reads.levels):
        outermost = _outermost(reads, index)
        linked = level.correlated or _inside_correlated(reads, index)
        if level.limit is not None or level.offset is not None:
            at = level.limit if level.limit is not None else level.offset
            if not level.relations:
                pass
            elif outermost or not linked:
                if not declared:
                    add("limit", f"{name}: LIMIT or OFFSET over rows of the whole table", at)
            elif not level.ordered:
                add("limit-order", f"{name}: LIMIT without ORDER BY takes any row", at)
        for at, partitioned in level.windows:
            if not declared and (outermost or not (partitioned or linked)):
                where = "in the outermost SELECT" if outermost else "without PARTITION BY"
                add("window", f"{name}: a window function {where}", at)
        if level.place in _PLACES and level.relations and not level.correlated and not declared:
            add("unlinked-subquery", f"{name}: a sub-select that nothing links to the row",
                level.location)  # fmt: skip
        if level.place == "recursive" and level.relations and not declared:
            parent = level.parent
            if parent is None or reads.levels[parent].place != "recursive":
                add("recursive", f"{name}: a table read in a recursive CTE")
        for at in level.stars:
            if level.place not in ("EXISTS",):
                add("select-star", f"{name}: SELECT * fixes today's columns", at)
                break
        for at in level.samples:
            add("sample", f"{name}: TABLESAMPLE gives other rows each time", at)
        if level.locking:
            add("row-lock", f"{name}: FOR UPDATE or FOR SHARE locks rows at each refresh")
        _distinct_on(name, reads, level, index, add)


def _outermost(reads: Reads, index: int) -> bool:
    """The top level, or a branch of a set operation at the top."""
    level: Level = reads.levels[index]
    while level.place == "union" and level.parent is not None:
        level = reads.levels[level.parent]
    return level.place == "top"


def _inside_correlated(reads: Reads, index: int) -> bool:
    parent = reads.levels[index].parent
    while parent is not None:
        if reads.levels[parent].correlated:
            return True
        parent = reads.levels[parent].parent
    return False


def _distinct_on(name: str, reads: Reads, level: Level, index: int, add: Add) -> None:
    if not level.distinct_on:
        return
    at = level.distinct_on[0][1]
    if index == 0:
        if len(level.distinct_on) > 1:
            add("distinct-on-key", f"{name}: DISTINCT ON has {len(level.distinct_on)} keys", at)
        else:
            if not level.distinct_on[0][2]:
                add("distinct-on-key", f"{name}: the key of DISTINCT ON is an expression", at)
            key = {c for c in level.distinct_on[0][0] if c[1] != EXISTENCE}
            put_out = [o.columns for o in reads.outputs]
            if len(key) == 1 and not any(key <= o for o in put_out) and _certain(key):
                add("distinct-on-key", f"{name}: the key of DISTINCT ON is not put out", at)
    if not level.distinct_sorted:
        add("distinct-on-order", f"{name}: DISTINCT ON without ORDER BY beyond its key", at)


def _certain(columns: set[tuple[Relation, str]]) -> bool:
    return all(c != WHOLE for _, c in columns)


def _others(found: _Found) -> None:
    for other in found.facts.others:
        rule, message = {
            "retired": ("retired-call", f"{other.text} is of an early release; none has it now"),
            "plain": ("plain-table", f"{other.text} is an ordinary table: nothing keeps it up to date"),
            "into": ("create-form", f"SELECT INTO {other.text} makes no TVIEW"),
            "syntax": ("syntax", other.text),
            "unparsed": ("unparsed", f"left out: {other.text}"),
        }[other.kind]  # fmt: skip
        found.add(other.source, other.at, rule, message)


def _duplicates(found: _Found) -> None:
    alive: dict[str, Definition] = {}
    for kind, what in found.facts.events:
        if kind == "drop":
            alive.pop(what[1], None)
            continue
        before = alive.get(what.table)
        same = before is not None and (before.schema or "public") == (what.schema or "public")
        if before is not None and not (what.replaces and same) and not what.if_not_exists:
            line, _ = before.source.position(before.at)
            found.add(
                what.source, what.at, "duplicate-entity",
                f"{what.name}: the entity is defined already, in {before.source.name}:{line}",
                "names of TVIEWs are unique in a database, whatever the schema",
            )  # fmt: skip
        alive[what.table] = what


def _cycles(found: _Found) -> None:
    """Through TVIEWs, views and materialized views of all files, as they are at the end."""
    from pgtv.graph.cycles import has_cycle

    reads: dict[str, list[str]] = {}
    views: dict[str, Table] = {}
    for name, definition in found.latest.items():
        if definition.reads is not None:
            reads[name] = [n for _, n in definition.reads.relations]
    for table in found.facts.tables.values():
        if table.node is not None and table.name not in reads:
            try:
                reads[table.name] = [n for _, n in found.reads(table.node).relations]
            except DefinitionError:
                continue
            views[table.name] = table
    reads = {name: [r for r in listed if r in reads] for name, listed in reads.items()}
    if not has_cycle(reads):
        return
    from pgtv.graph.cycles import components, shortest_round, smallest_cut

    for members in components(reads):
        if not any(m in found.latest for m in members):
            continue
        inside = {n: sorted(r for r in reads[n] if r in members) for n in sorted(members)}
        path = shortest_round(inside, [m for m in members if m in found.latest])
        start = min(path, key=lambda n: (n not in found.latest, n))
        turn = path.index(start)
        path = (*path[turn:-1], *path[: turn + 1])
        pairs = [(a, b) for a, listed in inside.items() for b in listed]
        cut, exact = smallest_cut(inside, pairs)
        cuts = "; ".join(f"{a} must not read {b}" for a, b in cut)
        definition = found.latest[next(n for n in path if n in found.latest)]
        files = {
            found.latest[n].source.name if n in found.latest else views[n].source.name  # type: ignore[union-attr]
            for n in path
            if n in found.latest or (n in views and views[n].source is not None)
        }
        edge = next(((a, b) for a, b in pairwise(path) if a == definition.table), None)
        at = definition.at
        if edge is not None and definition.reads is not None:
            location = next(
                (at for (_, n), at in definition.reads.relations.items() if n == edge[1]), -1
            )
            at = definition.where(location) if location >= 0 else at
        found.add(
            definition.source, at, "cycle", f"Circular dependency detected: {' -> '.join(path)}",
            ("smallest cut" if exact else "cut") + f": {cuts}"
            + (f" (files: {', '.join(sorted(files))})" if len(files) > 1 else ""),
            definition.at,
        )  # fmt: skip


__all__ = ["PREFIX", "lint"]
