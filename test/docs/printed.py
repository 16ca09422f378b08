"""Runs on servers of a test's own what a page prints for servers that are lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blocks import blocks, shell, units

from pgtv.cluster.server import Server

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations"


def printed(page: str, test: str) -> list[str]:
    """The blocks of a page that name `test` as where they are run, in their order."""
    file = f"test/docs/{Path(test).name}"
    found = [b.text for b in blocks(DOCS / page) if b.attributes.get("elsewhere") == file]
    assert found, f"{page} has nothing for {file}"
    return found


def typed(
    block: str, server: Server, database: str, folder: Path, names: Mapping[str, str], **kw: Any
) -> list[subprocess.CompletedProcess[str]]:
    """Each command of `block` as somebody types it who reaches `server`, until one fails.

    names: what stands for the places and hosts that the page invents.
    """
    for invented, real in names.items():
        block = block.replace(invented, real)
    env = server.env(database)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    done = []
    for command in units(block):
        done.append(
            subprocess.run(
                shell(command), env=env, cwd=folder, capture_output=True, text=True, timeout=180,
                stdin=subprocess.DEVNULL, check=False, **kw,
            )
        )  # fmt: skip
        if done[-1].returncode:
            break
    return done


def works(*arguments: Any, **kw: Any) -> str:
    """What all commands of a block say, each of which has to exit 0."""
    said = typed(*arguments, **kw)
    text = "".join(d.stdout + d.stderr for d in said)
    assert not said[-1].returncode, text
    return text
