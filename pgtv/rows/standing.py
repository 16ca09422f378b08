"""What a definition's result depends on besides rows: does it stand as it did?

All that the backing view and the table reach through pg_depend and the partition trees, as one
fingerprint; which of it holds rows; and what forbids to conclude anything from row versions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pgtv.catalog.model import Snapshot
from pgtv.graph.lineage import Names
from pgtv.rows import moving
from pgtv.rows.evaluate import Evaluation
from pgtv.rows.subject import Subject

# Objects that can be replaced or altered; schemas, languages and casts cannot change a result. A
# type's input and output functions are left out: they are no part of a definition.
REACHED = """
WITH RECURSIVE reached(class, object) AS (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, b.oid::oid
    FROM pg_catalog.unnest('{%s}'::int8[]) b(oid)
  UNION
  SELECT n.class, n.object FROM reached r CROSS JOIN LATERAL (
    SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
     WHERE d.classid = r.class AND d.objid = r.object AND d.deptype <> 'e'
       AND r.class <> 'pg_catalog.pg_class'::pg_catalog.regclass
       AND NOT (r.class = 'pg_catalog.pg_type'::pg_catalog.regclass
                AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid
      FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
     WHERE r.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND w.ev_class = r.object
       AND c.relkind = 'v'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.inhrelid FROM pg_catalog.pg_inherits i
     WHERE r.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.inhparent = r.object
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, a.atttypid FROM pg_catalog.pg_attribute a
     WHERE r.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND a.attrelid = r.object
       AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, f.oid
      FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_attribute a
        ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> ''
     WHERE r.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND f.adrelid = r.object) n(class, object)
  WHERE n.class IN (
    'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_rewrite'::pg_catalog.regclass,
    'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass,
    'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_collation'::pg_catalog.regclass,
    'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_ts_config'::pg_catalog.regclass,
    'pg_catalog.pg_ts_dict'::pg_catalog.regclass)
)
SELECT pg_catalog.json_build_array(
       r.class::pg_catalog.regclass::text, r.object::int8, c.relkind::text, m.amname::text,
       c.relrowsecurity, c.oid::pg_catalog.regclass::text,
       CASE WHEN p.provolatile <> 'i' THEN p.oid::pg_catalog.regprocedure::text END,
       pg_catalog.md5(pg_catalog.concat_ws('|',
         c.relkind, c.relam, c.relrowsecurity, c.relforcerowsecurity,
         (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', a.attnum, a.attname, a.atttypid,
                   a.atttypmod, a.attcollation, a.attgenerated, a.attmissingval::text), ';'
                   ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
         w.ev_action::text, p::text, g::text, t::text,
         (SELECT pg_catalog.string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
            FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
         o::text, l::text, pg_catalog.pg_collation_actual_version(l.oid), f.adbin::text, s::text,
         (SELECT pg_catalog.string_agg(x::text, ';' ORDER BY x.maptokentype, x.mapseqno)
            FROM pg_catalog.pg_ts_config_map x WHERE x.mapcfg = s.oid), i::text)))::text
FROM reached r
LEFT JOIN pg_catalog.pg_class c
  ON r.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = r.object
LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
LEFT JOIN pg_catalog.pg_rewrite w
  ON r.class = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = r.object
LEFT JOIN pg_catalog.pg_proc p
  ON r.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = r.object
LEFT JOIN pg_catalog.pg_aggregate g ON g.aggfnoid = p.oid
LEFT JOIN pg_catalog.pg_type t
  ON r.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = r.object
LEFT JOIN pg_catalog.pg_operator o
  ON r.class = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = r.object
LEFT JOIN pg_catalog.pg_collation l
  ON r.class = 'pg_catalog.pg_collation'::pg_catalog.regclass AND l.oid = r.object
LEFT JOIN pg_catalog.pg_attrdef f
  ON r.class = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND f.oid = r.object
LEFT JOIN pg_catalog.pg_ts_config s
  ON r.class = 'pg_catalog.pg_ts_config'::pg_catalog.regclass AND s.oid = r.object
LEFT JOIN pg_catalog.pg_ts_dict i
  ON r.class = 'pg_catalog.pg_ts_dict'::pg_catalog.regclass AND i.oid = r.object
ORDER BY r.class::pg_catalog.regclass::text, r.object
"""

# Of the whole database: the server's release, its collation, and settings that no session pins.
SURROUNDINGS = """
SELECT pg_catalog.json_build_array(pg_catalog.current_setting('server_version_num'),
       pg_catalog.pg_database_collation_actual_version(d.oid), d.datcollate, d.datctype,
       pg_catalog.current_setting('lc_monetary'), pg_catalog.current_setting('lc_numeric'),
       pg_catalog.current_setting('lc_time'),
       pg_catalog.current_setting('default_text_search_config'))::text
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""

_HOLD_ROWS = ("r", "p", "m")
_INNER = ("v", "c")  # nothing is stored there


@dataclass(frozen=True)
class Standing:
    """fingerprint: of all that counts. read: relations that hold rows, partitions by their root.
    problem: why row versions prove nothing about this TVIEW."""

    fingerprint: str
    read: tuple[int, ...]
    problem: str | None = None

    def over(self, more: str) -> Standing:
        """The same, with a fingerprint that holds `more` too."""
        both = f"{self.fingerprint} {more}"
        return replace(self, fingerprint=hashlib.sha256(both.encode()).hexdigest())


def standing(evaluation: Evaluation, snapshot: Snapshot, subject: Subject) -> Standing:
    """What a TVIEW's definition stands on, in this transaction. Raises psycopg.Error."""
    begin = f"{subject.tview.view_oid},{subject.tview.table_oid}"
    objects = [json.loads(r) for r in evaluation.ask(subject, REACHED % begin)]
    around = evaluation.ask(subject, SURROUNDINGS)
    shape = [subject.table, subject.view, [repr(c) for c in subject.columns], subject.unique]
    plan = json.dumps(subject.tview.plan, sort_keys=True, default=str)
    text = json.dumps([objects, around, shape, subject.tview.identity, plan], default=str)
    read = []
    for class_, oid, kind, *_ in objects:
        relation = snapshot.by_oid.get(oid)
        root = relation.partition_root if relation else None
        if class_ == "pg_class" and kind in _HOLD_ROWS and not (root and root != oid):
            read.append(oid)
    problem = next(iter(_problems(snapshot, subject, objects)), None)
    return Standing(hashlib.sha256(text.encode()).hexdigest(), tuple(read), problem)


def _problems(
    snapshot: Snapshot, subject: Subject, objects: list[tuple[Any, ...]]
) -> Iterator[str]:
    if subject.apart:
        yield f"it is {subject.apart}"
    if len(subject.keys) != 1 or not subject.unique or not subject.keys[0].plain:
        yield "its key is not one column of a simple type with a unique index"
    names = Names(snapshot)
    for class_, oid, kind, method, row_security, name, varies, _ in objects:
        if class_ == "pg_proc" and varies:
            yield f"it calls {varies}, which is not IMMUTABLE"
        if class_ != "pg_class":
            continue
        if kind not in (*_HOLD_ROWS, *_INNER):
            yield f"{name} has no row versions to look at"
        elif kind in _HOLD_ROWS and oid not in snapshot.by_oid:
            yield f"{name} came after this run began"
        elif row_security and oid != subject.tview.table_oid:
            yield f"row-level security of {name} decides which of its rows count"
        elif kind in ("r", "m") and method != "heap":
            yield f"{name} is not kept as heap but as {method}"
        if kind == "v":
            yield from moving.of_view(snapshot, names, oid)
