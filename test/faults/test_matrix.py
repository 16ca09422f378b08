"""The matrix holds: each fault does what it says, and what was once found or cured still is.

On the newer major everything from injection to cure; on the other one, who sees it.
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

from bench import prepare
from catalogue import FAULTS
from measure import measure

MATRIX = json.loads((Path(__file__).parent / "matrix.json").read_text())
RANK = ("broken", "missed", "unknown", "verify", "after", "before")
AGAIN = "python test/faults/run.py --write, then tools/gen_faults"


@pytest.fixture(scope="session", params=REAL_MAJORS, ids=lambda m: f"pg{m}")
def fault_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with prepare(require_real(request.param)) as server:
        yield server


def test_every_fault_is_in_the_matrix() -> None:
    assert set(MATRIX) == set(FAULTS), f"run {AGAIN}"


@pytest.mark.real
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
    if major == max(REAL_MAJORS) and recorded["cured"] in ("yes", "snapshot"):
        better = ("yes", recorded["cured"])
        assert result.cured in better, f"{result.why}\npasted: {result.pasted}"
    unprinted = [u for u in result.unprinted if u.split(":")[0] not in recorded["unprinted"]]
    assert unprinted == [], "locks that cures take and do not print"
