"""`pgtv 2pc commit|rollback|cleanup`: who may, what is left, what is recorded, what is put right."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
from contents import differing
from servers import TEMPLATE, Database, require_real, shop_server

from pgtv.applying import APPLIER_LOCK
from pgtv.cluster.server import new_server
from pgtv.repairs import survey
from pgtv.repairs.ending import Outcome, Receipt, plan
from pgtv.repairs.twophase import named
from pgtv.resolving import apply

RENAMED = "UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 7"


def prepare(shop: Database, gid: str, statement: str = RENAMED, user: str | None = None) -> None:
    with shop.connect(user=user, autocommit=False) as connection:
        connection.execute(statement.encode())
        connection.execute(psycopg.sql.SQL("PREPARE TRANSACTION {}").format(gid))


def gids(shop: Database) -> set[str]:
    query = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
    return set(shop.sql(query).splitlines())


def name(shop: Database) -> str:
    return shop.sql("SELECT name FROM public.tb_customer WHERE pk_customer = 7").strip()


def letters(shop: Database) -> list[tuple[str, str]]:
    with shop.connect() as connection:
        return connection.execute(
            "SELECT gid, outcome FROM pgtv.dead_letter ORDER BY id"
        ).fetchall()


def seen(shop: Database, gid: str) -> tuple[survey.Survey, Receipt]:
    """A look, and the plan to roll one back: what stands between a dry run and --apply."""
    found = survey.look(shop.target())
    one = named(found.transactions, gid)
    assert one
    return found, plan("rollback", [one], by="postgres", system_identifier=None)


@pytest.mark.parametrize(("action", "after"), [("commit", "held"), ("rollback", "Customer 7")])
def test_by_name_shown_first_then_done(
    shop: Database, tmp_path: Path, root: Path, action: str, after: str
) -> None:
    prepare(shop, "order-42")
    done = shop.pgtv("2pc", action, "order-42")
    assert done.returncode == 1 and "nothing was ended" in done.stderr
    assert gids(shop) == {"order-42"}, "a dry run ended it"
    file = tmp_path / "r.json"
    args = ("2pc", action, "order-42", "--apply", "--receipt", str(file))
    done = shop.pgtv(*args)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not gids(shop) and name(shop) == after and differing(shop) == {}
    assert "the receipt is the only record" in done.stderr, "there is no schema pgtv"
    receipt = json.loads(file.read_text())
    jsonschema.validate(receipt, json.loads((root / "schemas/pgtv.2pc-receipt.1.json").read_text()))
    assert receipt["outcome"] == "complete" and file.stat().st_mode & 0o077 == 0
    (ending,) = receipt["endings"]
    assert ending["outcome"] == "done" and ending["transaction"]["gid"] == "order-42"
    assert {r["tview"]: r["end"] for r in receipt["rows"]}["public.tv_customer"] == "equal"
    again = shop.pgtv(*args)
    assert again.returncode == 1 and "it has ended, or is spelled differently" in again.stderr


def test_what_is_printed_runs_in_psql_anywhere(shop18: Database) -> None:
    gid = f"it's \\ {shop18.name} \n 🙂"
    prepare(shop18, gid)
    script = Database(shop18.server, "postgres").pgtv(
        "2pc", "cleanup", "--rollback", "--older-than", "0s"
    )
    Database(shop18.server, "postgres").sql(script.stdout)
    assert not gids(shop18) and name(shop18) == "Customer 7"


def test_json_is_the_receipt(shop18: Database, root: Path, tmp_path: Path) -> None:
    prepare(shop18, "j")
    schema = json.loads((root / "schemas/pgtv.2pc-receipt.1.json").read_text())
    planned = json.loads(shop18.pgtv("2pc", "rollback", "j", "--format", "json").stdout)
    jsonschema.validate(planned, schema)
    assert planned["applied"] is False and planned["endings"][0]["outcome"] == "planned"
    file = tmp_path / "r.json"
    done = shop18.pgtv(
        "2pc", "rollback", "j", "--apply", "--format", "json", "--receipt", str(file)
    )
    assert json.loads(done.stdout) == json.loads(file.read_text())


def test_cleanup_takes_only_what_it_may(shop18: Database) -> None:
    shop18.sql("CREATE TABLE public.plain (a int)")
    prepare(shop18, "old")
    prepare(shop18, "plain", "INSERT INTO public.plain VALUES (1)")
    prepare(
        shop18, "pg_gid_16400_777", "UPDATE public.tb_product SET price = 1 WHERE pk_product = 1"
    )
    args = ("2pc", "cleanup", "--rollback", "--apply", "--receipt", "r.json")
    done = shop18.pgtv(*args)
    assert done.returncode == 0 and "nothing to roll back" in done.stderr, "an hour is the default"
    now = ("--older-than", "0s", "--even-deciding")
    done = shop18.pgtv(*args, *now)
    assert done.returncode == 0, done.stderr
    assert gids(shop18) == {"plain", "pg_gid_16400_777"}
    planned = shop18.pgtv("2pc", "cleanup", "--rollback", "--older-than", "0s")
    assert "left alone: plain" in planned.stdout and "--all takes these too" in planned.stdout
    assert "a logical replication subscription" in planned.stdout
    assert shop18.pgtv(*args, *now, "--all").returncode == 0
    assert gids(shop18) == {"pg_gid_16400_777"}, "one that recovers by itself is ended by name only"


@pytest.mark.parametrize("age", ["0s", "59s", "0.9min"])
def test_what_was_prepared_within_a_minute_wants_a_word_more(shop18: Database, age: str) -> None:
    """A healthy coordinator is between its phases for moments, and may have decided to commit."""
    prepare(shop18, "deciding")
    args = ("2pc", "cleanup", "--rollback", "--older-than", age)
    done = shop18.pgtv(*args, "--apply", "--receipt", "r.json")
    assert done.returncode == 3 and "has just prepared" in done.stderr, done.stderr
    assert "pgtv 2pc rollback GID --apply" in done.stderr and "--even-deciding" in done.stderr
    assert gids(shop18) == {"deciding"} and not (shop18.folder / "r.json").exists()
    shown = shop18.pgtv(*args)
    assert shown.returncode in (0, 1), "to look is no harm: " + shown.stderr
    minute = shop18.pgtv(*args[:-1], "60s", "--apply", "--receipt", "r.json")
    assert minute.returncode == 0 and gids(shop18) == {"deciding"}, minute.stderr


def test_a_dead_letter_keeps_what_was_rolled_back(shop18: Database) -> None:
    assert shop18.pgtv("init", "--apply").returncode == 0
    prepare(shop18, "lost")
    done = shop18.pgtv(
        "2pc", "cleanup", "--rollback", "--older-than", "0s", "--even-deciding", "--apply"
    )
    assert done.returncode == 0 and "only record" not in done.stderr, done.stderr
    with shop18.connect() as connection:
        row = connection.execute(
            "SELECT gid, owner::text, database_name::text, outcome, ended_by::text, tviews, detail,"
            " system_identifier = (SELECT system_identifier::text FROM pg_control_system()),"
            " database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " FROM pgtv.dead_letter"
        ).fetchone()
    assert row
    assert row[:5] == ("lost", "postgres", shop18.name, "rolled back", "postgres")
    assert "public.tv_customer" in row[5] and row[7:] == (True, True)
    keys = {k["relation"]: k["keys"] for k in row[6]["keys"]}
    assert keys["public.tb_customer"] == [["7"]]
    assert "lost: rolled back" in shop18.pgtv("2pc", "list", "--ended").stdout


def test_a_record_that_cannot_be_written_keeps_nothing_from_ending(shop18: Database) -> None:
    assert shop18.pgtv("init", "--apply").returncode == 0
    shop18.sql("ALTER TABLE pgtv.dead_letter ADD CONSTRAINT full_disk CHECK (gid <> 'full')")
    prepare(shop18, "full")
    done = shop18.pgtv("2pc", "rollback", "full", "--apply")
    assert done.returncode == 0 and not gids(shop18), done.stdout + done.stderr
    assert "the receipt is the only record" in done.stderr and "full_disk" in done.stderr


def test_at_once_without_reading_tables(shop18: Database, tmp_path: Path) -> None:
    prepare(shop18, "quick")
    file = tmp_path / "r.json"
    args = ("2pc", "rollback", "quick", "--no-keys", "--apply", "--receipt", str(file))
    assert shop18.pgtv(*args).returncode == 0
    assert json.loads(file.read_text())["endings"][0]["transaction"]["keys"] is None


DIE = """
import os, signal, sys
from pathlib import Path
from pgtv.repairs import survey
from pgtv.repairs.ending import plan
from pgtv.resolving import apply
from pgtv.session import Target
target = Target()
found = survey.look(target)
receipt = plan("rollback", found.transactions, by="x", system_identifier=None)
def show(line):
    if line.startswith("ROLLBACK PREPARED"):
        os.kill(os.getpid(), signal.SIGKILL)
