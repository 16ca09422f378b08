"""What a dialect has to tell. The defaults are those of the current generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

EXTENSION = "pg_tviews"
OWN_NAME = r"pg_tviews?_\w+"  # a regular expression: how its objects are named, in any release
LIBRARY = "pg_tviews"
SETTING_PREFIX = "pg_tviews."

# Calls that define TVIEWs in SQL files: name -> (parameter names in order, replaces an old one).
DEFINING: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "pg_tviews_create": (("tview", "query", "options"), False),
    "pg_tviews_create_or_replace": (("tview", "query", "options"), True),
}
DROPPING = "pg_tviews_drop"
# Calls whose effect on rows or triggers a migration has to know: name -> what it does.
CALLS: Mapping[str, str] = {
    "pg_tviews_refresh": "refresh",
    "pg_tviews_refresh_all": "refresh-all",
    "pg_tviews_reregister": "reregister",
    "pg_tviews_reregister_all": "reregister",
    "pg_tviews_suspend_triggers": "suspend",
}
# Calls of early releases that no current one has.
RETIRED_CALLS = frozenset(
    {
        "pg_tviews_convert_existing_table", "pg_tviews_convert_table", "pg_tviews_create_aggregate",
        "pg_tviews_analyze_select", "pg_tviews_infer_types",
    }
)  # fmt: skip
OPTIONS = frozenset(
    {
        "logged", "fillfactor", "data_gin_index", "data_compression", "data_storage",
        "toast_tuple_target", "group_keys", "uncascaded_policy", "uncascaded_tables",
        "function_reads", "time_refresh", "typename", "indexes",
    }
)  # fmt: skip

# What an option that is left out of a create_or_replace goes to.
DEFAULT_OPTIONS: Mapping[str, object] = {
    "logged": True, "fillfactor": 85, "data_gin_index": False, "data_compression": "lz4",
    "data_storage": "main", "toast_tuple_target": None, "group_keys": None,
    "uncascaded_policy": "error", "uncascaded_tables": {}, "function_reads": {}, "time_refresh": None,
    "typename": None, "indexes": [],
}  # fmt: skip

# Tables whose columns tell generations apart: key -> (relation name, column)
PROBES: Mapping[str, tuple[str, str]] = {
    "registry": ("registry", "entity"),
    "meta": ("pg_tview_meta", "entity"),
    "meta_table_oid": ("pg_tview_meta", "table_oid"),
    "meta_view_oid": ("pg_tview_meta", "view_oid"),
    "meta_definition": ("pg_tview_meta", "definition"),
    "meta_plan": ("pg_tview_meta", "plan"),
    "meta_cascade_paths": ("pg_tview_meta", "cascade_paths"),
    "valid": ("pg_tview_valid", "entity"),
    "stats": ("stats", "entity"),
    "audit_log": ("pg_tview_audit_log", "log_id"),
    "pending": ("pg_tview_pending_refreshes", "gid"),
}


def ident(name: str) -> str:
    """An SQL identifier, always quoted: for statements that people read and paste."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal that reads the same whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def regclasses(row: str, column: str) -> str:
    """SQL for the OIDs (int8[]) in a regclass[] column that a row, given as jsonb, may lack or hold
    NULL in."""
    array = f"{row}->{literal(column)}"
    return (
        f"CASE WHEN COALESCE({array}, '[]') IN ('[]', 'null') THEN '{{}}'::int8[] ELSE"
        " ARRAY(SELECT CASE WHEN x.v ~ '^[0-9]{1,10}$' THEN x.v::int8"
        " ELSE pg_catalog.to_regclass(x.v)::oid::int8 END"
        " FROM pg_catalog.jsonb_array_elements_text(CASE WHEN pg_catalog.jsonb_typeof"
        f"({array}) = 'array' THEN {array} ELSE '[]' END) WITH ORDINALITY x(v, n) ORDER BY x.n) END"
    )


@dataclass(frozen=True)
class TriggerShape:
    """One trigger that has to exist: its kind, pg_trigger.tgtype, names of its transition tables."""

    kind: str
    type: int
    old_table: str | None = None
    new_table: str | None = None


