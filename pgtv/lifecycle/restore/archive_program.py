"""Which form a dump has, and pg_restore, which reads the archives among them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pgtv.errors import PgtvError, UsageError


def form(path: Path) -> str:
    """custom, directory, tar, plain, or `plain, gzip`. Raises UsageError for no dump."""
    try:
        if path.is_dir():
            if any((path / f"toc.dat{end}").exists() for end in ("", ".gz", ".lz4", ".zst")):
                return "directory"
            raise UsageError(
                f"{path} is a folder without toc.dat, so no dump", "name what pg_dump wrote"
            )
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as e:
        raise UsageError(f"cannot read {path}: {e.strerror or e}") from None
    if head.startswith(b"PGDMP"):
        return "custom"
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith(b"\x1f\x8b"):
        return "plain, gzip"
    if b"\0" in head or not head.strip():
        raise UsageError(
            f"{path} is no dump of PostgreSQL's",
            "custom, directory, tar and plain dumps (gzip too) are read",
        )
    return "plain"


def find() -> str:
    """The newest pg_restore here. Raises PgtvError where there is none."""
    from pgtv.cluster import binaries

    folder = binaries.plain()
    beside = [str(folder / "bin" / "pg_restore")] if folder else []
    found = [p for p in (shutil.which("pg_restore"), *beside) if p]
    if found:
        return max(found, key=_version)  # an old one cannot read new archives, a new one reads all
    raise PgtvError("there is no pg_restore to read the archive with", "name it: --pg-restore PATH")


def _version(program: str) -> tuple[int, ...]:
    said = next(run(program, "--version"), "")
    return tuple(int(n) for n in re.findall(r"\d+", said.partition(")")[2])[:2])


def run(program: str, *args: str) -> Iterator[str]:
    """Lines of its stdout. Raises PgtvError where it fails."""
    try:
        with subprocess.Popen(
            [program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
        ) as process:  # fmt: skip
            assert process.stdout and process.stderr
            for line in process.stdout:
                yield line.rstrip("\n")
            said = process.stderr.read().strip()
    except OSError as e:
        raise PgtvError(f"cannot run {program}: {e.strerror or e}") from None
    if process.returncode:
        hint = "a newer pg_dump wrote it" if "unsupported version" in said else "is it whole?"
        raise PgtvError(f"{said or program + ' failed'}", f"{hint} (--pg-restore names another)")
