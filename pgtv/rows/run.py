"""Verifies many TVIEWs: in dependency order, within a budget, in parallel, resumable.

Each TVIEW has a session and a snapshot of its own, so nothing that a definition does to its session
meets another TVIEW, and no snapshot lasts longer than one TVIEW.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import NotPossible, PgtvError
from pgtv.graph.edges import edges
from pgtv.graph.select import tview_edges
from pgtv.rows import compare, evaluate, since, statements
from pgtv.rows.baseline import Baseline
from pgtv.rows.compare import Wanted
from pgtv.rows.recorded import latest
from pgtv.rows.result import Difference, Fault, Result, State
from pgtv.rows.stopping import Stop, over
from pgtv.rows.subject import Subject, subjects
from pgtv.rows.upstream import Node, Walk
from pgtv.session import Target, translate

if TYPE_CHECKING:
    import psycopg

MOST_WALKED = 100  # differing rows of a TVIEW for which it is told whose fault they are


@dataclass(frozen=True)
class Moment:
    """How far a TVIEW's comparison is."""

    tview: str
    done: int
    expected: int
    seconds: float


@dataclass
class Plan:
    """What to verify and how. budget and jobs as the command line has them.

    baselines: by table, where to begin; None to compare every row. remember: results that found
    every row equal get a baseline for the next time.
    """

    snapshot: Snapshot
    target: Target
    tviews: Sequence[Tview]
    wanted: Wanted = field(default_factory=Wanted)
    jobs: int = 1
    budget: float | None = None
    on_progress: Callable[[Moment], None] | None = None
    on_result: Callable[[Result], None] | None = None
    finished: Sequence[Result] = ()  # of an earlier run that is resumed
    baselines: Mapping[int, Baseline] | None = None
    remember: bool = False


def verify_all(plan: Plan) -> list[Result]:
    """A result for each TVIEW, in the order given.

    Raises ConnectError when the server cannot be reached at all; all else is an UNKNOWN result.
    """
    import psycopg

    with evaluate.session(plan.target) as connection:
        try:
            known = subjects(connection, plan.snapshot)
            owners = [s.owner for s in known.values() if s.owner]
            who = evaluate.login(connection, owners, plan.target.role)
        except psycopg.Error as e:
            raise translate(e) from None
    run = _Run(plan, known, who)
    done = {r.table_oid: replace(r, resumed=True) for r in plan.finished}
    for result in done.values():
        run.report(result)
    open_ = [t for t in plan.tviews if t.table_oid not in done]
    started = time.monotonic()
    if plan.jobs <= 1:
        for tview in open_:
            spent = time.monotonic() - started
            done[tview.table_oid] = run.one(tview, spent)
    else:
        done |= _parallel(plan, run, open_, started)
    return _with_upstream(plan.snapshot, [done[t.table_oid] for t in plan.tviews])


def _parallel(plan: Plan, run: _Run, open_: Sequence[Tview], started: float) -> dict[int, Result]:
    done: dict[int, Result] = {}
    queue = list(reversed(open_))
    with ThreadPoolExecutor(plan.jobs) as pool:
        running: dict[Future[Result], Tview] = {}
        try:
            while queue or running:
                while queue and len(running) < plan.jobs:
                    tview = queue.pop()
                    future = pool.submit(run.one, tview, time.monotonic() - started)
                    running[future] = tview
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    done[running.pop(future).table_oid] = future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            run.stop.all(run.sessions, partial(over, running))
            raise
    return done


