"""The certificate of a rehearsed restore: what was restored, how long it took, what was proven.

Pure data, the document pgtv.certificate/1. What is not listed as proven was not.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from pgtv import __version__
from pgtv.catalog.schema import document_schema
from pgtv.errors import Exit
from pgtv.finding import exit_code, worst
from pgtv.lifecycle.verdict import Point

SCHEMA = "pgtv.certificate/1"


@dataclass(frozen=True)
class Restored:
    """The backup. sha256: of the file; of a folder, of the lines that sha256sum prints for its files.

    data_from: the moment that the restored rows are of, ISO 8601, None where nothing tells; told by
    `data_from_by`. commands: what restores it for real, as `pgtv preflight dump` prints it.
    """

    path: str
    kind: str
    form: str
    bytes: int
    files: int
    sha256: str
    data_from: str | None
    data_from_by: str
    database: str | None = None
    dumped_from: str | None = None
    label: str | None = None
    recovered_to: str | None = None
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """The snapshot of the source that the restored database was held against."""

    path: str
    sha256: str
    taken_at: str
    database: str
    server_version: str
    extension_version: str | None
    tviews: int


@dataclass(frozen=True)
class Place:
    """Where it was restored: a throwaway server. binaries: their folder. preload: the libraries."""

    machine: str
    processors: int
    server_version: str
    extension_version: str | None
    binaries: str
    preload: str
    kept: str | None = None


@dataclass(frozen=True)
class Phase:
    """One phase, wall clock. counts: whether it is part of the time to recover."""

    name: str
    seconds: float
    said: str = ""
    counts: bool = True


@dataclass(frozen=True)
class Objective:
    """A target and what was measured, in seconds; None: could not be measured."""

    target: float
    measured: float | None
    said: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.measured is None else self.measured <= self.target


@dataclass(frozen=True)
class Cure:
    """A command that was needed after the restore. of: `registrations`, `unlogged` or `rows`. exit: its code.

    said: its last line.
    """

    command: str
    of: str
    seconds: float
    exit: int
    said: str = ""


@dataclass(frozen=True)
class Proof:
    """One TVIEW's rows against its definition. state: as of `pgtv verify`. differed: rows that were
    wrong as restored. at: seconds from the beginning until it was known."""

    tview: str
    state: str
    rows: int | None
    seconds: float
    at: float
    critical: bool = False
    differed: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Certificate:
    """A rehearsed restore.

    issued_at: ISO 8601, UTC. verdict: `proven`, `proven, with remarks`, `not proven` or `cannot tell`,
    by `exit`. serving_seconds: until the database could be used. writes: base tables on which a write
    was tried and rolled back, to what came of it. points: what to know, with cures. proven,
    not_proven: sentences.
    """

    issued_at: str
    verdict: str
    exit: int
    restored: Restored
    place: Place
    phases: tuple[Phase, ...]
    rto: Objective
    rpo: Objective
    serving_seconds: float | None = None
    source: Source | None = None
    tviews: tuple[Proof, ...] = ()
    cures: tuple[Cure, ...] = ()
    writes: dict[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    proven: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    pgtv_version: str = __version__
    schema: str = SCHEMA


VERDICTS = {
    Exit.HEALTHY: "proven",
    Exit.WARNING: "proven, with remarks",
    Exit.CRITICAL: "not proven",
    Exit.UNKNOWN: "cannot tell",
}


def decide(points: tuple[Point, ...]) -> Exit:
    """The exit code of a certificate with these points, by the one table."""
    return exit_code(worst([p.severity for p in points]))


def dumps(certificate: Certificate) -> str:
    """The document, with a newline at its end. Files are names: bytes that are no text are shown."""
    text = json.dumps(dataclasses.asdict(certificate), ensure_ascii=False, indent=1)
    return text.encode("utf-8", "backslashreplace").decode() + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema that schemas/ publishes."""
    return document_schema(
        Certificate,
        SCHEMA,
        "A rehearsed restore: what was restored, how long it took, what was proven and what was not. "
        "Readers ignore keys that they do not know.",
    )
