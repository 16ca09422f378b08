"""The hook that ships, as people get it: the real pre-commit installs it, and git asks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = (
    ".pre-commit-hooks.yaml", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "pgtv",
    "sql", "schemas", "man", "completions",
)  # fmt: skip
TABLES = "CREATE TABLE tb_user (pk_user bigint PRIMARY KEY, name text);\n"
GOOD = "CREATE TABLE tv_user AS SELECT u.pk_user, u.name FROM tb_user u;\n"
ANOTHER = "CREATE TABLE tv_card AS SELECT u.pk_user AS pk_card, u.name AS title FROM tb_user u;\n"
HARMLESS = "CREATE TABLE tv_b AS SELECT u.pk_user AS pk_b, to_jsonb(u) AS data FROM tb_user u;\n"
CYCLE = {
    "a.sql": "CREATE TABLE tv_a AS SELECT b.pk_b AS pk_a, b.data FROM tv_b b;\n",
    "b.sql": "CREATE TABLE tv_b AS SELECT a.pk_a AS pk_b, a.data FROM tv_a a;\n",
}
CONFIG = """repos:
  - repo: {repo}
    rev: v1
    hooks:
      - id: pgtv-lint
"""


def run(where: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """With both streams in stdout, and nothing of the configuration of whoever runs the tests."""
    env = {
        k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHON", "PRE_COMMIT"))
    }
    env |= {
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
        "PRE_COMMIT_HOME": str(where.parent / "cache"),
    }  # fmt: skip
    return subprocess.run(
        command, cwd=where, env=env, text=True, timeout=600, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def good(where: Path, *command: str) -> str:
    done = run(where, *command)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's repository whose configuration names a release of this one."""
    folder = tmp_path_factory.mktemp("pre-commit")
    released, mine = folder / "pgtv", folder / "mine"
    for name in NEEDED:
        (released / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, released / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, released / name)
    mine.mkdir()
    (mine / ".pre-commit-config.yaml").write_text(CONFIG.format(repo=released))
    for repository in (released, mine):
        good(repository, "git", "init", "-q", "-b", "main")
        good(repository, "git", "add", "-A")
        good(repository, "git", "commit", "-q", "-m", "first")
    good(released, "git", "tag", "v1")
    good(mine, sys.executable, "-m", "pre_commit", "install", "--install-hooks")
    return mine


@pytest.mark.slow
def test_git_asks_the_hook(project: Path) -> None:
    (project / "tables.sql").write_text(TABLES)
    (project / "user.sql").write_text(GOOD)
    good(project, "git", "add", "-A")
    assert "Passed" in good(project, "git", "commit", "-m", "good")

    # reads a table that a file creates which this commit leaves as it is
    (project / "email.sql").write_text(ANOTHER)
    good(project, "git", "add", "-A")
    assert "Passed" in good(project, "git", "commit", "-m", "a table of before")

    (project / "a.sql").write_text(CYCLE["a.sql"])
    (project / "b.sql").write_text(HARMLESS)
    good(project, "git", "add", "-A")
    assert "Passed" in good(project, "git", "commit", "-m", "half of a cycle")
    before = good(project, "git", "rev-parse", "HEAD")

    (project / "b.sql").write_text(CYCLE["b.sql"])
    good(project, "git", "add", "b.sql")
    refused = run(project, "git", "commit", "-m", "the other half")
    assert refused.returncode == 1
    assert "lint TVIEW definitions" in refused.stdout and "Failed" in refused.stdout
    assert (
        "a.sql:1:57: error cycle: Circular dependency detected: tv_a -> tv_b -> tv_a"
        in refused.stdout
    )
    assert good(project, "git", "rev-parse", "HEAD") == before

    good(project, "git", "checkout", "-q", "HEAD", "b.sql")
    (project / "notes.txt").write_text(CYCLE["a.sql"])
    good(project, "git", "add", "-A")
    assert "Skipped" in good(project, "git", "commit", "-m", "no SQL")
