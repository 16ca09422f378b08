"""Whether TVIEWs come back from a dump, judged from what the dump holds."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from pgtv.catalog.dialects import current
from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot
from pgtv.errors import Exit
from pgtv.finding import Severity
from pgtv.lifecycle.restore import lines as restore_lines
from pgtv.lifecycle.restore.dump_contents import Contents, Name, Registered, name_of, shown
from pgtv.lifecycle.verdict import Point, Verdict

_DIALECT = current.DIALECT
_META: Name = (_DIALECT.schema or "", _DIALECT.meta)
_BUILT_IN = ("pg_catalog", "information_schema")
_OUTCOME = {
    Exit.HEALTHY: "restores registered and live",
    Exit.WARNING: "restores, with work to do afterwards",
    Exit.CRITICAL: "would lose something: read on before relying on it",
    Exit.UNKNOWN: "cannot tell",
}


def judge(
    contents: Contents,
    file: str,
    snapshot: Snapshot | None = None,
    snapshot_file: str | None = None,
    database: str = "restored",
) -> Verdict:
    """The verdict on one dump. snapshot: of the database that was dumped, from about then."""
    source = shlex.quote(snapshot_file or "SNAPSHOT")
    attach = (
        f"pgtv upgrade attach -d {shlex.quote(database)} --from {source} --apply"
        + ("" if snapshot_file else "   # a snapshot of before; none was given"),
    )
    known, unread = _registered(contents, snapshot)
    data_only = contents.data_entries > 0 and not contents.relations
    points: list[Point] = []
    if data_only:
        points += _data_only(contents)
    else:
        points += _schema(contents, known, snapshot, attach)
        points += _loading(contents, known, unread, attach)
    points += _rows(contents, known, database, data_only)
    points += _against(contents, snapshot, attach)
    if not points and contents.catalog is None and not known:
        points.append(unread or _nothing())
    breaks = any(p.id == "catalog-fails" for p in points)
    verdict = Verdict(
        file, "", tuple(points), _facts(contents, known, snapshot),
        tuple(restore_lines.lines(contents, file, database, breaks, data_only)),
    )  # fmt: skip
    return Verdict(file, _OUTCOME[verdict.exit], verdict.points, verdict.facts, verdict.commands)


def _registered(
    contents: Contents, snapshot: Snapshot | None
) -> tuple[list[Registered], Point | None]:
    """The registrations that the dump's catalog holds, and what could not be read of them."""
    if contents.catalog is not None:
        return contents.catalog, None
    if not contents.catalog_data:
        return [], None
    if snapshot:
        return [*_of_snapshot(snapshot)], None
    return [], Point(
        "catalog-unread",
        Severity.UNKNOWN,
        "The rows of the extension's catalog are written as INSERT: whether they load is not known.",
        cure=("give --snapshot, or dump without --inserts and --column-inserts",),
    )


def _of_snapshot(snapshot: Snapshot) -> Iterator[Registered]:
    for tview in snapshot.tviews:
        tables = tview.plan.get("tables", ()) if isinstance(tview.plan, dict) else ()
        names = (name_of(str(t["table"])) for t in tables if isinstance(t, dict) and "table" in t)
        table, view = snapshot.by_oid.get(tview.table_oid), snapshot.by_oid.get(tview.view_oid)
        yield Registered(
            tview.entity,
            (table.schema, table.name) if table else None,
            (view.schema, view.name) if view else None,
            tuple(n for n in names if n),
        )


def _data_only(contents: Contents) -> Iterator[Point]:
    yield Point(
        "schema-absent",
        Severity.CRITICAL,
        "Data only: no table, key, trigger or extension is in it. Into a fresh database it restores "
        "nothing. With a schema dump of the same moment, load it with --disable-triggers (else the "
        "triggers of TVIEWs refuse rows that arrive before their registration), then re-register."
        + ("" if contents.catalog_data else " Registrations are not in it either."),
    )


def _schema(
    contents: Contents,
    known: list[Registered],
    snapshot: Snapshot | None,
    attach: tuple[str, ...],
) -> Iterator[Point]:
    signs = bool(contents.likely or known or (snapshot and snapshot.tviews) or contents.triggers)
    if not contents.extension and (signs or contents.catalog_data):
        yield Point(
            "extension-absent",
            Severity.CRITICAL,
            f"The extension is not in it (dumped with -n, -t or -N): {_tables(contents)} come back as "
            "plain tables that nothing keeps up to date, and CREATE TRIGGER fails for its triggers.",
            tuple(shown(n) for n in contents.likely),
            ("dump the whole database, without -n, -N, -t and -T",),
        )
    if contents.early and not contents.catalog_data:
        yield Point(
            "catalog-early",
            Severity.UNKNOWN,
            "Its catalog is that of an early release, whose rows this command does not read.",
            cure=attach,
        )
    elif contents.extension and not contents.catalog_data:
        yield Point(
            "registrations-absent",
            Severity.CRITICAL,
            "The rows of the extension's catalog are not in it (dumped with --schema-only or "
            f"--exclude-table-data): {_tables(contents)} come back, but no TVIEW is registered.",
            tuple(shown(n) for n in contents.likely),
            attach,
        )
    if known and not contents.triggers:
        yield Point(
            "post-data-absent",
            Severity.CRITICAL,
            "No trigger of a TVIEW is in it (dumped without --section=post-data?): writes do not "
            "reach TVIEWs, and keys and indexes are probably missing, too.",
            cure=(_DIALECT.reregister_all(),),
        )


def _tables(contents: Contents) -> str:
    n = len(contents.likely)
    return f"{n} table{'' if n == 1 else 's'} named as TVIEWs are"


