"""The matrix holds: each fault does what it says, and what was once found or cured still is.

Of one fault in four, on the newer major everything from injection to the cure by printed SQL; on the
other one, of fewer, who sees it. Cured by `pgtv repair --apply`: one fault of each mode. With tools/test
--all every fault on both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import REAL_MAJORS, THOROUGH, require_real

from pgtv.cluster.server import Server

sys.path.insert(0, str(Path(__file__).parent))

from applied import apply
from bench import prepare
from catalogue import FAULTS
from effects import EXCEPTIONS, said, seen
from measure import measure

MATRIX = json.loads((Path(__file__).parent / "matrix.json").read_text())
RANK = ("broken", "missed", "unknown", "verify", "after", "before")
CURED = {h: n for n, h in enumerate(("no", "snapshot", "command", "named", "verify", "repair"))}
# the first of each mode that shares the server
ONE_OF_EACH = tuple(
    {f.mode: f.id for f in reversed(FAULTS.values()) if f.settings is None}.values()
)
# on a standby it is so: the shop has an UNLOGGED TVIEW, which nobody can read there
UNLOGGED = "unlogged-standby:public.tv_search"
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


@pytest.mark.parametrize("name", [n for n in FAULTS if not FAULTS[n].unseen])
def test_doctor_says_what_the_fault_did(name: str) -> None:
    """Writes fail now, rows are wrong or will be, risk: no more than was seen, and no less."""
    row = MATRIX[name]
    agree = said(row["effects"]) is seen(row["does"])
    assert agree or name in EXCEPTIONS, f"{row['does']}, and doctor says {row['effects']}"
    assert not (agree and name in EXCEPTIONS), "no exception any more: take it out of effects.py"


@pytest.mark.real
@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", FAULTS)
def test_fault(fault_server: Server, name: str) -> None:
    fault, recorded, major = FAULTS[name], MATRIX[name], fault_server.major
    if major not in fault.majors:
        pytest.skip(f"not on PostgreSQL {major}")
    newest = major == max(REAL_MAJORS)
    result = measure(fault_server, fault, cure=newest or THOROUGH)
    expected = [UNLOGGED] if fault.standby else []
    assert result.alarm == expected, "findings on the healthy setup, before the fault"
    assert fault.does.value in result.does, f"{result.does} {result.messages} {result.drift}"
    if result.pgtv in ("before", "after", "verify") and name not in EXCEPTIONS:
        assert said(result.effects) is seen(result.does), f"{result.does}, said {result.effects}"
    assert fault.sqlstate is None or fault.sqlstate in result.writes, result.messages
    if major == max(REAL_MAJORS):  # the only one of which these two are recorded
        assert result.health == recorded["health"], f"the extension's own health check; {AGAIN}"
        assert result.writes == recorded["writes"], f"refused: {result.messages}; {AGAIN}"
    before = recorded["pgtv"].get(str(major), "missed")
    assert RANK.index(result.pgtv) >= RANK.index(before), (
        f"was seen {before}, now {result.pgtv}: {result.said}; on purpose? {AGAIN}"
    )
    if (newest or THOROUGH) and recorded["cured"].get(str(major)) in ("yes", "snapshot"):
        better = ("yes", recorded["cured"][str(major)])
        assert result.cured in better, f"{result.why}\npasted: {result.pasted}"
    if not newest:
        return  # no locks are recorded of it
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
