"""The extension's side of a snapshot: which generation stands here and what its catalog says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pgtv.catalog import dialects, model, queries, registrations
from pgtv.catalog.asking import Answer, Asking
from pgtv.catalog.dialects import base, unknown
from pgtv.catalog.dialects.base import Dialect


def recognise(run: Asking, installed: Answer) -> tuple[model.Extension, Dialect, dict[str, str]]:
    """The installation, the generation by its objects, and which of these are locked by whom."""
    row = installed.row()
    probed = {
        "schema": row.get("schema") or "",
        "keys": list(base.PROBES),
        "relations": [r for r, _ in base.PROBES.values()],
        "columns": [c for _, c in base.PROBES.values()],
    }
    probes = run.ask("probes", queries.PROBES, probed)
    locks = run.ask("catalog_locks", queries.CATALOG_LOCKS, probed)
    lab = bool(row.get("lab"))
    present = frozenset(r["key"] for r in probes.rows() or ())
    dialect = dialects.choose(present, bool(row.get("installed")), lab)
    if row.get("lab_of_others"):
        run.gap(
            "extension",
            f"{row['lab_of_others']}, is commented as pgtv's stand-in, but not all of it is a"
            " superuser's: nothing of it is read or called. Drop it, or have a superuser install it",
        )
    if row and row.get("preloaded") is None:
        run.gap("preloaded", "shared_preload_libraries is hidden", ("pg_read_all_settings",))
    extension = model.Extension(
        generation=dialect.name,
        installed=bool(row.get("installed")) or lab,
        version=row.get("version"),
        default_version=row.get("default_version"),
        versions=tuple(row.get("versions") or ()),
        creators=tuple(row.get("creators") or ()),
        schema=row.get("schema"),
        owner=row.get("owner"),
        preloaded=row.get("preloaded"),
        preload_libraries=row.get("preload_libraries"),
        schema_left=bool(row.get("schema_left")),
        jsonb_delta=bool(row.get("jsonb_delta")),
    )
    return extension, dialect, {r["name"]: r["holder"] for r in locks.rows() or ()}


@dataclass(frozen=True)
class Catalog:
    """What was asked of the extension's tables and functions."""

    missing: Answer
    contract: Answer
    revision: Answer
    library: Answer
    tviews: Answer
    options: Answer
    valid: Answer
    stats: Answer
    audit: Answer
    feed: Answer
    privileges: Answer


def ask(
    run: Asking,
    dialect: Dialect,
    extension: model.Extension,
    held: dict[str, str],
    *,
    in_recovery: bool,
) -> Catalog:
    """Queue the questions to the extension itself, as far as they can be answered here.

    held: tables of its schema on which somebody has or awaits ACCESS EXCLUSIVE, with the holder;
    reading those would wait.
    """
    schema = extension.schema
    queried = schema is not None

    def table(section: str, query: str | None) -> Answer:
        for name in dialect.reads_of_query.get(section, ()):
            if query and name in held:
                return run.skip(section, f"{held[name]} has ACCESS EXCLUSIVE on {schema}.{name}")
        return run.ask(section, query, needs=(f"USAGE on schema {schema} and SELECT in it",))

    s = schema or ""
    # Counters stand in shared memory, which only a preloaded library has.
    shared = not (extension.preloaded is False and dialect.library_query(s))
    if queried and not shared:
        for section in ("counters", "feed_gaps"):
            run.skip(section, "the library is not in shared_preload_libraries")
    return Catalog(
        missing=run.ask(
            "catalog_objects", queries.MISSING_OBJECTS if queried else None,
            {"schema": s, "names": list(dialect.required_tables),
             "functions": list(dialect.trigger_functions) if dialect.trigger_language == "c" else []},
        ),
        contract=run.ask("contract", dialect.contract_query(s) if queried else None),
        revision=run.ask("catalog_revision", dialect.revision_query(s) if queried else None),
        library=run.ask("library", dialect.library_query(s) if queried else None),
        tviews=table("tviews", dialect.tviews_query(s) if queried else None),
        options=table("registry", dialect.registry_query(s) if queried else None),
        # an UNLOGGED table, which a standby cannot read
        valid=table("valid", dialect.valid_query(s) if queried and not in_recovery else None),
        stats=table("counters", dialect.stats_query(s) if queried and shared else None),
        audit=run.ask("audit_log", dialect.audit_query(s) if queried else None),
        feed=run.ask("feed_gaps", dialect.feed_gaps_query(s) if queried and shared else None),
        privileges=run.ask(
            "privileges", queries.EXTENSION_PRIVILEGES if queried else None,
            {"extension": base.EXTENSION},
        ),
    )  # fmt: skip


