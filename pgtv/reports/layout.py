"""How every report is laid out: sections by what it means for the application, causes first.

The formats differ in markup only; what is shown, in which order, and what is folded is decided here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pgtv.catalog.dialects.base import EXTENSION, ident
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import Examination, State
from pgtv.errors import Exit
from pgtv.finding import Effect, Finding, Severity
from pgtv.pasted import pasteable
from pgtv.shown import plural

FULL = 3  # findings of one check in one section that are shown whole
SHORT = 10  # further ones that get a line each


@dataclass(frozen=True)
class Section:
    """Findings that mean the same for the application; groups are (check id, its findings)."""

    title: str
    groups: tuple[tuple[str, tuple[Finding, ...]], ...]

    @property
    def unseen(self) -> bool:
        """Whether this is the section of what could not be looked at."""
        return self.groups[0][1][0].severity is Severity.UNKNOWN


@dataclass(frozen=True)
class Layout:
    """One examination as it is read from top to bottom.

    exit: what the run exits with, after --fail-on and its like. connection: the options that reach
    the same database again, as the command line has them (empty when the environment says it).
    source: the snapshot file that was looked at, or None for a live server.
    """

    examination: Examination
    exit: Exit
    connection: str = ""
    source: str | None = None
    commands: frozenset[str] = frozenset()
    rows: Mapping[str, float] = field(default_factory=dict)

    @property
    def sections(self) -> tuple[Section, ...]:
        """Those that have findings: causes only, except that nothing hides below a cause of info."""
        return tuple(
            Section(title, groups)
            for title, severities, effects in _SECTIONS
            if (groups := _groups(self.examination.causes, severities, effects))
        )


def layout(
    examination: Examination,
    exit: Exit | None = None,
    connection: str = "",
    source: str | None = None,
    commands: Iterable[str] = (),
) -> Layout:
    """The layout of an examination; `commands` are those of pgtv that may be offered."""
    rows = {r.qualified: r.reltuples for r in examination.snapshot.relations}
    return Layout(
        examination, examination.exit if exit is None else exit, connection, source,
        frozenset(commands), rows,
    )  # fmt: skip


_LOUD = (Severity.CRITICAL, Severity.WARNING)
_SECTIONS: tuple[tuple[str, tuple[Severity, ...], tuple[Effect, ...]], ...] = (
    ("Writes fail now", _LOUD, (Effect.WRITES_FAIL,)),
    ("Rows are wrong or will be", _LOUD, (Effect.ROWS_WRONG,)),
    ("Risk", _LOUD, (Effect.RISK, Effect.NONE)),
    ("Could not be seen", (Severity.UNKNOWN,), tuple(Effect)),
    ("For information", (Severity.INFO,), tuple(Effect)),
)


def _groups(
    causes: Iterable[Finding], severities: tuple[Severity, ...], effects: tuple[Effect, ...]
) -> tuple[tuple[str, tuple[Finding, ...]], ...]:
    found: dict[str, list[Finding]] = {}
    chosen = [f for f in causes if f.severity in severities and f.effect in effects]
    for finding in _together(chosen):  # worst first already
        found.setdefault(finding.check, []).append(finding)
    return tuple((check, tuple(group)) for check, group in found.items())


def _together(findings: Iterable[Finding]) -> list[Finding]:
    """Checks that could not look for one and the same reason, told once with their names."""
    blind: dict[tuple[str, tuple[str, ...]], list[Finding]] = {}
    for finding in findings:
        if finding.severity is Severity.UNKNOWN and finding.object == "(check)":
            blind.setdefault((finding.detail, finding.needs), []).append(finding)
    told = []
    for finding in findings:
        same = blind.get((finding.detail, finding.needs), [])
        if len(same) < 2 or finding not in same:
            told.append(finding)
        elif finding is same[0]:
            names = ", ".join(f.check for f in same)
            told.append(
                replace(
                    finding,
                    object=f"({len(same)} checks)",
                    detail=f"{finding.detail}. So {len(same)} checks say nothing: {names}.",
                )
            )
    return told


def heading(layout: Layout) -> str:
    """Which database, server, extension; how many TVIEWs; how long it took, or how old it is."""
    snapshot, examination = layout.examination.snapshot, layout.examination
    server = snapshot.server
    where = f"{server.host}:{server.port}" if server.host else f"port {server.port}"
    parts = [f"{server.database} on {where}", f"PostgreSQL {server.version}"]
    if server.in_recovery:
        parts.append("standby")
    if server.pooler:
        parts.append(f"through {server.pooler}")
    parts.append(extension_text(snapshot))
    parts.append(plural(len(snapshot.tviews), "TVIEW"))
    if layout.source is not None:
        parts.append(f"as seen at {snapshot.taken_at} ({layout.source})")
    else:
        parts.append(f"{(snapshot.elapsed_ms + examination.elapsed_ms) / 1000:.1f} s")
    return " · ".join(parts)


def extension_text(snapshot: Snapshot) -> str:
    """The extension's name, release and catalog, or that it is not there."""
    extension = snapshot.extension
    if not extension.installed:
        return f"{EXTENSION} is not installed"
    revision = f", catalog {extension.catalog_revision}" if extension.catalog_revision else ""
    return f"{EXTENSION} {extension.version or extension.generation}{revision}"