ROW = TriggerShape("row", 29)
FLUSH = TriggerShape("flush", 28)
TRUNCATE = TriggerShape("truncate", 32)
DELTA = (
    TriggerShape("delta", 4, None, "pg_tviews_new"),
    TriggerShape("delta", 16, "pg_tviews_old", "pg_tviews_new"),
    TriggerShape("delta", 8, "pg_tviews_old", None),
)


@dataclass(frozen=True)
class CatalogTrigger:
    """A trigger or event trigger of the extension itself, and the rest of its CREATE statement.

    function: its name in the extension's schema. on: what follows CREATE [EVENT] TRIGGER name, up
    to EXECUTE; `{meta}` stands for the qualified catalog table.
    """

    function: str
    on: str


@dataclass(frozen=True)
class Dialect:
    """One generation of the catalog.

    acts: whether repairs were tested on it; elsewhere pgtv looks only. revisions: those of its catalog
    on which they were, by tests on a server; on others they are printed. detaches: whether its extension
    can be dropped and its definitions carried to the current generation.
    """

    name: str
    schema: str | None = "tviews"  # None: wherever the extension was created
    meta: str = "pg_tview_meta"
    valid: str = "pg_tview_valid"
    acts: bool = True
    detaches: bool = True
    embeds_views: bool = False  # TVIEWs read each other's backing views, not tables
    revisions: tuple[int, ...] = (9, 10)
    contract_versions: tuple[int, ...] = (2,)
    server_majors: tuple[int, ...] = (16, 17, 18)
    trigger_functions: Mapping[str, str] = field(
        default_factory=lambda: {
            "pg_tview_trigger_handler": "row",
            "pg_tview_flush_trigger": "flush",
            "pg_tview_truncate_trigger": "truncate",
            "pg_tview_delta_trigger": "delta",
        }
    )
    trigger_prefix: str = "trg_tview_"
    # The library flushes after statements that write a table with an enabled trigger of this name.
    flush_prefix: str = "trg_tview_flush_"
    meta_triggers: Mapping[str, CatalogTrigger] = field(
        default_factory=lambda: {
            "pg_tview_meta_rebind": CatalogTrigger(
                "pg_tviews_meta_rebind", "BEFORE INSERT ON {meta} FOR EACH ROW"
            ),
            "pg_tview_meta_changed": CatalogTrigger(
                "pg_tviews_meta_changed",
                "AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {meta} FOR EACH STATEMENT",
            ),
        }
    )
    event_triggers: Mapping[str, CatalogTrigger] = field(
        default_factory=lambda: {
            "pg_tviews_ddl_end": CatalogTrigger(
                "pg_tviews_handle_ddl_event",
                "ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')",
            ),
            "pg_tviews_sql_drop": CatalogTrigger("pg_tviews_handle_drop_event", "ON sql_drop"),
        }
    )
    # Granted to everybody by the extension, and needed by every role that writes a base table.
    public_tables: tuple[str, ...] = ("pg_tview_meta", "pg_tview_valid", "registry")
    operator_functions: tuple[str, ...] = (
        "pg_tviews_refresh_all", "pg_tviews_rebuild_all", "pg_tviews_reregister_all",
        "pg_tviews_ensure_propagation_indexes", "pg_tviews_stats_reset",
        "pg_tviews_invalidate_caches", "pg_tviews_audit_write",
    )  # fmt: skip
    trigger_language: str | None = "c"
    protected_tables: tuple[str, ...] = ("pg_tview_meta", "pg_tview_valid", "pg_tview_helpers")
    required_tables: tuple[str, ...] = (
        "pg_tview_meta", "pg_tview_valid", "registry", "stats", "pg_tview_audit_log",
    )  # fmt: skip
    # which tables and views of the extension's schema the collector's queries read, by section
    reads_of_query: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "tviews": ("pg_tview_meta",),
            "registry": ("registry", "pg_tview_meta", "pg_tview_reads", "pg_tview_references"),
            "valid": ("pg_tview_valid",),
            "counters": ("stats", "pg_tview_meta"),
        }
    )
    delta_relation: str = "pg_tviews_delta"  # what mapping queries call the changed rows
    has_plan: bool = True
    refuses_cycles: bool = True
    refresh_cascades: bool = True  # to the TVIEWs that read the one refreshed

    @property
    def relations_read(self) -> tuple[str, ...]:
        """All tables and views of the extension's schema that queries here read."""
        named = {r for relations in self.reads_of_query.values() for r in relations}
        return tuple(sorted(named.union(self.required_tables, self.public_tables)))

    # What the generation can do, as SQL. `extschema` comes from the snapshot.

    def qualified_meta(self, extschema: str) -> str:
        return f"{ident(extschema)}.{ident(self.meta)}"

    def reregister(self, table: str) -> str:
        """Re-derives plan, identity and triggers; rows stay as they are."""
        return f"SELECT tviews.pg_tviews_reregister({literal(table)});"

    def reregister_all(self) -> str:
        return "SELECT * FROM tviews.pg_tviews_reregister_all();"

    def refresh(self, table: str) -> str:
        """Blocking: ACCESS EXCLUSIVE on the TVIEW and every TVIEW that embeds it."""
        return f"SELECT tviews.pg_tviews_refresh({literal(table)});"

    def reconcile(self, entity: str) -> str | None:
        """Compares the TVIEW with its definition and writes what differs; TVIEWs that embed it follow
        in the rows written. Empties no table. None where the generation has nothing like it."""
        text = f"""BEGIN
  CREATE TEMP TABLE pgtv_again ();
  CREATE TRIGGER again AFTER TRUNCATE ON pg_temp.pgtv_again
    FOR EACH STATEMENT EXECUTE FUNCTION
    tviews.pg_tview_truncate_trigger({literal(entity).strip()});
  TRUNCATE pg_temp.pgtv_again;
  DROP TABLE pg_temp.pgtv_again;
END"""
        tag = "$pgtv$"
        while tag in text:
            tag = f"{tag[:-1]}_$"
        return f"DO {tag} {text} {tag};"

    def rebuild_empty(self) -> str:
        """Fills UNLOGGED TVIEWs that were reset; leaves the others alone."""
        return "SELECT * FROM tviews.pg_tviews_rebuild_all();"

    def restore_trigger_function(self, extschema: str, function: str) -> str:
        """Puts the library's function back under a trigger function's name."""
        return (
            f"CREATE OR REPLACE FUNCTION {ident(extschema)}.{ident(function)}() RETURNS trigger\n"
            f"  LANGUAGE c AS '$libdir/{LIBRARY}', '{function}_wrapper';"
        )

    def propagation_index(self, name: str, column: str, key: str) -> str:
        """Name of the index that the extension would make for a look-up column of TVIEW `name`."""
        full = f"idx_{name}_{column}_{key}"
        return full if len(full.encode()) <= 63 else ""

    def redefine(self, table: str) -> str:
        """How a definition is changed, for people: the query stands for itself."""
        return f"SELECT tviews.pg_tviews_create_or_replace({literal(table)}, $$…$$);"

    def update_extension(self) -> str:
        return f"ALTER EXTENSION {EXTENSION} UPDATE;"

    def create_extension(self) -> str:
        return f"CREATE EXTENSION {EXTENSION};"

    def drop_tview(self, table: str, *, cascade: bool = False) -> str:
        return f"SELECT tviews.pg_tviews_drop({literal(table)}, true, {str(cascade).lower()});"

    def backing_view(self, schema: str, name: str) -> str:
        """Unquoted name of the backing view in the extension's schema.

        A name over 63 bytes is cut and ends in the FNV-1a hash of the whole, as the library does it.
        """
        full = f"{schema}__{name}".encode()
        if len(full) <= 63:
            return full.decode()
        hashed = 0x811C9DC5
        for byte in full:
            hashed = (hashed ^ byte) * 0x01000193 & 0xFFFFFFFF
        return f"{full[:54].decode(errors='ignore')}_{hashed:08x}"

    def expected_triggers(
        self, cascade: str, relkind: str, *, on_tview: bool
    ) -> tuple[TriggerShape, ...]:
        """The triggers that a base table read as `cascade` must carry for one TVIEW."""
        if cascade in ("mapped", "all_keys"):
            if on_tview:
                return DELTA
            if relkind == "p":
                return (ROW, FLUSH, TRUNCATE)
            return (*DELTA, FLUSH, TRUNCATE)
        if cascade == "local" and not on_tview:
            return (ROW, FLUSH, TRUNCATE)
        return ()

    def partition_triggers(self) -> tuple[TriggerShape, ...]:
        """What each partition carries of its own when its root has a row trigger."""
        return (FLUSH, TRUNCATE)

    def trigger_entity(
        self, name: str, kind: str, args: tuple[str, ...], entities: Sequence[str]
    ) -> str | None:
        """The TVIEW that a trigger of the extension works for: its only argument.

        The name is no guide in current releases: it goes stale when tables are renamed.
        """
        return args[0] if len(args) == 1 else None

    # Queries for the collector; parameters by name.

    def tviews_query(self, extschema: str) -> str:
        """Columns: entity, table_oid, view_oid, definition, plan and raw (JSON as text: only the
        reader knows what it can hold), uncascaded and function_tables (int8[], in the order of the
        catalog), registered_age."""
        meta = self.qualified_meta(extschema)
        return (
            "SELECT m.entity, m.table_oid::oid::int8 AS table_oid, m.view_oid::oid::int8 AS view_oid,"
            " m.definition, m.plan::text AS plan,"
            " (o.j - 'plan' - 'definition')::text AS raw,"
            f" {regclasses('o.j', 'uncascaded_oids')} AS uncascaded,"
            f" {regclasses('o.j', 'function_read_tables')} AS function_tables,"
            f" pg_catalog.age(m.xmin) AS registered_age FROM {meta} m"
            # OFFSET keeps it from being written out at each place, and made anew each time
            " CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(m) AS j OFFSET 0) o ORDER BY m.entity"
        )

    def registry_query(self, extschema: str) -> str | None:
        """Columns: entity, options as text; None where the generation has no such view."""
        return f"SELECT entity, options::text AS options FROM {ident(extschema)}.registry"

    def valid_query(self, extschema: str) -> str | None:
        """UNLOGGED TVIEWs whose rows the extension trusts. Not readable on a standby."""
        return f"SELECT entity FROM {ident(extschema)}.pg_tview_valid"

    def stats_query(self, extschema: str) -> str | None:
        """Columns: entity and a JSON object of counters, as text."""
        return (
            "SELECT entity, pg_catalog.to_jsonb(s)::text AS values"
            f" FROM {ident(extschema)}.stats s ORDER BY entity"
        )

    def audit_query(self, extschema: str) -> str | None:
        return (
            "SELECT c.relpages::int8 AS pages, c.reltuples::int8 AS rows FROM pg_catalog.pg_class c"
            " WHERE c.oid = pg_catalog.to_regclass("
            f"{literal(ident(extschema) + '.pg_tview_audit_log')})"
        )

    def audit_table(self, extschema: str) -> str | None:
        """The qualified audit log; None where the generation has none."""
        return f"{ident(extschema)}.pg_tview_audit_log" if self.audit_query(extschema) else None

    def contract_query(self, extschema: str) -> str | None:
        return f"SELECT {ident(extschema)}.contract_version()"

    def revision_query(self, extschema: str) -> str | None:
        """SQL-language function: answers without the library."""
        return f"SELECT {ident(extschema)}.pg_tviews_catalog_revision()"

    def library_query(self, extschema: str) -> str | None:
        """Loads the library: only in a savepoint."""
        return f"SELECT {ident(extschema)}.pg_tviews_version()"

    def queue_query(self, extschema: str) -> str | None:
        """What this transaction has queued and not flushed, as JSON; works without waiting."""
        return f"SELECT {ident(extschema)}.pg_tviews_debug_queue()::text"

    def feed_gaps_query(self, extschema: str) -> str | None:
        return f"SELECT {ident(extschema)}.pg_tviews_feed_gaps()"
