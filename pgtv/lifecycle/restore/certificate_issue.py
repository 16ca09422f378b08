"""Makes the certificate of a rehearsal that has ended."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

from pgtv.checks.resolving import age
from pgtv.lifecycle.restore import certificate_points
from pgtv.lifecycle.restore.backup import Backup, digest
from pgtv.lifecycle.restore.certificate import (
    VERDICTS,
    Certificate,
    Objective,
    Place,
    Restored,
    Source,
    decide,
)
from pgtv.lifecycle.restore.stage import Run


def issue(run: Run) -> Certificate:
    backup, seen, wish = run.backup, run.seen, run.wish
    rto = Objective(wish.rto, round(run.elapsed, 3) if seen.reached_end else None,
                    "from the first byte restored until everything was proven")  # fmt: skip
    rpo = _rpo(run)
    points = certificate_points.points(seen, rto, rpo)
    code = decide(points)
    held = run.snapshot
    before = run.before
    return Certificate(
        issued_at=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=VERDICTS[code],
        exit=int(code),
        restored=Restored(
            str(backup.path.absolute()), backup.kind, backup.form, backup.bytes, backup.files,
            run.sha256, run.data_from.isoformat(timespec="seconds") if run.data_from else None,
            run.data_from_by, backup.database or (None if backup.is_dump or held is None else run.database),
            _dumped(backup), backup.label.get("LABEL"), run.recovered_to, run.commands,
        ),
        place=Place(
            platform.node(), os.cpu_count() or 1,
            held.server.version if held else str(run.server.major),
            held.extension.version if held else None,
            str(run.server.binaries), ", ".join(wish.preload),
            str(run.server.root) if wish.keep else None,
        ),
        phases=tuple(run.phases),
        rto=rto,
        rpo=rpo,
        serving_seconds=None if run.serving is None else round(run.serving, 3),
        source=None if before is None or run.before_path is None else Source(
            str(run.before_path.absolute()), digest(run.before_path), before.taken_at,
            before.server.database, before.server.version, before.extension.version,
            len(before.tviews),
        ),
        tviews=tuple(seen.proofs),
        cures=tuple(seen.cures),
        writes=seen.writes,
        points=points,
        proven=tuple(certificate_points.proven(seen)),
        not_proven=tuple(
            certificate_points.not_proven(seen, dump=backup.is_dump, own_settings=not backup.is_dump)
        ),
    )  # fmt: skip


def _dumped(backup: Backup) -> str | None:
    if backup.contents is None:
        return f"PostgreSQL {backup.major}" if backup.major else None
    return f"PostgreSQL {backup.contents.dumped_from} by pg_dump {backup.contents.dumped_by}"


def _rpo(run: Run) -> Objective:
    if run.data_from is None:
        return Objective(run.wish.rpo, None, run.data_from_by)
    old = (run.began_at - run.data_from).total_seconds()
    said = f"the age of its rows now, by {run.data_from_by}"
    if run.before:
        later = (datetime.fromisoformat(run.before.taken_at) - run.data_from).total_seconds()
        if later > 0:
            said += f"; the source's snapshot was taken {age(later)} after them"
    return Objective(run.wish.rpo, round(max(old, 0.0), 1), said)
