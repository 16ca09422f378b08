"""Rehearses a restore on a throwaway server: restored, cured, proven, each phase timed.

What cannot be tried raises; what goes wrong with the backup is in the certificate.
"""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime

from pgtv.catalog import codec
from pgtv.cluster.server import Server
from pgtv.errors import ClusterError, UsageError
from pgtv.lifecycle.restore import base as restore_base
from pgtv.lifecycle.restore import beside as restore_beside
from pgtv.lifecycle.restore import cure as restore_cure
from pgtv.lifecycle.restore import dump as restore_dump
from pgtv.lifecycle.restore import server as restore_server
from pgtv.lifecycle.restore.backup import digest, look_at
from pgtv.lifecycle.restore.certificate import Certificate, Phase
from pgtv.lifecycle.restore.certificate_issue import issue
from pgtv.lifecycle.restore.stage import Run, Say, Wish
from pgtv.rows import proving


def rehearse(wish: Wish, say: Say) -> Certificate:
    """Restore, cure, prove. `say` gets a line whenever something is done.

    Raises UsageError, NotPossible and PgtvError for what could not be tried.
    """
    began = datetime.now(UTC)
    started = time.monotonic()
    proving.check_names(wish.critical)
    before_path = wish.before or restore_beside.beside(wish.path)
    before = codec.load(before_path) if before_path else None
    if before and (gap := before.gap("tviews")):
        raise UsageError(f"{before_path} does not hold the TVIEWs: {gap.reason}")
    if before:
        proving.split(before, wish.critical)  # a wrong name is said now, not in an hour
        restore_beside.check(wish.path, before)
    backup = look_at(wish.path, _pg_restore(wish))
    if backup.is_dump and (wish.archive or wish.until):
        raise UsageError("--archive and --target-time go with a base backup", "leave them out")
    folder = restore_server.choose(backup, wish.bindir, before)
    restore_server.room(backup, wish.temp)
    say(
        f"{backup.kind}, {backup.form}, {restore_server.size(backup.bytes)}: its SHA-256 is computed"
    )
    sha256 = digest(wish.path)
    phases = [Phase("identify", round(time.monotonic() - started, 3), "", counts=False)]
    try:
        server = Server(
            folder, restore_server.settings(wish.preload, {}), wish.superuser, wish.keep,
            within=str(wish.temp),
        )  # fmt: skip
    except OSError as e:
        raise UsageError(
            f"cannot use {wish.temp}: {e.strerror or e}", "another: --temp DIR"
        ) from None
    run = Run(
        wish, say, backup, sha256, before, before_path, server, time.monotonic(), began, phases,
        data_from=backup.data_from, data_from_by=backup.data_from_by,
    )  # fmt: skip
    run.seen.source = before
    try:
        restored = restore_dump.restore(run) if backup.is_dump else restore_base.restore(run)
        if restored:
            restore_cure.prove(run)
        return issue(run)
    finally:
        if wish.keep:
            with contextlib.suppress(ClusterError):
                server.stop()  # cleanly: what is kept can be started
        server.destroy()


def _pg_restore(wish: Wish) -> str | None:
    if wish.bindir is None:
        return None
    for folder in (wish.bindir, wish.bindir / "bin"):
        if (folder / "pg_restore").exists():
            return str(folder / "pg_restore")
    return None
