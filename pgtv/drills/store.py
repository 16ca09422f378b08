"""Reports of drills as files, schema pgtv.drill/1."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgtv import __version__
from pgtv.catalog.schema import document_schema
from pgtv.drills.crashes import Crash
from pgtv.drills.model import SCHEMA, Outcome, Refusal, Report, State
from pgtv.errors import UsageError


def made_now(outcomes: Iterable[Outcome], extension: str | None) -> Report:
    """A report of this pgtv and this moment."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(__version__, at, extension, tuple(outcomes), commit())


def commit() -> str | None:
    """The commit of the checkout that this pgtv runs from; None elsewhere."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), "-c", "safe.directory=*", "rev-parse", "--short", "HEAD"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return asked.stdout.strip() or None


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
    except (ValueError, TypeError, KeyError, AttributeError):
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


def dump_crashes(crashes: Iterable[Crash], seed: int) -> str:
    """Crashes as JSON, one a line: columns are named once."""
    rows = list(crashes)
    columns = [f.name for f in dataclasses.fields(Crash)]
    head = {
        "schema": CRASHES,
        "pgtv_version": __version__,
        "commit": commit(),
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
