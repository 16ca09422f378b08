"""The command itself: completion, help, errors, start-up, exit codes."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pgtv.cli.main import COMMANDS, run
from pgtv.errors import Exit, PgtvError

ENV = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "NO_COLOR", "FORCE_COLOR"))}


def pgtv(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgtv", *arguments], env=ENV | env, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_help_lists_every_command_and_imports_none() -> None:
    done = pgtv("--help")
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    code = (
        "import sys; from pgtv.cli.main import run; run(['--help']);"
        "heavy = {'psycopg', 'networkx', 'pglast', 'jinja2'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version_imports_next_to_nothing() -> None:
    code = (
        "import sys; from pgtv.cli.main import run; run(['--version']);"
        "print(sorted(m for m in sys.modules if m.startswith('pgtv')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        done.stderr.strip()
        == "['pgtv', 'pgtv.cli', 'pgtv.cli.main', 'pgtv.cli.pipe', 'pgtv.errors']"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["doctro"], "Did you mean 'doctor'"),
        (["doctor", "--nope"], "--nope"),
        (["explain"], "nothing to explain"),
        (["completion", "csh"], "csh"),
    ],
)
def test_usage_errors_exit_3_and_say_what_is_right(arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pgtv", *arguments], env=ENV, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout == ""
    assert says in done.stderr


def test_a_server_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    done = pgtv("doctor", "-h", str(tmp_path), "-d", "x")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "cannot connect" in done.stderr
    assert "hint: is the server up" in done.stderr


@pytest.mark.parametrize("arguments", ["--help", "doctor --list", "explain 42501"])
def test_a_full_disk_is_no_defect(arguments: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pgtv", *arguments.split()], env=ENV, stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr == "pgtv: cannot write to standard output: No space left on device\n"


def test_closed_streams_leave_the_exit_code() -> None:
    command = f"{sys.executable} -m pgtv doctor --list >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], env=ENV, check=False).returncode == 0
    command = f"{sys.executable} -m pgtv doctor --only nope >&-"
    done = subprocess.run(["sh", "-c", command], env=ENV, check=False, capture_output=True)
    assert (done.returncode, b"'nope'" in done.stderr) == (3, True)


def test_a_password_is_asked_for_at_a_terminal_only() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pgtv", "status", "-W"], env=ENV, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert "no terminal" in done.stderr and "getpass" not in done.stderr


def test_a_file_that_is_no_baseline_is_not_to_be_written_over(tmp_path: Path) -> None:
    for content in (b"", b"{}", b"[1]", b"\xff\x00", b"[" * 100_000):
        file = tmp_path / "precious"
        file.write_bytes(content)
        done = pgtv("doctor", "--baseline", str(file))
        assert done.returncode == 3
        assert "neither a baseline nor a report" in done.stderr
        assert f"--write-baseline {file}" not in done.stderr and "Error" not in done.stderr


def test_no_traceback_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pgtv.cli.completion as module

    def fails() -> None:
        raise ValueError("deep inside")

    monkeypatch.setattr(module.completion, "callback", lambda shell: fails())
    assert run(["completion", "bash"]) == Exit.UNKNOWN
    assert "defect of pgtv" in capsys.readouterr().err
    monkeypatch.setenv("PGTV_TRACEBACK", "1")
    with pytest.raises(ValueError, match="deep inside"):
        run(["completion", "bash"])


def test_an_interrupt_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pgtv.cli.completion as module

    def interrupted(shell: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.completion, "callback", interrupted)
    assert run(["completion", "bash"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_name_prints_in_any_encoding() -> None:
    done = pgtv("explain", "pg_tviews_get_queue", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    done = pgtv("explain", "DELETE FROM queue", PYTHONIOENCODING="iso-8859-1")
    assert done.returncode == 0
    assert "\\u2026" in done.stdout


@pytest.mark.parametrize(("env", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_color_on_a_terminal_only_and_never_under_no_color(
    env: dict[str, str], colored: bool, tmp_path: Path
) -> None:
    from pgtv.catalog import codec
    from pgtv.catalog.model import Extension, Server, Snapshot

    file = tmp_path / "s.json"
    extension = Extension("current", installed=True, version="1", schema="s", preloaded=False)
    codec.save(Snapshot("2026-01-01T00:00:00+00:00", "0", Server(database="d"), extension), file)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pgtv", "doctor", "--from", str(file)],
        env=ENV | {"TERM": "xterm", "COLUMNS": "80"} | env, stdout=theirs, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        text += part
    process.wait(30)
    os.close(ours)
    assert (b"\x1b[" in text) is colored
    assert "\x1b[" not in pgtv("doctor", "--from", str(file)).stdout


def test_the_man_page_is_well_formed(root: Path) -> None:
    program = shutil.which("man")
    if program is None:
        pytest.skip("man is not installed")
    done = subprocess.run(
        [program, "--warnings", "-l", str(root / "man/pgtv.1")], env=ENV | {"MANWIDTH": "80"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    assert "PGTV DOCTOR" in done.stdout


def test_every_error_carries_an_exit_code() -> None:
    def below(kind: type[PgtvError]) -> list[type[PgtvError]]:
        return [kind, *(b for k in kind.__subclasses__() for b in below(k))]

    assert all(kind.exit_code in (Exit.CRITICAL, Exit.UNKNOWN) for kind in below(PgtvError))


def piped(text: bytes, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "pgtv", *arguments], env=ENV | env, input=text, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_a_log_in_any_encoding_is_explained() -> None:
    line = b"FEHLER: caf\xe9: cannot commit with 3 queued refreshes\r\n"
    strict = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"}
    done = piped(line, "explain", "-", **strict)
    assert done.returncode == 0, done.stderr
    assert done.stdout == piped(line.replace(b"\xe9", b"e"), "explain", "-").stdout
    done = piped(b"\xe9\xff", "explain", "-", **strict)
    assert done.returncode == 3 and b"nothing is known" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["explain", "-"], ["lint", "-"], ["preflight", "migration", "--from", "-", "-"],
     ["snapshot", "show", "-"], ["doctor", "--from", "-"]],
    ids=" ".join,
)  # fmt: skip
def test_standard_input_that_is_closed_or_cannot_be_read(
    arguments: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pgtv", *arguments]
    written = f"0>{tmp_path / 'written'}"
    for how, says in (("<&-", "standard input is closed"), (written, "cannot read standard input")):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {how}', "sh", *command], env=ENV, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert says in done.stderr and "unexpectedly" not in done.stderr


def test_explain_without_text_and_without_input() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "pgtv", "explain"], env=ENV,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3 and "nothing to explain" in done.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "\xe9"], ids=["deep", "long", "é"])
@pytest.mark.parametrize(
    "arguments",
    [["repair", "--undo", "FILE"], ["drill", "report", "FILE"], ["snapshot", "show", "FILE"]],
    ids=lambda a: a[0],
)
def test_a_file_that_is_no_json(arguments: list[str], text: str, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text(text, encoding="latin-1")
    done = pgtv(*(str(file) if a == "FILE" else a for a in arguments))
    assert done.returncode == 3 and "unexpectedly" not in done.stderr, done.stderr
    assert str(file) in done.stderr
