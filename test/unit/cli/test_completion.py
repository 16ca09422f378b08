"""Completion, as the shells themselves ask for it: each is started on a terminal and Tab is pressed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pgtv.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
SHELLS = ("bash", "zsh", "fish")
ENV = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "NO_COLOR", "FORCE_COLOR"))}
SECONDS = 60  # until something is certainly wrong


def pgtv(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgtv", *arguments], env=ENV | env, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def program(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed: apt-get install {shell}")
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_are_accepted_by_their_shell(shell: str) -> None:
    script = pgtv("completion", shell)
    assert script.returncode == 0
    assert "_PGTV_COMPLETE" in script.stdout
    done = subprocess.run(
        [program(shell), "-n"], input=script.stdout, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def completed(words: str, at: int) -> list[str]:
    done = pgtv(_PGTV_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(at))
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_completion_knows_commands_options_and_checks() -> None:
    assert completed("pgtv do", 1) == ["doctor"]
    assert set(completed("pgtv ", 1)) == set(COMMANDS)
    assert "--probe-write" in completed("pgtv doctor --pr", 2)
    assert "trigger-missing" in completed("pgtv doctor --only trigger-", 3)
    assert completed("pgtv explain 5500", 2) == ["55000"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home where completion is installed as packages install it: the files that ship.

    The `pgtv` on its path answers completion, and else writes its arguments to the file `called`.
    """
    places = {
        "pgtv.bash": "share/bash-completion/completions/pgtv",
        "_pgtv": "share/zsh/site-functions/_pgtv",
        "pgtv.fish": "share/fish/vendor_completions.d/pgtv.fish",
    }
    for name, place in places.items():
        (tmp_path / place).parent.mkdir(parents=True)
        shutil.copy(ROOT / "completions" / name, tmp_path / place)
    command = tmp_path / "bin/pgtv"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\n[ -z "$_PGTV_COMPLETE" ] || exec "{sys.executable}" -m pgtv "$@"\n'
        f'echo "$*" >"{tmp_path}/called.new" && mv "{tmp_path}/called.new" "{tmp_path}/called"\n'
    )
    command.chmod(0o755)
    return tmp_path


STARTED = {
    "bash": (["--norc", "--noprofile", "-i"], ". share/bash-completion/completions/pgtv"),
    "zsh": (["-f", "-i"], "fpath+=($PWD/share/zsh/site-functions); autoload -Uz compinit; compinit -u -D"),
    "fish": (["--private", "-i"], ""),  # finds it by XDG_DATA_DIRS
}  # fmt: skip


@contextmanager
def terminal(shell: str, home: Path) -> Iterator[int]:
    """The shell on a terminal of its own; what is written to the descriptor is typed."""
    path, (arguments, setup) = program(shell), STARTED[shell]
    env = {k: v for k, v in ENV.items() if k not in ("PYTHONSAFEPATH", "PYTHONPATH")} | {
        "HOME": str(home), "PATH": f"{home / 'bin'}{os.pathsep}{ENV['PATH']}", "TERM": "dumb",
        "XDG_DATA_DIRS": f"{home / 'share'}:/usr/share", "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"), "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }  # fmt: skip
    process, descriptor = pty.fork()
    if process == 0:
        os.chdir(home)
        os.execve(path, [path, *arguments], env)
    try:
        if setup:
            os.write(descriptor, f"{setup}\n".encode())
        yield descriptor
    finally:
        os.kill(process, signal.SIGKILL)
        os.close(descriptor)
        os.waitpid(process, 0)


def called(descriptor: int, home: Path) -> str:
    """What the command was called with, once it was; the terminal is read meanwhile."""
    shown, until = b"", time.monotonic() + SECONDS
    while not (home / "called").exists():
        assert time.monotonic() < until, (
            f"not called; the terminal shows: {shown.decode(errors='replace')}"
        )
        if select.select([descriptor], [], [], 0.1)[0]:
            with suppress(OSError):
                shown += os.read(descriptor, 65536)
    return (home / "called").read_text().strip()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "called_with"),
    [
        ("pgtv doc\t", "doctor"),
        ("pgtv doctor --probe\t", "doctor --probe-write"),
        ("pgtv doctor --only trigger-mis\t", "doctor --only trigger-missing"),
        ("pgtv explain 5500\t", "explain 55000"),
    ],
)
def test_pressing_tab_completes(shell: str, typed: str, called_with: str, home: Path) -> None:
    with terminal(shell, home) as descriptor:
        os.write(descriptor, f"{typed}\r".encode())
        assert called(descriptor, home) == called_with
