"""Snapshots and their differences, for people and as JSON."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.diff import Change, Difference
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
    difference: Difference, before: Snapshot, after: Snapshot, width: int = 100
) -> str:
    """`-` what went, `+` what came, `~` what changed with both values; what was not compared."""
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
    return "\n".join(lines) + "\n"


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
    difference: Difference, before: Snapshot, after: Snapshot
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
