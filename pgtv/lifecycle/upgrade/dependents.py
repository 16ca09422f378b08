"""What DROP EXTENSION … CASCADE would take along besides what attaching brings back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.catalog.model import Snapshot

if TYPE_CHECKING:
    import psycopg

# own: the extension, its members, backing views, triggers that call its functions, and what belongs
# to them. doomed: all that depends on these, at any depth; a view goes when its rule does.
_DEPENDENTS = """
WITH RECURSIVE ext AS (
  SELECT oid FROM pg_catalog.pg_extension WHERE extname = %(extension)s
), member AS (
  SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN ext ON d.refobjid = ext.oid
  WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
), own(classid, objid) AS (
  SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass::oid, oid FROM ext
  UNION
  SELECT classid, objid FROM member
  UNION
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, v.oid::oid
  FROM pg_catalog.unnest(%(views)s::int8[]) v(oid)
  UNION
  SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass::oid, t.oid
  FROM pg_catalog.pg_trigger t JOIN member m ON m.objid = t.tgfoid
   AND m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  UNION
  SELECT d.classid, d.objid FROM own o JOIN pg_catalog.pg_depend d
    ON d.refclassid = o.classid AND d.refobjid = o.objid
  WHERE d.deptype IN ('a', 'i', 'e', 'P', 'S')
), doomed(classid, objid, objsubid) AS (
  SELECT classid, objid, 0 FROM own
  UNION
  SELECT n.classid, n.objid, n.objsubid FROM doomed x CROSS JOIN LATERAL (
    SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d
    WHERE d.refclassid = x.classid AND d.refobjid = x.objid AND x.objsubid = 0
    UNION ALL
    SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d
    WHERE d.classid = x.classid AND d.objid = x.objid AND d.deptype = 'i'
  ) n
)
SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS what
FROM doomed d
WHERE NOT EXISTS (SELECT 1 FROM own o WHERE o.classid = d.classid AND o.objid = d.objid)
  AND d.classid NOT IN ('pg_catalog.pg_rewrite'::pg_catalog.regclass,
                        'pg_catalog.pg_type'::pg_catalog.regclass)
ORDER BY 1
"""


def dependents(connection: psycopg.Connection[Any], snapshot: Snapshot) -> list[str]:
    """Descriptions of the objects that would be lost. Raises psycopg.Error."""
    views = [t.view_oid for t in snapshot.tviews]
    found = connection.execute(
        _DEPENDENTS.encode(), {"extension": EXTENSION, "views": views}
    ).fetchall()
    return [str(what) for (what,) in found]
