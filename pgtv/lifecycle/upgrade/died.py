"""What to do after a pg_upgrade that died: which server to start, whether there is a way back, what next.

The rules are those of pg_upgrade's documentation ("Reverting to old cluster"), and were tried on real
clusters: until files are transferred, and with --copy and --clone always, the old cluster is as it was.
--link sets its control file aside; renamed back, it is whole, unless the new server was started. --swap
leaves no way back once it has begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pgtv.catalog.dialects.base import EXTENSION, LIBRARY
from pgtv.errors import Exit
from pgtv.finding import Severity
from pgtv.lifecycle.upgrade import died_commands as typed
from pgtv.lifecycle.upgrade.log import HANGS, SETTING_ASIDE, STARTS_NEW, TRANSFER, Log
from pgtv.lifecycle.verdict import Point, Verdict

_OUTCOME = {
    Exit.HEALTHY: "did not die",
    Exit.WARNING: "died: start the old server, nothing is lost",
    Exit.CRITICAL: "died past the point of no return: the old server must not be started",
    Exit.UNKNOWN: "cannot tell which server may be started",
}
_RUNS = "There seems to be a postmaster servicing"
_SLOW = " It was slow: PGCTLTIMEOUT=3600 in the environment waits longer."
_HELD = (
    f" {EXTENSION} holds a server up that is stopped soon after its start, for up to an hour. The options "
    "-o and -O that preflight prints keep its workers away; where it was only slow, PGCTLTIMEOUT=3600 in "
    "the environment waits longer."
)
_SECOND = 1.0  # between the last line of a log and what the file system says of it


def judge(log: Log, subject: str) -> Verdict:
    """The verdict on one run of pg_upgrade."""
    if log.complete or log.compatible:
        return _ended(log, subject)
    if log.carried_over:
        return _carried_over(log, subject)
    way = _way_back(log)
    points = (way, *_leftover(log, way), *_causes(log, way), *_again(log, way))
    found = Verdict(subject, "", points)
    commands = tuple(typed.now(log, way))
    return Verdict(subject, _OUTCOME[found.exit], points, _facts(log, way), commands)


def _ended(log: Log, subject: str) -> Verdict:
    if log.compatible and not log.upgrading:
        point = Point(
            "only-checked",
            Severity.INFO,
            "This is a run of --check, and it found nothing. It does not see what the extension does "
            f"to a real run: that dies on a database with {EXTENSION} in it, unless it is detached.",
            cure=("pgtv preflight upgrade",),
        )
        return Verdict(subject, "was a check, and passed", (point,), _clusters(log))
    point = Point("complete", Severity.INFO, "It ran to its end.")
    return Verdict(
        subject, _OUTCOME[Exit.HEALTHY], (point,), _clusters(log), tuple(typed.go_on(log))
    )


def _carried_over(log: Log, subject: str) -> Verdict:
    point = Point(
        "carried-over", Severity.WARNING,
        "Its last step was done: everything was carried over, and the new cluster is whole. Only "
        "the new server was not stopped. Go on with the new one, as if it had ended well.",
    )  # fmt: skip
    facts = {"died at": "its end", "start now": "the new server"} | _clusters(log)
    if log.mode:
        facts["mode"] = f"--{log.mode}"
    commands = (*(c for data in log.running for c in typed.stop(log, data)), *typed.go_on(log))
    summary = "died at its end: go on with the new server, everything was carried over"
    return Verdict(subject, summary, (point, *_causes(log, point)), facts, commands)


def _way_back(log: Log) -> Point:
    """Whether the old cluster may be started."""
    last = log.last
    if last is None and not log.said:
        return Point(
            "unknown-step", Severity.UNKNOWN,
            "No step is in it, so how far it came is not known. Start nothing before that is.",
            cure=("give the folder pg_upgrade_output.d of the new data directory",),
        )  # fmt: skip
    if _RUNS in " ".join(log.said):
        return Point(
            "not-begun", Severity.WARNING,
            "It did not begin, because a server runs on one of the clusters. Nothing was changed.",
            cure=("stop that server, then run it again",),
        )  # fmt: skip
    if not log.upgrading:
        return Point(
            "checks-failed", Severity.WARNING,
            "It stopped while it was checking. Neither cluster was changed: start the old server, "
            "and use the new data directory again.",
        )  # fmt: skip
    transferring = any(log.began(name) for name in TRANSFER)
    aside = log.began(SETTING_ASIDE) and (transferring or not _control(log.old))
    if not aside and not (transferring and log.mode in ("link", "swap")):
        return Point(
            "old-untouched", Severity.WARNING,
            "The old cluster was not changed: start the old server. The new data directory is half "
            "made, and pg_upgrade will not take it again: make it anew.",
        )  # fmt: skip
    if log.mode == "link":
        return _linked(log)
    if log.mode == "swap":
        return Point(
            "swapped", Severity.CRITICAL,
            "--swap had begun to move files from the old cluster into the new one: neither is whole. "
            "Restore the old cluster from its backup.",
            cure=("pgtv preflight dump FILE   # or a base backup: whether TVIEWs come back",),
        )  # fmt: skip
    return Point(
        "set-aside", Severity.UNKNOWN,
        "The old cluster's control file was set aside, by --link or --swap; which of them is not in "
        "this log. With --link it can be renamed back, with --swap the cluster is not whole.",
        cure=("give the folder pg_upgrade_output.d of the new data directory",),
    )  # fmt: skip


def _linked(log: Log) -> Point:
    started = _started(log)
    if started:
        return Point(
            "linked-and-started", Severity.CRITICAL,
            f"--link had begun, and {started}. It wrote into files that both share: the old cluster "
            "is broken for good. Go on with the new one if it is whole, else restore a backup.",
        )  # fmt: skip
    return Point(
        "linked", Severity.WARNING,
        "--link had begun: both clusters share files, and the old one's control file was renamed. "
        "There is a way back as long as the new server was never started: rename the file back, start "
        "the old server, and never the new one on that directory."
        + ("" if _control(log.new) else " Whether it was started cannot be seen from here."),
    )  # fmt: skip


def _control(data: str | None) -> bool:
    """Whether the control file of a data directory is where it belongs, seen from this machine."""
    return data is not None and (Path(data) / "global" / "pg_control").exists()


def _started(log: Log) -> str | None:
    """How one sees that the new server was started after files were linked, or None."""
    if any(log.began(name) for name in STARTS_NEW):
        return "pg_upgrade had come to where it starts the new server itself"
    if log.new is None or not _control(log.new):
        return None
    new = Path(log.new)
    if (new / "postmaster.pid").exists():
        return f"a server runs on {new}, or ran and crashed (postmaster.pid)"
    written = max(f.stat().st_mtime for f in log.files)
    if (new / "global" / "pg_control").stat().st_mtime > written + _SECOND:
        return f"the control file of {new} was written after the last line of these logs"
    return None


def _leftover(log: Log, way: Point) -> Iterator[Point]:
    for data in log.running if way.id != "not-begun" else ():
        yield Point(
            "server-left", Severity.WARNING,
            f"pg_upgrade started a server on {data} and did not stop it: it may still run.",
            cure=tuple(typed.stop(log, data)),
        )  # fmt: skip


def _causes(log: Log, way: Point) -> Iterator[Point]:
    said = " ".join(x.strip() for x in log.said if x.strip())
    library = [x for x in log.libraries if LIBRARY in x]
    if log.in_the_way:
        why = (
            f"The catalog of its old release names {log.lacks}, a function that the new server's "
            "library, of another release, does not have"
            if log.lacks
            else "Its library reads a table that the restore has not made yet"
        )
        yield Point(
            "extension-in-the-way", Severity.WARNING,
            f"The cause is known: {EXTENSION} cannot be carried over by pg_upgrade. {why} (database "
            f"{log.database}). --check does not see that. Detach in every database that has it, then "
            "upgrade.",
            log.error,
        )  # fmt: skip
    elif log.error:
        where = f" of database {log.database}" if log.database else ""
        yield Point("restore-failed", Severity.WARNING, f"The restore{where} stopped.", log.error)
    if library:
        yield Point(
            "library-missing", Severity.WARNING,
            f"The new server has no library of {EXTENSION}. Installing it for that major lets this "
            "check pass, and the upgrade dies later unless TVIEWs are detached. Detached, the upgrade "
            "does not need it; attaching does.",
            tuple(log.libraries),
        )  # fmt: skip
    elif log.libraries:
        yield Point(
            "libraries-missing", Severity.WARNING, "The new server lacks libraries.", log.libraries
        )
    if "contains prepared transactions" in said:
        yield Point(
            "prepared", Severity.WARNING, "Transactions are prepared on the old server.",
            cure=("pgtv 2pc list   # commit them or roll them back, on the old server",),
        )  # fmt: skip
    elif "data checksums but the new one" in said:
        option = "--no-data-checksums" if "old cluster does not" in said else "--data-checksums"
        yield Point(
            "checksums", Severity.WARNING,
            f"Only one of the clusters has data checksums; from 18 on initdb makes them by default: "
            f"make the new one with {option}.",
        )  # fmt: skip
    elif log.control and "pg_upgrade_server.log" in said:
        held = HANGS in log.control
        why = _HELD if held else _SLOW if "in time" in log.control else ""
        yield Point(
            "server-failed", Severity.WARNING,
            f"A server did not do as it was told: {log.control}.{why}",
        )  # fmt: skip
    elif said and way.id != "not-begun" and not log.error and not log.libraries:
        yield Point("reason", Severity.WARNING, f"It said: {said[:600]}")
    elif way.id != "not-begun" and not log.error and log.last and log.last.end is None:
        yield Point(
            "interrupted", Severity.WARNING, "It says no reason: it was killed, or is running."
        )


def _clusters(log: Log) -> dict[str, str]:
    named = {"old cluster": (log.old, log.old_bin), "new cluster": (log.new, log.new_bin)}
    return {
        label: data + (f" (programs in {programs})" if programs else "")
        for label, (data, programs) in named.items()
        if data
    }


def _facts(log: Log, way: Point) -> dict[str, str]:
    last = log.last
    facts = {"died at": last.name if last else "its start"}
    if log.mode:
        facts["mode"] = f"--{log.mode}"
    elif log.upgrading:
        facts["mode"] = "not told by then; no file was carried over"
    start = {Severity.WARNING: "the old server", Severity.CRITICAL: "not the old server"}
    if way.id == "not-begun":
        start[Severity.WARNING] = "none: the one that should not run does"
    facts["start now"] = start.get(way.severity, "nothing, until more is known")
    return facts | _clusters(log)


def _again(log: Log, way: Point) -> Iterator[Point]:
    """How to go on once the old server serves: kept apart from what is to be run now."""
    if way.severity is not Severity.WARNING or way.id == "not-begun":
        return
    yield Point(
        "then", Severity.INFO,
        "Once the old server serves: where TVIEWs are detached, attaching there lets writes in. Or, to "
        "upgrade after all, in this order:",
        cure=tuple(typed.again(log, way)),
    )  # fmt: skip
