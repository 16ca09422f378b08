"""Points of an upgrade's checklist about servers: releases, the new server's package, room."""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import Examination
from pgtv.checks.versions import newer
from pgtv.lifecycle.upgrade.points import Question, done, from_findings, none, of, todo, unknown
from pgtv.lifecycle.upgrade.target import checksums
from pgtv.lifecycle.verdict import Point

_MARGIN = 1.1  # of a copy's size: WAL and catalogs of the new cluster come on top


def releases(now: Snapshot, asked: Question, seen: Examination) -> Iterator[Point]:
    server, extension = now.server, now.extension
    major = server.version_num // 10000
    if server.in_recovery:
        yield todo("primary", "This server is a standby. A standby is made anew from the upgraded "
                    "primary.", cure=("connect to the primary",), grave=True)  # fmt: skip
    majors = dialects.current.DIALECT.server_majors
    path = f"PostgreSQL {server.version} to {asked.to}"
    if asked.to == major:
        yield none(
            "release", f"PostgreSQL {asked.to} runs already: there is nothing to upgrade to."
        )
    elif asked.to not in majors:
        yield todo("release", f"{path}: releases of {EXTENSION} known to pgtv are made for "
                    f"{', '.join(map(str, majors))}.", grave=True)  # fmt: skip
    else:
        yield done("release", f"{path}: a release of {EXTENSION} for {asked.to} exists.")
    outcome = of(seen, "library-mismatch")
    if not extension.installed:
        yield none("catalog-revision", f"{EXTENSION} is not installed here (any more).")
    elif outcome.findings:
        yield from_findings("catalog-revision", outcome.findings, asked)
    elif extension.catalog_revision is None:
        yield done(
            "catalog-revision", f"{EXTENSION} {extension.version}, a release without revisions."
        )
    else:
        yield done("catalog-revision", f"Library {extension.library_version} and catalog revision "
                    f"{extension.catalog_revision} belong together.")  # fmt: skip


def target(now: Snapshot, asked: Question) -> Iterator[Point]:
    new = asked.new
    if new is None:
        again = asked.command(
            f"preflight upgrade --to {asked.to} --new-bindir DIR --new-datadir DIR"
        )
        yield unknown("new-package", f"Whether {EXTENSION} is installed for the new server was not "
                       "looked at.", again)  # fmt: skip
    elif new.major != asked.to:
        yield todo("new-package", f"{new.bindir} holds PostgreSQL {new.major}, not {asked.to}.",
                    grave=True)  # fmt: skip
    elif not new.library or not new.control:
        missing = "the library" if not new.library else "the control file"
        yield todo("new-package", f"{EXTENSION} is not installed for {new.bindir}: {missing} is not "
                    "there. pg_upgrade gets through without it once TVIEWs are detached; attaching "
                    "does not.", cure=(f"install {EXTENSION} for PostgreSQL {asked.to}",))  # fmt: skip
    elif newer(now.extension.version, new.version) and now.extension.generation == "current":
        yield todo("new-package", f"{new.bindir} has {EXTENSION} {new.version}, this database the later "
                    f"{now.extension.version}: registrations are not carried back.",
                    cure=(f"install {EXTENSION} {now.extension.version} or later there",), grave=True,
                    )  # fmt: skip
    else:
        yield done("new-package", f"{EXTENSION} {new.version} is installed for {new.bindir}.",
                    (new.library, new.control))  # fmt: skip
    yield from _new_cluster(now, asked)


def _new_cluster(now: Snapshot, asked: Question) -> Iterator[Point]:
    sums = now.setting.get("data_checksums")
    option = " ".join(["", *checksums(sums == "on", asked.to)])
    lines = (
        f"initdb -D NEW_DATA -U postgres{option}   # the superuser's name as on the old server",
        f"echo \"shared_preload_libraries = '{EXTENSION}'\" >> NEW_DATA/postgresql.conf"
        "   # with the others that it has",
    )
    new = asked.new
    if new is None or new.data is None:
        yield unknown("new-cluster", "The new data directory was not looked at. Checksums must be as on "
                       f"the old server ({sums or 'not seen'}; 18 makes them by default), and "
                       f"{EXTENSION} must be preloaded.", *lines)  # fmt: skip
        return
    wrong = []
    if sums is not None and (sums == "on") is not new.checksums:
        wrong.append(f"data checksums are {'on' if new.checksums else 'off'}, here {sums}: pg_upgrade "
                     "refuses")  # fmt: skip
    listed = [x.strip().strip('"') for x in (new.preload or "").split(",")]
    if EXTENSION not in listed:
        wrong.append(f"{EXTENSION} is not in shared_preload_libraries ({new.preload or 'empty'})")
    if wrong:
        yield todo("new-cluster", f"{new.data}: {'; '.join(wrong)}.",
                    cure=lines if len(wrong) > 1 or "refuses" in wrong[0] else lines[1:])  # fmt: skip
    else:
        yield done("new-cluster", f"{new.data}: {EXTENSION} is preloaded, checksums as here.")


def room(now: Snapshot, asked: Question) -> Iterator[Point]:
    used, where = asked.bytes, "the old data directory"
    free = now.growth.data_free_bytes if now.growth else None
    if asked.new and asked.new.free_bytes is not None:
        free, where = asked.new.free_bytes, str(asked.new.data)
    if asked.mode in ("link", "swap", "clone"):
        yield done("room", f"--{asked.mode} needs next to no room; both data directories have to lie "
                    "on one file system.")  # fmt: skip
    elif used is None or free is None:
        yield unknown("room", "How much room is left on the server's disk cannot be seen from here. "
                       f"--copy needs as much again as all databases have: {_size(used)}.",
                       "df -h OLD_DATA NEW_DATA")  # fmt: skip
    elif free < used * _MARGIN:
        yield todo("room", f"--copy needs as much again: all databases have {_size(used)}, and "
                    f"{_size(free)} are free at {where}.",
                    cure=("make room, or put the new data directory elsewhere, or use --link",),
                    )  # fmt: skip
    else:
        yield done("room", f"All databases have {_size(used)}; {_size(free)} are free at {where}.")


def _size(count: int | None) -> str:
    return f"{count / 2**20:,.0f} MiB" if count is not None else "unknown"
