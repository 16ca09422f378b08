"""repair end to end: shown, saved, applied, refused, interrupted, undone, on the real extension."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from servers import Database, until

DROP_ROW = "DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer"
DISABLE = "ALTER TABLE public.tb_category DISABLE TRIGGER ALL"
RENAMED = "UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1"


def test_nothing_to_do(shop: Database) -> None:
    done = shop.pgtv("repair")
    assert done.returncode == 0, done.stderr
    assert "0 steps" in done.stdout


def test_dry_run_is_a_script_for_psql_and_writes_nothing(shop: Database) -> None:
    shop.sql(f"{DROP_ROW}; {DISABLE}; {RENAMED}")
    done = shop.pgtv("repair", "--strategy", "rebuild")
    assert done.returncode == 1, done.stderr
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 2, "a dry run wrote"
    shop.sql(done.stdout)
    assert shop.pgtv("doctor", "--only", "triggers", "--only", "metadata").returncode == 0
    assert shop.sql("SELECT data->>'name' FROM public.tv_customer WHERE pk_customer = 1") == (
        "missed\n"
    )


PRINTED = (
    ("init",),
    ("upgrade", "detach", "--snapshot", "detached.json"),
    ("upgrade", "attach", "--from", "before.json"),
    ("repair",),
    ("repair", "--undo", "receipt.json"),
    ("refresh", "tv_customer", "--strategy", "rebuild"),
    ("triggers", "disable", "tv_search", "--for", "1h", "--reason", "it"),
    ("triggers", "enable"),
)


def test_the_script_waits_for_locks_as_long_as_was_asked_for(shop18: Database) -> None:
    """And 2 s unless told otherwise."""
    shop = shop18
    assert shop.pgtv("snapshot", "save", "before.json").returncode == 0
    shop.sql(DISABLE)
    assert shop.pgtv("repair", "--apply", "--receipt", "receipt.json").returncode == 0
    for args in PRINTED:
        if args[0] == "triggers" and args[1] == "disable":
            assert shop.pgtv("init", "--apply").returncode == 0
        if args == ("triggers", "enable"):
            leased = ("tv_segment", "--for", "1h", "--reason", "it", "--apply")
            assert shop.pgtv("triggers", "disable", *leased).returncode == 0
        for more, limit in (((), "2s"), (("--lock-timeout", "7s"), "7s")):
            done = shop.pgtv(*args, *more)
            limits = [x for x in done.stdout.splitlines() if "lock_timeout = " in x]
            assert limits[0].endswith(f" lock_timeout = '{limit}';"), (args, done)


def test_apply_cures_checks_again_and_leaves_a_receipt(shop: Database, tmp_path: Path) -> None:
    shop.sql(f"{DROP_ROW}; {DISABLE}; {RENAMED}")
    receipt = tmp_path / "receipt.json"
    args = ("repair", "--apply", "--strategy", "rebuild", "--receipt", str(receipt))
    done = shop.pgtv(*args)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checked again" in done.stderr
    written = json.loads(receipt.read_text())
    assert written["schema"] == "pgtv.receipt/1"
    assert written["outcome"] == "complete"
    assert all(d["outcome"] == "done" for d in written["done"])
    assert receipt.stat().st_mode & 0o077 == 0, "others may not read it"
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 0


def test_rows_are_merged_beside_a_reader_that_never_ends(shop: Database, tmp_path: Path) -> None:
    """A reader's open transaction would block any ACCESS EXCLUSIVE: the default needs none."""
    shop.sql(f"{DROP_ROW}; {RENAMED}")
    with shop.connect(autocommit=False) as reader:
        reader.execute('SELECT * FROM public.tv_customer JOIN "Sales Dept".tv_order USING (id)')
        done = shop.pgtv("repair", "--apply", "--receipt", str(tmp_path / "r.json"))
        assert done.returncode == 0, done.stdout + done.stderr
    assert "public.tv_customer: 0 inserted, 1 changed, 0 deleted" in done.stdout
    rows = {t["tview"]: t for t in json.loads((tmp_path / "r.json").read_text())["rows"]}
    [overwritten] = rows["public.tv_customer"]["overwritten"]
    assert overwritten["kind"] == "changed"
    assert any("Customer 1" in (value or "") for value in overwritten["old"])
    assert shop.pgtv("verify").returncode == 0


