"""What the logs of a pg_upgrade say: its steps, where it stopped and why, which clusters it was about.

Read are the folder pg_upgrade_output.d of the new cluster (its newest run), a run's folder, a log in
it, or what pg_upgrade printed. The logs name the clusters; nothing else is looked at. They are English
where pg_upgrade ran with LC_MESSAGES=C or an English locale; others are not understood, and say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pgtv.catalog.dialects import current
from pgtv.catalog.dialects.base import LIBRARY
from pgtv.errors import UsageError

OUTPUT = "pg_upgrade_output.d"
HANGS = "server does not shut down"
UPGRADING = "Performing Upgrade"  # the heading after which the new cluster is changed
SETTING_ASIDE = 'Adding ".old" suffix to old global/pg_control'
TRANSFER = {
    "Copying user relation files": "copy",
    "Cloning user relation files": "clone",
    "Copying user relation files with copy_file_range": "copy-file-range",
    "Linking user relation files": "link",
    "Swapping data directories": "swap",
}
# Steps from which on pg_upgrade starts the new cluster itself once files are carried over: for logical
# slots (from 17 on), and in any case to ask for updates of extensions, right after the script is made.
LAST = "Checking for extension updates"
STARTS_NEW = (
    "Restoring logical replication slots in the new cluster",
    "Creating script to delete old cluster",
    LAST,
)
# printed without a word at their end while they go on, where progress is shown
_BARE = frozenset({*TRANSFER, "Restoring database schemas in the new cluster",
                   "Creating dump of database schemas"})  # fmt: skip
_ENDS = "ok|fatal|failed|failure|warning|notice|skipped"
_COLUMN = 62  # where a step's end is printed
_STEP = re.compile(rf"(\S.*?)  +(?:({_ENDS})|(\S.*))?")
_END = re.compile(rf"\s+({_ENDS})")
_RUN = re.compile(r'command: "([^"]*)/pg_ctl" .*-D "([^"]*)".*? (start|stop)\b')
_COPIED = re.compile(r'command: cp -Rf "([^"]*)/pg_xact" "([^"]*)/pg_xact"')
_NEW = re.compile(rf'"([^"]*)/{re.escape(OUTPUT)}/')
_OLD = re.compile(r'suffix from "?([^"\s]*)/global/pg_control\.old')
_USER = re.compile(r" --username (?:\"([^\"]*)\"|(\S+)) ")
_LOGS = re.compile(rf'((?:/[^"\n]*)/{re.escape(OUTPUT)}/[^/"\n]+)/')
_DATABASE = re.compile(r'connecting to new database "(.*)"')
_META = re.compile(rf'relation ".*{re.escape(current.DIALECT.meta)}" does not exist')
# a catalog's function that the new server's library, of another release, does not have
_FUNCTION = re.compile(
    rf'could not find function "([^"]+)" in file "(?:[^"]*[/\\])?{LIBRARY}(?:\.\w+)?"'
)
_ERROR = re.compile(r"pg_(?:restore|dump): error: (.*)")


@dataclass(frozen=True)
class Step:
    """One step. end: `ok`, another word that pg_upgrade ended it with, or None where it never did."""

    name: str
    end: str | None


@dataclass
class Log:
    """What was read. said: what followed the last step, as printed. error: what the restore or dump
    of `database` stopped at, with the statement. libraries: those that the new cluster lacks.
    running: data directories of servers that pg_upgrade started and did not stop. control: what pg_ctl
    said last, where it complained."""

    steps: list[Step] = field(default_factory=list)
    upgrading: bool = False
    complete: bool = False
    compatible: bool = False
    said: list[str] = field(default_factory=list)
    mode: str | None = None
    old: str | None = None
    new: str | None = None
    old_bin: str | None = None
    new_bin: str | None = None
    user: str | None = None
    database: str | None = None
    error: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    control: str | None = None
    files: tuple[Path, ...] = ()

    @property
    def last(self) -> Step | None:
        return self.steps[-1] if self.steps else None

    def began(self, name: str) -> bool:
        """Whether a step was begun, however it ended."""
        return any(s.name == name for s in self.steps)

    @property
    def in_the_way(self) -> bool:
        """Whether the restore stopped because of the extension, which detaching takes away."""
        return self.reads_too_early or self.lacks is not None

    @property
    def reads_too_early(self) -> bool:
        """Whether the new library read a table that was not restored yet."""
        return bool(self.error) and _META.search(self.error[0]) is not None

    @property
    def lacks(self) -> str | None:
        """The function of the old release that the new server's library does not have."""
        found = _FUNCTION.search(self.error[0]) if self.error else None
        return found[1] if found else None

    @property
    def carried_over(self) -> bool:
        """Whether all that is done to the clusters was done: only a server had to be stopped still."""
        return (
            self.last is not None and self.last.name == LAST and self.last.end in ("ok", "notice")
        )


def read(path: Path) -> Log:
    """Read a file or folder of logs. Raises UsageError where it holds nothing of pg_upgrade's."""
    try:
        return _read(path)
    except OSError as e:
        raise UsageError(f"cannot read {e.filename or path}: {e.strerror or e}") from None


