"""refresh end to end, on the real extension."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from processes import running
from servers import Database, until

DRIFT = """
BEGIN;
DELETE FROM public.tv_category WHERE pk_category = 1;
UPDATE public.tv_product SET data = '{}' WHERE pk_product <= 5;
COMMIT;
"""


def test_looking_writes_nothing_and_counts(shop: Database) -> None:
    assert shop.pgtv("refresh").returncode == 0
    shop.sql(DRIFT)
    done = shop.pgtv("refresh", "tv_category")
    assert done.returncode == 1, done.stderr
    assert "public.tv_category  1 row differs" in done.stdout
    assert "public.tv_product  " in done.stdout, "dependents come along"
    assert shop.pgtv("refresh", "tv_category").stdout.count("differ") == done.stdout.count("differ")


def test_applied_all_is_equal_and_the_receipt_has_the_keys(shop: Database, tmp_path: Path) -> None:
    shop.sql(DRIFT)
    receipt = tmp_path / "receipt.json"
    done = shop.pgtv("refresh", "--apply", "--batch", "3", "--receipt", str(receipt))
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.pgtv("verify").returncode == 0
    written = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert written["public.tv_category"]["keys"] == [["1"]]
    assert written["public.tv_category"]["inserted"] == 1
    assert written["public.tv_product"]["batches"] > 1


def test_where_no_place_is_named_the_receipt_is_in_the_current_directory(shop18: Database) -> None:
    shop = shop18
    shop.sql(DRIFT)
    assert "receipt" not in shop.pgtv("refresh").stderr, "nothing is done yet"
    done = shop.pgtv("refresh", "tv_category", "--apply")
    place = done.stderr.partition("receipt: ")[2].splitlines()[0]
    assert shop.server.root in Path(place).parents
    written = {t["tview"]: t for t in json.loads(Path(place).read_text())["tviews"]}
    assert written["public.tv_category"]["overwritten"] == [
        {"kind": "missing", "key": ["1"], "old": None}
    ]


def test_a_receipt_that_cannot_be_written_stops_before_any_row(shop: Database) -> None:
    shop.sql(DRIFT)
    done = shop.pgtv("refresh", "--apply", "--receipt", "/nonexistent/receipt.json")
    assert done.returncode == 3
    assert done.stderr.startswith("pgtv: cannot write /nonexistent/receipt.json: No such file")
    assert shop.sql("SELECT count(*) FROM public.tv_category WHERE pk_category = 1").strip() == "0"


def test_as_the_owner_and_not_as_somebody_else(shop: Database) -> None:
    shop.sql(DRIFT)
    name = f"stranger_{shop.name}"
    shop.sql(f"CREATE ROLE {name} LOGIN; GRANT pg_read_all_data TO {name}")
    done = shop.pgtv("refresh", "--apply", user=name)
    assert done.returncode == 3
    assert "may not act as shop_owner" in done.stdout + done.stderr
    shop.sql(f"GRANT shop_owner TO {name}")
    done = shop.pgtv("refresh", "--apply", user=name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.pgtv("verify").returncode == 0
    shop.sql(f"DROP ROLE {name}")


def test_a_prepared_transaction_makes_it_unknown(shop: Database) -> None:
    shop.sql(DRIFT)
    shop.sql(
        "BEGIN; UPDATE public.tb_category SET name = 'p' WHERE pk_category = 3;"
        " PREPARE TRANSACTION 'stands in the way'"
    )
    done = shop.pgtv("refresh", "tv_category", "--apply", "--lock-timeout", "100ms")
    assert done.returncode == 3
    assert "stands in the way" in done.stdout


def test_an_unlogged_tview_that_lost_its_rows(shop: Database) -> None:
    shop.sql("BEGIN; DELETE FROM public.tv_search; COMMIT")
    done = shop.pgtv("refresh", "tv_search", "--apply")
    assert done.returncode == 0, done.stdout
    assert "100 inserted" in done.stdout


def test_rebuild_is_the_extensions_own(shop: Database) -> None:
    shop.sql(DRIFT)
    done = shop.pgtv("refresh", "tv_category", "--strategy", "rebuild")
    assert done.returncode == 1
    shop.sql(done.stdout)
    assert shop.pgtv("verify").returncode == 0


def rebuilt_rows(receipt: Path) -> dict[str, tuple[str, bool, bool]]:
    rows = json.loads(receipt.read_text())["rows"]
    return {r["tview"]: (r["end"], r["all_keys"], r["complete"]) for r in rows}


# rows that the extension's refresh writes are not what it means to write
SPOILT = """
CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN NEW.data := '{}'; RETURN NEW; END$$;
CREATE TRIGGER spoil BEFORE INSERT ON public.tv_category FOR EACH ROW
  WHEN (NEW.pk_category = 2) EXECUTE FUNCTION public.spoil();
