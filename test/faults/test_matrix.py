"""The matrix holds: each fault does what it says, and what was once found or cured still is.

On the newer major everything from injection to the cure by printed SQL; on the other one who sees it,
of a sample. Cured by `pgtv repair --apply`: one fault of each mode. With tools/test --all every fault on
both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import REAL_MAJORS, require_real

from pgtv.cluster.server import Server

sys.path.insert(0, str(Path(__file__).parent))

from applied import apply
from bench import prepare
from catalogue import FAULTS
from measure import measure

MATRIX = json.loads((Path(__file__).parent / "matrix.json").read_text())
RANK = ("broken", "missed", "unknown", "verify", "after", "before")
CURED = {h: n for n, h in enumerate(("no", "snapshot", "command", "named", "verify", "repair"))}
# the first of each mode that shares the server
ONE_OF_EACH = tuple(
    {f.mode: f.id for f in reversed(FAULTS.values()) if f.settings is None}.values()
)
AGAIN = "python test/faults/run.py --write, then tools/gen_faults"


@pytest.fixture(scope="session", params=REAL_MAJORS, ids=lambda m: f"pg{m}")
def fault_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with prepare(require_real(request.param)) as server:
        yield server


def test_every_fault_is_in_the_matrix() -> None:
    assert set(MATRIX) == set(FAULTS), f"run {AGAIN}"


@pytest.mark.parametrize("name", FAULTS)
def test_what_repair_does_not_cure_says_what_it_takes(name: str) -> None:
    for major, row in MATRIX[name].get("applied", {}).items():
        beyond = FAULTS[name].beyond is not None
        assert (row["cured"] == "no") == beyond, f"on {major}: {row}"
        assert "lost" not in row, "a cure took away what stood on a TVIEW"


@pytest.mark.real
@pytest.mark.sampled
@pytest.mark.parametrize("name", FAULTS)
def test_fault(fault_server: Server, name: str) -> None:
    fault, recorded, major = FAULTS[name], MATRIX[name], fault_server.major
    if major not in fault.majors:
        pytest.skip(f"not on PostgreSQL {major}")
    result = measure(fault_server, fault, cure=major == max(REAL_MAJORS))
    assert fault.does.value in result.does, f"{result.does} {result.messages} {result.drift}"
    assert fault.sqlstate is None or fault.sqlstate in result.writes, result.messages
    before = recorded["pgtv"].get(str(major), "missed")
    assert RANK.index(result.pgtv) >= RANK.index(before), (
        f"was seen {before}, now {result.pgtv}: {result.said}; on purpose? {AGAIN}"
    )
    if major == max(REAL_MAJORS) and recorded["cured"][str(major)] in ("yes", "snapshot"):
        better = ("yes", recorded["cured"][str(major)])
        assert result.cured in better, f"{result.why}\npasted: {result.pasted}"
    unprinted = [u for u in result.unprinted if u.split(":")[0] not in recorded["unprinted"]]
    assert unprinted == [], "locks that cures take and do not print"


@pytest.mark.real
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in ONE_OF_EACH else pytest.mark.whole) for n in FAULTS]
)
def test_cured_by_repair(fault_server: Server, name: str) -> None:
    """By the command, no more hands needed than when it was recorded, and nothing lost by it."""
    fault, major = FAULTS[name], fault_server.major
    recorded = MATRIX[name].get("applied", {}).get(str(major))
    if recorded is None:
        pytest.skip(f"not on PostgreSQL {major}")
    result = apply(fault_server, fault)
    assert CURED[result.cured] >= CURED[recorded["cured"]], f"{result.why}\n{result.commands}"
    assert result.lost == [], result.commands