def test_a_saved_plan_is_applied_only_to_the_state_that_it_was_made_for(
    shop: Database, tmp_path: Path
) -> None:
    shop.sql(DROP_ROW)
    plan = tmp_path / "plan.json"
    assert shop.pgtv("repair", "triggers", "-o", str(plan)).returncode == 1
    shop.sql(DISABLE)
    done = shop.pgtv("repair", "--plan", str(plan), "--apply")
    assert done.returncode == 3
    assert "another state of the database" in done.stderr
    assert shop.pgtv("repair", "triggers", "-o", str(plan)).returncode == 1
    args = ("repair", "--plan", str(plan), "--apply", "--receipt", str(tmp_path / "r.json"))
    shop.pgtv(*args)
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 0


def test_what_a_person_must_decide_is_not_planned_unless_named(
    shop: Database, tmp_path: Path
) -> None:
    shop.sql("CREATE RULE mine AS ON UPDATE TO public.tv_customer DO ALSO NOTHING")
    rules = "SELECT count(*) FROM pg_rules WHERE rulename = 'mine'"
    done = shop.pgtv("repair")
    assert "\nDROP RULE" not in done.stdout
    assert "left alone: table-rules:public.tv_customer" in done.stdout
    receipt = str(tmp_path / "r.json")
    args = ("repair", "table-rules:public.tv_customer", "--apply", "--receipt", receipt)
    assert shop.sql(rules) == "1\n" and shop.pgtv(*args).returncode == 0
    assert shop.sql(rules) == "0\n"


def test_prepared_transactions_are_ended_by_the_command_that_keeps_a_record(
    shop: Database, tmp_path: Path
) -> None:
    """A bare ROLLBACK PREPARED leaves no dead letter, and brings no rows; nor is its xid looked at."""
    assert shop.pgtv("init", "--apply").returncode == 0
    shop.sql(
        "BEGIN; UPDATE public.tb_product SET name = 'u' WHERE pk_product = 1;"
        " PREPARE TRANSACTION 'it''s mine';"
    )
    shop.sql("UPDATE public.tv_product SET data = '{}' WHERE pk_product = 2")
    name, receipt = "prepared-unlogged:it's mine", str(tmp_path / "r.json")
    for args in (("repair",), ("repair", name), ("repair", name, "--apply", "--receipt", receipt)):
        done = shop.pgtv(*args)
        said = " ".join((done.stdout + done.stderr).replace("\n-- ", " ").split())
        assert done.returncode == 1 and "\nROLLBACK PREPARED" not in done.stdout, said
        assert f"left alone: {name}: Rolling back loses" in said, said
    [line] = [x for x in done.stderr.splitlines() if x.startswith("left alone")]
    command = shlex.split(line.partition("with a record kept: ")[2])
    assert command[:3] == ["pgtv", "2pc", "rollback"]
    assert shop.sql("SELECT gid FROM pg_prepared_xacts WHERE gid = 'it''s mine'") == "it's mine\n"
    done = shop.pgtv(*command[1:], "--receipt", receipt)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.sql("SELECT gid, outcome FROM pgtv.dead_letter") == "it's mine|rolled back\n"
    assert shop.pgtv("verify").returncode == 0


def test_only_one_applier_at_a_time(shop: Database, tmp_path: Path) -> None:
    from pgtv.applying import APPLIER_LOCK

    shop.sql(DROP_ROW)
    with shop.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", (APPLIER_LOCK,))
        done = shop.pgtv("repair", "triggers", "--apply", "--receipt", str(tmp_path / "r.json"))
        assert done.returncode == 3
        assert "another pgtv" in done.stderr
    assert shop.pgtv("doctor", "--only", "trigger-missing").returncode == 2