apply(target, found.looked, receipt, Path(sys.argv[1]), show)
"""


DRIFT = """
UPDATE public.tv_customer SET data = '{"name": "by hand"}' WHERE pk_customer = 9;
DELETE FROM public.tv_category WHERE pk_category = 2;
"""
BOTH = (
    "UPDATE public.tb_category SET name = 'held' WHERE pk_category = 1",
    "UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 7",
)


def overwritten(row: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(o["kind"], o["key"]) for o in row["overwritten"]]


@pytest.mark.parametrize("action", ["commit", "rollback", "cleanup"])
def test_the_receipt_keeps_keys_and_old_values_of_rows_that_were_written(
    shop: Database, tmp_path: Path, root: Path, action: str
) -> None:
    """As a receipt of refresh does: what people had written by hand can be read there."""
    prepare(shop, "over", "; ".join(BOTH))
    shop.sql(DRIFT)
    file = tmp_path / "r.json"
    words = ("--rollback", "--older-than", "0s", "--even-deciding")
    args = words if action == "cleanup" else ("over",)
    done = shop.pgtv("2pc", action, *args, "--apply", "--receipt", str(file))
    assert done.returncode == 0 and differing(shop) == {}, done.stdout + done.stderr
    receipt = json.loads(file.read_text())
    jsonschema.validate(receipt, json.loads((root / "schemas/pgtv.2pc-receipt.1.json").read_text()))
    rows = {r["tview"]: r for r in receipt["rows"]}
    assert {r["database"] for r in rows.values()} == {shop.name}
    customer, category = rows["public.tv_customer"], rows["public.tv_category"]
    assert overwritten(customer) == [("changed", ["9"])] and customer["keys"] == [["9"]]
    assert any('"by hand"' in (x or "") for x in customer["overwritten"][0]["old"])
    assert overwritten(category) == [("missing", ["2"])] and customer["complete"]
    assert category["overwritten"][0]["old"] is None
    assert not file.with_name("r.json.batches").exists(), "the receipt has it all"


NEXT_REVISION = """CREATE OR REPLACE FUNCTION tviews.pg_tviews_catalog_revision() RETURNS integer
LANGUAGE sql IMMUTABLE AS 'SELECT 99'"""


def test_on_a_catalog_that_was_not_tested_it_is_ended_and_no_row_is_merged(
    shop: Database, tmp_path: Path
) -> None:
    """Nobody waits until a newer pgtv is there; rows are compared, and what differs is told."""
    tested = shop.sql("SELECT tviews.pg_tviews_catalog_revision()").strip()
    file = tmp_path / "r.json"
    prepare(shop, "equal")
    prepare(shop, "over", "UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 8")
    shop.sql(NEXT_REVISION)
    shown = shop.pgtv("2pc", "rollback", "equal")
    assert "merge nothing (the catalog has revision 99" in shown.stdout, shown.stdout
    done = shop.pgtv("2pc", "rollback", "equal", "--apply", "--receipt", str(file))
    assert done.returncode == 0 and gids(shop) == {"over"}, done.stdout + done.stderr
    shop.sql(DRIFT)
    before = shop.sql("SELECT * FROM public.tv_customer ORDER BY 1")
    done = shop.pgtv("2pc", "rollback", "over", "--apply", "--receipt", str(file))
    assert done.returncode == 3 and not gids(shop), done.stdout + done.stderr
    assert shop.sql("SELECT * FROM public.tv_customer ORDER BY 1") == before
    rows = {r["tview"]: r for r in json.loads(file.read_text())["rows"]}
    customer = rows["public.tv_customer"]
    assert (customer["end"], customer["differing"], customer["updated"]) == ("differs", 1, 0)
    assert "not merged: the catalog has revision 99" in customer["reason"]
    assert "nothing there says so for public.tv_customer" in done.stderr
    assert "pgtv repair --apply" not in done.stderr, "which would refuse"
    # what is told to be run instead
    [line] = [x for x in done.stderr.splitlines() if "refresh('public.tv_customer')" in x]
    shop.sql(NEXT_REVISION.replace("99", tested))  # the library that this one waits for
    shop.sql(line.partition("readers wait: ")[2])
    assert "public.tv_customer" not in differing(shop)


KILLED = """
import os, signal, sys
from pathlib import Path
from pgtv.cli import main
from pgtv.journal import Journal
batch = Journal.batch
def dies(self, *args, **kw):
    batch(self, *args, **kw)
    os.kill(os.getpid(), signal.SIGKILL)
