"""`pgtv 2pc commit|rollback` that dies: rows that it still had to bring are known, and are brought."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contents import differing
from killing import Kill, backend_dies, killed_at, pgtv_dies, server_dies
from servers import TEMPLATE, Database, require_real, shop_server, until

from pgtv.repairs import survey
from pgtv.repairs.ending import Outcome, Receipt, exit_code, plan
from pgtv.repairs.twophase import named
from pgtv.resolving import apply

RENAMED = "UPDATE public.tb_customer SET name = 'held' WHERE pk_customer = 7"
NEW = "INSERT INTO public.tb_product (fk_category, name, price) VALUES (1, 'new', 1)"
# as whatever no catalog tells of leaves it
DRIFT = "UPDATE public.tv_customer SET data = '{}' WHERE pk_customer = 9"
NOTED = "pgtv: rows are owed"
BOTH = {"public__tv_customer": NOTED, "public__tv_basket": NOTED}  # what reads tb_customer itself
OWED = ("public.tv_product", "public.tv_search", "public.tv_stock")  # what reads tb_product itself


def prepare(shop: Database, gid: str, statement: str, user: str | None = None) -> None:
    with shop.connect(user=user, autocommit=False) as connection:
        connection.execute(statement.encode())
        connection.execute(psycopg.sql.SQL("PREPARE TRANSACTION {}").format(gid))


def gids(shop: Database) -> set[str]:
    query = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
    return set(shop.sql(query).splitlines())


def comments(shop: Database) -> dict[str, str]:
    """Of backing views, by name."""
    query = (
        "SELECT c.relname::text, obj_description(c.oid) FROM pg_class c WHERE c.relkind = 'v'"
        " AND c.relnamespace = 'tviews'::regnamespace AND obj_description(c.oid) IS NOT NULL"
        " AND c.relname LIKE '%\\_\\_tv\\_%'"
    )
    with shop.connect() as connection:
        return dict(connection.execute(query.encode()).fetchall())


def planned(shop: Database, gid: str, action: str, user: str | None = None) -> Any:
    """A look, and the plan: what stands between a dry run and --apply."""
    found = survey.look(shop.target(user=user))
    one = named(found.transactions, gid)
    assert one
    return found, plan(action, [one], by="x", system_identifier=None)


def nobody_applies(shop: Database) -> None:
    left = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{shop.name}' AND application_name = 'pgtv'"
    until(lambda: not shop.server.psql(left))


def lost(shop: Database, gid: str) -> None:
    """The first two of the trio: prepared over an UNLOGGED TVIEW, and a crash, after which it is
    refilled from what is committed."""
    prepare(shop, gid, NEW)
    shop.server.kill()
    shop.server.start()
    shop.sql("SELECT * FROM tviews.pg_tviews_rebuild_all()")
    assert gids(shop) == {gid}


@pytest.mark.parametrize("kill", [pgtv_dies, backend_dies, server_dies])
def test_killed_right_after_commit_prepared_rows_are_known_to_be_owed(
    tmp_path: Path, kill: Kill
) -> None:
    with shop_server(require_real(18)) as server:
        shop = Database(server, TEMPLATE)
        lost(shop, "ours")
        file = tmp_path / "r.json"
        command = ("2pc", "commit", "ours", "--receipt", str(file))
        assert killed_at(shop, "COMMIT PREPARED", kill, tmp_path, *command)
        missed = "public.tv_search"
        if kill is server_dies:
            server.kill()  # what is left of it
            server.start()
            # this crash empties the UNLOGGED one again, and all that is committed by now is refilled
            shop.sql("SELECT * FROM tviews.pg_tviews_rebuild_all()")
            missed = "public.tv_product"
            shop.sql("UPDATE public.tv_product SET data = '{}' WHERE pk_product = 2")
        nobody_applies(shop)
        assert not gids(shop) and missed in differing(shop), "the premise"
        receipt = json.loads(file.read_text())
        assert {o["tview"]: o["noted"] for o in receipt["owed"]} == dict.fromkeys(OWED, True)
        seen = shop.pgtv("doctor", "--only", "rows-owed")
        assert seen.returncode == 2 and "public.tv_product" in seen.stdout, seen.stdout
        again = shop.pgtv("2pc", "commit", "ours", "--apply")
        assert again.returncode == 1 and "it has ended" in again.stderr
        assert "rows are owed in" in again.stderr and "pgtv repair --apply" in again.stderr
        done = shop.pgtv("repair", "--apply")
        assert done.returncode == 0, done.stdout + done.stderr
        assert differing(shop) == {} and comments(shop) == {}
        assert shop.pgtv("doctor", "--only", "rows-owed").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", [9, pytest.param(1, marks=pytest.mark.whole)], ids=["some", "each"]
)
def test_killed_at_any_statement_the_next_runs_end_right(
    shop18: Database, tmp_path: Path, step: int
) -> None:
    shop, number, kills = shop18, 1, (pgtv_dies, backend_dies)
    assert shop.pgtv("init", "--apply").returncode == 0
    while True:
        prepare(shop, "dies", RENAMED)
        shop.sql(DRIFT)
        command = ("2pc", "rollback", "dies", "--no-keys", "--receipt", str(tmp_path / "r.json"))
        if not killed_at(shop, number, kills[number % 2], tmp_path, *command):
            break
        nobody_applies(shop)
        if not gids(shop):  # else what was prepared says itself that something is left to do
            wrong = "public.tv_customer" in differing(shop)
            assert not wrong or NOTED in comments(shop).values(), f"at {number}: nothing says so"
        else:
            done = shop.pgtv(*command, "--apply")
            assert done.returncode == 0, f"at {number}: {done.stdout}{done.stderr}"
        done = shop.pgtv("repair", "--apply", "--receipt", str(tmp_path / "repair.json"))
        assert done.returncode == 0, f"at {number}: {done.stdout}{done.stderr}"
        assert not gids(shop) and differing(shop) == {} and comments(shop) == {}, f"at {number}"
        number += step
    assert number > 20, "the run was not cut off in its midst"
    assert differing(shop) == {} and comments(shop) == {}, (tmp_path / "said").read_text()


@contextlib.contextmanager
def no_answer(shop: Database, receipt: Receipt, file: Path, statement: str) -> Iterator[None]:
    """apply(), whose connection is lost at `statement` after the server did it and before it said so."""

    def at(found: str) -> bool:
        return bool(shop.sql(f"SELECT 1 FROM pg_stat_activity WHERE {found}"))  # noqa: S608

    def cut() -> None:
        waits = f"wait_event = 'SyncRep' AND query LIKE '{statement} PREPARED%'"
        until(lambda: at(waits))
        shop.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {waits}")
        shop.sql("ALTER SYSTEM RESET synchronous_commit")
        shop.sql("SELECT pg_reload_conf()")

    thread = threading.Thread(target=cut)

    def show(line: str) -> None:
        if line.startswith(statement):
            shop.sql("ALTER SYSTEM SET synchronous_commit = on")
            shop.sql("SELECT pg_reload_conf()")
            until(lambda: shop.sql("SHOW synchronous_commit") == "on\n")
            thread.start()

    apply(shop.target(), {}, receipt, file, show)
    thread.join(60)
    yield


def test_a_connection_lost_during_the_statement_owes_the_rows(tmp_path: Path) -> None:
    """Committed while nobody could be told: the server waits for a standby, and the backend ends."""
    with shop_server(require_real(18)) as server:
        shop = Database(server, TEMPLATE)
        lost(shop, "ours")
        shop.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")  # whom none waits for yet
        shop.sql("SELECT pg_reload_conf()")
        _, receipt = planned(shop, "ours", "commit")
        with no_answer(shop, receipt, tmp_path / "r.json", "COMMIT"):
            assert not gids(shop) and differing(shop) == {"public.tv_search": 1}, "the premise"
        (ending,) = receipt.endings
        assert ending.outcome is Outcome.FAILED and "may have been ended" in (ending.error or "")
        assert {o.tview: o.noted for o in receipt.owed} == dict.fromkeys(OWED, True)
        assert exit_code(receipt) == 3
        assert shop.pgtv("doctor", "--only", "rows-owed").returncode == 2
        done = shop.pgtv("repair", "--apply")
        assert done.returncode == 0 and differing(shop) == {}, done.stdout + done.stderr


def test_a_connection_lost_before_rows_were_brought_is_no_success(
    shop18: Database, tmp_path: Path
) -> None:
    prepare(shop18, "over", RENAMED)
    shop18.sql(DRIFT)
    found, receipt = planned(shop18, "over", "rollback")

    def show(line: str) -> None:
        if line.startswith("-- verify"):
            shop18.sql(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'pgtv' AND datname = current_database()"
            )

    apply(shop18.target(), found.looked, receipt, tmp_path / "r.json", show)
    assert receipt.endings[0].outcome is Outcome.DONE
    assert {r["end"] for r in receipt.rows} == {"unknown"} and exit_code(receipt) == 3
    assert {o.tview for o in receipt.owed if o.noted} == {"public.tv_customer", "public.tv_basket"}
    assert shop18.pgtv("repair", "--apply").returncode == 0 and differing(shop18) == {}


def test_what_people_wrote_in_the_comment_stays(shop18: Database, tmp_path: Path) -> None:
    shop18.sql("COMMENT ON VIEW tviews.public__tv_customer IS 'ours'")
    prepare(shop18, "noted", RENAMED)
    found, receipt = planned(shop18, "noted", "rollback")
    during = []

    def show(line: str) -> None:
        if line.startswith("ROLLBACK"):
            during.append(comments(shop18))

    apply(shop18.target(), found.looked, receipt, tmp_path / "r.json", show)
    assert during == [BOTH | {"public__tv_customer": f"ours\n{NOTED}"}], "before it was ended"
    assert comments(shop18) == {"public__tv_customer": "ours"}
    assert receipt.owed == [] and exit_code(receipt) == 0


def test_nothing_is_owed_where_nothing_was_ended(shop18: Database, tmp_path: Path) -> None:
    """Its role is gone between the look and the run, say: the note goes too."""
    prepare(shop18, "stays", RENAMED)
    found, receipt = planned(shop18, "stays", "rollback")
    receipt.endings[0].statement = "ROLLBACK PREPARED"  # which the server refuses
    apply(shop18.target(), found.looked, receipt, tmp_path / "r.json", lambda _: None)
    assert receipt.endings[0].outcome is Outcome.FAILED and gids(shop18) == {"stays"}
    assert comments(shop18) == {} and receipt.owed == []


def test_a_note_of_before_goes_only_once_nothing_can_undo_it(shop18: Database) -> None:
    shop18.sql(f"COMMENT ON VIEW tviews.public__tv_customer IS '{NOTED}'")
    prepare(shop18, "first", RENAMED)
    prepare(shop18, "second", "UPDATE public.tb_customer SET name = '2' WHERE pk_customer = 2")
    done = shop18.pgtv("2pc", "rollback", "first", "--apply", "--receipt", "a.json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the note of public.tv_customer stays" in done.stderr and "second" in done.stderr
    assert comments(shop18) == {"public__tv_customer": NOTED}
    done = shop18.pgtv("2pc", "rollback", "second", "--apply", "--receipt", "b.json")
    assert done.returncode == 0 and comments(shop18) == {}, done.stdout + done.stderr


@pytest.fixture
def roles(shop18: Database) -> Iterator[tuple[str, str]]:
    """(a member of the TVIEWs' owner, a stranger who writes base tables), both log in."""
    member, stranger = (f"{role}_{shop18.name}" for role in ("member", "stranger"))
    shop18.sql(
        f"CREATE ROLE {member} LOGIN NOINHERIT; GRANT shop_owner TO {member};"
        f" CREATE ROLE {stranger} LOGIN;"
        f" GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO {member}, {stranger};"
        f' GRANT USAGE ON SCHEMA tviews, "Sales Dept" TO {member}, {stranger};'
        f' GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA "Sales Dept" TO {member}, {stranger};'
    )
    yield member, stranger
    for gid in gids(shop18):
        shop18.sql(f"ROLLBACK PREPARED '{gid}'")
    for role in (member, stranger):
        shop18.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_member_of_the_owner_notes_it_too(
    shop18: Database, roles: tuple[str, str], tmp_path: Path
) -> None:
    prepare(shop18, "member's", RENAMED, user=roles[0])
    found, receipt = planned(shop18, "member's", "rollback", user=roles[0])
    during = []

    def show(line: str) -> None:
        if line.startswith("ROLLBACK"):
            during.append(comments(shop18))

    apply(shop18.target(user=roles[0]), found.looked, receipt, tmp_path / "r.json", show)
    assert receipt.endings[0].outcome is Outcome.DONE, receipt.endings[0].error
    assert during == [BOTH] and comments(shop18) == {}


def test_who_may_not_note_it_ends_it_and_is_told(shop18: Database, roles: tuple[str, str]) -> None:
    prepare(shop18, "stranger's", RENAMED, user=roles[1])
    done = shop18.pgtv("2pc", "rollback", "stranger's", "--apply", user=roles[1])
    assert not gids(shop18) and comments(shop18) == {}, done.stdout + done.stderr
    assert done.returncode == 3 and "may not act as shop_owner" in done.stdout
    assert "nothing there says so for public.tv_customer" in done.stderr, done.stderr
