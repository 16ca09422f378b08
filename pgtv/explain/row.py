"""`explain tv_x:KEY`: where a row comes from, and whether it is right, upstream included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pgtv.errors import Exit, UsageError
from pgtv.rows.document import difference_document
from pgtv.rows.keyed import Keyed, look_up
from pgtv.rows.paths import ABSENT, PathDiff
from pgtv.rows.result import Fault
from pgtv.rows.upstream import Node, Source, key_text
from pgtv.session import Target
from pgtv.shown import printable

SCHEMA = "pgtv.row/1"
_SHOWN = 5  # base rows of one relation that are listed
_VALUE = 300  # characters of a value that are shown


def run(target: Target, tview_text: str, key_text: str, fmt: str) -> tuple[str, Exit]:
    """The report as text and the exit code; fmt is `human` or `json`.

    Raises UsageError for a TVIEW or key that does not exist, and what connecting raises.
    """
    report = explain_row(target, f"{tview_text}:{key_text}")
    return (render_json(report) if fmt == "json" else render(report)), report.exit


def explain_row(target: Target, text: str, *, base_rows: bool = True) -> Keyed:
    """Look `TVIEW:KEY` up. Raises UsageError, NotPossible, QueryError and ConnectError."""
    from pgtv.catalog.collect import collect
    from pgtv.graph.select import resolve
    from pgtv.session import connected

    name, key = parted(text)
    with connected(target) as connection:
        snapshot = collect(connection)
    return look_up(target, snapshot, resolve(snapshot, name), key, base_rows=base_rows)


def parted(text: str) -> tuple[str, str]:
    """TVIEW and KEY of `TVIEW:KEY`, at the first colon outside double quotes.

    Raises UsageError where there is none.
    """
    quoted = False
    for i, char in enumerate(text):
        quoted ^= char == '"'
        if char == ":" and not quoted and text[:i].strip() and text[i + 1 :]:
            return text[:i], text[i + 1 :]
    raise UsageError(f"{text!r} names no row", "a row is TVIEW:KEY, as in tv_order:17")


def render(report: Keyed) -> str:
    """A tree for people; ends with a newline."""
    lines = list(_head(report))
    if not report.nodes:
        lines += ["", f"Neither the table nor the definition has a row {report.asked}."]
    seen: set[int] = set()
    for node in report.nodes:
        lines += ["", *_tree(node, "", seen)]
    lines += ["", *_verdict(report)]
    return printable("\n".join(lines)) + "\n"


def _head(report: Keyed) -> Iterator[str]:
    yield f"{report.tview}, {', '.join(report.keys)} = {report.asked}"
    yield f"seen at {report.at}, LSN {report.lsn}, evaluated as {report.evaluated_as}"


def _tree(node: Node, indent: str, seen: set[int], lead: str = "") -> Iterator[str]:
    name = f"{node.subject.label}:{key_text(node.key)}" if node.key else node.subject.label
    again = id(node) in seen
    yield f"{indent}{lead}{name}   {_state(node)}" + ("   (as above)" if again else "")
    if again:
        return
    seen.add(id(node))
    inner = indent + "    "
    if node.difference:
        shown = node.difference.paths
        for diff in shown:
            yield from _path(diff, inner)
        if shown and node.difference.places > len(shown):
            yield f"{inner}and {node.difference.places - len(shown)} more places"
        if node.difference.kind == "changed" and not shown:
            yield f"{inner}the same as text; the stored images differ"
    for source, keys in node.base:
        yield f"{inner}from {source.relation.qualified}: {_rows(source, keys)}"
    for child in node.upstream:
        yield from _tree(child, inner, seen, "reads ")
    for reason in node.unknown:
        yield f"{inner}unknown: {reason}"


def _rows(source: Source, keys: tuple[tuple[str | None, ...], ...]) -> str:
    if source.query is None:
        return source.how
    if not keys:
        return f"no row ({source.how})"
    names = ", ".join(source.keys)
    shown = "; ".join(key_text(k) for k in keys[:_SHOWN])
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{names} = {shown}{more} ({source.how})"


def _state(node: Node) -> str:
    if node.problem:
        return f"unknown: {node.problem}"
    if node.difference is None:
        wrong = node.wrong_below
        return "equal" if not wrong else f"equal, but it reads {', '.join(wrong[:3])}, wrong itself"
    fault = {
        Fault.OWN: "what it reads is right",
        Fault.NONE_READ: "it reads base tables only",
        Fault.INHERITED: f"inherited from {', '.join(node.wrong_below[:3])}",
        Fault.UNKNOWN: "whether what it reads is right is not known",
    }[node.fault]
    return f"{_WORD[node.difference.kind]}; {fault}"


_WORD = {
    "missing": "MISSING: the definition gives it, the table lacks it",
    "extra": "EXTRA: the table has it, the definition does not give it",
    "changed": "CHANGED",
}


def _path(diff: PathDiff, indent: str) -> Iterator[str]:
    yield f"{indent}{diff.path}"
    yield f"{indent}  definition  {_short(diff.expected)}"
    yield f"{indent}  table       {_short(diff.found)}"


def _short(value: str | None) -> str:
    text = ABSENT if value is None else value
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}… ({len(text)} characters)"


def _verdict(report: Keyed) -> Iterator[str]:
    from pgtv.rows.result import State

    if report.state is State.EQUAL:
        yield "The row is right, and so is every row of a TVIEW that it reads."
    elif report.state is State.UNKNOWN:
        yield "Whether the row is right could not be told."
    elif report.state is State.MAY_DIFFER:
        yield f"The row differs; the TVIEW is {report.apart}, so this may be right."
    else:
        yield "The row, or one that it reads, is wrong. What let it slip: pgtv doctor"


def document(report: Keyed) -> dict[str, Any]:
    """The report as plain JSON types, schema pgtv.row/1."""
    return {
        "schema": SCHEMA,
        "state": str(report.state),
        "exit_code": int(report.exit),
        "tview": report.tview,
        "key": report.asked,
        "identity": list(report.keys),
        "lsn": report.lsn,
        "at": report.at,
        "evaluated_as": report.evaluated_as,
        "may_differ": report.apart,
        "seconds": report.seconds,
        "rows": [_node(n) for n in report.nodes],
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "tview": node.subject.label,
        "key": list(node.key),
        "equal": None if node.problem else node.difference is None,
        "problem": node.problem,
        "difference": difference_document(node.difference) if node.difference else None,
        "wrong_below": list(node.wrong_below),
        "unknown": list(node.unknown),
        "base": [
            {
                "relation": source.relation.qualified,
                "how": source.how,
                "columns": list(source.keys),
                "rows": [list(k) for k in keys],
            }
            for source, keys in node.base
        ],
        "upstream": [_node(n) for n in node.upstream],
    }


def render_json(report: Keyed) -> str:
    """One JSON document with a newline at its end."""
    return json.dumps(document(report), ensure_ascii=False, indent=2) + "\n"