"""


def test_a_rebuild_is_compared_afterwards(shop: Database, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    shop.sql(DRIFT)
    command = ("refresh", "tv_category", "--strategy", "rebuild", "--apply")
    done = shop.pgtv(*command, "--receipt", str(receipt))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "-- rebuilt    public.tv_category" in done.stdout
    rows = rebuilt_rows(receipt)
    assert rows["public.tv_category"] == ("rebuilt", False, False), (
        "whoever caches drops everything"
    )
    assert rows["public.tv_product"] == ("rebuilt", False, False)
    shop.sql(SPOILT)
    done = shop.pgtv(*command, "--receipt", str(receipt))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "1 row differs after the extension's own refresh" in done.stdout
    assert rebuilt_rows(receipt)["public.tv_category"] == ("unsettled", False, False)


def test_a_repair_that_rebuilds_compares_too(shop18: Database, tmp_path: Path) -> None:
    shop, receipt = shop18, tmp_path / "receipt.json"
    shop.pgtv("init", "--apply")
    shop.sql(DRIFT)
    assert shop.pgtv("verify").returncode == 2
    command = ("repair", "rows", "--strategy", "rebuild", "--apply", "--receipt", str(receipt))
    done = shop.pgtv(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(rebuilt_rows(receipt).values()) == {("rebuilt", False, False)}
    assert shop.pgtv("doctor", "--only", "contents").returncode == 0, "it is on record"
    shop.sql(f"DROP SCHEMA pgtv CASCADE; {SPOILT} {DRIFT}")
    done = shop.pgtv(*command, "--verify")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "1 row differs after the extension's own refresh" in done.stdout
    assert "checked again: done" not in done.stderr


def test_a_rebuild_that_failed_says_that_nothing_is_known(shop18: Database, tmp_path: Path) -> None:
    shop, receipt = shop18, tmp_path / "receipt.json"
    shop.sql("""CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE 'not here'; END$$;
        CREATE TRIGGER refuse BEFORE INSERT ON public.tv_category FOR EACH ROW
        EXECUTE FUNCTION public.refuse();""")
    command = ("refresh", "tv_category", "--strategy", "rebuild", "--apply")
    done = shop.pgtv(*command, "--receipt", str(receipt))
    assert done.returncode == 3
    assert rebuilt_rows(receipt)["public.tv_category"] == ("unknown", False, False)


def test_a_rebuild_is_tried_again_and_leaves_a_receipt(shop18: Database, tmp_path: Path) -> None:
    """A reader holds the TVIEW until the rebuild has waited once for nothing."""
    shop, receipt = shop18, tmp_path / "receipt.json"
    shop.sql(DRIFT)
    command = ("refresh", "tv_category", "--strategy", "rebuild", "--apply")
    with shop.connect(autocommit=False) as reader:
        reader.execute("SELECT count(*) FROM public.tv_category")
        # long enough that the reader is gone well before the last try
        with running(
            [sys.executable, "-m", "pgtv", *command, "--lock-timeout", "2s",
             "--receipt", str(receipt)],
            env=shop.server.env(shop.name),
        ) as run:  # fmt: skip
            assert run.stdout
            assert any(line.startswith("-- 55P03: again in") for line in run.stdout)
            reader.rollback()
            assert run.wait(150) == 0
    written = json.loads(receipt.read_text())
    assert written["outcome"] == "complete"
    assert [d["attempts"] > 1 for d in written["done"]] == [True]
    assert shop.pgtv("verify").returncode == 0


def test_a_database_that_is_read_only_by_default_is_no_standby(shop18: Database) -> None:
    shop18.sql(DRIFT)
    shop18.sql(f"ALTER DATABASE {shop18.name} SET default_transaction_read_only = on")
    done = shop18.pgtv("refresh", "tv_category", "--apply")
    assert done.returncode == 3, done.stdout
    assert "export PGOPTIONS='-c default_transaction_read_only=off'" in done.stdout + done.stderr
    # as it says: whoever repairs while others may not write
    allowed = {"PGOPTIONS": "-c default_transaction_read_only=off"}
    assert shop18.pgtv("refresh", "--apply", **allowed).returncode == 0
    assert shop18.pgtv("verify").returncode == 0


def test_only_the_rows_of_a_report_are_looked_at(shop18: Database, tmp_path: Path) -> None:
    shop = shop18
    shop.sql(DRIFT)
    report, receipt = tmp_path / "report.json", tmp_path / "receipt.json"
    shop.pgtv("verify", "--format", "json", "--limit", "2", "-o", str(report))
    done = shop.pgtv("refresh", "--rows", str(report), "--apply", "--receipt", str(receipt))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "public.tv_product: the report names 2 of 15 rows that differed" in done.stderr
    written = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert set(written) == {"public.tv_category", "public.tv_product", '"Sales Dept".tv_order_line'}
    assert written["public.tv_product"]["updated"] == 2
    old = {o["key"][0]: o for o in written["public.tv_product"]["overwritten"]}
    assert {o["kind"] for o in old.values()} == {"changed"}
    assert all("{}" in o["old"] for o in old.values()), "what it was is kept"
    assert written["public.tv_category"]["overwritten"] == [
        {"kind": "missing", "key": ["1"], "old": None}
    ]
    assert shop.pgtv("verify").returncode == 2, "most rows were not named"


def test_a_report_of_another_database_is_refused(shop18: Database, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    shop18.pgtv("verify", "--format", "json", "-o", str(report))
    raw = json.loads(report.read_text())
    report.write_text(json.dumps(raw | {"database_oid": 1}))
    done = shop18.pgtv("refresh", "--rows", str(report))
    assert done.returncode == 3
    assert "is a report of another database" in done.stderr
    report.write_text("{}")
    assert "no report of schema" in shop18.pgtv("refresh", "--rows", str(report)).stderr


def test_a_run_that_was_cut_off_is_resumed(shop18: Database, tmp_path: Path) -> None:
    shop = shop18
    shop.sql(DRIFT)
    receipt = tmp_path / "receipt.json"
    args = ("refresh", "--apply", "--receipt", str(receipt))
    assert shop.pgtv(*args, "--exclude", "tv_product").returncode == 0
    first = json.loads(receipt.read_text())
    done = shop.pgtv(*args, "--resume")
    assert done.returncode == 0, done.stderr
    assert "public.tv_category" not in done.stdout, "it is finished"
    assert "5 changed" in done.stdout
    both = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert {t["tview"] for t in first["tviews"]} < set(both)
    assert both["public.tv_category"]["inserted"] == 1, "what was done then is still told"
    assert shop.pgtv("verify").returncode == 0


def test_after_a_crash_of_the_server_all_is_compared_again(
    shop18: Database, tmp_path: Path
) -> None:
    """Or on another one: the last commits of a run that the receipt has may be gone."""
    shop, receipt = shop18, tmp_path / "receipt.json"
    shop.sql(DRIFT)
    args = ("refresh", "--apply", "--receipt", str(receipt))
    assert shop.pgtv(*args).returncode == 0
    shop.sql(DRIFT)
    done = shop.pgtv(*args, "--resume")
    assert done.stdout == "" and "started since" not in done.stderr, "it is finished"
    raw = json.loads(receipt.read_text())
    raw["server_started_at"] = "2026-01-01 00:00:00+00"
    receipt.write_text(json.dumps(raw))
    done = shop.pgtv(*args, "--resume")
    assert done.returncode == 0
    assert "the server was started since: all is compared again" in done.stderr
    assert shop.pgtv("verify").returncode == 0
    ends = [t["end"] for t in json.loads(receipt.read_text())["tviews"]]
    assert ends.count("unknown") == ends.count("merged") > 1, "what was done before is still told"


def test_a_control_file_holds_it_back_while_it_runs(shop18: Database, tmp_path: Path) -> None:
    """Paused before its first batch; goes on when the file says so."""
    shop = shop18
    shop.sql(DRIFT)
    control = tmp_path / "control"
    control.write_text("pause\n")
    command = [sys.executable, "-m", "pgtv", "refresh", "--apply", "--control", str(control)]
    with running(command, env=shop.server.env(shop.name), cwd=tmp_path) as run:
        assert run.stderr
        assert any(line == "limits now: paused\n" for line in run.stderr)
        held = "SELECT count(*) FROM public.tv_category WHERE pk_category = 1"
        assert shop.sql(held).strip() == "0"
        control.write_text("")
        assert run.wait(150) == 0
    assert shop.sql(held).strip() == "1"


def test_rows_of_a_table_that_inherits_are_told_and_never_written(shop18: Database) -> None:
    shop = shop18
    shop.sql(
        "CREATE TABLE public.kept () INHERITS (public.tv_segment);"
        "UPDATE public.tv_segment SET data = '{}';"
        "INSERT INTO public.kept SELECT * FROM ONLY public.tv_segment ORDER BY pk_segment LIMIT 1;"
        "INSERT INTO public.kept (pk_segment, data) VALUES (-1, '{}')"
    )
    before = shop.sql("SELECT * FROM public.kept ORDER BY pk_segment")
    done = shop.pgtv("refresh", "tv_segment", "--apply")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "unsettled  public.tv_segment" in done.stdout
    assert shop.sql("SELECT * FROM public.kept ORDER BY pk_segment") == before
    shop.sql("DROP TABLE public.kept")
    assert shop.pgtv("verify", "tv_segment").returncode == 0, "its own rows are right"


def test_what_would_be_ignored_is_refused(shop18: Database, tmp_path: Path) -> None:
    """And a look writes no receipt over that of what was done."""
    receipt = tmp_path / "receipt.json"
    for args, option in (
        (
            ("refresh", "--strategy", "rebuild", "--jobs", "2", "--max-lag", "3"),
            "--max-lag, --jobs",
        ),
        (("refresh", "--strategy", "rebuild", "--format", "json"), "--format"),
        (("triggers", "enable", "--strategy", "rebuild", "--control", "x"), "--control"),
    ):
        refused = shop18.pgtv(*args)
        assert refused.returncode == 3
        assert f"hint: leave out {option}" in refused.stderr
    resumed = shop18.pgtv("refresh", "--resume", "--receipt", str(receipt))
    assert "hint: add --apply" in resumed.stderr
    assert shop18.pgtv("refresh", "--receipt", str(receipt)).returncode == 0
    assert not receipt.exists()


def test_repair_rows_takes_a_report_too(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(DRIFT)
    report = str(tmp_path / "report.json")
    shop18.pgtv("verify", "--format", "json", "--limit", "1000", "-o", report)
    looked = shop18.pgtv("repair", "rows", "--report", report)
    assert looked.returncode == 1
    assert "nothing was written" in looked.stderr
    done = shop18.pgtv("repair", "rows", "--report", report, "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop18.pgtv("verify").returncode == 0
    refused = shop18.pgtv("repair", "triggers", "--report", report)
    assert refused.returncode == 3
    assert "--report goes with `repair rows` alone" in refused.stderr


def test_an_interruption_ends_all_sessions_at_once(shop18: Database, tmp_path: Path) -> None:
    """Two sessions compare side by side; both are cancelled, and what was not begun is not begun."""
    shop18.sql(
        "CREATE FUNCTION public.slow(bigint) RETURNS bigint LANGUAGE plpgsql STABLE"
        " AS 'BEGIN PERFORM pg_sleep(600); RETURN $1; END'"
    )
    for name in ("category", "customer"):
        view = shop18.sql(
            f"SELECT pg_get_viewdef(view_oid) FROM tviews.pg_tview_meta WHERE entity = '{name}'"
        ).strip().rstrip(";")  # fmt: skip
        shop18.sql(
            f"CREATE OR REPLACE VIEW tviews.public__tv_{name} AS SELECT * FROM ({view}) x"
            f" WHERE public.slow(x.pk_{name}) IS NOT NULL"
        )
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event = 'PgSleep'"
    )
    command = [sys.executable, "-m", "pgtv", "refresh", "--apply", "--jobs", "2"]
    with running(command, env=shop18.server.env(shop18.name), cwd=tmp_path) as process:
        until(lambda: shop18.sql(sleeping) == "2\n")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    until(lambda: shop18.sql(sleeping) == "0\n")


def test_old_values_are_kept_within_the_bound_and_keys_of_all(
    shop18: Database, tmp_path: Path
) -> None:
    shop18.sql("UPDATE public.tv_stock SET data = '\"wrong\"' WHERE pk_stock <= 5")
    receipt = tmp_path / "receipt.json"
    done = shop18.pgtv(
        "refresh", "tv_stock", "--apply", "--keep", "2", "--receipt", str(receipt)
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (one,) = json.loads(receipt.read_text())["tviews"]
    assert one["updated"] == 5
    assert sorted(one["keys"]) == [[str(n)] for n in range(1, 6)]
    assert one["all_keys"] is True
    assert [(o["kind"], o["old"][1]) for o in one["overwritten"]] == [("changed", '"wrong"')] * 2
    assert one["complete"] is False


def test_what_a_table_grew_by_is_told_with_the_vacuum_that_it_needs(
    shop18: Database, tmp_path: Path
) -> None:
    shop18.sql("UPDATE public.tv_customer SET data = '{}'")
    shop18.sql("VACUUM (FULL, ANALYZE) public.tv_customer")  # no room left for new rows
    size = "SELECT pg_relation_size('public.tv_customer')"
    before = int(shop18.sql(size))
    receipt = tmp_path / "receipt.json"
    done = shop18.pgtv("refresh", "tv_customer", "--apply", "--receipt", str(receipt))
    assert done.returncode == 0, done.stdout + done.stderr
    written = {t["tview"]: t for t in json.loads(receipt.read_text())["tviews"]}
    assert written["public.tv_customer"]["grew_bytes"] == int(shop18.sql(size)) - before > 0
    assert "MB: VACUUM (ANALYZE) public.tv_customer;" in done.stdout
    assert done.stdout.count("VACUUM") == 1, "of those that are equal nothing grew"
