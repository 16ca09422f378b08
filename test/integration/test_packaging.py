"""What people install: the wheel and what is in it, by pip, pipx and uv, and as a single file."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from servers import Database

import pgtv

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*args: str | Path, **kw: Any) -> str:
    """A command that has to succeed; its stdout."""
    done = subprocess.run(
        [str(a) for a in args], capture_output=True, text=True, check=False, timeout=600, **kw
    )
    assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sdist and wheel, the wheel made from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.mark.skipif("PGTV_TEST_WHEEL" not in os.environ, reason="not started by tools/test")
def test_the_wheel_is_what_is_tested() -> None:
    for where in (
        pgtv.__file__,
        run(sys.executable, "-c", "import pgtv; print(pgtv.__file__)", cwd=ROOT).strip(),
    ):
        assert Path(where).is_relative_to(sys.prefix), where
        assert not Path(where).is_relative_to(ROOT), where


def test_the_wheel_holds_what_people_need_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "pgtv/py.typed", "pgtv/_sql/demo/shop.sql", "pgtv/_sql/lab/install.sql",
        "pgtv/_sql/state/install.sql", "pgtv/_sql/state/upgrade-2-3.sql",
        "pgtv/_schemas/pgtv.doctor.1.json", "bash-completion/completions/pgtv",
        "zsh/site-functions/_pgtv", "fish/vendor_completions.d/pgtv.fish", "licenses/LICENSE",
    ):  # fmt: skip
        assert any(n.endswith(needed) for n in names), needed
    files = (p for p in (ROOT / "pgtv").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    assert {str(p.relative_to(ROOT)) for p in files} <= set(names)
    tops = {n.split("/")[0] for n in names}
    assert {t for t in tops if not t.startswith("pgtv")} == set()


def test_extras_keep_the_base_small() -> None:
    """What a production host gets without asking: five pure requirements, all needed to look."""
    base = {r.split(">")[0] for r in PROJECT["dependencies"]}
    assert base == {"click", "psycopg", "pglast", "networkx", "jinja2"}
    assert {"binary", "embedded", "containers"} <= set(PROJECT["optional-dependencies"])


def test_its_types_are_seen_by_others(tmp_path: Path) -> None:
    (tmp_path / "consumer.py").write_text(
        "from pgtv.finding import Severity, worst\n"
        "from pgtv.catalog.codec import load\n"
        "reveal_type(worst([Severity.INFO]))\nreveal_type(load)\n"
    )
    shown = run(sys.executable, "-m", "mypy", "--strict", "consumer.py", cwd=tmp_path)
    assert "pgtv.finding.Severity" in shown
    assert "pgtv.catalog.model.Snapshot" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str) -> None:
    def complete(words: str, last: str) -> str:
        position = last if shell == "fish" else str(len(words.split()) - 1)
        return run(
            sys.executable, "-c", "import sys; sys.argv[0] = 'pgtv'; import pgtv.cli.main as m; m.main()",
            env=os.environ | {"_PGTV_COMPLETE": f"{shell}_complete", "COMP_WORDS": words,
                              "COMP_CWORD": position},
        )  # fmt: skip

    assert "doctor" in complete("pgtv doc", "doc")
    assert "--format" in complete("pgtv doctor --for", "--for")


def test_bash_reads_its_completion_file() -> None:
    shown = run("bash", "-c", f". '{ROOT}/completions/pgtv.bash' && complete -p pgtv")
    assert "_pgtv_completion pgtv" in shown
    typed = run(sys.executable, "-m", "pgtv", "completion", "bash")
    assert typed.strip() == (ROOT / "completions/pgtv.bash").read_text().strip()


def assert_works(command: Path) -> None:
    clean = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    assert run(command, "--version", env=clean, cwd="/").split()[-1] == pgtv.__version__
    assert "trigger-missing" in run(command, "doctor", "--list", env=clean, cwd="/")
    assert (command.resolve().parents[1] / "share/bash-completion/completions/pgtv").exists()


@pytest.mark.slow
# by pip from the sdist the wheel is built again, in an environment that is made for it
@pytest.mark.parametrize("kind", ["*.whl", pytest.param("*.tar.gz", marks=pytest.mark.whole)])
def test_pip_installs_it(kind: str, built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "v", with_pip=True)
    (package,) = built.glob(kind)
    run(tmp_path / "v/bin/pip", "install", "-q", f"{package}[binary]")
    run(tmp_path / "v/bin/pip", "check")
    assert_works(tmp_path / "v/bin/pgtv")


@pytest.mark.slow
def test_pipx_installs_it(wheel: Path, tmp_path: Path) -> None:
    folders = {
        "PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"), "PIPX_SHARED_LIBS": str(tmp_path / "shared"),
    }  # fmt: skip
    run(
        sys.executable, "-m", "pipx", "install", "--python", sys.executable, f"{wheel}[binary]",
        env=os.environ | folders,
    )  # fmt: skip
    assert_works(tmp_path / "bin/pgtv")


@pytest.mark.slow
def test_uv_installs_it(wheel: Path, tmp_path: Path) -> None:
    folders = {
        "UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_CACHE_DIR": str(tmp_path / "cache"), "UV_PYTHON_DOWNLOADS": "never",
    }  # fmt: skip
    run(
        sys.executable, "-m", "uv", "tool", "install", "-q", "--python", sys.executable,
        f"pgtv[binary] @ {wheel.as_uri()}", env=os.environ | folders,
    )  # fmt: skip
    assert_works(tmp_path / "bin/pgtv")


@pytest.mark.slow
def test_one_file_runs_on_a_host_without_network(lab_shop: Database, tmp_path: Path) -> None:
    shown = run(ROOT / "tools/build-single", "-o", tmp_path / "out")
    single = Path(shown.splitlines()[-1])
    assert f"py{sys.version_info[0]}.{sys.version_info[1]}" in single.name
    # no site-packages of this environment, no variables of this session, no network where root may
    base = [str(Path(sys.base_prefix) / "bin/python3"), "-I", str(single)]
    alone = ["unshare", "--net", *base] if os.geteuid() == 0 else base
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    assert run(*alone, "--version", env=clean).split()[-1] == pgtv.__version__
    shown = run(*alone, "doctor", "-d", lab_shop.conninfo, env=clean)
    assert "9 TVIEWs" in shown
