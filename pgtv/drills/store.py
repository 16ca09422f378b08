"""Reports of drills as files, schema pgtv.drill/1."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgtv import __version__
from pgtv.catalog.schema import document_schema
from pgtv.drills.crashes import Crash
from pgtv.drills.model import SCHEMA, Outcome, Report, State
from pgtv.drills.statements import Refusal
from pgtv.errors import UsageError

_CHECKOUT = Path(__file__).resolve().parents[2]


def made_now(
    outcomes: Iterable[Outcome], extension: str | None, commit: str | None = None
) -> Report:
    """A report of this pgtv and this moment. commit: what `commit` said when the drills began."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(__version__, at, extension, tuple(outcomes), commit)


# what decides how drills end; that a record lies beside them changed changes nothing
_SOURCES = ("pgtv", "sql")


def commit(folder: Path = _CHECKOUT) -> str | None:
    """The commit of the checkout that this pgtv runs from; None elsewhere.

    It ends in `-dirty` where the sources are not as that commit has them: nobody finds those again.
    """
    if not (folder / ".git").exists():
        return None
    head = _git(folder, "rev-parse", "--short", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--", *_SOURCES)
    if not head:
        return None
    return head if changed == "" else f"{head}-dirty"


def _git(folder: Path, *args: str) -> str | None:
    """What git prints; None where it is not there, or refuses."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), "-c", "safe.directory=*", *args],
            # looking writes nothing, not even git's index
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def merged(reports: Iterable[Report]) -> Report:
    """One report of several. Where the same drill ran on the same kind of server again, the later counts;
    one that was skipped did not run."""
    by_age = sorted(reports, key=lambda r: datetime.fromisoformat(r.at))
    newest = by_age[-1]
    kept: dict[tuple[str, str, int], Outcome] = {}
    for report in by_age:
        for o in report.outcomes:
            if o.state is State.SKIPPED and any(
                # without a major no server was made for it
                (k.name, k.provider) == (o.name, o.provider) and o.major in (k.major, 0)
                for k in kept.values()
                if k.state is not State.SKIPPED
            ):
                continue
            commit = o.commit or report.commit
            kept[o.name, o.provider, o.major] = dataclasses.replace(
                o, commit=commit if commit != newest.commit else None
            )
    return dataclasses.replace(newest, outcomes=tuple(kept.values()))


def dumps(report: Report) -> str:
    return json.dumps(dataclasses.asdict(report), ensure_ascii=False, indent=1) + "\n"


def load(path: Path) -> Report:
    """Read a report. Raises UsageError when the file is none."""
    hint = "make one with: pgtv drill run --json FILE"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.get("schema") != SCHEMA:
            raise UsageError(f"{path} is no report of schema {SCHEMA}", hint)
        outcomes = tuple(_outcome(o) for o in raw.pop("outcomes"))
        return Report(outcomes=outcomes, **raw)
    except OSError as e:
        raise UsageError(f"cannot read {path}: {e.strerror or e}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UsageError(f"{path} is no report of drills", hint) from None


def _outcome(raw: dict[str, Any]) -> Outcome:
    errors = tuple(Refusal(**r) for r in raw.pop("errors"))
    state = State(raw.pop("state"))
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
    return Outcome(errors=errors, state=state, **given)


def schema() -> dict[str, Any]:
    """The JSON schema that schemas/ publishes."""
    return document_schema(
        Report,
        SCHEMA,
        "How drills of failure modes ended. Readers ignore keys that they do not know.",
    )


CRASHES = "pgtv.crashes/1"


def dump_crashes(crashes: Iterable[Crash], seed: int, commit: str | None) -> str:
    """Crashes as JSON, one a line: columns are named once. commit: as for `made_now`."""
    rows = list(crashes)
    columns = [f.name for f in dataclasses.fields(Crash)]
    head = {
        "schema": CRASHES,
        "pgtv_version": __version__,
        "commit": commit,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "majors": dict(Counter(str(c.major) for c in rows)),
        "outcomes": dict(Counter(c.outcome for c in rows)),
        "points": dict(Counter(f"{c.point}, {c.kill}" for c in rows)),
        "columns": columns,
    }
    lines = ",\n".join(
        json.dumps([getattr(c, column) for column in columns], ensure_ascii=False) for c in rows
    )
    opened = json.dumps(head, ensure_ascii=False, indent=1).rstrip("}\n")
    return f'{opened},\n "crashes": [\n{lines}\n]}}\n'
