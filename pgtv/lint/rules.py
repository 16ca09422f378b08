"""The rules: each an id that stays, a level, a sentence, and what the extension does.

An error is what the extension refuses, or accepts and then gets wrong; a warning is what it accepts
and what seldom is meant. `test/integration/lint` holds each rule against the real extension.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """id: stable, kebab-case. says: what it finds, one line. why: what happens, what to do."""

    id: str
    level: Level
    says: str
    why: str


@dataclass(frozen=True)
class Problem:
    """One thing found: where, by which rule, in words. Line and column count from 1."""

    file: str
    line: int
    column: int
    rule: Rule
    message: str
    hint: str = ""


_E, _W = Level.ERROR, Level.WARNING

_POLICY = (
    " Refused with 22023 unless the option uncascaded_policy (or uncascaded_tables) says what such "
    "a write does."
)

ALL = {
    r.id: r
    for r in (
        Rule("syntax", _E, "a definition that PostgreSQL cannot parse",
             "The server refuses the statement (42601)."),
        Rule("several-statements", _E, "a definition that is not exactly one SELECT",
             "Refused with 42601."),
        Rule("unparsed", _W, "a statement that could not be parsed and was left out",
             "Whatever it defines is not known to the other rules."),
        Rule("retired-call", _E, "CREATE TVIEW, or a function of an early release",
             "No current release has it. Use CREATE TABLE tv_… AS or the create function."),
        Rule("plain-table", _W, "CREATE TABLE tv_… without AS SELECT",
             "Makes an ordinary table that nothing keeps up to date."),
        Rule("create-form", _E, "a form of CREATE TABLE tv_… AS that makes no TVIEW",
             "SELECT INTO, TEMPORARY, a column list, TABLESPACE, USING, WITH NO DATA, EXECUTE, a "
             "query with parameters and storage parameters other than fillfactor and "
             "toast_tuple_target are refused with 0A000."),
        Rule("in-subquery", _E, "CREATE TABLE tv_… AS with IN (SELECT …), ANY or ALL of a SELECT",
             "The extension takes the comparison for a parameter and refuses with 0A000. The same "
             "query is accepted by the create function, and as EXISTS."),
        Rule("option", _E, "options that are no JSON object, or with an unknown name or value",
             "Refused with 22023."),
        Rule("missing-pk", _E, "no output column pk_<entity>",
             "Without an integer column to key on it is refused (42601, 42804). With one the "
             "extension makes up a key and an id that changes whenever a row is recomputed."),
        Rule("pk-type", _E, "pk_<entity> is no smallint, integer or bigint",
             "Refused with 42804."),
        Rule("pk-expression", _E, "pk_<entity> is made up: a constant, an aggregate, CASE, coalesce",
             "Writes cannot be mapped to such a key." + _POLICY),
        Rule("name-mismatch", _E, "the table is named for another entity than the first pk_ column",
             "Refused with 22023: tv_<x> needs pk_<x> as its first pk_ column."),
        Rule("entity-name", _E, "an entity with letters the extension does not take",
             "Letters, digits and underscore only, no digit first; refused with 22023."),
        Rule("name-too-long", _E, "a name of more than 63 bytes",
             "PostgreSQL cuts it, and the extension no longer finds its statement (42601), or "
             "two names become one."),
        Rule("duplicate-entity", _E, "an entity that is defined already",
             "Names of TVIEWs are unique in a database, whatever the schema: refused with 42P07."),
        Rule("duplicate-column", _E, "two output columns of one name", "Refused with 42701."),
        Rule("column-type", _E, "output column data is not jsonb, or id is not uuid",
             "Refused with 42804."),
        Rule("unknown-relation", _E, "a relation that neither the files nor --schema define",
             "Refused with 42P01. Looked for only where the files or --schema define tables."),
        Rule("unknown-column", _E, "a column that the table, as the files define it, has not",
             "Refused with 42703."),
        Rule("system-catalog", _E, "a definition that reads system catalogs",
             "They have no triggers; refused with 0A000."),
        Rule("no-table", _E, "a definition that reads no table", "Refused with 0A000."),
        Rule("cycle", _E, "TVIEWs that read themselves through each other or through views",
             "Refused with 42P17; through materialized views accepted, and rows are wrong."),
        Rule("time-dependent", _E, "a definition that reads the current time",
             "Its rows change with no write: refused with 22023 without the option time_refresh."),
        Rule("frozen-time", _W, "'now', 'today' and the like as a constant",
             "Evaluated once, when the TVIEW is created, and never again."),
        Rule("sequence", _E, "a definition that calls nextval, currval or setval",
             "Refused with 0A000."),
        Rule("volatile-function", _W, "a volatile function: random, gen_random_uuid…",
             "Accepted, but each evaluation gives other rows: a recomputed row changes with no "
             "write, and verification finds differences."),
        Rule("session-dependent", _W, "a value that depends on the session: current_user…",
             "Accepted; rows hold what the session saw that happened to refresh them."),
        Rule("function-reads", _E, "a function that is not immutable and not declared",
             "The tables that it may read are invisible: refused with 22023 without the option "
             "function_reads."),
        Rule("materialized-view", _E, "a definition that reads a materialized view",
             "REFRESH fires no trigger." + _POLICY),
        Rule("inheritance", _E, "a table read together with its inheritance children",
             "Writes to the children fire no trigger: refused with 0A000. Read FROM ONLY, or "
             "partition."),
        Rule("limit", _E, "LIMIT or OFFSET that is not inside a correlated sub-select",
             "A row's place among all rows cannot be mapped." + _POLICY),
        Rule("limit-order", _W, "LIMIT without ORDER BY in a sub-select",
             "Which row it is depends on the plan: recomputed, it may be another."),
        Rule("window", _E, "a window function in the outermost SELECT, or without PARTITION BY",
             "Its value depends on rows that no write to this one names." + _POLICY),
        Rule("unlinked-subquery", _E, "a sub-select with no condition that links it to the row",
             "Each write to its tables would touch every row." + _POLICY),
        Rule("recursive", _E, "a recursive CTE that reads a table",
             "Writes cannot be traced through the recursion." + _POLICY),
        Rule("distinct-on-key", _E, "DISTINCT ON with several keys, an expression, or a key not put out",
             "The key of DISTINCT ON names the rows: one column, among the outputs. Refused with "
             "0A000."),
        Rule("distinct-on-order", _W, "DISTINCT ON without an ORDER BY that decides among its rows",
             "Which row stays depends on the plan: recomputed, it may be another."),
        Rule("aggregate-order", _W, "an array or text aggregate without ORDER BY",
             "The order of elements depends on the plan: recomputed, it may differ with no write."),
        Rule("select-star", _W, "SELECT *",
             "Columns are fixed when the TVIEW is created: one added later is missing, one renamed "
             "is another entity's before you know."),
        Rule("sample", _W, "TABLESAMPLE", "Accepted; each evaluation gives other rows."),
        Rule("system-column", _W, "ctid, xmin and other system columns",
             "Accepted; they change with every update, and nothing refreshes them."),
        Rule("row-lock", _W, "FOR UPDATE or FOR SHARE in a definition",
             "Accepted; each refresh then locks rows of the tables that it reads."),
    )
}  # fmt: skip
