"""Rules over all files together: entities defined twice, and cycles."""

from __future__ import annotations

from itertools import pairwise

from pgtv.errors import DefinitionError
from pgtv.lint.facts import Definition, Table
from pgtv.lint.found import Found


def duplicates(found: Found) -> None:
    alive: dict[str, Definition] = {}
    for kind, what in found.facts.events:
        if kind == "drop":
            alive.pop(what[1], None)
            continue
        before = alive.get(what.table)
        same = before is not None and (before.schema or "public") == (what.schema or "public")
        if before is not None and not (what.replaces and same) and not what.if_not_exists:
            line, _ = before.source.position(before.at)
            found.add(
                what.source, what.at, "duplicate-entity",
                f"{what.name}: the entity is defined already, in {before.source.name}:{line}",
                "names of TVIEWs are unique in a database, whatever the schema",
            )  # fmt: skip
        alive[what.table] = what


def cycles(found: Found) -> None:
    """Through TVIEWs, views and materialized views of all files, as they are at the end."""
    from pgtv.graph.cycles import has_cycle

    reads: dict[str, list[str]] = {}
    views: dict[str, Table] = {}
    for name, definition in found.latest.items():
        if definition.reads is not None:
            reads[name] = [n for _, n in definition.reads.relations]
    for table in found.facts.tables.values():
        if table.node is not None and table.name not in reads:
            try:
                reads[table.name] = [n for _, n in found.reads(table.node).relations]
            except DefinitionError:
                continue
            views[table.name] = table
    reads = {name: [r for r in listed if r in reads] for name, listed in reads.items()}
    if not has_cycle(reads):
        return
    from pgtv.graph.cycles import components, shortest_round, smallest_cut

    for members in components(reads):
        if not any(m in found.latest for m in members):
            continue
        inside = {n: sorted(r for r in reads[n] if r in members) for n in sorted(members)}
        path = shortest_round(inside, [m for m in members if m in found.latest])
        start = min(path, key=lambda n: (n not in found.latest, n))
        turn = path.index(start)
        path = (*path[turn:-1], *path[: turn + 1])
        pairs = [(a, b) for a, listed in inside.items() for b in listed]
        cut, exact = smallest_cut(inside, pairs)
        cuts = "; ".join(f"{a} must not read {b}" for a, b in cut)
        definition = found.latest[next(n for n in path if n in found.latest)]
        files = {
            found.latest[n].source.name if n in found.latest else views[n].source.name  # type: ignore[union-attr]
            for n in path
            if n in found.latest or (n in views and views[n].source is not None)
        }
        edge = next(((a, b) for a, b in pairwise(path) if a == definition.table), None)
        at = definition.at
        if edge is not None and definition.reads is not None:
            location = next(
                (at for (_, n), at in definition.reads.relations.items() if n == edge[1]), -1
            )
            at = definition.where(location) if location >= 0 else at
        found.add(
            definition.source, at, "cycle", f"Circular dependency detected: {' -> '.join(path)}",
            ("smallest cut" if exact else "cut") + f": {cuts}"
            + (f" (files: {', '.join(sorted(files))})" if len(files) > 1 else ""),
            definition.at,
        )  # fmt: skip