def test_a_lock_held_elsewhere_stops_it_cleanly_and_the_next_run_ends_right(
    shop: Database, tmp_path: Path
) -> None:
    shop.sql(DROP_ROW)
    args = ("repair", "triggers", "--apply", "--lock-timeout", "50ms", "--receipt")
    with shop.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE public.tb_customer IN ROW EXCLUSIVE MODE")
        done = shop.pgtv(*args, str(tmp_path / "r.json"))
        assert done.returncode == 3
        assert "55P03" in done.stderr
        assert "again in" in done.stdout, "it was tried more than once"
        holder.rollback()
    assert json.loads((tmp_path / "r.json").read_text())["outcome"] == "failed"
    shop.pgtv(*args, str(tmp_path / "r2.json"))
    assert shop.pgtv("doctor", "--only", "triggers").returncode == 0


def test_a_statement_that_takes_too_long_is_cancelled_and_nothing_is_lost(
    shop18: Database, tmp_path: Path
) -> None:
    shop18.sql(DROP_ROW)
    args = ("repair", "triggers", "--apply", "--statement-timeout", "1s", "--lock-timeout", "60s")
    with shop18.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE public.tb_customer IN ROW EXCLUSIVE MODE")
        done = shop18.pgtv(*args, "--receipt", str(tmp_path / "r.json"))
        assert done.returncode == 3, done.stdout + done.stderr
        assert "57014" in done.stderr
        assert "raise --statement-timeout" in done.stderr
        assert "again in" not in done.stdout, "what is too slow is no faster the next time"
        holder.rollback()
    assert json.loads((tmp_path / "r.json").read_text())["outcome"] == "failed"
    assert shop18.pgtv("doctor", "--only", "trigger-missing").returncode == 2
    assert shop18.pgtv("verify").returncode == 0
    assert shop18.pgtv(*args, "--receipt", str(tmp_path / "r2.json")).returncode in (0, 1)
    assert shop18.pgtv("doctor", "--only", "triggers").returncode == 0


# somebody's event trigger undoes what the cure does
OFF_AGAIN = """
CREATE FUNCTION public.off_again() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN UPDATE pg_trigger SET tgenabled = 'D'
    WHERE tgname = 'trg_tview_row_category_on_public_tb_category'; END $$;
CREATE EVENT TRIGGER off_again ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
    EXECUTE FUNCTION public.off_again();
"""


def test_each_statement_is_shown_and_what_is_still_there_is_critical(
    shop18: Database, tmp_path: Path
) -> None:
    """And the receipt says who did it: the login, whatever role it acts as."""
    shop, name = shop18, f"dba_{shop18.name}"
    shop.sql(f"CREATE ROLE {name} LOGIN SUPERUSER")
    try:
        shop.sql("ALTER TABLE public.tb_category DISABLE TRIGGER USER")
        shop.sql(OFF_AGAIN)
        receipt = tmp_path / "r.json"
        args = ("repair", "triggers", "--apply", "--role", "shop_owner", "--receipt", str(receipt))
        done = shop.pgtv(*args, user=name)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "still there: trigger-disabled:public.tb_category" in done.stderr
        written = json.loads(receipt.read_text())
        assert written["by"] == name
        assert written["remaining"] == ["trigger-disabled:public.tb_category"]
        ran = [d["statement"] for d in written["done"]]
        assert any("ENABLE TRIGGER" in statement for statement in ran)
        for statement in ran:
            assert f"{statement}\n" in done.stdout
        shop.sql("DROP EVENT TRIGGER off_again")
        done = shop.pgtv(*args, user=name)
        assert done.returncode in (0, 1), done.stdout + done.stderr
    finally:
        shop.sql(f"DROP ROLE {name}")


def test_sigint_cancels_on_the_server(shop: Database, tmp_path: Path) -> None:
    shop.sql(DROP_ROW)
    with shop.connect(autocommit=False) as holder, shop.connect() as watcher:
        holder.execute("LOCK TABLE public.tb_customer IN ROW EXCLUSIVE MODE")
        running = subprocess.Popen(
            [sys.executable, "-m", "pgtv", "repair", "triggers", "--apply",
             "--lock-timeout", "60s", "--receipt", str(tmp_path / "r.json")],
            env=shop.server.env(shop.name), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgtv'"
            " AND wait_event_type = 'Lock'"
        )
        until(lambda: watcher.execute(waiting).fetchone() == (1,))
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgtv'"
        until(lambda: watcher.execute(gone).fetchone() == (0,))
        holder.rollback()
    assert json.loads((tmp_path / "r.json").read_text())["outcome"] == "interrupted"


