"""Snapshots and their differences, for people and as JSON."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from typing import Any

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.diff import Change, Difference
from pgtv.catalog.growth import Growth, Room
from pgtv.catalog.model import Snapshot, Tview
from pgtv.shown import wrapped

DIFF_SCHEMA = "pgtv.snapshot-diff/1"
_SIGN = {"added": "+", "removed": "-", "changed": "~"}


def headline(snapshot: Snapshot) -> str:
    """One line: which database, which server, which extension, when."""
    server, extension = snapshot.server, snapshot.extension
    parts = [
        f"{server.database} on {server.host}:{server.port}",
        f"PostgreSQL {server.version}" + (" (standby)" if server.in_recovery else ""),
    ]
    if extension.installed:
        revision = extension.catalog_revision
        known = "" if extension.generation != "unknown" else ", a catalog never seen"
        parts.append(
            f"{EXTENSION} {extension.version or extension.generation}"
            + (f", catalog {revision}" if revision else known)
        )
    else:
        parts.append(f"{EXTENSION} is not installed")
    if server.pooler:
        parts.append(f"through {server.pooler}")
    return " · ".join(parts)


def render(snapshot: Snapshot, source: str, width: int = 100) -> str:
    """What a snapshot holds: a line a TVIEW, counts of the rest, and what could not be seen."""
    lines = [
        headline(snapshot),
        f"{source}: taken {snapshot.taken_at} as {snapshot.server.user}"
        f" by pgtv {snapshot.pgtv_version} in {snapshot.elapsed_ms:.0f} ms, {snapshot.schema}",
        "",
    ]
    rows = [("TVIEW", "rows", "triggers", "reads")]
    rows += [_row(snapshot, t) for t in sorted(snapshot.tviews, key=lambda t: t.label)]
    lines += _table(rows, width) if len(rows) > 1 else ["No TVIEW is registered."]
    lines += ["", *_wrap("holds", " · ".join(_counts(snapshot)), width)]
    if snapshot.extension.leftovers and not snapshot.extension.installed:
        names = ", ".join(snapshot.extension.leftovers)
        lines += _wrap("left", f"tables named like TVIEWs: {names}", width)
    for gap in snapshot.gaps:
        needs = f"; needs {', '.join(gap.needs)}" if gap.needs else ""
        about = f" of {gap.object}" if gap.object else ""
        lines += _wrap("not seen", f"{gap.section}{about}: {gap.reason}{needs}", width)
    return "\n".join(lines) + "\n"


def _row(snapshot: Snapshot, tview: Tview) -> tuple[str, str, str, str]:
    table = snapshot.by_oid.get(tview.table_oid)
    rows = f"{table.reltuples:,.0f}" if table and table.reltuples >= 0 else "?"
    triggers = sum(1 for t in snapshot.triggers if t.entity == tview.entity)
    reads = sorted(
        {
            snapshot.name_of(r.relation)
            for r in snapshot.reads_of.get(tview.view_oid, ())
            if r.relation
        }
    )
    return tview.label, rows, str(triggers), ", ".join(reads) or "?"


def _table(rows: list[tuple[str, str, str, str]], width: int) -> Iterator[str]:
    first = max(len(r[0]) for r in rows)
    for name, count, triggers, reads in rows:
        lead = f"{name:{first}}  {count:>10}  {triggers:>8}  "
        yield from textwrap.wrap(
            reads, max(width, len(lead) + 30), initial_indent=lead,
            subsequent_indent=" " * len(lead), break_long_words=False, break_on_hyphens=False,
        ) or [lead.rstrip()]  # fmt: skip


def _counts(snapshot: Snapshot) -> Iterator[str]:
    for field in fields(Snapshot):
        value = getattr(snapshot, field.name)
        if isinstance(value, tuple) and value and field.name not in ("gaps", "tviews"):
            yield f"{len(value)} {field.name.replace('_', ' ')}"


def _wrap(label: str, text: str, width: int) -> list[str]:
    return wrapped(text, width, f"{label:10}", " " * 10)


def render_difference(
    difference: Difference,
    before: Snapshot,
    after: Snapshot,
    width: int = 100,
    growth: Growth | None = None,
) -> str:
    """`-` what went, `+` what came, `~` what changed with both values; what was not compared; what
    grew meanwhile, which is no difference."""
    lines = [f"before  {before.taken_at}  {headline(before)}"]
    lines += [f"after   {after.taken_at}  {headline(after)}", ""]
    if before.server.system_identifier != after.server.system_identifier:
        lines += ["These are two clusters: their system identifiers differ.", ""]
    previous = None
    for change in difference.changes:
        title = (change.change, change.kind, change.object)
        if title != previous:
            sign = _SIGN[change.change]
            lines.append(f"{sign} {change.kind} {change.object}")
            previous = title
        lines += _detail(change, width)
    if difference.same:
        lines.append("No difference.")
    else:
        lines += ["", _tally(difference)]
    for side, gap in difference.not_compared:
        needs = f"; needs {', '.join(gap.needs)}" if gap.needs else ""
        lines += _wrap("unknown", f"{gap.section} was not seen {side}: {gap.reason}{needs}", width)
    if growth is not None:
        lines += render_growth(growth, width)
    return "\n".join(lines) + "\n"


def render_growth(growth: Growth, width: int) -> list[str]:
    """The TVIEWs whose size or rows are others, the one that grew most first, and what room is left."""
    grown = growth.grown
    if growth.no_rate or not (grown or growth.room):
        return []
    lines = ["", f"In {_span(growth.days)}:"]
    rows = [("TVIEW", "size", "a day", "rows", "a day")]
    rows += [
        (
            g.name,
            f"{_bytes(g.bytes_before)} → {_bytes(g.bytes_after)}",
            _rate(g.bytes_per_day, _bytes),
            f"{_count(g.rows_before)} → {_count(g.rows_after)}",
            _rate(g.rows_per_day, _count),
        )
        for g in grown
    ]
    if grown:
        widths = [max(len(r[i]) for r in rows) for i in range(5)]
        lines += [
            "  " + "  ".join(f"{c:{w}}" for c, w in zip(r, widths, strict=True)).rstrip()
            for r in rows
        ]
    if (room := growth.room) is not None:
        lines += _wrap("room", _left(room), width)
    return lines


def _left(room: Room) -> str:
    where = "left on the disk of the data directory" if room.source == "file system" else "given"
    lead = f"{_bytes(room.bytes)} {where}; "
    if room.days_left is None:
        taken = "nothing more was written to it" if room.fills == "disk" else "TVIEWs took no more"
        return f"{lead}{taken} between these two moments."
    whose = (
        "all that is written there takes"
        if room.fills == "disk"
        else "TVIEWs alone, without base tables and WAL, take"
    )
    return (
        f"{lead}{whose} {_bytes(room.bytes_per_day)} a day: full in {_span(room.days_left)}"
        " if it goes on like that."
    )


def _span(days: float) -> str:
    if days < 1 / 24:
        return f"{days * 1440:.0f} min"
    return f"{days * 24:.0f} hours" if days < 2 else f"{days:,.0f} days"


def _rate(value: float | None, shown: Callable[[float | None], str]) -> str:
    return "?" if value is None else ("+" if value >= 0 else "-") + shown(abs(value))


def _count(number: float | None) -> str:
    return "?" if number is None else f"{number:,.0f}"


def _bytes(number: float | None) -> str:
    if number is None:
        return "?"
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1024:
            return (
                f"{number:,.0f} {unit}"
                if number >= 100 or unit == "bytes"
                else f"{number:.1f} {unit}"
            )
        number /= 1024
    return f"{number:,.1f} TB"


def _detail(change: Change, width: int) -> Iterator[str]:
    if change.field is None:
        facts = change.before if change.change == "removed" else change.after
        # the definition of what is gone is what people look for
        if change.kind == "TVIEW" and isinstance(facts, dict) and facts.get("definition"):
            yield from _indented("definition", str(facts["definition"]), width)
        return
    if change.field == "definition":
        yield "    definition"
        for sign, text in _text_difference(str(change.before), str(change.after)):
            yield f"      {sign} {text}"
        return
    yield from _indented(change.field, f"{_shown(change.before)} → {_shown(change.after)}", width)


def _indented(label: str, text: str, width: int) -> list[str]:
    lead = f"    {label}  "
    return wrapped(text, max(width, len(lead) + 40), lead, " " * 6)


def _text_difference(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Runs of words that went and came, with a few words around them."""
    old, new = before.split(), after.split()
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            continue
        lead = " ".join(old[max(0, i1 - 3) : i1])
        if i2 > i1:
            yield "-", f"{lead} {' '.join(old[i1:i2])}".strip()
        if j2 > j1:
            yield "+", f"{lead} {' '.join(new[j1:j2])}".strip()


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, list):
        return ", ".join(str(v) for v in value) or "(none)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "(empty)"


