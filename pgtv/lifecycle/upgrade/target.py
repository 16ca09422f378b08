"""What the server that is upgraded to has: its programs are asked, nothing is started."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgtv.catalog.dialects.base import EXTENSION, LIBRARY
from pgtv.errors import UsageError

_SUFFIXES = (".so", ".dylib", ".dll")


@dataclass(frozen=True)
class NewServer:
    """major: of its programs. library, control: of the extension, where they are; None: not there.

    version: what its control file would install. data: the data directory that was looked at, and of
    that one preload (shared_preload_libraries) and checksums; None where none was given.
    """

    bindir: str
    major: int
    library: str | None = None
    control: str | None = None
    version: str | None = None
    data: str | None = None
    preload: str | None = None
    checksums: bool | None = None
    free_bytes: int | None = None


def checksums(wanted: bool, major: int) -> list[str]:
    """The option of initdb of that release; before 18 none were the default, and had no option."""
    if wanted:
        return ["--data-checksums"]
    return ["--no-data-checksums"] if major >= 18 else []


def look(bindir: Path, data: Path | None = None) -> NewServer:
    """Ask pg_config in `bindir`, and `postgres -C` about the cluster `data`, which is not started.

    Raises UsageError where they do not answer.
    """
    config = bindir / "pg_config"
    told = re.match(r"PostgreSQL (\d+)", _ask(config, "--version"))
    if told is None:
        raise UsageError(f"{config} does not tell its release")
    libraries = Path(_ask(config, "--pkglibdir"))
    control = Path(_ask(config, "--sharedir")) / "extension" / f"{EXTENSION}.control"
    library = next((f for s in _SUFFIXES if (f := libraries / f"{LIBRARY}{s}").exists()), None)
    version = None
    if control.exists():
        found = re.search(r"^\s*default_version\s*=\s*'([^']*)'", control.read_text(), re.M)
        version = found[1] if found else None
    preload = summed = None
    if data is not None:
        postgres = bindir / "postgres"
        owner = data.stat().st_uid
        preload = _ask(postgres, "-C", "shared_preload_libraries", "-D", str(data), owner=owner)
        summed = _ask(postgres, "-C", "data_checksums", "-D", str(data), owner=owner) == "on"
    return NewServer(
        str(bindir), int(told[1]), str(library) if library else None,
        str(control) if control.exists() else None, version, str(data) if data else None,
        preload, summed, shutil.disk_usage(data).free if data else None,
    )  # fmt: skip


def _ask(program: Path, *args: str, owner: int | None = None) -> str:
    """owner: the user to run as where we are root, which a data directory is not shown to."""
    become: dict[str, Any] = {"user": owner} if owner and os.geteuid() == 0 else {}
    try:
        done = subprocess.run(
            [str(program), *args], capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, timeout=30, **become,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as e:
        raise UsageError(
            f"cannot run {program}: {e}", "give the folder of its programs: pg_config --bindir"
        ) from None
    if done.returncode:
        raise UsageError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")
    return str(done.stdout).strip()
