"""JSON that commands print follows its published schema, and holds nothing that is not described."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from servers import Database

BREAK = """
ALTER TABLE public.tb_category DISABLE TRIGGER USER;
DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;
SET session_replication_role = replica;
UPDATE public.tv_customer SET data = '{}' WHERE pk_customer < 4;
DELETE FROM public.tv_basket WHERE pk_basket = 4;
"""


def strict(schema: Any) -> Any:
    """The schema with every object closed: what is printed has to be described."""
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {k: strict(v) for k, v in schema.items()}
    if "required" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def follows(done: subprocess.CompletedProcess[str], root: Path) -> dict[str, Any]:
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    published = json.loads(
        (root / "schemas" / f"{document['schema'].replace('/', '.')}.json").read_text()
    )
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(document, strict(published))
    return document


def test_status(shop: Database, root: Path) -> None:
    healthy = follows(shop.pgtv("status", "--format", "json"), root)
    assert healthy["status"] == "healthy"
    shop.sql(BREAK)
    broken = follows(shop.pgtv("status", "--format", "json"), root)
    assert {line["state"] for line in broken["tviews"]} > {"stale"}
    shop.sql("UPDATE tviews.pg_tview_meta SET plan = '{}' WHERE entity = 'stock'")
    follows(shop.pgtv("status", "--format", "json"), root)
    shop.sql("DROP EXTENSION pg_tviews CASCADE")
    follows(shop.pgtv("status", "--format", "json"), root)


def test_triggers(shop: Database, root: Path) -> None:
    follows(shop.pgtv("triggers", "status", "--format", "json"), root)
    shop.sql(BREAK)
    document = follows(shop.pgtv("triggers", "status", "--format", "json"), root)
    assert [t["missing"] for t in document["tables"] if t["missing"]]
    shop.pgtv("init", "--apply")
    taken = shop.pgtv("triggers", "disable", "tv_stock", "--for", "5m", "--reason", "x", "--apply")
    assert taken.returncode == 0, taken.stderr
    document = follows(shop.pgtv("triggers", "status", "--format", "json"), root)
    assert document["leases"]
    assert [t for p in document["tables"] for t in p["triggers"] if t["lease"]]


def test_refresh(shop: Database, root: Path, tmp_path: Path) -> None:
    shop.sql(BREAK)
    looked = follows(shop.pgtv("refresh", "--format", "json"), root)
    assert {t["end"] for t in looked["tviews"]} == {"equal", "differs"}
    receipt = tmp_path / "receipt.json"
    written = follows(
        shop.pgtv("refresh", "--apply", "--format", "json", "--receipt", str(receipt)), root
    )
    assert [o for t in written["tviews"] for o in t["overwritten"]]
    assert json.loads(receipt.read_text()) == written


@pytest.mark.parametrize("break_", ["", BREAK])
def test_preflight(shop: Database, root: Path, break_: str) -> None:
    shop.sql(break_)
    document = follows(shop.pgtv("preflight", "promote", "--format", "json"), root)
    assert document["points"]
    dump = "it.dump"
    shop.program("pg_dump", "-Fc", "--exclude-table-data=*.tv_*", "-f", dump, database=shop.name)
    document = follows(shop.pgtv("preflight", "dump", dump, "--format", "json"), root)
    assert document["facts"]
    assert document["commands"]


def test_what_is_not_described_is_found() -> None:
    closed = strict({"type": "object", "properties": {"a": {}}, "required": ["a"]})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"a": 1, "b": 2}, closed)
