"""Loads a dump into a fresh database of a throwaway server, by the lines that preflight prints.

Clients of the archive formats run as whoever called; psql runs as the server's user, because a plain
dump may hold commands for the shell, and whoever owned a table could have put them there.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from pgtv.cluster.server import Server, run_as
from pgtv.errors import ClusterError, PgtvError
from pgtv.lifecycle.restore import archive_program
from pgtv.lifecycle.restore import roles as restore_roles
from pgtv.lifecycle.restore.backup import Backup
from pgtv.lifecycle.restore.dump_contents import META, Contents

DATABASE = "restored"
_CREATE = re.compile(r"CREATE DATABASE .* WITH TEMPLATE = template0 (ENCODING = .*);")


@dataclass(frozen=True)
class Loaded:
    """error: what stopped it, the first line that tells; None where all was loaded. ignored: errors
    that pg_restore passed over, as it does for a dump without the extension. collation: why the
    database has not the collation of the source, or None."""

    error: str | None = None
    ignored: tuple[str, ...] = ()
    collation: str | None = None


def reader(backup: Backup, server: Server) -> str:
    """The server's own pg_restore; the newest here where the archive is too new for that.

    A newer one may say things to the server that it does not know. Raises PgtvError.
    """
    own = str(server.binaries / "bin" / "pg_restore")
    try:
        for _ in archive_program.run(own, "-l", str(backup.path)):
            pass
    except PgtvError:
        return archive_program.find()
    return own


def needed(backup: Backup, server: Server) -> restore_roles.Needed:
    """The roles and tablespaces that the dump names. Raises PgtvError where it cannot be read."""
    if backup.form.startswith("plain"):
        with _opened(backup) as file:
            return restore_roles.needed(_lines(file))
    program = reader(backup, server)
    return restore_roles.needed(archive_program.run(program, "-s", "-f", "-", str(backup.path)))


def create(backup: Backup, server: Server) -> str | None:
    """The empty database, with encoding and collation of the source where an archive tells them.

    Gives why it could not have them, or None.
    """
    options = None
    if not backup.form.startswith("plain"):
        program = reader(backup, server)
        text = archive_program.run(program, "-C", "-s", "-f", "-", str(backup.path))
        options = next((f[1] for line in text if (f := _CREATE.fullmatch(line))), None)
    said = None
    if options is not None:
        try:
            server.psql(f'CREATE DATABASE "{DATABASE}" TEMPLATE template0 {options}')
            return None
        except ClusterError as e:
            said = f"{options}: {_first_error(e.message)}"
    server.psql(f'CREATE DATABASE "{DATABASE}" TEMPLATE template0')
    return said or (None if options else "a plain dump does not tell the collation")


def load(backup: Backup, server: Server, *, breaks: bool, jobs: int) -> Loaded:
    """Load it. breaks: without the catalog's rows, because their COPY would fail.

    jobs: of pg_restore, for the formats that it can load in parallel.
    """
    contents = backup.contents
    assert contents is not None
    if backup.form.startswith("plain"):
        return _psql(backup, contents, server, breaks=breaks)
    return _pg_restore(backup, contents, server, breaks=breaks, jobs=jobs)


def _pg_restore(
    backup: Backup, contents: Contents, server: Server, *, breaks: bool, jobs: int
) -> Loaded:
    program = reader(backup, server)
    args = ["--exit-on-error"] if contents.extension else []
    with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
        if breaks:
            left_out = " ".join(("TABLE DATA", *META, ""))
            listed = archive_program.run(program, "-l", str(backup.path))
            chosen.writelines(f"{line}\n" for line in listed if left_out not in line)
            chosen.flush()
            args += ["-L", chosen.name]
        if jobs > 1 and backup.form in ("custom", "directory"):
            args += ["-j", str(jobs)]
        done = subprocess.run(
            [program, *args, "-d", DATABASE, str(backup.path)], env=server.env(DATABASE),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    errors = tuple(line for line in done.stderr.splitlines() if "error: " in line)
    if done.returncode and (contents.extension or "errors ignored" not in done.stderr):
        return Loaded(_first_error(done.stderr))
    return Loaded(None, errors)


def _psql(backup: Backup, contents: Contents, server: Server, *, breaks: bool) -> Loaded:
    strict = ["-v", "ON_ERROR_STOP=1", "--single-transaction"] if contents.extension else []
    with tempfile.TemporaryFile() as said, _opened(backup) as source:
        process = subprocess.Popen(
            [str(server.binaries / "bin" / "psql"), "-X", "-q", *strict, "-d", DATABASE, "-f", "-"],
            env=server.env(DATABASE), cwd=server.root, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=said, **run_as(),
        )  # fmt: skip
        assert process.stdin
        try:
            try:
                if breaks:
                    process.stdin.writelines(_without_catalog(source))
                else:
                    shutil.copyfileobj(source, process.stdin, 1 << 20)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it stopped at an error, which it has said
            except (OSError, EOFError) as e:
                raise PgtvError(f"cannot read {backup.path}: {e}") from None
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        text = said.read().decode(errors="replace")
    if code:
        return Loaded(_first_error(text))
    return Loaded(None, tuple(line for line in text.splitlines() if "ERROR: " in line))


def _without_catalog(lines: IO[bytes]) -> Iterator[bytes]:
    """Without the COPY of the extension's catalog."""
    start = f"COPY {'.'.join(META)} ".encode()
    out = False
    for line in lines:
        if not out:
            out = line.startswith(start)
            if not out:
                yield line
        elif line.rstrip(b"\r\n") == b"\\.":
            out = False


def _opened(backup: Backup) -> IO[bytes]:
    try:
        if backup.contents and backup.contents.compressed:
            return cast(IO[bytes], gzip.open(backup.path, "rb"))
        return backup.path.open("rb")
    except OSError as e:
        raise PgtvError(f"cannot read {backup.path}: {e.strerror or e}") from None


def _lines(file: IO[bytes]) -> Iterator[str]:
    for line in file:
        yield line.decode(errors="replace").rstrip("\r\n")


def _first_error(text: str) -> str:
    """The line that tells what went wrong, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"ERROR:|error:|FATAL:", line)]
    said = (telling or lines or ["no reason was given"])[0 if telling else -1]
    return re.sub(r"^.*?(?=(ERROR|FATAL):)", "", said)