def describe(
    catalog: Catalog, dialect: Dialect, extension: model.Extension
) -> tuple[model.Extension, Dialect]:
    """Add what the catalog and the library say of themselves; a strange contract is not trusted."""
    contract, revision = catalog.contract.scalar(), catalog.revision.scalar()
    library = catalog.library.scalar()
    dialect = dialects.trusted(dialect, contract)
    described = replace(
        extension,
        generation=dialect.name,
        tables_missing=tuple(r["name"] for r in catalog.missing.rows() or ()),
        contract_version=contract if isinstance(contract, int) else None,
        catalog_revision=revision if isinstance(revision, int) else None,
        library_version=library if isinstance(library, str) else None,
        library_error=catalog.library.error,
        privileges=tuple(model.Privilege(**r) for r in catalog.privileges.rows() or ()),
    )
    return described, dialect


def tviews(run: Asking, catalog: Catalog, dialect: Dialect) -> tuple[model.Tview, ...]:
    """The registrations, not yet with the names that their OIDs have now."""
    options = {r["entity"]: r["options"] for r in catalog.options.rows() or ()}
    valid_rows = catalog.valid.rows()
    valid = None if valid_rows is None else {r["entity"] for r in valid_rows}
    rows = catalog.tviews.rows()
    if dialect.name == unknown.DIALECT.name and catalog.tviews.error is None:
        run.gap(
            "tviews",
            f"this pgtv does not know the catalog of this {base.EXTENSION}; "
            "what it shows may be incomplete",
        )
    return tuple(
        registrations.tview(
            row, options.get(row["entity"]), None if valid is None else row["entity"] in valid
        )
        for row in rows or ()
    )


def named_oids(registered: Sequence[model.Tview]) -> list[int]:
    """OIDs of all relations that registrations name, whether they exist or not."""
    found: set[int] = set()
    for t in registered:
        found |= {t.table_oid, t.view_oid, *t.uncascaded}
        found |= {oid for _, oid in t.function_reads if oid}
        found |= set(registrations.plan_relations(t.plan))
    return sorted(found)


def names(registered: Sequence[model.Tview]) -> list[str]:
    """Names in plans: what stands there now may be another relation than the OID beside it."""
    return sorted({name for t in registered for name in registrations.plan_names(t.plan)})


def with_names(
    registered: Sequence[model.Tview], relations: Iterable[model.Relation]
) -> tuple[model.Tview, ...]:
    """The names that the tables and backing views of registrations have now."""
    by_oid = {r.oid: r for r in relations}
    named = []
    for t in registered:
        table, view = by_oid.get(t.table_oid), by_oid.get(t.view_oid)
        named.append(
            replace(
                t,
                schema=table.schema if table else None,
                name=table.name if table else t.name,
                table_name=table.qualified if table else None,
                view_name=view.qualified if view else None,
            )
        )
    return tuple(named)


def counters(catalog: Catalog) -> tuple[model.Counters, ...]:
    """The extension's own counters, whatever they are called in this release."""
    found = []
    for row in catalog.stats.rows() or ():
        values, _ = registrations.parse(row["values"])
        values = values if isinstance(values, dict) else {}
        reset = values.get("stats_reset")
        found.append(
            model.Counters(
                row["entity"],
                {k: float(v) for k, v in values.items() if _is_number(v)},
                reset if isinstance(reset, str) else None,
            )
        )
    return tuple(found)


def growth(catalog: Catalog) -> model.Growth:
    audit, gaps = catalog.audit.row(), catalog.feed.scalar()
    return model.Growth(
        audit_log_rows=audit.get("rows"),
        audit_log_pages=audit.get("pages"),
        feed_gaps=gaps if isinstance(gaps, int) else None,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
