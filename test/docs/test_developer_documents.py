"""What the documents for developers tell to type or open is there.

Their commands take minutes, and other tests run most of them. That their `pgtv` commands exist is held by
test_generated.py, their links by test_links.py.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAILURE_MODES = ROOT / "test/failure-modes/README.md"
FILES = (ROOT / "CONTRIBUTING.md", FAILURE_MODES)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_files_that_are_named_exist(file: Path) -> None:
    names = set(re.findall(r"`([\w*][\w.*-]*/[\w./*-]*)`", file.read_text()))
    assert names
    for name in names - {"log/"}:  # a folder of the cache
        places = (ROOT, ROOT / "pgtv", ROOT / "pgtv/catalog", file.parent)
        assert any([*place.glob(name)] for place in places), name


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_scripts_run_and_have_the_options_that_are_named(file: Path) -> None:
    drills = (ROOT / "docs/operations/COMMANDS.md").read_text().partition("## pgtv drill run\n")[2]
    typed = re.findall(
        r"(tools/[\w-]+|\./[\w/-]+\.sh)(?![\w*./-])((?: [^\s`]+)*)", file.read_text()
    )
    assert typed
    for script, rest in typed:
        found = next((p for p in (file.parent / script, ROOT / script) if p.exists()), None)
        assert found and os.access(found, os.X_OK), script
        known = found.read_text() + (drills.partition("\n## ")[0] if script[0] == "." else "")
        for option in re.findall(r"--[a-z]+", rest.partition(" -- ")[0]):
            assert option in known, f"{script} {option}"


def test_the_lanes_are_those_of_the_tests() -> None:
    table = FILES[0].read_text().partition("## The lanes of tools/test")[2].partition("\n## ")[0]
    lanes = re.findall(r"^\| (\w+) \|", table, flags=re.MULTILINE)[1:]
    (known,) = re.findall(r"only this lane: ([\w, ]+)", (ROOT / "tools/test").read_text())
    assert lanes == known.split(", ")


def test_the_drills_and_their_scripts_are_all_named() -> None:
    text = FAILURE_MODES.read_text()
    listed = {
        f"{folder}/{name}.sh"
        for folder, names in re.findall(r"^\| `([\w-]+)/` \| (test-.+) \|$", text, re.MULTILINE)
        for name in names.split(", ")
    }
    here = FAILURE_MODES.parent
    assert listed == {str(f.relative_to(here)) for f in here.glob("*/test-*.sh")}
    recorded = json.loads((here / "report.json").read_text())["outcomes"]
    for drill in re.findall(r"pgtv drill run ([\w-]+/[\w-]+)", text):
        assert drill in {f"{o['mode']}/{o['variant']}" for o in recorded}, drill
