"""Where a registration that was lost can come from: a saved snapshot, or files that define TVIEWs.

Either gives the same thing, a Registration: what the catalog's row said, and the query of the backing
view. Nothing here looks at the database that is to be repaired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtv.catalog import codec, dialects
from pgtv.catalog.dialects import registering
from pgtv.catalog.model import Snapshot, Tview
from pgtv.errors import UsageError
from pgtv.graph.edges import edges, planned_relations
from pgtv.repairs.defined import from_sql
from pgtv.repairs.registered import Registration, Source, query_of

if TYPE_CHECKING:
    import psycopg


def load(path: Path) -> Source:
    """Read a snapshot, or an SQL file that defines TVIEWs.

    Raises SnapshotError for a snapshot that cannot be read, UsageError for a file that holds no
    TVIEW or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise UsageError(f"cannot read {path}: {e.strerror or e}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is neither a snapshot nor SQL text") from None
    if text.lstrip().startswith("{"):
        return from_snapshot(codec.loads(text, str(path)), str(path))
    return from_sql(str(path), text)


def from_snapshot(snapshot: Snapshot, path: str = "snapshot") -> Source:
    """The registrations that a snapshot saw whole. Raises UsageError where it saw none."""
    if gap := snapshot.gap("tviews"):
        raise UsageError(f"{path} does not hold the TVIEWs: {gap.reason}")
    dialect = dialects.named(snapshot.extension.generation)
    if not (dialect.acts or dialect.detaches):
        raise UsageError(f"{path} is of a catalog that this pgtv does not know")
    origin = f"{path}, taken {snapshot.taken_at}"
    graph = edges(snapshot)
    found: dict[str, Registration] = {}
    unusable: dict[str, str] = {}
    for tview in snapshot.tviews:
        why = _unusable(snapshot, tview)
        if why:
            unusable[tview.entity] = f"{path}: {why}"
        else:
            upstream = graph.upstream([tview.table_oid])[1:]
            reads = frozenset(graph.tviews[o].entity for o in upstream if o in graph.tviews)
            one = _registration(snapshot, tview, origin)
            if dialect.embeds_views:
                one = _carried(snapshot, one)
            found[tview.entity] = replace(one, reads=reads - {tview.entity})
    if not found and not unusable:
        raise UsageError(f"{path} holds no TVIEW", "was it taken after they were lost?")
    return Source(path, found, snapshot, unusable)


def _carried(snapshot: Snapshot, one: Registration) -> Registration:
    """A registration of an early generation as the current one would have it."""
    from pgtv.repairs.carrying import carried, tables_of_views

    query = carried(one.query, tables_of_views(snapshot))
    tables = {snapshot.name_of(t.view_oid): t.label for t in snapshot.tviews}
    persistence = snapshot.by_oid[one.table_oid].persistence
    return replace(
        one,
        query=query,
        text=query,
        view=None,
        needs=frozenset((kind, tables.get(name, name)) for kind, name in one.needs),
        options={**one.options, **({"logged": False} if persistence == "u" else {})},
        trusted=persistence == "u",
        major=0,
    )


def _unusable(snapshot: Snapshot, tview: Tview) -> str | None:
    """Why this snapshot cannot say how the TVIEW was registered."""
    table = snapshot.by_oid.get(tview.table_oid)
    if table is None or table.name != f"tv_{tview.entity}":
        return "its table was gone or renamed already"
    if not tview.raw:
        return "its catalog row could not be read"
    view = snapshot.by_oid.get(tview.view_oid)
    if (view is None or view.kind != "v") and not tview.definition.strip():
        return "its definition was gone already"
    return None


