"""`pgtv repair --undo`: every kind of cure that has a way back, applied and taken back; what has none,
and a database that has moved on since, are refused with the reason. On the real extension."""

from __future__ import annotations

import json
from typing import Any

import pytest
from servers import TEMPLATE, Database, require_real, shop_server

from pgtv.catalog.diff import diff
from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks
from pgtv.errors import Exit
from pgtv.finding import Finding, Severity

CHECKS = all_checks()
# Those whose provoked finding has statements as its way back.
DECLARED = (
    "catalog-filtered", "hot-ratio", "owner-cannot-read", "owner-cannot-write", "owner-differs",
    "prepare-refused", "quoted-identifiers", "read-only-default", "registration-missing",
    "replica-identity", "row-security", "search-path-shadows", "time-limit", "trigger-always",
    "trigger-disabled", "trigger-endless", "trigger-user-code", "tview-inheritance", "unlogged-base",
    "view-nesting", "write-limits",
)  # fmt: skip
CODES = {Severity.CRITICAL: Exit.CRITICAL, Severity.WARNING: Exit.WARNING, Severity.INFO: 0}
DISABLED = "ALTER TABLE public.tb_category DISABLE TRIGGER USER"
# of which a snapshot tells nothing but by the finding: privileges on base tables and on columns, and
# settings that a check asks the session for
UNSEEN = ("owner-cannot-read", "owner-cannot-write", "view-nesting")


def found(shop: Database, check: str, object_: str | None = None) -> Finding:
    (outcome,) = examine(shop.snapshot(), [CHECKS[check]]).outcomes
    return next(f for f in outcome.findings if object_ in (None, f.object))


def changes(before: Snapshot, after: Snapshot) -> list[Any]:
    return [c for c in diff(before, after).changes if c.kind != "setting"]


def cured(shop: Database, *what: str) -> dict[str, Any]:
    """The receipt, in receipt.json, of a repair."""
    done = shop.pgtv("repair", *what, "--apply", "--receipt", "receipt.json")
    receipt: dict[str, Any] = json.loads((shop.folder / "receipt.json").read_text())
    assert receipt["outcome"] == "complete", done.stdout + done.stderr
    return receipt


@pytest.mark.parametrize("check", DECLARED)
def test_what_a_cure_did_is_taken_back(check: str, shop18: Database) -> None:
    """Applied, everything is as before, the finding is there again and decides the exit code; and a
    second time nothing is done."""
    provoke, shop = CHECKS[check].provoke, shop18
    try:
        shop.sql(f"{provoke.near_miss} {provoke.break_}")
        before, finding = shop.snapshot(), found(shop, check, provoke.object)
        receipt = cured(shop, finding.id)
        assert any(s["undo"] for s in receipt["plan"]["steps"])
        assert changes(before, shop.snapshot()) or check in UNSEEN
        done = shop.pgtv("repair", "--undo", "receipt.json", "--apply", "--receipt", "undone.json")
        assert json.loads((shop.folder / "undone.json").read_text())["outcome"] == "complete"
        assert f"there again: {finding.id}\n" in done.stderr, done.stdout + done.stderr
        assert "not as before" not in done.stderr
        alone = not any(s["phase"] == "rows" for s in receipt["plan"]["steps"])
        assert alone is ("left alone" not in done.stderr)
        assert done.returncode == max(CODES[finding.severity], 0 if alone else 1)
        assert found(shop, check, provoke.object).detail == finding.detail
        assert changes(before, shop.snapshot()) == []
        again = shop.pgtv("repair", "--undo", "receipt.json", "--apply", "--receipt", "no.json")
        if check not in UNSEEN:
            assert again.returncode == 3 and "not as this run left it" in again.stderr, again.stderr
            assert not (shop.folder / "no.json").exists()
    finally:
        if provoke.undo:
            shop.sql(provoke.undo)


def test_a_setting_of_the_server(shop18: Database) -> None:
    """ALTER SYSTEM runs in no transaction, also not in that of two statements sent as one."""
    name = "pg_tviews.max_propagation_depth"
    with shop_server(require_real(18)) as server:
        server.create_database("other", TEMPLATE)
        shop = Database(server, "other")
        shop.sql(f"ALTER SYSTEM SET {name} = 4; ")
        shop.sql("SELECT pg_reload_conf()")
        finding = found(shop, "propagation-limit", "public.tb_category")
        cured(shop, finding.id)
        assert int(shop.sql(f"SHOW {name}")) >= 100
        done = shop.pgtv("repair", "--undo", "receipt.json", "--apply")
        assert done.returncode == 2 and f"there again: {finding.id}\n" in done.stderr, done.stderr
        assert shop.sql(f"SHOW {name}") == "4\n"


def test_the_extension_itself(shop18: Database) -> None:
    """It is dropped again while nothing is registered in it; afterwards it stays, with what stands on it."""
    shop = shop18
    assert shop.pgtv("snapshot", "save", "good.json").returncode == 0
    shop.sql("DELETE FROM tviews.pg_tview_meta; DROP EXTENSION pg_tviews CASCADE")
    finding = found(shop, "extension-missing")
    cured(shop, "metadata", "--from", "good.json")
    done = shop.pgtv("repair", "--undo", "receipt.json", "--apply")
    assert "left alone: Create the extension pg_tviews: what stays needs it" in done.stderr
    assert len(shop.snapshot().tviews) == 9, "the registrations are in its tables"
    assert finding.severity is Severity.CRITICAL and done.returncode == 1, done.stderr


