"""A certificate of a rehearsed restore: for people, as JSON and as an HTML page; and its files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.checks.resolving import age
from pgtv.errors import PgtvError
from pgtv.lifecycle.restore.certificate import Certificate, Objective, dumps
from pgtv.lifecycle.restore.server import size
from pgtv.reports.pages import environment
from pgtv.reports.preflight import point_lines
from pgtv.shown import printable

document = dumps


def human(certificate: Certificate, width: int) -> str:
    """The verdict first, then what has to be known, then what was measured and proven."""
    restored = certificate.restored
    lines = [
        *_wrapped(f"{restored.path}: {certificate.verdict}", width, "", "  "), "",
        *_facts(_known(certificate), width),
    ]  # fmt: skip
    for point in certificate.points:
        lines += ["", *point_lines(point, width)]
    longest = max(len(p.name) for p in certificate.phases)
    lines += ["", "Phases"]
    for phase in certificate.phases:
        lead = f"  {phase.name.ljust(longest)}  {phase.seconds:9.1f} s"
        note = phase.said + ("" if phase.counts else f"{'; ' if phase.said else ''}not counted")
        lines += _wrapped(f"{lead}  {note}".rstrip(), width, "", " " * (longest + 17), keep=True)
    for title, sentences in (
        ("Proven", certificate.proven),
        ("Not proven", certificate.not_proven),
    ):
        if sentences:
            lines += ["", title]
            for sentence in sentences:
                lines += _wrapped(sentence, width, "  - ", "    ")
    return printable("\n".join(lines)) + "\n"


def _known(c: Certificate) -> Iterator[tuple[str, str]]:
    r, p = c.restored, c.place
    files = "" if r.files == 1 else f" in {r.files} files"
    yield (
        "backup",
        f"{r.kind}, {r.form}, {size(r.bytes)}{files}"
        + (f", of database {r.database}" if r.database else "")
        + (f", {r.dumped_from}" if r.dumped_from else ""),
    )
    yield "sha256", r.sha256
    yield "rows of", f"{r.data_from or 'unknown'} ({r.data_from_by})"
    if r.recovered_to:
        yield "recovered to", r.recovered_to
    release = f" with {EXTENSION} {p.extension_version}" if p.extension_version else ""
    yield (
        "restored on",
        f"PostgreSQL {p.server_version}{release}, {p.machine}, {p.processors} processors",
    )
    if c.source:
        s = c.source
        yield "held against", f"{s.path}, taken {s.taken_at}: {s.tviews} TVIEWs"
    yield (
        "RTO",
        _objective(c.rto)
        + (
            f"; could be used after {age(c.serving_seconds)}"
            if c.serving_seconds is not None
            else ""
        ),
    )
    yield "RPO", _objective(c.rpo)
    if c.tviews:
        equal = sum(t.state == "equal" for t in c.tviews)
        yield (
            "TVIEWs",
            f"{equal} of {len(c.tviews)} proven, {sum(t.rows or 0 for t in c.tviews):,} rows",
        )
    critical = [t for t in c.tviews if t.critical]
    if critical:
        yield "critical", f"{len(critical)} TVIEWs known after {age(max(t.at for t in critical))}"
    if p.kept:
        yield "kept", p.kept
    yield "issued", f"{c.issued_at} by pgtv {c.pgtv_version}"


def _objective(o: Objective) -> str:
    if o.measured is None:
        return f"not measured, target {age(o.target)}"
    return f"{age(o.measured)}, target {age(o.target)}: {'met' if o.met else 'MISSED'}"


def _facts(facts: Iterable[tuple[str, str]], width: int) -> list[str]:
    pairs = list(facts)
    longest = max(len(k) for k, _ in pairs)
    lines: list[str] = []
    for name, value in pairs:
        lines += _wrapped(value, width, f"{name.ljust(longest)}  ", " " * (longest + 2))
    return lines


def _wrapped(text: str, width: int, first: str, rest: str, *, keep: bool = False) -> list[str]:
    """keep: blanks at the beginning and between columns stay."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False,
        break_on_hyphens=False, drop_whitespace=True, replace_whitespace=not keep,
    )  # fmt: skip


def html(certificate: Certificate) -> str:
    """One page that needs nothing else: no script, no font, no network."""
    return (
        environment(age=age)
        .get_template("certificate.html.j2")
        .render(
            c=certificate,
            facts=list(_known(certificate)),
            extension=EXTENSION,
            objective=_objective,
        )
    )


def write(certificate: Certificate, folder: Path) -> list[Path]:
    """Both files, named by backup and date. Raises PgtvError where they cannot be written."""
    stamp = datetime.fromisoformat(certificate.issued_at).strftime("%Y%m%dT%H%M%SZ")
    name = f"{Path(certificate.restored.path).name}-{stamp}.certificate"
    made = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for ending, text in (("json", document(certificate)), ("html", html(certificate))):
            path = folder / f"{name}.{ending}"
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            made.append(path)
    except OSError as e:
        raise PgtvError(f"cannot write the certificate to {folder}: {e.strerror or e}") from None
    return made
