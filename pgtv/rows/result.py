"""What a verification says: pure data, with its exit code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pgtv.errors import Exit
from pgtv.rows.paths import PathDiff

if TYPE_CHECKING:
    from pgtv.rows.baseline import Baseline


class State(StrEnum):
    """Equal, different, not known, may rightly differ and does, or not looked at this time."""

    EQUAL = "equal"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    MAY_DIFFER = "may differ"
    SKIPPED = "skipped"


class Fault(StrEnum):
    """Whose fault a differing row is."""

    OWN = "own"  # every row of other TVIEWs that it reads is right
    INHERITED = "inherited"  # a row of a TVIEW that it reads is wrong
    UNKNOWN = "unknown"
    NONE_READ = "reads no TVIEW"


@dataclass(frozen=True)
class Difference:
    """One row: missing from the table, extra in it, or changed.

    key: the identity's values as text. paths: where they differ (bounded; `places` counts all).
    inherited_from: rows of other TVIEWs, `name:key`, that are wrong themselves.
    """

    kind: str
    key: tuple[str | None, ...]
    paths: tuple[PathDiff, ...] = ()
    places: int = 0
    fault: Fault = Fault.UNKNOWN
    inherited_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Since:
    """What a verification built on: the last one that found the TVIEW equal.

    at, lsn: its moment. compared_at: when every row was compared the last time. changed: new row
    versions in the relations that the definition reads. keys: rows of the TVIEW that were compared.
    whole: why every row was compared after all.
    """

    at: str | None
    lsn: str | None
    compared_at: str | None
    changed: int | None
    keys: int | None
    whole: str | None = None


@dataclass(frozen=True)
class Result:
    """One TVIEW's verification.

    mode: exact, fast, since or a sample. rows: rows of the table that were compared, or stand as they
    were. apart: why it may rightly differ. lsn and verified_at: the snapshot's moment.
    wrong_upstream: TVIEWs that it reads and that differ, in this run. baseline: what the next run may
    build on; kept in the schema pgtv only.
    """

    tview: str
    entity: str
    state: State
    mode: str = "exact"
    keys: tuple[str, ...] = ()
    table_oid: int = 0
    rows: int | None = None
    missing: int = 0
    extra: int = 0
    changed: int = 0
    differences: tuple[Difference, ...] = ()
    faults: tuple[str, ...] = ()
    reason: str | None = None
    hint: str | None = None
    needs: tuple[str, ...] = ()
    apart: str | None = None
    lsn: str | None = None
    verified_at: str | None = None
    seconds: float = 0.0
    evaluated_as: str | None = None
    ignored_columns: tuple[str, ...] = ()
    wrong_upstream: tuple[str, ...] = ()
    recorded: bool | None = None
    resumed: bool = False
    since: Since | None = None
    baseline: Baseline | None = None

    @property
    def differing(self) -> int:
        return self.missing + self.extra + self.changed


def exit_code(results: Iterable[Result]) -> Exit:
    """Critical for a difference, unknown where something could not be told, else healthy."""
    states = {r.state for r in results}
    if State.DIFFERS in states:
        return Exit.CRITICAL
    return Exit.UNKNOWN if State.UNKNOWN in states else Exit.HEALTHY