def _loading(
    contents: Contents, known: list[Registered], unread: Point | None, attach: tuple[str, ...]
) -> Iterator[Point]:
    """The catalog is loaded by one COPY: a name that does not resolve fails it, all rows with it."""
    lacking: dict[Name, list[str]] = {}
    for one in known if contents.extension else ():
        for name in {n for n in (one.table, one.view, *one.reads) if n}:
            if name not in contents.relations and name[0] not in _BUILT_IN:
                lacking.setdefault(name, []).append(one.label)
    if lacking:
        names = ", ".join(
            f"{shown(n)} (for {', '.join(t[:3])})" for n, t in sorted(lacking.items())
        )
        yield Point(
            "catalog-fails",
            Severity.CRITICAL,
            f"Registrations name relations that are not in it: {names}. They were renamed or moved "
            f"before the dump, or left out of it. The COPY of {shown(_META)} fails, and with it "
            f"every registration, of all {len(known)} TVIEWs, is lost. The lines below leave these "
            "rows out. For the next dump: pgtv repair --apply on the source, or dump without leaving "
            "tables out.",
            tuple(shown(n) for n in sorted(lacking)),
            attach,
        )
    adrift = [one.label for one in known if one.table is None or one.view is None]
    if adrift:
        yield Point(
            "registration-adrift",
            Severity.UNKNOWN,
            "Registrations of these pointed nowhere when it was dumped; what their rows do at a "
            "restore is not known.",
            tuple(adrift),
            ("pgtv doctor   # on the source",),
        )
    if unread and contents.extension:
        yield unread


def _rows(
    contents: Contents, known: list[Registered], database: str, data_only: bool
) -> Iterator[Point]:
    tables = [one.table for one in known if one.table] or contents.likely
    own = {t for one in known if (t := one.table)} | set(contents.likely)
    bases = dict.fromkeys(
        n for one in known for n in one.reads
        if n not in own and (data_only or contents.relations.get(n) == "TABLE")
    )  # fmt: skip
    if not known:  # nothing says what TVIEWs read: every table of the dump may be such
        bases = dict.fromkeys(n for n, k in contents.relations.items() if k == "TABLE")
        bases = {n: None for n in bases if n not in own and n[0] != _META[0]}
    # of a data-only dump nothing tells which tables are partitioned: their names have no rows
    empty = [] if data_only else [n for b in bases for n in contents.without_data(b)]
    if empty:
        yield Point(
            "base-rows-absent",
            Severity.CRITICAL,
            ("Rows of tables that TVIEWs read are not in it" if known else "Rows are not in it")
            + (" (--no-unlogged-table-data?)" if set(empty) & contents.unlogged else "")
            + ": they are the truth, nothing brings them back.",
            tuple(shown(n) for n in dict.fromkeys(empty)),
        )
    missing = [
        t for t in tables
        if t in contents.relations and contents.data_entries and not contents.has_data(t)
    ]  # fmt: skip
    reset = [t for t in missing if t in contents.unlogged]
    logged = [t for t in missing if t not in contents.unlogged]
    if reset:
        yield Point(
            "unlogged-rows-absent",
            Severity.WARNING,
            "Rows of UNLOGGED TVIEWs are not in it: they come back empty.",
            tuple(shown(n) for n in reset),
            (_DIALECT.rebuild_empty(),),
        )
    if logged:
        yield Point(
            "rows-absent",
            Severity.WARNING,
            "Rows of TVIEWs are not in it: they come back registered, live and empty, and the "
            "extension's health check says OK.",
            tuple(shown(n) for n in logged),
            (f"pgtv refresh -d {shlex.quote(database)} --apply",),
        )


def _against(
    contents: Contents, snapshot: Snapshot | None, attach: tuple[str, ...]
) -> Iterator[Point]:
    """What the snapshot knew and the dump does not."""
    if snapshot is None:
        return
    if gap := snapshot.gap("tviews"):
        yield Point(
            "snapshot-blind", Severity.UNKNOWN, f"The snapshot holds no TVIEWs: {gap.reason}"
        )
        return
    if contents.catalog is None:
        return  # said already, for all
    held = {one.entity for one in contents.catalog}
    lost = [t.label for t in snapshot.tviews if t.entity not in held]
    if lost:
        yield Point(
            "registrations-fewer",
            Severity.CRITICAL,
            f"The snapshot of {snapshot.taken_at} has TVIEWs that the dump's catalog has not.",
            tuple(sorted(lost)),
            attach,
        )


def _nothing() -> Point:
    return Point(
        "no-tviews",
        Severity.UNKNOWN,
        "Neither the extension nor a table named as TVIEWs are is in it. Either its database had "
        "none, or they were left out.",
        cure=("give --snapshot of the database that was dumped",),
    )


def _facts(
    contents: Contents, known: Iterable[Registered], snapshot: Snapshot | None
) -> dict[str, str]:
    facts = {
        "format": contents.form,
        "dumped from": f"PostgreSQL {contents.dumped_from or 'unknown'}"
        f" by pg_dump {contents.dumped_by or 'unknown'}",
    }
    if snapshot:
        facts["snapshot"] = f"of {snapshot.server.database}, taken {snapshot.taken_at}"
    if contents.catalog is not None:
        facts["TVIEWs"] = str(len(list(known)))
    if snapshot and snapshot.extension.version:
        facts["release"] = f"{EXTENSION} {snapshot.extension.version} (the snapshot says)"
    elif contents.columns:
        facts["release"] = (
            f"no dump tells it; the catalog had {len(contents.columns)} columns, and a release whose "
            "catalog lacks one of them refuses the rows: restore into the release dumped from"
        )
    else:
        facts["release"] = "no dump tells it: restore into the release dumped from"
    return facts
