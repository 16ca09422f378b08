"""Differences by name, both ways, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pgtv.catalog import codec
from pgtv.catalog.diff import Change, diff
from pgtv.catalog.model import Gap, Grant, Snapshot
from pgtv.reports import snapshots

SAMPLE = codec.load(Path(__file__).parent / "data" / "snapshot-1.json")
CUSTOMER = SAMPLE.tview_by_entity["customer"]


def with_tview(**changes: Any) -> Snapshot:
    return replace(SAMPLE, tviews=(replace(CUSTOMER, **changes), *SAMPLE.tviews[1:]))


def renumbered(snapshot: Snapshot, shift: int = 1000) -> Snapshot:
    """The same database with other OIDs, as a restore gives."""

    def plan(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: v + shift if k in ("relid", "source_oid") else plan(v) for k, v in value.items()
            }
        return [plan(v) for v in value] if isinstance(value, list) else value

    return replace(
        snapshot,
        tviews=tuple(
            replace(
                t, table_oid=t.table_oid + shift, view_oid=t.view_oid + shift, plan=plan(t.plan)
            )
            for t in snapshot.tviews
        ),
        relations=tuple(replace(r, oid=r.oid + shift) for r in snapshot.relations),
        triggers=tuple(
            replace(t, oid=t.oid + shift, relation=t.relation + shift) for t in snapshot.triggers
        ),
        indexes=tuple(replace(i, relation=i.relation + shift) for i in snapshot.indexes),
        grants=tuple(replace(g, relation=g.relation + shift) for g in snapshot.grants),
        reads=(),
        locks=(),
    )


def test_same() -> None:
    assert diff(SAMPLE, SAMPLE).same
    assert diff(SAMPLE, renumbered(SAMPLE)).changes == ()


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (with_tview(definition="SELECT 1"), ("changed", "TVIEW", "public.tv_customer", "definition")),
        (with_tview(definition="  " + CUSTOMER.definition + ";\n"), None),
        (
            with_tview(options=CUSTOMER.options | {"fillfactor": 50}),
            ("changed", "TVIEW", "public.tv_customer", "option fillfactor"),
        ),
        (with_tview(needs_reregister=True), ("changed", "TVIEW", "public.tv_customer", "needs reregister")),
        (replace(SAMPLE, tviews=SAMPLE.tviews[1:]), ("removed", "TVIEW", "public.tv_customer", None)),
        (
            replace(SAMPLE, triggers=SAMPLE.triggers[1:]),
            ("removed", "trigger", f"{SAMPLE.name_of(SAMPLE.triggers[0].relation)}: "
             f"{SAMPLE.triggers[0].name}", None),
        ),
        (
            replace(SAMPLE, triggers=(replace(SAMPLE.triggers[0], enabled="D"), *SAMPLE.triggers[1:])),
            ("changed", "trigger", f"{SAMPLE.name_of(SAMPLE.triggers[0].relation)}: "
             f"{SAMPLE.triggers[0].name}", "state"),
        ),
        (replace(SAMPLE, indexes=SAMPLE.indexes[1:]), ("removed", "index", None, None)),
        (
            replace(SAMPLE, grants=(*SAMPLE.grants, Grant(CUSTOMER.table_oid, "bob", "DELETE"))),
            ("added", "grant", "public.tv_customer: DELETE to bob", None),
        ),
        (
            replace(SAMPLE, relations=tuple(
                replace(r, owner="mallory") if r.oid == CUSTOMER.table_oid else r
                for r in SAMPLE.relations)),
            ("changed", "relation", "public.tv_customer", "owner"),
        ),
        (
            replace(SAMPLE, settings=tuple(
                replace(s, value="replica") if s.name == "session_replication_role" else s
                for s in SAMPLE.settings)),
            ("changed", "setting", "session_replication_role", "value"),
        ),
        (
            replace(SAMPLE, extension=replace(SAMPLE.extension, library_version=None, preloaded=None)),
            None,  # not seen is not different
        ),
        (replace(SAMPLE, table_stats=(), counters=(), locks=(), elapsed_ms=1.0), None),
    ],
)  # fmt: skip
def test_one_change(after: Snapshot, expected: tuple[Any, ...] | None) -> None:
    found = diff(SAMPLE, after)
    if expected is None:
        assert found.changes == ()
        return
    (change,) = found.changes
    assert (change.change, change.kind, change.field) == (expected[0], expected[1], expected[3])
    assert expected[2] in (None, change.object)
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    (back,) = diff(after, SAMPLE).changes
    assert back == Change(
        turned[change.change], change.kind, change.object, change.field, change.after, change.before
    )
    text = snapshots.render_difference(found, SAMPLE, after)
    assert change.object in text


def test_what_was_not_seen_is_not_compared() -> None:
    blind = replace(SAMPLE, tviews=(), gaps=(Gap("tviews", "denied", ("SELECT",)),))
    found = diff(SAMPLE, blind)
    assert not any(c.kind == "TVIEW" for c in found.changes)
    ((side, gap),) = found.not_compared
    assert (side, gap.section) == ("after", "tviews")
    assert "needs SELECT" in snapshots.render_difference(found, SAMPLE, blind)


def test_json_follows_its_published_schema(root: Path) -> None:
    schema = json.loads((root / "schemas/pgtv.snapshot-diff.1.json").read_text())
    others = (
        with_tview(definition="SELECT 1"),
        replace(SAMPLE, tviews=()),
        replace(SAMPLE, tviews=(), gaps=(Gap("tviews", "denied", ("SELECT",)),)),
    )
    for other in others:
        document = snapshots.difference_document(diff(SAMPLE, other), SAMPLE, other)
        assert document["changes"] or document["not_compared"]
        jsonschema.validate(json.loads(snapshots.dumps(document)), schema)