def affects_text(layout: Layout, finding: Finding, limit: int = 8) -> str:
    """The TVIEWs reached, with the rows that statistics estimate for all of them."""
    names = finding.affects[:limit]
    more = len(finding.affects) - len(names)
    known = [layout.rows[a] for a in finding.affects if layout.rows.get(a, -1) >= 0]
    text = ", ".join(names) + (f" and {more} more" if more else "")
    if known:
        text += f" (about {sum(known):,.0f} rows)"
    return text


def evidence_text(row: Mapping[str, Any]) -> str:
    """One row of evidence as `key value, key value`; nested values as JSON."""
    return ", ".join(f"{str(k).replace('_', ' ')} {_value(v)}" for k, v in row.items())


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return str(value)  # OIDs and process ids are no amounts: no separators
    if isinstance(value, str):
        return value or "''"
    return json.dumps(value, ensure_ascii=False, default=str)


def counts(layout: Layout) -> list[str]:
    """The footer's numbers: checks that are fine, then findings by severity, then the rest."""
    examination = layout.examination
    parts = [f"{examination.state_count(State.OK)} ok"]
    for severity in (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN, Severity.INFO):
        if n := examination.count(severity):
            text = plural(n, "warning") if severity is Severity.WARNING else f"{n} {severity}"
            parts.append(text + _unknown_needs(examination, severity))
    if n := examination.state_count(State.NOT_APPLICABLE):
        parts.append(f"{n} not applicable")
    if examination.silenced:
        parts.append(f"{len(examination.silenced)} in the baseline")
    return parts


def _unknown_needs(examination: Examination, severity: Severity) -> str:
    """For unknowns, the privileges that would make them known."""
    if severity is not Severity.UNKNOWN:
        return ""
    needs = sorted({n for f in examination.findings if f.severity is severity for n in f.needs})
    return f" (needs {', '.join(needs[:3])})" if needs else ""


_WITHIN_MONITOR = {"pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"}


def grant(layout: Layout) -> str | None:
    """The one statement that lifts the unknowns which a predefined role would, or None."""
    needs = {
        n for f in layout.examination.findings if f.severity is Severity.UNKNOWN for n in f.needs
    }
    roles = sorted(n for n in needs if re.fullmatch(r"pg_[a-z_]+", n))
    if "pg_monitor" in roles:
        roles = [r for r in roles if r not in _WITHIN_MONITOR]
    user = layout.examination.snapshot.server.user
    return pasteable(f"GRANT {', '.join(roles)} TO {ident(user)};") if roles and user else None


def next_steps(layout: Layout) -> list[tuple[str, str]]:
    """(command, what it is good for): what to type now, at most two, only commands that exist."""
    examination = layout.examination
    on = f" {layout.connection}" if layout.connection else ""
    worst = next((f for f in examination.causes if f.severity in _LOUD), None)
    steps: list[tuple[str, str]] = []
    if worst and _only_leases(examination):
        # repair leaves triggers to whoever leased them
        steps.append((f"pgtv triggers enable{on}", "shows how the lease ends; writes nothing"))
    elif worst and "repair" in layout.commands:
        verified = any(o.findings and o.check.option == "--verify" for o in examination.outcomes)
        option = " --verify" if verified else ""
        steps.append((f"pgtv repair{option}{on}", "shows the whole cure, in order; writes nothing"))
    if worst and "explain" in layout.commands:
        steps.append((f"pgtv explain {worst.check}", "what it means, before you paste the cure"))
    if not worst and (unknown := _first(examination, Severity.UNKNOWN)):
        steps.append((f"pgtv explain {unknown.check}", "what the check looks at and needs"))
    if not worst and not steps and examination.snapshot.tviews and layout.source is None:
        # doctor reads catalogs: rows can differ all the same
        steps.append((f"pgtv verify{on}", "compares contents with definitions, row by row"))
    return [s for s in steps if s[0].split()[1] in layout.commands][:2]


def _only_leases(examination: Examination) -> bool:
    """Whether all that is loud is a lease, or what it causes."""
    loud = [f for f in examination.causes if f.severity in _LOUD]
    return all(f.check == "trigger-lease" for f in loud)


def _first(examination: Examination, severity: Severity) -> Finding | None:
    return next((f for f in examination.findings if f.severity is severity), None)


def status(exit: Exit) -> str:
    """The word of JSON's `status` for an exit code."""
    return {0: "healthy", 1: "warning", 2: "critical", 3: "unknown"}[int(exit)]


def is_sql(text: str | None) -> bool:
    """Whether an undo is a statement, which is shown as it is pasted, and not a sentence."""
    return bool(text) and str(text).rstrip().endswith(";")
