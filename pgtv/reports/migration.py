"""What migrations do, for people, as JSON, and as annotations on a pull request."""

from __future__ import annotations

import json
from collections import Counter

from pgtv.finding import Severity
from pgtv.lint import report as lint_report
from pgtv.lint.rules import Level, Problem, Rule
from pgtv.migration.model import Effect, Migration, Statement, What
from pgtv.reports.documents import MigrationDocument
from pgtv.shown import printable, wrapped

SCHEMA = "pgtv.migration/1"
LABEL = max(len(w.value) for w in What) + 2


def summary(migration: Migration) -> str:
    """`7 statements: 2 fail, 1 leaves rows stale, 3 keep others waiting`."""
    counts = Counter(
        next(iter(sorted({e.what for e in s.effects}, key=list(What).index)), None)
        for s in migration.statements
    )
    said = [f"{counts[w]} {_WORDS[w][counts[w] > 1]}" for w in What if counts[w] and w in _WORDS]
    number = len(migration.statements)
    start = f"{number} statement{'' if number == 1 else 's'}"
    return f"{start}: {', '.join(said)}" if said else f"{start}, and no TVIEW is hurt"


_WORDS = {
    What.FAILS: ("fails", "fail"),
    What.WRITES_FAIL: ("makes writes fail", "make writes fail"),
    What.DROPS: ("drops TVIEWs", "drop TVIEWs"),
    What.STALE: ("leaves rows stale", "leave rows stale"),
    What.UNTRACKED: ("cuts off writes", "cut off writes"),
    What.UNKNOWN: ("cannot be told", "cannot be told"),
    What.REBUILDS: ("rebuilds", "rebuild"),
    What.REWRITES: ("rewrites a table", "rewrite a table"),
    What.NAMES: ("leaves stale names", "leave stale names"),
    What.WAITS: ("keeps others waiting", "keep others waiting"),
    What.RISK: ("is a risk", "are a risk"),
}


def human(migration: Migration, width: int) -> str:
    """SQL and commands are never broken: they are for pasting."""
    lines = wrapped(f"{', '.join(migration.files)} against {migration.source}", width, "", "  ")
    lines += wrapped(summary(migration), width, "", "  ")
    lines += [f"UNKNOWN  the snapshot lacks {u}" for u in migration.unseen]
    shown = [s for s in migration.statements if s.effects]
    for statement in shown:
        lines += ["", *_statement(statement, width)]
    if any(s.fails for s in shown):
        lines += ["", *wrapped("What follows a statement that fails is judged as if it were not there.",
                                width, "", "")]  # fmt: skip
    quiet = len(migration.statements) - len(shown)
    if quiet and shown:
        lines += ["", f"{quiet} more {'has' if quiet == 1 else 'have'} nothing to say to a TVIEW."]
    if migration.order:
        lines += ["", "Safer order:"]
        for number, stage in enumerate(migration.order, 1):
            lines += wrapped(stage.text, width, f"{number:>3}  ", "     ")
            for sql in stage.sql:
                lines += [f"       {line}" for line in sql.splitlines()]
    return printable("\n".join(lines)) + "\n"


def _statement(statement: Statement, width: int) -> list[str]:
    word = "note" if statement.severity is Severity.INFO else statement.severity.value.upper()
    lead = f"{word}  {statement.file}:{statement.line}  "
    text = statement.text
    room = max(width - len(lead), 30)
    lines = [lead + (text if len(text) <= room else text[: room - 1] + "…")]
    for effect in statement.effects:
        lines += _effect(effect, width)
    return lines


def _effect(effect: Effect, width: int) -> list[str]:
    text = f"{effect.sqlstate}: {effect.text}" if effect.sqlstate else effect.text
    blank = " " * (LABEL + 2)
    lines = wrapped(text, width, f"  {effect.what.value.ljust(LABEL)}", blank)
    lead = f"  {'cure'.ljust(LABEL)}"
    for cure in effect.cure:
        for line in cure.splitlines():
            lines.append(lead + line)
            lead = blank
    return lines


def document(migration: Migration) -> str:
    """JSON, schema pgtv.migration/1; new fields may be added."""
    body: MigrationDocument = {
        "schema": SCHEMA,
        "exit": int(migration.exit),
        "ok": migration.exit == 0,
        "files": list(migration.files),
        "against": migration.source,
        "summary": summary(migration),
        "statements": [
            {
                "file": s.file,
                "line": s.line,
                "column": s.column,
                "text": s.text,
                "severity": s.severity.value,
                "rules": list(s.rules),
                "transaction": s.transaction,
                "effects": [
                    {
                        "what": e.what.value,
                        "severity": e.severity.value,
                        "text": e.text,
                        "tviews": list(e.tviews),
                        "sqlstate": e.sqlstate,
                        "cure": list(e.cure),
                    }
                    for e in s.effects
                ],
                "locks": [{"relation": name, "mode": mode.value} for name, mode in s.locks],
                "rewrites": list(s.rewrites),
                "may_write": list(s.upto),
            }
            for s in migration.statements
        ],
        "order": [{"text": stage.text, "sql": list(stage.sql)} for stage in migration.order],
        "unseen": list(migration.unseen),
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def github(migration: Migration) -> str:
    """Workflow commands: an error for what is critical, a warning for what waits or is not known."""
    problems = [
        Problem(
            s.file, s.line, s.column,
            Rule(e.what.value, Level.ERROR if e.severity is Severity.CRITICAL else Level.WARNING, "", ""),
            f"{e.sqlstate}: {e.text}" if e.sqlstate else e.text,
            "; ".join(e.cure),
        )
        for s in migration.statements
        for e in s.effects
        if e.severity is not Severity.INFO
    ]  # fmt: skip
    return lint_report.github(problems)