def _registration(snapshot: Snapshot, tview: Tview, origin: str) -> Registration:
    view = snapshot.by_oid.get(tview.view_oid)
    table = snapshot.by_oid[tview.table_oid]
    printed = view.definition if view and view.kind == "v" else None
    return Registration(
        entity=tview.entity,
        schema=table.schema,
        query=query_of(printed or tview.definition),
        text=tview.definition,
        origin=origin,
        qualified=printed is not None,
        row=registering.restorable(tview.raw),
        options=tview.options or registering.options_of(tview.raw),
        view=view.name if view and view.schema == snapshot.extension.schema else None,
        columns=tuple(c.name for c in view.columns) if view and view.kind == "v" else None,
        comment=view.comment if view else None,
        owner=table.owner,
        readers=tuple(
            (g.grantee, g.grantable)
            for g in snapshot.grants
            if g.relation == table.oid and g.privilege == "SELECT"
        ),
        needs=frozenset(_needs(snapshot, tview.view_oid)),
        tables=tuple(
            sorted(
                snapshot.name_of(oid)
                for oid in planned_relations(tview)
                if oid in snapshot.by_oid and snapshot.by_oid[oid].kind in "rp"
            )
        ),
        trusted=tview.valid is True and table.persistence == "u",
        table_oid=table.oid,
        major=snapshot.server.version_num // 10000,
    )


def _needs(snapshot: Snapshot, view: int) -> Iterator[tuple[str, str]]:
    signatures = {f.oid: f.signature for f in snapshot.functions}
    for read in snapshot.reads_of.get(view, ()):
        if read.relation in snapshot.by_oid:
            yield "relation", snapshot.name_of(read.relation or 0)
        elif read.function in signatures:
            yield "function", signatures[read.function or 0]


def absent(
    connection: psycopg.Connection[Any], registrations: Iterable[Registration]
) -> frozenset[tuple[str, str]]:
    """Of what `registrations` need, what this database does not have. Raises psycopg.Error."""
    needed = sorted({n for r in registrations for n in r.needs})
    found = connection.execute(
        "SELECT x.kind, x.name FROM ROWS FROM (pg_catalog.unnest(%s::text[]),"
        " pg_catalog.unnest(%s::text[])) AS x(kind, name)"
        " WHERE CASE x.kind WHEN 'relation' THEN pg_catalog.to_regclass(x.name) IS NULL"
        " ELSE pg_catalog.to_regprocedure(x.name) IS NULL END",
        ([k for k, _ in needed], [n for _, n in needed]),
    ).fetchall()
    return frozenset((str(k), str(n)) for k, n in found)


def disagreement(one: Registration, other: Registration) -> str | None:
    """How two registrations of one TVIEW differ, as a unified diff; None where they say the same.

    The text counts, but for blanks: whether two different texts mean the same, nobody can tell
    without a server.
    """
    import difflib

    texts = [(r.query if one.qualified and other.qualified else r.text) for r in (one, other)]
    lines: list[str] = []
    if texts[0].split() != texts[1].split():
        lines += difflib.unified_diff(
            texts[0].splitlines(), texts[1].splitlines(), one.origin, other.origin, lineterm="", n=1
        )
    for column in registering.KEPT:
        then, now = one.row.get(column), other.row.get(column)
        if column not in ("created_at", "managed_index_names") and then != now:
            lines += [f"-{column}: {then}", f"+{column}: {now}"]
    return "\n".join(lines) or None


def decide(held: Source, decisions: Iterable[Source]) -> tuple[Source, frozenset[str]]:
    """`held` with the TVIEWs that `decisions` define as they define them, and which these are.

    What a definition does not say (owner, readers, comment, when it was created) stays as held.
    """
    found = dict(held.registrations)
    unusable = dict(held.unusable)
    decided: set[str] = set()
    for source in decisions:
        for entity, one in source.registrations.items():
            old = found.get(entity)
            found[entity] = one if old is None else _merged(old, one)
            unusable.pop(entity, None)
            decided.add(entity)
    return replace(held, registrations=found, unusable=unusable), frozenset(decided)


def _merged(old: Registration, new: Registration) -> Registration:
    row = dict(new.row)
    if "created_at" in old.row:
        row.setdefault("created_at", old.row["created_at"])
    return replace(
        new,
        schema=old.schema,
        row=row,
        view=old.view,
        comment=new.comment or old.comment,
        owner=new.owner or old.owner,
        readers=new.readers or old.readers,
        reads=new.reads | old.reads,
        trusted=old.trusted,
        table_oid=old.table_oid or new.table_oid,
    )
