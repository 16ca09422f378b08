"""One rehearsal of a restore while it goes on: what was asked for, the clock, what was seen so far."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot
from pgtv.cluster.place import place
from pgtv.cluster.server import Server
from pgtv.finding import Severity
from pgtv.lifecycle.restore import load as restore_load
from pgtv.lifecycle.restore import prove as restore_prove
from pgtv.lifecycle.restore.backup import Backup
from pgtv.lifecycle.restore.certificate import Phase
from pgtv.lifecycle.restore.certificate_points import Seen
from pgtv.lifecycle.verdict import Point
from pgtv.session import Target

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What to rehearse. rto, rpo: seconds. temp: where the server's folder is made. roles: what
    pg_dumpall --roles-only or --globals-only wrote. archive, until: WAL to replay after a base backup."""

    path: Path
    rto: float
    rpo: float
    bindir: Path | None = None
    before: Path | None = None
    critical: tuple[str, ...] = ()
    temp: Path = field(default_factory=lambda: Path(place()))
    keep: bool = False
    jobs: int = 1
    roles: Path | None = None
    database: str | None = None
    superuser: str = "postgres"
    archive: Path | None = None
    until: str | None = None
    preload: tuple[str, ...] = (EXTENSION,)


@dataclass
class Run:
    """One rehearsal while it goes on."""

    wish: Wish
    say: Say
    backup: Backup
    sha256: str
    before: Snapshot | None
    before_path: Path | None
    server: Server
    started: float
    began_at: datetime
    phases: list[Phase]
    seen: Seen = field(default_factory=Seen)
    database: str = restore_load.DATABASE
    commands: tuple[str, ...] = ()
    breaks: bool = False
    data_from: datetime | None = None
    data_from_by: str = ""
    recovered_to: str | None = None
    serving: float | None = None
    snapshot: Snapshot | None = None

    @contextlib.contextmanager
    def phase(self, name: str, *, counts: bool = True) -> Iterator[list[str]]:
        """Time a phase; what is appended to the list it gives says what came of it."""
        said: list[str] = []
        begun = time.monotonic()
        try:
            yield said
        finally:
            took = time.monotonic() - begun
            self.phases.append(Phase(name, round(took, 3), "; ".join(said), counts))
            self.say(
                f"{time.monotonic() - self.started:8.1f} s  {name}"
                + (f": {'; '.join(said)}" if said else "")
            )

    @property
    def target(self) -> Target:
        return replace(self.server.target(self.database), statement_timeout=restore_prove.COMPARING)

    def fatal(self, id_: str, text: str, *cure: str) -> None:
        self.seen.points.append(Point(id_, Severity.CRITICAL, text, cure=cure))

    @property
    def elapsed(self) -> float:
        """Seconds of the phases that count."""
        return sum(p.seconds for p in self.phases if p.counts)