def _read(path: Path) -> Log:
    folder = _run_folder(path)
    log = Log()
    if folder is None:
        text = path.read_text(errors="replace")
        log.files = (path,)
        _steps(text.splitlines(), log)
        # a single log of a run that was copied away from the others
        _servers(text.splitlines(), log)
        _restored(text.splitlines(), log)
        if (found := _LOGS.search(text)) and (beside := Path(found[1]) / "log").is_dir():
            _folder(beside, log)
    else:
        _folder(folder, log)
    if not log.steps and not log.said and not log.error and log.old is None:
        raise UsageError(
            f"{path} is no log of pg_upgrade's, or not an English one",
            f"give the folder {OUTPUT} of the new data directory, or what pg_upgrade printed",
        )
    return log


def _run_folder(path: Path) -> Path | None:
    """The folder `log` of the newest run at or around `path`; None for a file of its own."""
    if not path.exists():
        raise UsageError(f"there is no {path}")
    if path.is_file():
        return path.parent if (path.parent / "pg_upgrade_internal.log").exists() else None
    for base in (path / OUTPUT, path):
        runs = sorted(p.parent.parent for p in base.glob("*/log/pg_upgrade_internal.log"))
        if runs:
            return runs[-1] / "log"
    for folder in (path / "log", path):
        if (folder / "pg_upgrade_internal.log").exists():
            return folder
    raise UsageError(
        f"{path} holds no logs of pg_upgrade",
        f"it leaves them in {OUTPUT} of the new data directory, unless it ends well",
    )


def _folder(folder: Path, log: Log) -> None:
    def lines(file: Path) -> list[str]:
        log.files += (file,)
        return file.read_text(errors="replace").splitlines()

    log.steps.clear()
    log.said.clear()
    _steps(lines(folder / "pg_upgrade_internal.log"), log)
    for name in ("pg_upgrade_server.log", "pg_upgrade_utility.log"):
        if (folder / name).exists():
            _servers(lines(folder / name), log)
    for dump in sorted(folder.glob("pg_upgrade_dump_*.log")):
        if not log.error:
            _restored(lines(dump), log)
    missing = folder.parent / "loadable_libraries.txt"
    if missing.exists():
        log.libraries = tuple(x for x in lines(missing) if x.strip())


def _steps(lines: Iterable[str], log: Log) -> None:
    """Steps with their ends; what is printed after the last one is why it stopped."""
    for line in lines:
        text = line.rstrip()
        if text.strip("- ") == "" or text.lstrip().startswith("pg_upgrade run on"):
            continue
        if found := _END.fullmatch(line):
            _end(log, found[1])
        elif text == "*failure*":
            _end(log, "failed")
        elif text.strip() == UPGRADING:
            log.upgrading = True
        elif text.strip() == "Upgrade Complete":
            log.complete = True
        elif text.strip() == "*Clusters are compatible*":
            log.compatible = True
        elif begun := _step(line):
            step, rest = begun
            log.steps.append(step)
            log.mode = TRANSFER.get(step.name, log.mode)
            log.said[:] = [rest] if rest else []
        elif not log.complete:
            log.said.append(text)
        _clusters(line, log)


def _step(line: str) -> tuple[Step, str] | None:
    """A step, and what was printed beside it instead of its end."""
    name = line.strip()
    if name in _BARE:
        return Step(name, None), ""
    found = _STEP.fullmatch(line)
    if found is None or len(line) < _COLUMN or line[_COLUMN - 2 : _COLUMN].strip():
        return None
    # later releases quote the file's name
    name = found[1].replace('"global/pg_control"', "global/pg_control")
    return Step(name, found[2]), found[3] or ""


def _end(log: Log, word: str) -> None:
    if log.steps and log.steps[-1].end is None:
        log.steps[-1] = Step(log.steps[-1].name, word)


def _clusters(line: str, log: Log) -> None:
    if found := _OLD.search(line):
        log.old = log.old or found[1]
    if found := _NEW.search(line):
        log.new = log.new or found[1]
    if found := _COPIED.search(line):
        log.old, log.new = found[1], found[2]
    if found := _USER.search(line):
        log.user = log.user or found[1] or found[2]
    if '"link" mode was used' in line:
        log.mode = log.mode or "link"
    elif '"swap" mode was used' in line:
        log.mode = log.mode or "swap"


def _servers(lines: Iterable[str], log: Log) -> None:
    """Which servers were started with which programs, and which of them never stopped."""
    running, stopping = dict.fromkeys(log.running), None
    for line in lines:
        _clusters(line, log)
        if line.startswith("pg_ctl: "):
            log.control = line
            if HANGS in line and stopping is not None:
                running[stopping] = None
        found = _RUN.match(line)
        if found is None:
            continue
        programs, data, verb = found[1], found[2], found[3]
        if data == log.new:
            log.new_bin = programs
        elif log.old in (None, data):
            log.old, log.old_bin = data, programs
        if verb == "start":
            running[data] = None
        else:
            stopping = data
            running.pop(data, None)
    log.running = tuple(running)


def _restored(lines: Iterable[str], log: Log) -> None:
    """The statement that the restore of a database stopped at."""
    database, rows = None, iter(lines)
    for line in rows:
        _clusters(line, log)
        if found := _DATABASE.search(line):
            database = found[1]
        elif found := _ERROR.match(line):
            log.database = database
            log.error = (found[1], *_statement(rows))
            return


def _statement(rows: Iterator[str]) -> Iterator[str]:
    for line in rows:
        if line.startswith("Command was: "):
            yield line
            return
