"""Results of verification for people, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import click

from pgtv.catalog.model import Snapshot
from pgtv.rows.paths import ABSENT
from pgtv.rows.result import Difference, Fault, Result, State
from pgtv.rows.since import BLIND
from pgtv.rows.upstream import key_text
from pgtv.shown import printable

_COLOR = {
    State.DIFFERS: "red",
    State.UNKNOWN: "magenta",
    State.MAY_DIFFER: "yellow",
    State.SKIPPED: "blue",
}
_VALUE = 200


def render(
    snapshot: Snapshot,
    results: Sequence[Result],
    not_recorded: str | None = None,
    *,
    width: int = 100,
    color: bool = False,
    verbosity: int = 0,
) -> str:
    """The whole report; ends with a newline."""
    lines = []
    if verbosity >= 0:
        server = snapshot.server
        modes = ", ".join(sorted({r.mode for r in results}))
        lines += [
            f"{server.database} on {server.host}:{server.port} · PostgreSQL {server.version}"
            + (f" · {modes}, one snapshot a TVIEW" if modes else ""),
            *([""] if modes else []),
        ]
    broad = max((len(r.tview) for r in results), default=0)
    broad = min(broad, max(20, width - 50))
    for r in results:
        if r.state in (State.EQUAL, State.SKIPPED) and verbosity < 0:
            continue
        head, *rest = map(printable, _result(r, broad, verbosity))
        if verbosity < 0:
            head, rest = head + (f"  {r.reason}" if r.reason else ""), []
        shown = click.style(head, fg=_COLOR[r.state]) if color and r.state in _COLOR else head
        lines += [shown, *rest]
    lines += ["", *_foot(results, not_recorded, verbosity, width)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _result(r: Result, broad: int, verbosity: int) -> Iterator[str]:
    head = str(r.state).upper() if r.state is State.DIFFERS else str(r.state)
    yield f"{head:11}{r.tview:{broad}}  {_numbers(r)}".rstrip()
    for fault in r.faults:
        yield f"    {fault}"
    if r.reason:
        yield f"    {r.reason}"
    if r.hint and r.state is not State.SKIPPED:
        yield f"    hint: {r.hint}"
    if r.needs and r.state is State.UNKNOWN:
        yield f"    needs: {', '.join(r.needs)}"
    if r.wrong_upstream:
        verb = "differs" if len(r.wrong_upstream) == 1 else "differ"
        then = "cure that first" if r.differing else "it may repeat what is wrong there"
        yield f"    it reads {', '.join(r.wrong_upstream)}, which {verb}: {then}"
    if verbosity > 0 and r.lsn and r.state is not State.UNKNOWN:
        yield f"    seen at {r.verified_at}, LSN {r.lsn}, evaluated as {r.evaluated_as}"
        if r.ignored_columns:
            yield f"    columns of the table only, not compared: {', '.join(r.ignored_columns)}"
    if r.since and (r.since.whole or verbosity > 0):
        yield f"    {_since(r)}"
    for d in r.differences:
        yield from _difference(r, d)
    hidden = r.differing - len(r.differences)
    if hidden > 0:
        yield f"    and {hidden:,} more {'row' if hidden == 1 else 'rows'} (--limit)"


def _since(r: Result) -> str:
    s = r.since
    assert s is not None
    if s.whole:
        return f"every row was compared: {s.whole}"
    return f"since {s.at}, LSN {s.lsn}; every row was last compared at {s.compared_at}"


def _numbers(r: Result) -> str:
    parts = []
    if r.rows is not None:
        parts.append(f"{r.rows:,} {'row' if r.rows == 1 else 'rows'}")
        parts.append(f"{r.seconds:.1f} s" + (" (earlier)" if r.resumed else ""))
    if r.since and r.since.keys is not None:
        parts.append(f"{r.since.keys:,} compared")
    for n, kind in ((r.missing, "missing"), (r.extra, "extra"), (r.changed, "changed")):
        if n:
            parts.append(f"{n:,} {kind}")
    if r.apart:
        parts.append(r.apart)
    return " · ".join(parts)


_FAULT = {
    Fault.OWN: "what it reads is right",
    Fault.NONE_READ: "",
    Fault.UNKNOWN: "whether what it reads is right is not known",
}


def _difference(r: Result, d: Difference) -> Iterator[str]:
    names = ", ".join(r.keys)
    fault = (
        f"inherited from {', '.join(d.inherited_from[:3])}"
        if d.fault is Fault.INHERITED
        else _FAULT[d.fault]
    )
    yield f"    {names} = {key_text(d.key)}   {d.kind}" + (f"; {fault}" if fault else "")
    for p in d.paths:
        yield f"        {p.path}"
        yield f"          definition  {_short(p.expected)}"
        yield f"          table       {_short(p.found)}"
    if d.paths and d.places > len(d.paths):
        yield f"        and {d.places - len(d.paths)} more places"
    if d.kind == "changed" and not d.paths:
        yield "        the same as text; the stored images differ"


def _short(value: str | None) -> str:
    text = ABSENT if value is None else value
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}… ({len(text)} characters)"


def _foot(
    results: Sequence[Result], not_recorded: str | None, verbosity: int, width: int
) -> Iterator[str]:
    counts = []
    for state in State:
        if n := sum(1 for r in results if r.state is state):
            counts.append(f"{n} {_PLURAL[state] if n != 1 else _SINGULAR[state]}")
    word = "TVIEW" if len(results) == 1 else "TVIEWs"
    yield f"{len(results)} {word}: {' · '.join(counts) or 'nothing to verify'}"
    if any("fast" in r.mode and r.state is State.EQUAL for r in results):
        yield (
            "--fast compares hashes of values, not images: 1.0 equals 1.00 to it, and two different"
            " contents could share a hash."
        )
    if verbosity >= 0 and any(r.mode == "since" for r in results):
        yield "--since last cannot see:"
        for what in BLIND:
            yield textwrap.fill(
                what, width, initial_indent="  - ", subsequent_indent="    ",
                break_long_words=False,
            )  # fmt: skip
    if any("sample" in r.mode for r in results):
        yield "A sample says nothing of the rows outside it, and is not recorded."
    if not_recorded and verbosity > 0:
        yield f"not recorded: {not_recorded}"
    wrong = [r.tview for r in results if r.state is State.DIFFERS]
    if wrong and verbosity >= 0:
        yield "Next: pgtv doctor        shows what let rows slip, and the cure"


_SINGULAR = {
    State.EQUAL: "equal",
    State.DIFFERS: "differs",
    State.UNKNOWN: "unknown",
    State.MAY_DIFFER: "differs, as it may",
    State.SKIPPED: "not reached",
}
_PLURAL = _SINGULAR | {State.DIFFERS: "differ", State.MAY_DIFFER: "differ, as they may"}
