"""What a check file declares, and the context its function runs in.

A check file has a docstring with the sections Meaning, Impact, Diagnosis and Mitigation (they become
its page), one module constant `CHECK`, and the function that it names. Nothing else has to be edited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pgtv.catalog import dialects
from pgtv.catalog.dialects.base import Dialect
from pgtv.catalog.model import Snapshot
from pgtv.finding import Effect, Finding, Remedy, Severity
from pgtv.graph.edges import Edges, edges


class NotApplicable(Exception):
    """Raised by a check's function that finds that it has nothing to say about this server."""


@dataclass(frozen=True)
class Provoke:
    """How to make the check speak, on the shop of sql/demo/shop.sql, as SQL for psql.

    near_miss: something close that must stay quiet. break_: what must be found.
    hold: run before looking in a second session whose transaction stays open meanwhile.
    object: the finding's object that must come out. undo: for what outlives the database.
    elsewhere: where the proof is, for what SQL cannot provoke (then the SQL is empty).
    """

    near_miss: str = ""
    break_: str = ""
    hold: str = ""
    object: str | None = None
    undo: str = ""
    elsewhere: str = ""


@dataclass(frozen=True)
class Threshold:
    """A number that decides, with its unit and where its default comes from."""

    default: float
    unit: str
    source: str


@dataclass(frozen=True)
class Check:
    """The declaration of one check.

    id: stable, kebab-case; the file is its name with underscores.
    group: installation, metadata, triggers, graph, contents, twophase, privileges, storage, activity.
    severity: the worst it says. effect: what its findings mean for the application.
    needs: sections of the snapshot without which it is UNKNOWN.
    where: `any`, `primary` or `standby`; elsewhere it is not applicable.
    extension: False for checks that also run while the extension is absent.
    consequence_of: ids of checks whose findings explain this one's on the same object or TVIEW.
    """

    id: str
    title: str
    group: str
    severity: Severity
    effect: Effect
    run: Callable[[Context], Iterable[Finding]]
    needs: tuple[str, ...] = ("tviews",)
    where: str = "any"
    extension: bool = True
    consequence_of: tuple[str, ...] = ()
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    generations: tuple[str, ...] | None = None  # None: every generation
    option: str | None = None  # the option of doctor that makes it run, for what asks the server
    provoke: Provoke = Provoke()


@dataclass(frozen=True)
class Context:
    """What a check's function gets: the snapshot, the dialect's words, the graph, its thresholds."""

    snapshot: Snapshot
    check: Check
    shared: Shared
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def dialect(self) -> Dialect:
        return self.shared.dialect

    @property
    def edges(self) -> Edges:
        return self.shared.edges

    @property
    def extschema(self) -> str:
        """The extension's schema, also when the extension itself is gone."""
        return self.snapshot.extension.schema or self.dialect.schema or "public"

    def threshold(self, name: str) -> float:
        return self.settings.get(name, self.check.thresholds[name].default)

    def level(self, value: float) -> Severity | None:
        """What `value` is by the thresholds `warning` and `critical`; None below both."""
        if value >= self.threshold("critical"):
            return Severity.CRITICAL
        return Severity.WARNING if value >= self.threshold("warning") else None

    def affected(self, *oids: int) -> tuple[str, ...]:
        """Names of the TVIEWs that `oids` reach, dependents included."""
        return tuple(t.label for t in self.edges.affected(oids))

    def finding(
        self,
        object: str,
        detail: str,
        *,
        key: str | None = None,
        severity: Severity | None = None,
        effect: Effect | None = None,
        title: str | None = None,
        affects: tuple[str, ...] = (),
        evidence: Iterable[Mapping[str, Any]] = (),
        remedy: Remedy | None = None,
        needs: tuple[str, ...] = (),
    ) -> Finding:
        """A finding of this check; `key` tells several of one object apart."""
        return Finding(
            id=f"{self.check.id}:{object}" + (f":{key}" if key else ""),
            check=self.check.id,
            severity=severity or self.check.severity,
            effect=effect or self.check.effect,
            object=object,
            title=title or self.check.title,
            detail=detail,
            affects=affects,
            evidence=tuple(dict(e) for e in evidence),
            remedy=remedy,
            needs=needs,
        )


@dataclass(frozen=True)
class Shared:
    """What all checks of one run share, computed once and only when asked for."""

    snapshot: Snapshot

    @cached_property
    def dialect(self) -> Dialect:
        return dialects.named(self.snapshot.extension.generation)

    @cached_property
    def edges(self) -> Edges:
        return edges(self.snapshot)

    @cached_property
    def cache(self) -> dict[str, Any]:
        """For derived data that several checks need; keyed by the function that computes it."""
        return {}


def once(context: Context, key: str, compute: Callable[[], Any]) -> Any:
    """`compute()` once a run, whichever check asks first."""
    cache = context.shared.cache
    if key not in cache:
        cache[key] = compute()
    return cache[key]
