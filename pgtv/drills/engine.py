"""Runs one variant from injection to verification, and says how it ended."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pgtv.cluster import binaries
from pgtv.cluster.place import place
from pgtv.cluster.provider import Absent
from pgtv.drills import readers, writers
from pgtv.drills.model import Mode, Outcome, Sees, State, Variant
from pgtv.drills.stage import Stage
from pgtv.drills.statements import Break, Refusal
from pgtv.errors import PgtvError

if TYPE_CHECKING:
    from pgtv.drills.scene import Scene
    from pgtv.finding import Finding

DETECT_TIMEOUT = 20.0  # seconds until doctor must have seen it
HEAL_TIMEOUT = 20.0


class _Run:
    """What is known so far; becomes an Outcome at any point."""

    def __init__(self, mode: Mode, variant: Variant, provider: str) -> None:
        self.mode, self.variant, self.provider = mode, variant, provider
        self.done = {"injected": False, "detected": False, "recovered": False, "verified": False}
        self.seconds: dict[str, float] = {}
        self.findings: tuple[str, ...] = ()
        self.rows_lost: int | None = None
        self.major = 0
        self.scene: Scene | None = None
        self.phase = "prepare"
        self.readers: str | None = None
        self.writers: str | None = None

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        self.phase, started = phase, time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = round(time.monotonic() - started, 3)

    def outcome(self, state: State, why: str | None = None, kept: str | None = None) -> Outcome:
        return Outcome(
            self.mode.id, self.variant.id, self.variant.title, self.provider, self.major, state,
            **self.done, rows_lost=self.rows_lost, seconds=self.seconds, findings=self.findings,
            errors=tuple(_told(r) for r in self.scene.refused[:8]) if self.scene else (),
            steps=tuple(_placeless(s) for s in self.scene.steps) if self.scene else (), why=why,
            kept=kept, readers=self.readers, writers=self.writers, commit=None,
        )  # fmt: skip


def _told(refusal: Refusal) -> Refusal:
    return Refusal(refusal.sqlstate, _placeless(refusal.message), _placeless(refusal.statement))


def _placeless(text: str) -> str:
    """Without the folders of this run and machine: a report is read elsewhere, and compared with the
    next."""
    places = {re.escape(p) for p in (place(), tempfile.gettempdir())}
    mine = re.sub(rf"(?:{'|'.join(places)})(?:/pgtv-\w+)+/?", "", text)
    return mine.replace(f"{binaries.cache()}/", "")


def run(stage: Stage, mode: Mode, variant: Variant) -> Outcome:
    """Run one drill. Never raises but for an interrupt: whatever fails is in the outcome."""
    now = _Run(mode, variant, stage.provider.name)
    if why := stage.provider.missing(variant.needs):
        return now.outcome(State.SKIPPED, why)
    if stage.provider.name == "existing" and (variant.own or not variant.wish.plain):
        return now.outcome(State.SKIPPED, "it would restart a server that other people use")
    kept = None
    try:
        started = time.monotonic()
        with stage.scene(variant.wish, own=variant.own) as scene:
            now.scene, now.major = scene, scene.server.major
            if why := _not_here(variant, scene, now.major):
                return now.outcome(State.SKIPPED, why)
            try:
                scene.begin()
                scene.read_before = readers.note(scene)
                now.seconds["prepare"] = round(time.monotonic() - started, 3)
                why = _act(now, scene)
            except Absent:
                raise
            except Exception as e:  # a drill that fails, or has a defect, ends no other
                why = _failed(now.phase, e)
            if why and stage.keep:
                scene.keep = scene.server.keep = True
                kept = scene.server.kept_as(scene.name)
            now.phase = "clean-up"
    except Absent as e:
        return now.outcome(State.SKIPPED, e.message)
    except Exception as e:
        why = why or _failed(now.phase, e)
    return now.outcome(State.FAILED if why else State.PASSED, why, kept)


def _failed(phase: str, error: Exception) -> str:
    """What it says; the name too of what is no error of a server or of a command."""
    import psycopg

    said = " ".join(str(error).split())
    if isinstance(error, subprocess.TimeoutExpired):
        program = error.cmd if isinstance(error.cmd, str) else error.cmd[0]
        return f"{phase}: {Path(program).name} did not end in {error.timeout:.0f} s"
    if isinstance(error, (PgtvError, psycopg.Error, AssertionError)):
        return f"{phase}: {said or type(error).__name__}"
    return f"{phase}: {type(error).__name__}: {said}"


def _not_here(variant: Variant, scene: Scene, major: int) -> str | None:
    if major not in variant.majors:
        return f"not on PostgreSQL {major}"
    return variant.skip(scene) if variant.skip else None


def _act(now: _Run, scene: Scene) -> str | None:
    """The four phases; gives what was missing, or None."""
    variant = now.variant
    with now.timed("inject"):
        if isinstance(variant.inject, Break):
            scene.break_(variant.inject)
        else:
            variant.inject(scene)
    now.done["injected"] = True
    with now.timed("detect"):
        now.findings, missing = _detect(scene, variant.sees)
    now.done["detected"] = not missing
    now.phase = "read"
    now.readers = readers.read(scene, scene.reader)
    now.writers = writers.write(scene, scene.reader)
    with now.timed("recover"):
        if variant.recover:
            variant.recover(scene)
        else:
            scene.paste_cures(dict(variant.sees.thresholds))
    now.done["recovered"] = True
    with now.timed("verify"):
        problem, now.rows_lost = _verify(scene, variant)
    now.done["verified"] = problem is None
    if missing:
        return f"not seen: {missing}"
    return problem


def _detect(scene: Scene, sees: Sees) -> tuple[tuple[str, ...], str | None]:
    """(ids of the findings, what was not seen)."""
    deadline = time.monotonic() + DETECT_TIMEOUT
    while True:
        found: list[Finding] = []
        if sees.findings:
            found = scene.new_findings(
                scene.doctor(verify=sees.verify, thresholds=dict(sees.thresholds))
            )
        missing = [*_unseen(sees, found, scene)]
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if sees.equal and not missing and (differing := scene.differing()):
        missing.append(f"equal contents ({differing})")
    return tuple(f.id for f in found), "; ".join(missing) or None


def _unseen(sees: Sees, found: Iterable[Finding], scene: Scene) -> Iterator[str]:
    ids = [f.id for f in found]
    for wanted in sees.findings:
        if not any(names(i, wanted) for i in ids):
            yield f"finding {wanted} (there were: {', '.join(ids) or 'none'})"
    for sqlstate, pattern in sees.errors:
        if not any(
            re.fullmatch(sqlstate, r.sqlstate) and re.search(pattern, r.message)
            for r in scene.refused
        ):
            said = "; ".join(f"{r.sqlstate} {r.message}" for r in scene.refused) or "none"
            yield f"error {sqlstate} {pattern!r} (there were: {said})"
    for pattern in sees.log:
        if not re.search(pattern, scene.log()):
            yield f"log line {pattern!r}"


def names(finding: str, wanted: str) -> bool:
    """Whether `check` or `check:object` means this finding."""
    return finding == wanted or finding.startswith(wanted + ":")


def _verify(scene: Scene, variant: Variant) -> tuple[str | None, int]:
    """(what is still wrong, rows lost): doctor quiet, contents equal, writes arrive, nothing lost."""
    deadline = time.monotonic() + HEAL_TIMEOUT
    while True:
        left = [
            f.id
            for f in scene.new_findings(scene.doctor())
            if not any(names(f.id, wanted) for wanted in variant.lasts)
        ]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    differing = scene.differing()
    lost = scene.lost() + sum(abs(n) for n in differing.values())
    if left:
        return f"doctor still says {', '.join(left)}", lost
    if lost:
        return f"{lost} rows lost or wrong {differing or ''}".strip(), lost
    if refused := scene.write():
        return f"writes are refused: {refused[0].sqlstate} {refused[0].message}", lost
    if differing := scene.differing():
        return f"writes do not arrive: {differing}", sum(abs(n) for n in differing.values())
    return None, 0
