"""What a checklist of an upgrade is asked, and how its points are made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgtv import fence
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import Examination, Outcome
from pgtv.finding import Finding, Severity
from pgtv.lifecycle.upgrade.target import NewServer
from pgtv.lifecycle.verdict import Point

DONE, TO_DO, NOT_APPLICABLE, UNKNOWN = "done", "to do", "not applicable", "unknown"


@dataclass(frozen=True)
class Question:
    """to: the major release. mode: how files will be carried over. new: the server there, if asked.

    others: of the other databases, whether they have the extension (None: not known); None where they
    were not asked. dependents: what DROP EXTENSION would take along; None where it was not asked.
    bytes: of all databases of the cluster, None where they were not asked.
    before: a snapshot that was saved, and `before_file`, its name. connection: options that reach the
    database again.
    """

    to: int
    mode: str = "copy"
    new: NewServer | None = None
    others: Mapping[str, bool | None] | None = None
    dependents: Sequence[str] | None = None
    before: Snapshot | None = None
    before_file: str | None = None
    bytes: int | None = None
    connection: str = ""

    def command(self, text: str) -> str:
        """A command of pgtv that reaches this database."""
        return f"pgtv {text}" + (f" {self.connection}" if self.connection else "")


def done(id: str, text: str, objects: Sequence[str] = ()) -> Point:
    return Point(id, Severity.INFO, text, tuple(objects), (), DONE)


def none(id: str, text: str) -> Point:
    return Point(id, Severity.INFO, text, (), (), NOT_APPLICABLE)


def unknown(id: str, text: str, *cure: str) -> Point:
    return Point(id, Severity.UNKNOWN, text, (), cure, UNKNOWN)


def todo(
    id: str, text: str, objects: Sequence[str] = (), cure: Sequence[str] = (), grave: bool = False
) -> Point:
    severity = Severity.CRITICAL if grave else Severity.WARNING
    return Point(id, severity, text, tuple(objects), tuple(cure), TO_DO)


def detached(now: Snapshot) -> bool:
    return not now.extension.installed and bool(fence.fenced(now))


def of(seen: Examination, check: str) -> Outcome:
    return next(o for o in seen.outcomes if o.check.id == check)


def from_findings(id: str, findings: Sequence[Finding], asked: Question) -> Point:
    """A point of what a check found; its cure is the one that repair prints, or its statements."""
    named = " ".join(shlex.quote(f.id) for f in findings[:3]) if len(findings) < 4 else "metadata"
    cure = [asked.command(f"repair {named} --apply")]
    if findings[0].check in ("library-mismatch", "unlogged-reset"):
        remedies = [f.remedy for f in findings if f.remedy]
        cure = [s for r in remedies for s in (*r.sql, *([r.note] if r.note and not r.sql else []))]
    grave = any(f.severity is Severity.CRITICAL for f in findings)
    return todo(id, findings[0].title + ".", [f.object for f in findings], cure, grave)
