"""Generated documents are as generated; commands in documents exist; every option has help."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import click
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from blocks import Block, agrees, blocks, commands, exits, shell, units  # noqa: E402

from pgtv.checks.registry import all_checks
from pgtv.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]


def test_generated_documents_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/gen_docs"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _all(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found += _all(below, f"{path} {name}")
    return found


EVERY = _all(cli, "pgtv")


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[p for p, _ in EVERY])
def test_every_command_and_option_has_help_and_is_documented(
    path: str, command: click.Command
) -> None:
    reference = (ROOT / "docs/operations/COMMANDS.md").read_text()
    assert command.help, path
    assert path == "pgtv" or f"## {path}\n" in reference
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("help", "version"):
            assert parameter.help, f"{path} {parameter.opts}"
            assert all(o in reference for o in parameter.opts), f"{path} {parameter.opts}"


DEVELOPERS = (ROOT / "CONTRIBUTING.md", ROOT / "test/failure-modes/README.md")


def _typed() -> list[tuple[str, list[str]]]:
    found = []
    for file in (ROOT / "README.md", *DEVELOPERS, *sorted((ROOT / "docs").rglob("*.md"))):
        for block in blocks(file):
            for line in block.text.splitlines():
                if match := re.match(r"(?:\$ )?(pgtv [^|;#<>]*)", line.strip()):
                    found.append((block.name, match[1].split()))
        found += [
            (str(file), m.split())
            for m in re.findall(r"`(pgtv [^`]+)`", file.read_text(encoding="utf-8"))
        ]
    return found


def test_every_command_in_the_documents_exists() -> None:
    known = {path for path, _ in EVERY}
    options = {
        path: {o for p in c.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "--version"}
        for path, c in EVERY
    }
    for where, words in _typed():
        path = "pgtv"
        for word in words[1:]:
            if f"{path} {word}" not in known:
                break
            path += f" {word}"
        if len(words) > 1 and not words[1].startswith(("-", "COMMAND", "…")):
            assert words[1] in COMMANDS, f"{where}: {' '.join(words)}"
        for word in words[1:]:
            if re.fullmatch(r"--[a-z-]+(=.*)?", word):
                assert word.partition("=")[0] in options[path], f"{where}: {' '.join(words)}"


def test_every_check_has_a_page_and_an_alert() -> None:
    rules = (ROOT / "docs/operations/prometheus-rules.yml").read_text()
    for check in all_checks():
        page = f"docs/operations/checks/{check}.md"
        assert (ROOT / page).exists()
        assert f"runbook_url: {page}\n" in rules


# Blocks that nothing executes, written by hand: file -> how many, and what they are.
PROSE = {
    "docs/operations/DISASTER_RECOVERY.md": (4, "messages to people, and a form to fill in"),
    "docs/operations/LINT.md": (2, "a comment in a migration; a file for pre-commit"),
    "docs/operations/SNAPSHOTS.md": (1, "files for systemd"),
    "docs/operations/VERIFY.md": (1, "figures of benchmarks/verify.py"),
}
GENERATED = ("checks/", "COMMANDS.md", "EARLY_NAMES.md", "SQLSTATES.md")


def test_the_readme_has_the_figures_of_the_guide() -> None:
    (figures,) = [b.text for b in blocks(ROOT / "docs/operations/VERIFY.md") if "1.00×" in b.text]
    readme = " ".join((ROOT / "README.md").read_text().split())
    for row, said in (
        (r"  verify  .* ([\d.]+)×   goal", "rows takes {} times as long as evaluating the view"),
        (r"  verify --fast .* ([\d.]+)×   goal", "{} times with `--fast`"),
        (r"  verify, server's workers .* ([\d.]+)×", "{} times with the server's parallel workers"),
        (r"  verify --key +([\d.]+ ms)", "one row by `--key` {};"),
        (r"  client's memory +([\d.]+ MB)", "the client needs {} "),
    ):
        (figure,) = re.findall(row, figures)
        assert said.format(figure) in readme, said


def test_a_screen_is_held_against_what_is_printed() -> None:
    """What pgtv prints stands in a console block, which is executed; what is left is no screen."""
    found: dict[str, int] = {}
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        name = str(file.relative_to(ROOT))
        if not name.removeprefix("docs/operations/").startswith(GENERATED):
            unread = [b for b in blocks(file) if b.language in ("", "text")]
            found |= {name: len(unread)} if unread else {}
    assert found == {name: count for name, (count, _) in PROSE.items()}


def test_expected_output_is_compared_line_by_line() -> None:
    assert agrees("a 1.5 s\nb", "a 0.1 s\n\n b")
    assert not agrees("a\nb", "a\nc")
    assert not agrees("a", "a\nb")
    assert agrees("a\n…\nz", "a\nb\nc\nz")
    assert not agrees("a\n…\nz", "a\nb\nz\ny")
    assert list(commands("$ a\nx\n$ b \\\n  c\ny")) == [("a", "x"), ("b \\\n  c", "y")]


def test_every_command_of_a_block_counts() -> None:
    text = "# a\ncat > f <<'END'\n$(b\nEND\n\nfor f in c; do\n  d\ndone\ne \\\n  f | g"
    assert list(units(text)) == [
        "cat > f <<'END'\n$(b\nEND", "for f in c; do\n  d\ndone", "e \\\n  f | g",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no complete command"):
        list(units("for f in c; do"))
    codes = {
        name: subprocess.run(shell(command), capture_output=True, check=False).returncode
        for name, command in (
            ("pipe", "false | cat"), ("or", "false || true"), ("unset", "echo $NOT_SET_HERE"),
            ("first", "false; true"), ("last", "true; exit 2"),
        )
    }  # fmt: skip
    assert codes.pop("unset") > 0
    assert codes == {"pipe": 1, "or": 0, "first": 1, "last": 2}


def test_exit_codes_are_of_the_last_command_or_of_each() -> None:
    def said(**attributes: str) -> list[int]:
        return exits(Block(ROOT, 1, "console", "", attributes), 3)

    assert (said(), said(exit="2"), said(exits="1,0,2")) == ([0, 0, 0], [0, 0, 2], [1, 0, 2])
    for wrong in ({"exits": "1"}, {"exits": "1,0,2", "exit": "2"}):
        with pytest.raises(ValueError, match="needs 3 numbers"):
            said(**wrong)


def test_every_failure_mode_says_all_that_is_asked_of_it() -> None:
    page = (ROOT / "docs/operations/FAILURE_MODES.md").read_text()
    parts = re.split(r"^## (\d+)\. ", page, flags=re.MULTILINE)[1:]
    assert [int(n) for n in parts[::2]] == list(range(1, 13))
    codes = r"\b[0-9A-Z]{2}[0-9A-Z]\d{2}\b"
    for number, text in zip(parts[::2], parts[1::2], strict=True):
        section = re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for word in (
            "Symptoms",
            "Impact",
            "Who still works",
            "Detection",
            "Recovery",
            "Prevention",
        ):
            assert f"**{word}." in section, f"{number}: {word}"
        assert re.search(codes, section), f"{number}: no SQLSTATE"
    for title in ("Emergency procedures", "Monitoring queries", "Thresholds", "Recovery matrix"):
        assert f"\n## {title}\n" in page


def test_an_example_stays_when_only_times_and_statistics_differ() -> None:
    loader = SourceFileLoader("gen_docs", str(ROOT / "tools/gen_docs"))
    module = module_from_spec(spec_from_loader("gen_docs", loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    first = (
        "updates 18000, hot 4050\n  prepared at 2026-11-22 15:54:07.105831+00, age 0 s, OID 16697"
    )
    later = "updates 18000,\n  hot 3997 prepared at 2027-01-02 05:04:07.1+00, age 12 s, OID 17001"
    assert module.settled(first) == module.settled(later)
    assert module.settled("fails with SQLSTATE 54000") != module.settled(
        "fails with SQLSTATE 54001"
    )
    assert module.settled("limit 10") != module.settled("limit 11")