def test_an_extension_that_nothing_stands_on_yet(shop18: Database) -> None:
    shop = shop18
    shop.sql("DELETE FROM tviews.pg_tview_meta; DROP EXTENSION pg_tviews CASCADE")
    finding = found(shop, "extension-missing")
    cured(shop, finding.id)
    assert shop.snapshot().extension.installed
    done = shop.pgtv("repair", "--undo", "receipt.json", "--apply")
    assert done.returncode == 2 and f"there again: {finding.id}\n" in done.stderr, done.stderr
    assert not shop.snapshot().extension.installed


@pytest.mark.parametrize(
    ("since", "told"),
    [
        ("ALTER TABLE public.tb_category RENAME TO tb_kind", "public.tb_category is public.tb_kind now"),
        ("DROP TRIGGER trg_tview_row_category_on_public_tb_category ON public.tb_category",
         "trg_tview_row_category_on_public_tb_category is not there any more"),
        ("ALTER TABLE public.tb_category ENABLE ALWAYS TRIGGER"
         " trg_tview_row_category_on_public_tb_category", "state is always, and was enabled"),
        ("DROP TABLE public.tb_category CASCADE", "public.tb_category is not there any more"),
    ],
    ids=["renamed", "trigger dropped", "state changed", "dropped"],
)  # fmt: skip
def test_a_database_that_has_moved_on_is_left_as_it_is(
    shop18: Database, since: str, told: str
) -> None:
    shop = shop18
    shop.sql(DISABLED)
    cured(shop, "triggers")
    shop.sql(f"SET session_replication_role = replica; {since}")
    before = shop.snapshot()
    done = shop.pgtv("repair", "--undo", "receipt.json", "--apply", "--receipt", "undone.json")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the database is not as this run left it, nothing was taken back" in done.stderr
    assert told in done.stderr
    assert "hint: the statements, to choose from: pgtv repair --undo receipt.json" in done.stderr
    assert changes(before, shop.snapshot()) == []
    assert not (shop.folder / "undone.json").exists()


def test_what_else_has_changed_since_does_not_matter(shop18: Database) -> None:
    shop = shop18
    shop.sql(DISABLED)
    cured(shop, "triggers")
    shop.sql(
        "ALTER TABLE public.tb_category ADD COLUMN note text; ALTER TABLE public.tb_product"
        " SET (fillfactor = 90); CREATE TABLE public.more (a int)"
    )
    done = shop.pgtv("repair", "--undo", "receipt.json", "--apply")
    assert done.returncode == 2 and "there again: trigger-disabled" in done.stderr, done.stderr


def test_of_a_run_that_was_killed_what_it_left_is_not_known(shop18: Database) -> None:
    """Then the server's own refusal is told with what it means."""
    shop = shop18
    shop.sql(DISABLED)
    receipt = cured(shop, "triggers")
    (shop.folder / "receipt.json").write_text(json.dumps(receipt | {"objects": None}))
    shop.sql("DROP TRIGGER trg_tview_row_category_on_public_tb_category ON public.tb_category")
    done = shop.pgtv("repair", "--undo", "receipt.json", "--apply", "--receipt", "undone.json")
    assert done.returncode == 3 and "42704" in done.stderr
    assert "hint: the database is not as this run left it" in done.stderr
    assert "run it again" not in done.stderr


def test_rows_that_are_owed_stay_on_record(shop18: Database) -> None:
    """A trigger that was made again stays: without the note nothing would tell of the rows it missed."""
    shop = shop18
    shop.sql(
        "DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer;"
        "UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1"
    )
    cured(shop, "triggers")
    done = shop.pgtv("repair", "--undo", "receipt.json", "--apply", "--receipt", "undone.json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "rows are owed still: pgtv repair --apply" in done.stderr
    assert "rows-owed" in shop.pgtv("doctor", "--only", "rows-owed").stdout
    assert shop.pgtv("repair", "--apply").returncode == 0
    assert shop.pgtv("verify").returncode == 0


@pytest.mark.parametrize("more", [(), ("--apply",)], ids=["shown", "applied"])
def test_rows_are_not_put_back(shop18: Database, more: tuple[str, ...]) -> None:
    """Neither those of a repair, nor those of a refresh, nor after a prepared transaction."""
    shop = shop18
    wrong = "UPDATE public.tv_customer SET data = '{}' WHERE pk_customer = 1"
    shop.sql(wrong)
    cured(shop, "rows", "--verify")
    done = shop.pgtv("repair", "--undo", "receipt.json", *more)
    assert done.returncode == 1
    assert "was wrong, and is not put back; the old values are in the receipt" in done.stderr
    shop.sql(wrong)
    assert shop.pgtv("refresh", "--apply", "--receipt", "refresh.json").returncode == 0
    shop.sql("BEGIN; UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 7;"
             " PREPARE TRANSACTION 'undone'")  # fmt: skip
    assert shop.pgtv("2pc", "commit", "undone", "--apply", "--receipt", "2pc.json").returncode == 0
    for file, told, where in (
        ("refresh.json", "was wrong, and is not put back", "tviews[].overwritten"),
        ("2pc.json", "ended prepared transactions, which is final", "endings[].transaction"),
    ):
        done = shop.pgtv("repair", "--undo", file, *more)
        assert done.returncode == 3
        assert told in done.stderr and where in done.stderr, done.stderr
        assert "no receipt of schema" not in done.stderr
    assert shop.pgtv("verify").returncode == 0