def test_undo(shop: Database, tmp_path: Path) -> None:
    shop.sql("ALTER TABLE public.tb_category DISABLE TRIGGER ALL")
    receipt = tmp_path / "r.json"
    shop.pgtv("repair", "triggers", "--apply", "--receipt", str(receipt))
    assert shop.pgtv("doctor", "--only", "trigger-disabled").returncode == 0
    done = shop.pgtv("repair", "--undo", str(receipt))
    assert done.returncode == 0, done.stderr
    if "DISABLE TRIGGER" not in done.stdout:
        pytest.fail(f"enabling a trigger can be taken back:\n{done.stdout}")
    other = tmp_path / "other.json"
    raw = json.loads(receipt.read_text())
    raw["plan"]["system_identifier"] = "7000000000000000000"  # as of a copy of this very database
    other.write_text(json.dumps(raw))
    done = shop.pgtv(
        "repair", "--undo", str(other), "--apply", "--receipt", str(tmp_path / "o.json")
    )
    assert done.returncode == 3 and "another database" in done.stderr
    assert shop.pgtv("doctor", "--only", "trigger-disabled").returncode == 0, "nothing was undone"
    args = ("repair", "--undo", str(receipt), "--apply", "--receipt", str(tmp_path / "u.json"))
    shop.pgtv(*args)
    assert shop.pgtv("doctor", "--only", "trigger-disabled").returncode == 2