Journal.batch = dies
main.run(["2pc", "rollback", "over", "--apply", "--receipt", sys.argv[1]])
"""


def test_killed_what_was_written_by_then_is_beside_the_receipt(
    shop18: Database, tmp_path: Path
) -> None:
    prepare(shop18, "over")
    shop18.sql(DRIFT)
    file = tmp_path / "r.json"
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(file)],
        env=shop18.server.env(shop18.name), check=False, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert json.loads(file.read_text())["outcome"] == "running"
    (line,) = map(json.loads, file.with_name("r.json.batches").read_text().splitlines())
    assert (line["database"], line["tview"]) == (shop18.name, "public.tv_customer")
    assert overwritten(line) == [("changed", ["9"])] and line["keys"] == [["9"]]
    assert any('"by hand"' in (x or "") for x in line["overwritten"][0]["old"])
    assert shop18.pgtv("repair", "--apply").returncode == 0
    assert "public.tv_customer" not in differing(shop18)
    # as a timer does, which names the same file each time
    prepare(shop18, "next")
    done = shop18.pgtv("2pc", "rollback", "next", "--apply", "--receipt", str(file))
    assert done.returncode == 0 and "r-killed-0.json now" in done.stdout, done.stdout + done.stderr
    assert json.loads(file.read_text())["outcome"] == "complete"
    assert json.loads((tmp_path / "r-killed-0.json").read_text())["outcome"] == "running"
    assert '\\"by hand\\"' in (tmp_path / "r-killed-0.json.batches").read_text()


@pytest.mark.parametrize("then", ["again", "COMMIT", "ROLLBACK"])
def test_killed_before_the_statement_the_record_is_there_and_is_settled(
    shop18: Database, tmp_path: Path, then: str
) -> None:
    assert shop18.pgtv("init", "--apply").returncode == 0
    prepare(shop18, "dies")
    died = subprocess.run(
        [sys.executable, "-c", DIE, str(tmp_path / "r.json")],
        env=shop18.server.env(shop18.name), check=False, timeout=60,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL
    assert gids(shop18) == {"dies"} and letters(shop18) == [("dies", "rolling back")]
    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved["endings"][0]["outcome"] == "under way"
    if then == "again":
        assert shop18.pgtv("2pc", "rollback", "dies", "--apply").returncode == 0
        assert letters(shop18) == [("dies", "rolled back")], "one transaction, one record"
        return
    shop18.sql(f"{then} PREPARED 'dies'")
    prepare(shop18, "next")
    assert shop18.pgtv("2pc", "rollback", "next", "--apply").returncode == 0
    ended = {"COMMIT": "committed", "ROLLBACK": "rolled back"}[then]
    assert letters(shop18) == [("dies", ended), ("next", "rolled back")]


@pytest.mark.parametrize(
    ("faster", "ended", "code"), [("COMMIT", "committed", 1), ("ROLLBACK", "rolled back", 0)]
)
def test_its_coordinator_was_faster(
    shop: Database, tmp_path: Path, faster: str, ended: str, code: int
) -> None:
    from pgtv.repairs.ending import exit_code
    from pgtv.reports.ending import applied

    prepare(shop, "raced")
    found, receipt = seen(shop, "raced")
    shop.sql(f"{faster} PREPARED 'raced'")
    said: list[str] = []
    apply(shop.target(), found.looked, receipt, tmp_path / "r.json", said.append)
    (ending,) = receipt.endings
    assert (ending.outcome, ending.ended, ending.error) == (Outcome.GONE, ended, None)
    assert exit_code(receipt) == code
    assert "somebody else was faster" in next(applied(receipt))
    assert not [x for x in said if x.startswith("ROLLBACK")]
    assert {r["end"] for r in receipt.rows} == {"equal"}, "its TVIEWs are looked at all the same"


def test_ended_by_somebody_else_in_the_last_moment(shop18: Database, tmp_path: Path) -> None:
    """After the name was looked up again: the server's own error tells, and it is no error."""
    assert shop18.pgtv("init", "--apply").returncode == 0
    prepare(shop18, "late")
    found, receipt = seen(shop18, "late")

    def show(line: str) -> None:
        if line.startswith("ROLLBACK PREPARED"):
            shop18.sql("COMMIT PREPARED 'late'")

    apply(shop18.target(), found.looked, receipt, tmp_path / "r.json", show)
    (ending,) = receipt.endings
    assert (ending.outcome, ending.ended, ending.error) == (Outcome.GONE, "committed", None)
    assert letters(shop18) == [("late", "committed")] and receipt.outcome == "complete"