def _tally(difference: Difference) -> str:
    objects = {(c.change, c.kind, c.object) for c in difference.changes}
    counts = {word: sum(1 for c, _, _ in objects if c == word) for word in _SIGN}
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n)


def difference_document(
    difference: Difference, before: Snapshot, after: Snapshot, growth: Growth | None = None
) -> dict[str, Any]:
    """The difference as plain JSON types, schema pgtv.snapshot-diff/1."""
    return {
        "schema": DIFF_SCHEMA,
        "same": difference.same,
        "before": _side(before),
        "after": _side(after),
        "changes": [
            {f.name: getattr(c, f.name) for f in fields(Change)} for c in difference.changes
        ],
        "not_compared": [
            {"side": side, "section": g.section, "reason": g.reason, "needs": list(g.needs)}
            for side, g in difference.not_compared
        ],
        "growth": None if growth is None else _growth_document(growth),
    }


def _growth_document(growth: Growth) -> dict[str, Any]:
    room = growth.room
    return {
        "days": growth.days,
        "no_rate": growth.no_rate,
        "tviews": [asdict(g) for g in growth.tviews],
        "bytes_per_day": growth.bytes_per_day,
        "room_bytes": room.bytes if room else None,
        "room_from": room.source if room else None,
        "fills": room.fills if room else None,
        "fills_bytes_per_day": room.bytes_per_day if room else None,
        "days_left": room.days_left if room else None,
    }


def _side(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "taken_at": snapshot.taken_at,
        "database": snapshot.server.database,
        "host": snapshot.server.host,
        "port": snapshot.server.port,
        "system_identifier": snapshot.server.system_identifier,
        "server_version": snapshot.server.version,
        "extension_version": snapshot.extension.version,
    }


def dumps(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