def test_triggers_alone_leaves_rows_owed_and_says_so(shop18: Database, tmp_path: Path) -> None:
    shop18.sql(f"{DROP_ROW}; {RENAMED}")
    done = shop18.pgtv("repair", "triggers", "--apply", "--receipt", str(tmp_path / "r.json"))
    assert done.returncode == 1, done.stderr
    assert "rows are owed: public.tv_customer; this brings them" in done.stderr
    assert "rows-owed" in shop18.pgtv("doctor", "--only", "rows-owed").stdout
    done = shop18.pgtv("repair", "--apply", "--receipt", str(tmp_path / "r2.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop18.pgtv("doctor", "--verify").returncode in (0, 1)
    assert shop18.pgtv("verify").returncode == 0


@pytest.mark.parametrize("words", [(), ("--from", "good.json")], ids=["by itself", "from a file"])
def test_metadata_brings_the_rows_that_a_run_which_died_owes(
    shop18: Database, words: tuple[str, ...]
) -> None:
    """The registration stands again by then, and nothing but the note tells."""
    shop18.pgtv("snapshot", "save", "good.json")
    shop18.sql(
        f"SET session_replication_role = replica; {RENAMED};"
        "COMMENT ON VIEW tviews.public__tv_customer IS E'mine\npgtv: rows are owed'"
    )
    done = shop18.pgtv("repair", "metadata", *words, "--apply", "--receipt", "r.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop18.pgtv("verify", "tv_customer+").returncode == 0
    assert shop18.pgtv("doctor", "--only", "rows-owed").returncode == 0


def test_attach_takes_away_the_note_of_a_run_that_died(shop18: Database) -> None:
    """After it had brought the rows, before it could say so."""
    args = ("upgrade", "detach", "--snapshot", "good.json", "--apply")
    assert shop18.pgtv(*args).returncode == 0
    attach = ("upgrade", "attach", "--from", "good.json", "--apply")
    assert shop18.pgtv(*attach).returncode == 0
    shop18.sql("COMMENT ON VIEW tviews.public__tv_customer IS E'mine\npgtv: rows are owed'")
    done = shop18.pgtv(*attach)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop18.pgtv("doctor", "--only", "rows-owed").returncode == 0
    view = "'tviews.public__tv_customer'::regclass"
    assert shop18.sql(f"SELECT obj_description({view}, 'pg_class')") == "mine\n"


def test_undo_of_a_lease_names_the_command(shop18: Database, tmp_path: Path) -> None:
    assert shop18.pgtv("init", "--apply").returncode == 0
    receipt = str(tmp_path / "r.json")
    args = ("--for", "15m", "--reason", "load", "--apply", "--receipt", receipt)
    assert shop18.pgtv("triggers", "disable", "tv_category", *args).returncode == 0
    for more in ((), ("--apply",)):
        done = shop18.pgtv("repair", "--undo", receipt, *more)
        assert done.returncode == 1, done.stderr
        assert "pgtv triggers enable --apply" in done.stdout + done.stderr
    assert shop18.pgtv("triggers", "enable", "--apply", "--receipt", receipt).returncode == 0


def test_with_verify_it_cures_what_only_a_comparison_tells(
    shop18: Database, tmp_path: Path
) -> None:
    shop18.sql("DELETE FROM public.tv_category WHERE pk_category = 1")
    assert shop18.pgtv("repair").returncode == 0, "nothing in any catalog tells it"
    assert "pgtv repair --verify" in shop18.pgtv("doctor", "--verify").stdout
    plan = str(tmp_path / "plan.json")
    assert shop18.pgtv("repair", "--verify", "-o", plan).returncode == 1
    done = shop18.pgtv("repair", "--plan", plan, "--apply", "--receipt", str(tmp_path / "r.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "public.tv_category: 1 inserted, 0 changed, 0 deleted" in done.stdout
    assert shop18.pgtv("verify").returncode == 0


def test_no_cure_drops_the_table_that_a_wrong_registration_points_at(
    shop: Database, tmp_path: Path
) -> None:
    """The extension's own drop would take the base table with it."""
    shop.sql(
        "ALTER TABLE public.tb_stock_move DROP CONSTRAINT tb_stock_move_fk_product_fkey;"
        " INSERT INTO tviews.pg_tview_meta (entity, view_oid, table_oid, definition, plan)"
        " SELECT 'ghost', view_oid, 'public.tb_stock_move', definition, plan"
        " FROM tviews.pg_tview_meta WHERE entity = 'category'"
    )
    found = json.loads(shop.pgtv("doctor", "--format", "json").stdout)["findings"]
    (ghost,) = [f for f in found if f["check"] == "table-mismatch"]
    assert shop.pgtv("repair", "--apply", "--receipt", str(tmp_path / "a.json")).returncode
    args = ("repair", ghost["id"], "--apply", "--receipt", str(tmp_path / "b.json"))
    assert shop.pgtv(*args).returncode in (0, 1)
    assert shop.sql("SELECT count(*) FROM public.tb_stock_move") == "1000\n"
    assert shop.pgtv("doctor", "--only", "metadata").returncode == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--plan", "{tmp}/nothing.json", "--apply"), "does not exist"),
        (("--undo", "{tmp}/bad.json"), "not JSON"),
        (("tv_nothing",), "tv_nothing"),
        (("--from", "{tmp}/bad.json"), "not JSON"),
        (("--plan", "{tmp}/bad.json", "tv_order"), "leave out [metadata|triggers|rows]"),
        (("--plan", "{tmp}/bad.json", "--strategy", "merge"), "leave out --strategy"),
        (("--plan", "{tmp}/bad.json", "--verify", "-o", "x"), "leave out --output, --verify"),
        (("--undo", "{tmp}/bad.json", "--max-rate", "5"), "leave out --max-rate"),
        (("rows", "--report", "{tmp}/bad.json", "--strategy", "rebuild"), "leave out --strategy"),
        (("--strategy", "rebuild", "--batch", "5"), "leave out --batch"),
        (("--plan", "{tmp}/bad.json"), "not JSON"),
    ],
)
def test_bad_input(shop18: Database, tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    (tmp_path / "bad.json").write_text("{oops")
    done = shop18.pgtv("repair", *(a.format(tmp=tmp_path) for a in args))
    assert done.returncode == 3
    assert message in done.stderr
    assert "Traceback" not in done.stderr