@dataclass
class _Run:
    """What the workers share."""

    plan: Plan
    subjects: dict[int, Subject]
    who: evaluate.Login
    stop: Stop = field(default_factory=Stop)
    lock: threading.Lock = field(default_factory=threading.Lock)
    sessions: set[psycopg.Connection[Any]] = field(default_factory=set)
    verified: bool = False  # any TVIEW

    def report(self, result: Result) -> None:
        if self.plan.on_result:
            with self.lock:
                self.plan.on_result(result)

    def one(self, tview: Tview, spent: float) -> Result:
        """Verify one TVIEW; never raises but for an interrupt."""
        self.stop.check()
        subject = self.subjects[tview.table_oid]
        base = Result(
            tview.label, tview.entity, State.UNKNOWN, self.plan.wanted.mode, tview.identity,
            tview.table_oid, apart=subject.apart,
        )  # fmt: skip
        if self._used_up(spent):
            result = replace(base, state=State.SKIPPED, reason="the budget was used up before it")
        else:
            result = self._verify(subject, base)
            self.verified |= result.state is not State.UNKNOWN
        self.report(result)
        return result

    def _used_up(self, spent: float) -> bool:
        """Whether the budget lets no other TVIEW begin.

        What cannot be verified is never recorded, and so the first again with the oldest first: until
        another one was verified it uses nothing up, or a timer would never come past it.
        """
        budget = self.plan.budget
        return budget is not None and spent >= budget and (self.verified or not budget)

    def _verify(self, subject: Subject, base: Result) -> Result:
        import psycopg

        if subject.problem or (subject.unlogged and self.who.in_recovery):
            why = subject.problem or "it is UNLOGGED: a standby has no rows of it"
            hint = "see: pgtv doctor" if subject.problem else "verify it on the primary"
            return replace(base, reason=why, hint=hint)
        started = time.monotonic()

        def progress(done: int, expected: int) -> None:
            if self.plan.on_progress:
                with self.lock:
                    seconds = time.monotonic() - started
                    self.plan.on_progress(Moment(subject.label, done, expected, seconds))

        progress(0, max(int(subject.estimate), 0))
        try:
            with evaluate.session(self.plan.target) as connection:
                self.sessions.add(connection)
                self.stop.check()
                try:
                    above = upstream_of(self.plan.snapshot, self.subjects, subject)
                    with evaluate.evaluation(
                        connection, self.plan.target, self.who, above, self.stop
                    ) as evaluation:
                        result = self._compare(evaluation, subject, progress)
                        if len(above) == 1:
                            return _reading_none(result)
                        return self._with_faults(evaluation, subject, result)
                finally:
                    self.sessions.discard(connection)
        except psycopg.Error as e:
            self.stop.check()
            refused, advice, needs = compare.refusal(e)
            return replace(base, reason=refused, hint=advice, needs=needs)
        except NotPossible as e:
            return replace(base, reason=e.message, hint=e.hint, needs=("a login without powers",))
        except PgtvError as e:
            self.stop.check()
            return replace(base, reason=e.message, hint=e.hint)

    def _compare(
        self, evaluation: evaluate.Evaluation, subject: Subject, progress: compare.Progress
    ) -> Result:
        plan = self.plan
        if plan.baselines is not None:
            known = plan.baselines.get(subject.tview.table_oid)
            return since.verify(evaluation, plan.snapshot, subject, known, plan.wanted, progress)
        result = compare.compare(evaluation, subject, plan.wanted, progress)
        return (
            since.remember(evaluation, plan.snapshot, subject, result) if plan.remember else result
        )

    def _with_faults(
        self, evaluation: evaluate.Evaluation, subject: Subject, result: Result
    ) -> Result:
        """Tell for each row shown whether it is wrong itself or reads a row that is."""
        walk = Walk(evaluation, self.plan.snapshot, self.subjects)
        found = []
        for difference in result.differences[:MOST_WALKED]:
            part = statements.keys_in(subject, [difference.key])
            below = [n for n in walk.begin(subject, part) if n.difference is not None]
            found.append(_faulted(difference, below[0]) if below else difference)
        found += result.differences[MOST_WALKED:]
        return replace(result, differences=tuple(found))


def _faulted(difference: Difference, node: Node) -> Difference:
    return replace(difference, fault=node.fault, inherited_from=node.wrong_below)


def _reading_none(result: Result) -> Result:
    """A TVIEW that reads no other has nobody to inherit from."""
    own = tuple(replace(d, fault=Fault.NONE_READ) for d in result.differences)
    return replace(result, differences=own)


def upstream_of(snapshot: Snapshot, known: dict[int, Subject], subject: Subject) -> list[Subject]:
    """The subject and every TVIEW that it reads, directly or not."""
    upstream, _ = tview_edges(edges(snapshot))
    found = {subject.tview.table_oid: subject}
    pending = [subject.tview.table_oid]
    while pending:
        for oid in sorted(upstream.get(pending.pop(), ())):
            if oid not in found and oid in known:
                found[oid] = known[oid]
                pending.append(oid)
    return list(found.values())


def _with_upstream(snapshot: Snapshot, results: list[Result]) -> list[Result]:
    """Name for each TVIEW those that it reads and that were found to differ."""
    wrong = {r.table_oid: r.tview for r in results if r.state is State.DIFFERS}
    if not wrong:
        return results
    upstream, _ = tview_edges(edges(snapshot))
    return [replace(r, wrong_upstream=tuple(_names(upstream, wrong, r.table_oid))) for r in results]


def _names(upstream: dict[int, frozenset[int]], wrong: dict[int, str], oid: int) -> Iterable[str]:
    """The wrong TVIEWs above one, nearest first."""
    seen = {oid: None}
    edge = [oid]
    while edge:
        edge = sorted({o for e in edge for o in upstream.get(e, ())} - set(seen))
        seen |= dict.fromkeys(edge)
    return [wrong[o] for o in seen if o != oid and o in wrong]


def oldest_first(snapshot: Snapshot, tviews: Sequence[Tview]) -> list[Tview]:
    """Those never verified first, then by age: what a budget reaches, next time it passes over."""
    last = latest(snapshot)
    return sorted(
        tviews,
        key=lambda t: -last[t.table_oid].age_seconds if t.table_oid in last else float("-inf"),
    )
