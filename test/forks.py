"""`python -m pgtv` many times over, without loading the same modules each time.

Loading them takes longer than what most tests make pgtv do. `Forks` keeps a process that has them; each
run is a process of its own, forked from that one, with its own arguments, environment, folder and output.

An import that works only because another module came first would not be seen here. The unit tests of
the command line, documents, and whatever gives pgtv a terminal, a signal or an input start Python itself;
and test_structure.py lets no modules import each other in a circle.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

LIBRARIES = ("psycopg.types.json", "psycopg.types.numeric", "pglast", "networkx", "jinja2")
HERE = Path(__file__).parent
# What Python reads before any code of ours runs.
EARLY = ("PYTHON", "LC_", "LANG", "TZ")


class Forks:
    """Processes with the libraries, one for each set of variables that Python reads as it starts."""

    def __init__(self) -> None:
        self._addresses: dict[frozenset[tuple[str, str]], str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []  # end with this process

    def run(
        self, args: Sequence[str], env: dict[str, str], cwd: Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """`python -m pgtv ARGS`, as `subprocess.run` with captured text would."""
        command = [sys.executable, "-m", "pgtv", *args]
        with (
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
            Path(os.devnull).open() as nothing,
            socket.socket(socket.AF_UNIX) as asked,
        ):
            asked.settimeout(timeout)
            answers = ask(self._started(env), args, env, str(cwd), (nothing, out, err), asked)
            pid = int(answers.readline())
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                said = _read(out), _read(err)
                # of this error pytest shows the message alone
                raise AssertionError(f"{command} ran for {timeout} s and said: {said}") from None
            return subprocess.CompletedProcess(command, code, _read(out), _read(err))

    def program(self, env: dict[str, str]) -> Path:
        """A folder with a program `pgtv` for shells that have this environment."""
        address = Path(self._started(env))
        program = address.parent / "bin" / "pgtv"
        if not program.exists():
            program.parent.mkdir()
            program.write_text(
                f"#!{sys.executable} -SE\nimport sys\nsys.path.insert(0, {str(HERE)!r})\n"
                f"import forks\nforks.stand_in({str(address)!r})\n"
            )
            program.chmod(0o755)
        return program.parent

    def _started(self, env: dict[str, str]) -> str:
        early = frozenset((k, v) for k, v in env.items() if k.startswith(EARLY))
        if early not in self._addresses:
            folder = tempfile.TemporaryDirectory(prefix="forks-")
            atexit.register(folder.cleanup)
            address = f"{folder.name}/s"
            said = Path(folder.name, "stderr")
            process = subprocess.Popen(
                [sys.executable, __file__, address], env=env, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=said.open("w"),
            )  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", said.read_text()
            self._processes.append(process)
            self._addresses[early] = address
        return self._addresses[early]


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def ask(
    address: str,
    args: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    files: Sequence[IO[str]],
    asked: socket.socket,
) -> IO[str]:
    """Have it run with standard input, output and error; what comes is its number, then its exit code."""
    asked.connect(address)
    wanted = json.dumps({"args": list(args), "env": dict(env), "cwd": cwd}).encode()
    socket.send_fds(asked, [len(wanted).to_bytes(4, "big")], [f.fileno() for f in files])
    asked.sendall(wanted)
    return asked.makefile()


def stand_in(address: str) -> None:
    """Be `pgtv`, by a fork; ends as it ends."""
    with socket.socket(socket.AF_UNIX) as asked:
        files = (sys.stdin, sys.stdout, sys.stderr)
        _, code = ask(address, sys.argv[1:], os.environ, str(Path.cwd()), files, asked)
    if int(code) < 0:
        signal.signal(-int(code), signal.SIG_DFL)
        os.kill(os.getpid(), -int(code))
    sys.exit(int(code))


def _serve(address: str) -> None:
    """Fork for each one that asks; ends when the starter's end of standard input closes."""
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != HERE]
    import pgtv

    for name in (*LIBRARIES, *(m.name for m in pkgutil.walk_packages(pgtv.__path__, "pgtv."))):
        if not name.endswith(".__main__"):
            importlib.import_module(name)
    gc.freeze()  # what collecting garbage writes to would be copied for each run
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait for a run end by themselves
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(16)
        print("ready", flush=True)
        both = selectors.DefaultSelector()
        both.register(listening, selectors.EVENT_READ)
        both.register(0, selectors.EVENT_READ)
        while not any(key.fileobj == 0 for key, _ in both.select()):
            connection, _ = listening.accept()
            if os.fork() == 0:
                both.close()
                listening.close()
                _watch(connection)
                return
            connection.close()


def _watch(connection: socket.socket) -> None:
    """In the child: start the run as a child of its own, tell its number and its exit code."""
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    wanted = b""
    while len(wanted) < int.from_bytes(size, "big"):
        more = connection.recv(65536)
        if not more:  # the asker is gone
            os._exit(1)
        wanted += more
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(json.loads(wanted), files)
        return
    connection.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # the asker may have lost patience
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(wanted: dict, files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # anew: they remember of what was there before whether it is a terminal, and where in it they were
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        old = getattr(sys, name)
        new = open(  # noqa: SIM115
            old.fileno(), mode, encoding=old.encoding, errors=old.errors, closefd=False,
            buffering=1 if name == "stderr" or os.isatty(old.fileno()) else -1,
        )  # fmt: skip
        setattr(sys, name, new)
    os.environ.clear()
    os.environ.update(wanted["env"])
    os.chdir(wanted["cwd"])
    if not sys.flags.safe_path:
        sys.path.insert(0, wanted["cwd"])
    sys.argv = ["pgtv", *wanted["args"]]
    runpy.run_module("pgtv", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