def test_a_lost_connection_leaves_it_open_how_it_ended(shop18: Database, tmp_path: Path) -> None:
    prepare(shop18, "lost")
    found, receipt = seen(shop18, "lost")

    def show(line: str) -> None:
        if line.startswith("ROLLBACK PREPARED"):
            shop18.sql(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'pgtv' AND datname = current_database()"
            )

    apply(shop18.target(), found.looked, receipt, tmp_path / "r.json", show)
    (ending,) = receipt.endings
    assert ending.outcome is Outcome.FAILED and "may have been ended" in (ending.error or "")
    assert json.loads((tmp_path / "r.json").read_text())["outcome"] == "failed"


def test_interrupted_the_receipt_and_the_record_say_how_far_it_came(
    shop18: Database, tmp_path: Path
) -> None:
    assert shop18.pgtv("init", "--apply").returncode == 0
    prepare(shop18, "halted")
    found, receipt = seen(shop18, "halted")

    def show(line: str) -> None:
        if line.startswith("ROLLBACK PREPARED"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(shop18.target(), found.looked, receipt, tmp_path / "r.json", show)
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["outcome"] == "interrupted" and written["finished_at"]
    assert written["endings"][0]["outcome"] == "under way"
    assert gids(shop18) == {"halted"} and letters(shop18) == [("halted", "rolling back")]


def test_a_database_of_any_name_is_reached(shop18: Database, tmp_path: Path) -> None:
    """Its name reads like a conninfo string, and is pasted as it is printed."""
    odd = "a=b 'x' \"y\" \\n \n 🙂"
    shop18.server.create_database(odd, TEMPLATE)
    there = Database(shop18.server, odd)
    try:
        prepare(there, "odd")
        printed = shop18.pgtv("2pc", "rollback", "odd")
        args = ("2pc", "rollback", "odd", "--apply", "--receipt", str(tmp_path / "r.json"))
        done = shop18.pgtv(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "equal      public.tv_customer" in done.stdout and not gids(there)
        prepare(there, "odd")
        shop18.sql(printed.stdout)
        assert not gids(there)
    finally:
        for gid in gids(there):
            there.sql(f"ROLLBACK PREPARED '{gid}'")
        shop18.server.drop_database(odd)


def test_another_transaction_under_the_same_name_is_not_touched(
    shop18: Database, tmp_path: Path
) -> None:
    prepare(shop18, "name")
    found, receipt = seen(shop18, "name")
    shop18.sql("COMMIT PREPARED 'name'")
    prepare(shop18, "name", "UPDATE public.tb_customer SET name = 'young' WHERE pk_customer = 8")
    apply(shop18.target(), found.looked, receipt, tmp_path / "r.json", lambda _: None)
    assert receipt.endings[0].outcome is Outcome.GONE and gids(shop18) == {"name"}


@pytest.fixture
def roles(shop: Database) -> Any:
    """(who prepares, a member of that role, who only monitors)."""
    made = [f"{role}_{shop.name}" for role in ("writer", "member", "monitor")]
    for role in made:
        shop.sql(f"CREATE ROLE {role} LOGIN")
    writer, member, monitor = made
    shop.sql(
        f"GRANT shop_owner TO {writer}; GRANT {writer} TO {member}; GRANT pg_monitor TO {monitor}"
    )
    yield made
    for gid in gids(shop):
        shop.sql(f"ROLLBACK PREPARED '{gid}'")
    for role in made:
        shop.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_who_may_end_it(shop: Database, roles: list[str], tmp_path: Path) -> None:
    writer, member, monitor = roles
    for gid in ("a", "b"):
        number = ord(gid)
        prepare(
            shop, gid, f"UPDATE public.tb_customer SET name = '{gid}' WHERE pk_customer = {number}",
            user=writer,
        )  # fmt: skip
    file = str(tmp_path / "r.json")
    listing = shop.pgtv("2pc", "list", user=monitor)
    assert listing.returncode == 0 and f"by {writer}" in listing.stdout, listing.stderr
    assert "not seen" not in listing.stdout
    half_blind = shop.pgtv("2pc", "list", user=writer).stdout
    assert "other roles' sessions are hidden (needs pg_monitor)" in " ".join(half_blind.split())
    keys = shop.pgtv("2pc", "show", "a", user=monitor)
    assert "permission denied" in keys.stdout, "which rows needs SELECT"
    refused = shop.pgtv("2pc", "rollback", "a", "--apply", "--receipt", file, user=monitor)
    assert refused.returncode == 3 and gids(shop) == {"a", "b"}
    assert f"{monitor} may not end a transaction that {writer} prepared" in refused.stdout
    assert f"log in with -U as {writer}" in refused.stderr
    by_owner = shop.pgtv("2pc", "rollback", "a", "--apply", "--receipt", file, user=writer)
    assert by_owner.returncode == 0, by_owner.stdout + by_owner.stderr
    by_member = shop.pgtv("2pc", "commit", "b", "--apply", "--receipt", file, user=member)
    assert f'SET ROLE "{writer}";' in by_member.stdout
    assert by_member.returncode == 0, by_member.stdout + by_member.stderr
    assert not gids(shop) and differing(shop) == {}


def test_one_that_may_not_be_ended_keeps_no_other(
    shop18: Database, roles18: list[str], tmp_path: Path
) -> None:
    prepare(shop18, "theirs")
    prepare(
        shop18, "ours", "UPDATE public.tb_product SET price = 2 WHERE pk_product = 2",
        user=roles18[0],
    )  # fmt: skip
    done = shop18.pgtv(
        "2pc", "rollback", "theirs", "ours", "--apply", "--receipt", str(tmp_path / "r.json"),
        user=roles18[0],
    )  # fmt: skip
    assert done.returncode == 3 and gids(shop18) == {"theirs"}, done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["outcome"] == "failed"


@pytest.fixture
def roles18(shop18: Database) -> Any:
    writer = f"writer_{shop18.name}"
    shop18.sql(f"CREATE ROLE {writer} LOGIN; GRANT shop_owner TO {writer}")
    yield [writer]
    for gid in gids(shop18):
        shop18.sql(f"ROLLBACK PREPARED '{gid}'")
    shop18.sql(f"DROP OWNED BY {writer}; DROP ROLE {writer}")


def test_only_one_applies(shop18: Database) -> None:
    prepare(shop18, "busy")
    with shop18.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", (APPLIER_LOCK,))
        done = shop18.pgtv("2pc", "rollback", "busy", "--apply")
    assert done.returncode == 3 and "another pgtv" in done.stdout
    assert gids(shop18) == {"busy"}


def test_a_receipt_that_cannot_be_written_stops_before(shop18: Database) -> None:
    prepare(shop18, "kept")
    done = shop18.pgtv("2pc", "rollback", "kept", "--apply", "--receipt", "/nonexistent/r.json")
    assert done.returncode == 3 and "cannot write /nonexistent/r.json" in done.stderr
    assert gids(shop18) == {"kept"}


def test_where_writes_were_stopped_it_still_works(shop18: Database) -> None:
    """The emergency of stop-writes.sql: it is ended and recorded; rows have to wait, and that is told."""
    assert shop18.pgtv("init", "--apply").returncode == 0
    prepare(shop18, "stopped")
    shop18.sql(f"ALTER DATABASE {shop18.name} SET default_transaction_read_only = on")
    done = shop18.pgtv("2pc", "rollback", "stopped", "--apply")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "rolled back" in done.stdout and "read-only transaction" in done.stdout
    assert not gids(shop18)
    assert letters(shop18) == [("stopped", "rolled back")]


def test_another_in_the_way_of_the_rows_is_told(shop18: Database) -> None:
    """Rows that a second prepared transaction holds cannot be brought: unknown, with its gid."""
    prepare(shop18, "first")
    prepare(shop18, "second", "UPDATE public.tb_customer SET name = '2' WHERE pk_customer = 2")
    shop18.sql("BEGIN; UPDATE public.tv_customer SET data = '{}' WHERE pk_customer = 9; COMMIT")
    done = shop18.pgtv("2pc", "rollback", "first", "--apply")
    assert done.returncode == 3 and "second" in done.stdout, done.stdout
    assert gids(shop18) == {"second"}


@pytest.mark.parametrize("major", [18, 17])
def test_crash_between_the_phases_loses_rows_of_unlogged_tviews_and_pgtv_brings_them(
    major: int,
) -> None:
    """By psql the drift stays for good: the control. By pgtv it is gone."""
    insert = "INSERT INTO public.tb_product (fk_category, name, price) VALUES (1, '{}', 1)"
    with shop_server(require_real(major)) as server:
        shop = Database(server, TEMPLATE)
        prepare(shop, "control", insert.format("control"))
        prepare(shop, "ours", insert.format("ours"))
        server.kill()
        server.start()
        assert gids(shop) == {"control", "ours"}, "they outlive the crash"
        shop.sql("SELECT * FROM tviews.pg_tviews_rebuild_all()")
        found = json.loads(shop.pgtv("2pc", "list", "--format", "json").stdout)
        assert {t["gid"]: t["unlogged"] for t in found["transactions"]} == {
            "control": ["public.tv_search"], "ours": ["public.tv_search"],
        }  # fmt: skip
        shop.sql("COMMIT PREPARED 'control'")
        assert differing(shop) == {"public.tv_search": 1}, "the premise"
        done = shop.pgtv("2pc", "commit", "ours", "--apply")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "public.tv_search: 2 rows differed, 2 inserted" in done.stdout, done.stdout
        assert differing(shop) == {}


def test_a_standby_points_to_the_primary() -> None:
    with shop_server(require_real(18)) as server:
        prepare(Database(server, TEMPLATE), "on the primary")
        with server.standby() as other:
            other.start()
            there = Database(other, TEMPLATE)
            done = there.pgtv("2pc", "list")
            assert done.returncode == 3 and "on the primary only" in done.stdout
            assert there.pgtv("2pc", "cleanup", "--rollback").returncode == 3


@pytest.mark.real
def test_an_old_generation_is_only_looked_at() -> None:
    with new_server(require_real(15, "0.1.0-beta.19"), ("pg_tviews",)) as server:
        server.create_database("old")
        server.psql(
            "CREATE EXTENSION pg_tviews;"
            " CREATE TABLE tb_user (pk_user bigint PRIMARY KEY, id uuid DEFAULT gen_random_uuid(),"
            " name text); INSERT INTO tb_user VALUES (1, DEFAULT, 'a');"
            " CREATE TABLE tv_user AS SELECT u.pk_user, u.id,"
            " jsonb_build_object('name', u.name) AS data FROM tb_user u",
            "old",
        )
        old = Database(server, "old")
        prepare(old, "old", "UPDATE tb_user SET name = 'b'")
        shown = old.pgtv("2pc", "show", "old")
        assert shown.returncode == 1 and "UNLOGGED  public.tv_user" in shown.stdout, shown.stderr
        assert "pk_user): 1" in " ".join(shown.stdout.split())
        assert "pgtv 2pc commit" not in shown.stdout, "what pgtv would refuse is not offered"
        done = old.pgtv("2pc", "commit", "old", "--apply")
        assert done.returncode == 3 and "only looks" in done.stderr
        assert "COMMIT PREPARED 'old';" in done.stderr and gids(old) == {"old"}
