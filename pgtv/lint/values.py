"""Rules on what a definition's values and rows depend on besides the rows that it reads."""

from __future__ import annotations

from pgtv.definitions.builtin import ORDERED_AGGREGATES, SESSION, TIME, VOLATILE
from pgtv.definitions.reads import EXISTENCE, WHOLE, Call, Level, Reads, Relation
from pgtv.definitions.scope import SYSTEM
from pgtv.lint.facts import Definition
from pgtv.lint.found import Add, Found
from pgtv.lint.shape import declared

_SEQUENCE = frozenset({"nextval", "currval", "setval", "lastval"})
_PLACES = {"EXISTS", "EXPR", "ARRAY"}


def values(found: Found, definition: Definition, reads: Reads, add: Add) -> None:
    options = definition.options
    timed = (
        options is None or "time_refresh" in options or options.get("uncascaded_policy") == "warn"
    )
    times = [(word, at) for word, at in reads.time]
    reading = {} if options is None else options.get("function_reads", {})
    names = " ".join(reading) if isinstance(reading, dict) else ""
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


def levels(definition: Definition, reads: Reads, add: Add) -> None:
    name, excused = definition.name, declared(definition)
    for index, level in enumerate(reads.levels):
        outermost = _outermost(reads, index)
        linked = level.correlated or _inside_correlated(reads, index)
        if level.limit is not None or level.offset is not None:
            at = level.limit if level.limit is not None else level.offset
            if not level.relations:
                pass
            elif outermost or not linked:
                if not excused:
                    add("limit", f"{name}: LIMIT or OFFSET over rows of the whole table", at)
            elif not level.ordered:
                add("limit-order", f"{name}: LIMIT without ORDER BY takes any row", at)
        for at, partitioned in level.windows:
            if not excused and (outermost or not (partitioned or linked)):
                where = "in the outermost SELECT" if outermost else "without PARTITION BY"
                add("window", f"{name}: a window function {where}", at)
        if level.place in _PLACES and level.relations and not level.correlated and not excused:
            add("unlinked-subquery", f"{name}: a sub-select that nothing links to the row",
                level.location)  # fmt: skip
        if level.place == "recursive" and level.relations and not excused:
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
