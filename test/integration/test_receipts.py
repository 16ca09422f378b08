"""The receipts of every command that applies: who, from where, when, with which pgtv, and which rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from servers import Database

from pgtv import __version__
from pgtv.person import account

ROW = "trg_tview_row_customer_on_public_tb_customer"
# Nothing tells a TVIEW of it.
MISSED = """
SET session_replication_role = replica;
UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 3;
"""
PREPARED = """
BEGIN; UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 7; PREPARE TRANSACTION '{0}';
"""
CUSTOMER, ORDER = "public.tv_customer", '"Sales Dept".tv_order'


@dataclass(frozen=True)
class Case:
    """A command, run after `sql` and `first`, which are pgtv's too. schema: of its receipt. rows: where that
    has what was written to TVIEWs, None for a command that writes no row by pgtv. role: what it acts as,
    which is not who it is."""

    args: tuple[str, ...]
    schema: str = "pgtv.receipt/1"
    sql: str = MISSED
    first: tuple[tuple[str, ...], ...] = ()
    rows: str | None = None
    role: str | None = None


DISABLE = ("triggers", "disable", "--for", "1h", "--reason", "it", "--apply")
DETACH = ("upgrade", "detach", "--snapshot", "detached.json", "--apply")
FROM = ("--from", "before.json", "--apply")
DISABLED = f'ALTER TABLE public.tb_customer DISABLE TRIGGER "{ROW}";'
REBUILT = ("refresh", "tv_customer", "--strategy", "rebuild", "--apply")
REPORT = ("repair", "rows", "--report", "report.json", "--apply")
CLEANUP = ("2pc", "cleanup", "--rollback", "--older-than", "0s", "--even-deciding", "--apply")
PC = "pgtv.2pc-receipt/1"
CASES = {
    "repair": Case(("repair", "--apply"), sql=DISABLED + MISSED, rows="rows"),
    "repair, as a role": Case(
        ("repair", "triggers", "--apply"), sql=DISABLED, role="shop_owner"
    ),
    "repair metadata": Case(
        ("repair", "metadata", *FROM), rows="rows",
        sql="DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer';" + MISSED,
    ),
    "repair rows --report": Case(REPORT, "pgtv.refresh/1", rows="tviews"),
    "repair --undo": Case(
        ("repair", "--undo", "first.json", "--apply"),
        first=(("repair", "triggers", "--apply", "--receipt", "first.json"),), sql=DISABLED,
    ),
    "refresh": Case(("refresh", "--apply"), "pgtv.refresh/1", rows="tviews"),
    "refresh, as a role": Case(
        ("refresh", "--apply"), "pgtv.refresh/1", rows="tviews", role="shop_owner"
    ),
    "refresh, rebuilt": Case(REBUILT),
    "triggers disable": Case(DISABLE),
    "triggers enable": Case(("triggers", "enable", "--apply"), first=(DISABLE,), rows="rows"),
    "upgrade detach": Case(DETACH),
    "upgrade attach": Case(("upgrade", "attach", *FROM), first=(DETACH,), rows="rows"),
    "2pc commit": Case(("2pc", "commit", "c", "--apply"), PC, PREPARED.format("c")),
    "2pc rollback": Case(("2pc", "rollback", "r", "--apply"), PC, PREPARED.format("r")),
    "2pc cleanup": Case(CLEANUP, PC, PREPARED.format("u")),
}  # fmt: skip


@pytest.fixture
def login(shop18: Database) -> Iterator[str]:
    """Somebody who may do it all."""
    name = f"dba_{shop18.name}"
    shop18.sql(f"CREATE ROLE {name} LOGIN SUPERUSER")
    yield name
    shop18.sql(f"REASSIGN OWNED BY {name} TO postgres; DROP OWNED BY {name}; DROP ROLE {name}")


def told(file: Path, root: Path) -> dict[str, Any]:
    """A receipt, as published."""
    receipt: dict[str, Any] = json.loads(file.read_text())
    schema = "schemas/" + receipt["schema"].replace("/", ".") + ".json"
    jsonschema.validate(receipt, json.loads((root / schema).read_text()))
    return receipt


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_it_says_who_from_where_when_and_which_rows(
    shop18: Database, login: str, root: Path, case: Case
) -> None:
    shop = shop18
    if DISABLE in (case.args, *case.first):
        assert shop.pgtv("init", "--apply").returncode == 0
    if "before.json" in case.args:
        assert shop.pgtv("snapshot", "save", "before.json").returncode == 0
    shop.sql(case.sql)
    for words in case.first:
        assert shop.pgtv(*words).returncode in (0, 1), words
    if case.args == REPORT:
        shop.pgtv("verify", "--format", "json", "-o", "report.json")
    before = datetime.now(UTC).isoformat(timespec="milliseconds")
    role = ("--role", case.role) if case.role else ()
    done = shop.pgtv(*case.args, *role, "--receipt", "receipt.json", user=login)
    after = datetime.now(UTC).isoformat(timespec="milliseconds")
    receipt = told(shop.folder / "receipt.json", root)
    assert receipt["schema"] == case.schema
    assert receipt["outcome"] == "complete", done.stdout + done.stderr
    assert (receipt["by"], receipt["started_from"]) == (login, account())
    assert "@" in receipt["started_from"] and receipt["pgtv_version"] == __version__
    assert before <= receipt["started_at"] <= receipt["finished_at"] <= after
    if case.rows:
        rows = {t["tview"]: t for t in receipt[case.rows]}
        for label, key in ((CUSTOMER, ["3"]), (ORDER, None)):
            one = rows[label]
            assert one["end"] == "merged" and one["updated"] == one["differing"] > 0
            assert one["all_keys"] and one["complete"] and len(one["keys"]) == one["updated"]
            assert {o["kind"] for o in one["overwritten"]} == {"changed"}
            assert all("Customer 3" in str(o["old"]) for o in one["overwritten"]), "as it was"
            assert key is None or one["keys"] == [key]
    elif case.args == REBUILT:
        assert receipt["rows"] and all(
            (one["end"], one["all_keys"], one["complete"]) == ("rebuilt", False, False)
            for one in receipt["rows"]
        )
    elif case.schema == "pgtv.receipt/1":
        assert receipt["rows"] == []
    assert not (shop.folder / "receipt.json.batches").exists()


def test_one_that_goes_on_says_who_began(shop18: Database, login: str, root: Path) -> None:
    shop, file = shop18, shop18.folder / "receipt.json"
    shop.sql(MISSED)
    args = ("refresh", "--apply", "--receipt", "receipt.json")
    assert shop.pgtv(*args, "--exclude", "tv_order+", user=login).returncode == 0
    first = told(file, root)
    assert first["earlier"] == []
    assert shop.pgtv(*args, "--resume").returncode == 0
    second = told(file, root)
    assert second["by"] == "postgres" and second["started_at"] > first["finished_at"]
    run = (
        "by",
        "started_from",
        "started_at",
        "finished_at",
        "server_started_at",
        "pgtv_version",
        "outcome",
    )
    assert second["earlier"] == [{name: first[name] for name in run}]
    assert shop.pgtv(*args, "--resume", user=login).returncode == 0
    assert [r["by"] for r in told(file, root)["earlier"]] == [login, "postgres"]
    for lost in ("earlier", *run[:-1]):  # as of an early version
        del second[lost]
    file.write_text(json.dumps(second))
    assert shop.pgtv(*args, "--resume").returncode == 0
    assert told(file, root)["earlier"] == []
