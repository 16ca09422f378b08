"""Rows of the extension's catalog as Tviews: strict about types, surprised by nothing.

Whatever stands in a column (a plan edited by hand, another generation's catalog) ends as a value of
the model or as `plan_error`, never as an exception.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pgtv.catalog import model, plans

DEPTH = 100  # levels of JSON; real plans have 6, and recursion elsewhere ends at about 1,000


def parse(text: str | None) -> tuple[Any, str | None]:
    """JSON text as a value, or None and why it cannot be read.

    Numbers that Python or a later JSON reader could not hold are refused as well.
    """
    if text is None:
        return None, None
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as e:
        return None, f"not readable as JSON: {e}"
    if text.count("[") + text.count("{") > DEPTH and _deep(value):
        return None, f"nested deeper than {DEPTH} levels"
    return value, None


def _integer(digits: str) -> int:
    if len(digits) > 19:
        raise ValueError("a number of more than 19 digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number beyond double precision")
    return value


# made once: making one for each text takes longer than reading a plan
_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_finite)


def _deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH):
        level = [
            inner
            for v in level
            for inner in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else ())
        ]
        if not level:
            return False
    return True


def tview(row: Mapping[str, Any], options: str | None, valid: bool | None) -> model.Tview:
    """One row of the dialect's `tviews_query`; without the names that its OIDs have."""
    raw, raw_error = parse(row["raw"])
    if not isinstance(raw, dict):
        raw = {}
    plan, error = parse(row["plan"])
    if row["plan"] is not None and error is None:
        error = plans.problem(plan)
    identity = raw.get("identity")
    functions = _strings(raw.get("function_read_functions"))
    if not isinstance(identity, dict):
        identity = {}
    chosen, _ = parse(options)
    entity = str(row["entity"])
    return model.Tview(
        entity=entity,
        schema=None,
        name=f"tv_{entity}",
        table_oid=row["table_oid"] or 0,
        view_oid=row["view_oid"] or 0,
        definition=row["definition"] or "",
        identity=_identity(identity) or (f"pk_{entity}",),
        identity_kind=_text(identity.get("kind")),
        plan=plan,
        plan_error=error or raw_error,
        options=chosen if isinstance(chosen, dict) else {},
        needs_reregister=raw.get("needs_reregister") is True,
        time_dependent=raw.get("time_dependent") is True,
        time_refresh=_text(raw.get("time_refresh")),
        uncascaded=tuple(o for o in row["uncascaded"] or () if o),
        function_reads=tuple(zip(functions, row["function_tables"] or (), strict=False)),
        uncascaded_policy=_text(raw.get("uncascaded_policy")),
        managed_indexes=tuple(_strings(raw.get("managed_index_names"))),
        created_at=_text(raw.get("created_at")),
        registered_age=row["registered_age"],
        valid=valid,
        raw=raw,
    )


def plan_relations(plan: Any) -> Iterator[int]:
    """OIDs of the relations that a plan names, as far as it can be read."""
    tables = plan.get("tables") if isinstance(plan, dict) else None
    for entry in tables if isinstance(tables, list) else ():
        relid = _oid(entry.get("relid")) if isinstance(entry, dict) else None
        if relid:
            yield relid


def plan_names(plan: Any) -> Iterator[str]:
    """Names of the relations that a plan names, as far as it can be read."""
    tables = plan.get("tables") if isinstance(plan, dict) else None
    for entry in tables if isinstance(tables, list) else ():
        name = entry.get("table") if isinstance(entry, dict) else None
        if isinstance(name, str):
            yield name.replace("\0", "")


def _oid(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
    return value if fits else None


def _identity(identity: Mapping[str, Any]) -> tuple[str, ...]:
    columns = identity.get("columns")
    return tuple(
        c["name"]
        for c in (columns if isinstance(columns, list) else ())
        if isinstance(c, dict) and isinstance(c.get("name"), str)
    )


def _strings(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
