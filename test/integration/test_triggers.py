"""`pgtv triggers`: leases, on the real extension."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from contents import differing, write_everywhere
from healthy import HOSTILE, SHAPES, build, writes
from own_triggers import OWN_STATES, OWN_TRIGGERS
from servers import Database, until

from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks
from pgtv.finding import Finding, Severity
from pgtv.repairs.triggers import stale

FOR = ("--for", "15m", "--reason", "bulk load")
STATES = """SELECT string_agg(format('%s %s %s', tgrelid::regclass, tgname, tgenabled), E'\n'
    ORDER BY tgrelid::regclass::text, tgname) FROM pg_trigger
    WHERE tgname LIKE 'trg\\_tview\\_%'"""
# every state, and copies on partitions that differ from their root
ODD_STATES = """
ALTER TABLE public.tb_category ENABLE REPLICA TRIGGER trg_tview_truncate_search_on_public_tb_category;
ALTER TABLE public.tb_category ENABLE ALWAYS TRIGGER trg_tview_flush_search_on_public_tb_category;
ALTER TABLE public.tb_product DISABLE TRIGGER trg_tview_truncate_stock_on_public_tb_product;
ALTER TABLE public.tb_stock_move_2025 ENABLE ALWAYS TRIGGER trg_tview_row_stock_on_public_tb_stock_move;
ALTER TABLE ONLY public.tb_stock_move DISABLE TRIGGER trg_tview_row_stock_on_public_tb_stock_move;
"""


def off(shop: Database) -> int:
    return int(
        shop.sql(
            r"SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'trg\_tview\_%' AND tgenabled = 'D'"
        )
    )


def done(shop: Database, *args: str, code: int = 0, **kw: str) -> subprocess.CompletedProcess[str]:
    found = shop.pgtv("triggers", *args, **kw)
    assert found.returncode == code, found.stdout + found.stderr
    return found


def leased(shop: Database, *tviews: str) -> None:
    """A lease over these TVIEWs."""
    assert shop.pgtv("init", "--apply").returncode == 0
    done(shop, "disable", *tviews, *FOR, "--apply")


def leases(shop: Database) -> list[tuple[int, list[str], int]]:
    """(id, owed, triggers held) of every lease, ended ones too."""
    with shop.connect() as connection:
        return connection.execute(
            "SELECT l.id, l.owed, (SELECT count(*) FROM pgtv.lease_trigger t WHERE t.lease = l.id)"
            " FROM pgtv.lease l ORDER BY l.id"
        ).fetchall()


def triggers_findings(shop: Database) -> list[Finding]:
    found = examine(shop.snapshot(), all_checks().values()).findings
    return [f for f in found if f.check.startswith("trigger-")]


def test_every_state_comes_back_and_so_do_the_rows(shop: Database) -> None:
    shop.sql(ODD_STATES)
    before = shop.sql(STATES)
    assert {" O", " D", " R", " A"} <= {line[-2:] for line in before.splitlines()}
    leased(shop)
    assert off(shop) == len(before.splitlines())
    write_everywhere(shop)
    assert len(differing(shop)) > 5
    said = done(shop, "enable", "--apply").stdout
    assert shop.sql(STATES) == before
    assert differing(shop) == {}
    assert leases(shop) == [(1, [], 0)]
    assert said.rindex("COMMIT;") < said.index("rows that were missed") < said.index("1 changed")
    assert "2 are disabled all the same" in done(shop, "enable", "--apply").stderr


def test_what_is_printed_runs_in_psql(shop: Database) -> None:
    shop.pgtv("init", "--apply")
    before = shop.sql(STATES)
    shown = done(shop, "disable", *FOR)
    assert shop.sql(STATES) == before, "shown only"
    shop.sql(shown.stdout)
    assert off(shop) == len(before.splitlines())
    write_everywhere(shop)
    merge = done(shop, "enable", code=1).stdout
    assert "run: pgtv triggers enable --apply" in merge
    rebuild = done(shop, "enable", "--strategy", "rebuild", code=1).stdout
    shop.sql(merge)
    assert shop.sql(STATES) == before
    assert leases(shop)[0][1], "psql alone does not merge, so rows are owed still"
    shop.sql(rebuild)
    assert differing(shop) == {}
    assert leases(shop) == [(1, [], 0)]


def test_triggers_of_the_users_own_are_no_part_of_a_lease(shop18: Database) -> None:
    shop = shop18
    shop.sql(OWN_TRIGGERS)
    before = shop.sql(OWN_STATES)
    assert before.split() == ["own_always|A", "own_disabled|D", "own_enabled|O", "trg_tview_own|O"]
    leased(shop)
    assert shop.sql(OWN_STATES) == before
    held = {t.name for t in shop.snapshot().leases[0].triggers}
    assert held and not {t for t in held if "own" in t}
    shop.sql("UPDATE public.tb_customer SET name = 'seen' WHERE pk_customer = 4")
    assert shop.sql("SELECT count(*) FROM public.own_log") == "3\n", "they fire meanwhile"
    done(shop, "enable", "--apply")
    assert shop.sql(OWN_STATES) == before
    assert differing(shop) == {}


@pytest.mark.parametrize("tview", ["customer", "order", "stock", "search", "segment"])
def test_one_tview_alone(shop18: Database, tview: str) -> None:
    """Writes of every kind succeed, and only it and what reads it goes stale."""
    shop = shop18
    snapshot = shop.snapshot()
    leased(shop, tview)
    (lease,) = shop.snapshot().leases
    assert {t.entity for t in lease.triggers} == {tview}
    write_everywhere(shop)
    shop.sql(
        """
        INSERT INTO "Sales Dept".tb_order (fk_customer) VALUES (1);
        DELETE FROM "Sales Dept".tb_order_line WHERE pk_order_line % 10 = 1;
        INSERT INTO public.tb_stock_move_2026 (fk_product, moved_on, amount)
            VALUES (1, '2026-03-01', 1);
        TRUNCATE public.tb_stock_move_2025;
        UPDATE public.tb_product SET name = name || ' renamed' WHERE pk_product IN (1, 9);
        COPY public.tb_category (name) FROM stdin;
copied
\\.
        COPY public.tb_customer (name, email) FROM stdin;
copied	x
\\.
        COPY "Sales Dept".tb_order (fk_customer) FROM stdin;
2
\\.
        COPY public.tb_stock_move (fk_product, moved_on, amount) FROM stdin;
3	2025-02-01	9
\\.
        """
    )
    told = {t.label for t in stale(snapshot, [tview])}
    assert snapshot.tview_by_entity[tview].label in differing(shop)
    assert set(differing(shop)) <= told
    done(shop, "enable", "--apply")
    assert differing(shop) == {}


def test_refused_without_a_place_to_keep_the_states(shop18: Database) -> None:
    shop = shop18
    for args in (("disable", *FOR), ("disable", *FOR, "--apply")):
        assert "pgtv init" in done(shop, *args, code=3).stderr
    shop.sql((Path(__file__).parent / "state" / "version-1.sql").read_text())
    assert "has version 1" in done(shop, "disable", *FOR, "--apply", code=3).stderr
    shop.pgtv("init", "--apply")
    shop.sql("UPDATE pgtv.installation SET database_oid = 1")
    assert "restored from another" in done(shop, "disable", *FOR, code=3).stderr
    assert off(shop) == 0
    for wrong in ("15", "0s", "soon", "-1m"):
        refused = done(shop, "disable", f"--for={wrong}", "--reason", "x", code=3)
        assert "is no time" in refused.stderr
    assert "says nothing" in done(shop, "disable", "--for", "1m", "--reason", " ", code=3).stderr


def test_doctor_counts_a_lease_down(shop18: Database) -> None:
    shop = shop18
    leased(shop, "tv_customer", "tv_stock")
    found = {f.id: f for f in triggers_findings(shop)}
    cause = found.pop("trigger-lease:lease 1")
    assert (cause.severity, cause.caused_by) == (Severity.WARNING, None)
    assert "15 min left" in cause.detail and "bulk load" in cause.detail
    assert set(cause.affects) == {
        "public.tv_customer", "public.tv_stock", '"Sales Dept".tv_order', "public.tv_segment",
    }  # fmt: skip
    assert {f.object for f in found.values()} == {
        "public.tb_customer", "public.tb_product", "public.tb_stock_move",
    }  # fmt: skip
    assert {(f.severity, f.caused_by) for f in found.values()} == {(Severity.WARNING, cause.id)}
    assert shop.pgtv("doctor").returncode == 1
    # what was disabled by hand on a table of the lease is no part of it
    shop.sql(
        "ALTER TABLE public.tb_customer DISABLE TRIGGER trg_tview_row_basket_on_public_tb_customer"
    )
    (by_hand,) = (
        f for f in triggers_findings(shop) if f.id == "trigger-disabled:public.tb_customer"
    )
    assert (by_hand.severity, by_hand.caused_by) == (Severity.CRITICAL, None)
    shop.sql(
        "ALTER TABLE public.tb_customer ENABLE TRIGGER trg_tview_row_basket_on_public_tb_customer"
    )
    # doctor only tells, repair leaves it alone, and so does a timer before the time is over
    assert "left alone: trigger-lease" in shop.pgtv("repair", "--apply").stderr
    assert "over its time" in done(shop, "enable", "--expired", "--apply").stderr
    assert off(shop) == 15
    shop.sql("UPDATE pgtv.lease SET until = now() - interval '5 min'")
    found = {f.id: f for f in triggers_findings(shop)}
    assert found["trigger-lease:lease 1"].severity is Severity.CRITICAL
    assert "verdue by 5 min" in found["trigger-lease:lease 1"].detail
    assert {f.severity for f in found.values()} == {Severity.CRITICAL}
    assert shop.pgtv("doctor").returncode == 2
    done(shop, "enable", "--expired", code=1)
    done(shop, "enable", "--expired", "--apply")
    assert off(shop) == 0
    assert triggers_findings(shop) == []


def test_a_trigger_of_a_lease_enabled_by_hand_makes_writes_fail(shop18: Database) -> None:
    """An outage, so nothing to hide below the lease; repair does not end the lease for it either."""
    shop = shop18
    leased(shop, "tv_customer", "tv_basket", "tv_segment")
    shop.sql(
        "ALTER TABLE public.tb_customer ENABLE TRIGGER trg_tview_row_customer_on_public_tb_customer"
    )
    with shop.connect() as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1")
    assert refused.value.sqlstate == "55000"
    found = {f.id: f for f in triggers_findings(shop)}
    loud = found["trigger-disabled:public.tb_customer:lease 1"]
    assert (loud.severity, loud.caused_by) == (Severity.CRITICAL, None)
    held = off(shop)
    shop.pgtv("repair", "--apply")
    assert off(shop) == held
    done(shop, "disable", "tv_customer", "tv_basket", "tv_segment", *FOR, "--apply")
    shop.sql("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1")
    done(shop, "enable", "--apply")
    assert differing(shop) == {}


def test_who_may_not_see_leases_does_not_take_them_for_none(shop18: Database) -> None:
    shop = shop18
    leased(shop, "tv_customer")
    name = f"stranger_{shop.name}"
    shop.sql(f"CREATE ROLE {name} LOGIN")
    try:
        snapshot = shop.snapshot(user=name)
        assert snapshot.leases == ()
        gap = snapshot.gap("leases")
        assert gap and "USAGE on schema pgtv" in gap.needs[0]
        found = {f.check: f for f in examine(snapshot, all_checks().values()).findings}
        assert found["trigger-lease"].severity is Severity.UNKNOWN
        assert found["trigger-disabled"].severity is Severity.CRITICAL
        assert done(shop, "enable", code=3, user=name).stderr.count("leases could not be seen") == 1
    finally:
        shop.sql(f"DROP ROLE {name}")


def test_killed_between_enabling_and_the_merge(shop: Database) -> None:
    leased(shop, "tv_customer")
    shop.sql("UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1")
    with shop.connect(autocommit=False) as reader:
        # the merge waits for this lock, what enables does not need it
        reader.execute("LOCK TABLE public.tv_customer IN SHARE MODE")
        process = subprocess.Popen(
            [sys.executable, "-m", "pgtv", "triggers", "enable", "--apply", "--lock-timeout", "60s"],
            env=shop.server.env(shop.name), cwd=shop.folder, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with shop.connect() as watcher:
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            until(lambda: watcher.execute(waits).fetchone() != (0,))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert off(shop) == 0
    assert leases(shop) == [(1, ["customer", "order", "segment"], 0)]
    (finding,) = triggers_findings(shop)
    assert finding.severity is Severity.CRITICAL and "were not brought" in finding.detail
    assert "public.tv_customer" in differing(shop)
    done(shop, "status", code=2)
    done(shop, "enable", "--expired", "--apply")
    assert differing(shop) == {}
    assert triggers_findings(shop) == []


def test_what_stops_half_way_goes_on_from_there(shop18: Database) -> None:
    """A table is a transaction: what was done before a lock that is not given stays done."""
    shop = shop18
    shop.pgtv("init", "--apply")
    before = shop.sql(STATES)
    blocked = ("--apply", "--lock-timeout", "30ms")
    with shop.connect(autocommit=False) as writer:
        writer.execute("INSERT INTO public.tb_stock_move (fk_product, moved_on, amount) VALUES"
                       " (1, '2026-01-01', 1)")  # fmt: skip
        failed = done(shop, "disable", *FOR, *blocked, code=3)
        assert "55P03" in failed.stderr and "lease 1: " in failed.stderr
        assert failed.stdout.count("again in") == 5
    some, everything = off(shop), len(before.splitlines())
    assert 0 < some < everything
    assert len(shop.snapshot().leases[0].triggers) == some
    done(shop, "disable", *FOR, "--apply")
    assert off(shop) == everything
    write_everywhere(shop)
    with shop.connect(autocommit=False) as writer:
        writer.execute("UPDATE public.tb_stock_move SET amount = 2 WHERE pk_stock_move = 1")
        done(shop, "enable", *blocked, code=3)
    assert 0 < off(shop) < everything
    assert {f.id for f in triggers_findings(shop)} >= {"trigger-lease:lease 1:rows"}
    write_everywhere(shop)
    done(shop, "enable", "--apply")
    assert shop.sql(STATES) == before
    assert differing(shop) == {}
    assert all(owed == [] and held == 0 for _, owed, held in leases(shop))


def test_it_never_holds_one_table_while_it_waits_for_another(shop18: Database) -> None:
    """Else it would deadlock with transactions that write both. Leases nobody else writes."""
    shop = shop18
    shop.pgtv("init", "--apply")
    with shop.connect(autocommit=False) as writer, shop.connect() as other:
        writer.execute('UPDATE "Sales Dept".tb_order SET status = status WHERE pk_order = 1')
        process = subprocess.Popen(
            [sys.executable, "-m", "pgtv", "triggers", "disable", *FOR, "--apply",
             "--lock-timeout", "60s"],
            env=shop.server.env(shop.name), cwd=shop.folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        waits = "SELECT pid FROM pg_locks WHERE NOT granted"
        until(lambda: other.execute(waits).fetchone())
        ((pid,),) = other.execute(waits).fetchall()
        assert other.execute(
            "SELECT relation::regclass::text FROM pg_locks WHERE pid = %s AND granted"
            " AND locktype = 'relation' AND mode = 'ShareRowExclusiveLock' ORDER BY 1",
            (pid,),
        ).fetchall() == [("pgtv.lease",), ("pgtv.lease_trigger",)]  # fmt: skip
        # what would have closed the circle
        writer.execute("SET lock_timeout = '5s'")
        writer.execute("UPDATE public.tb_customer SET name = 'x' WHERE pk_customer = 1")
        writer.commit()
        assert process.wait(60) == 0


def test_contents_are_equal_beside_writers(shop: Database) -> None:
    """Writers go on through disabling, the time of the lease, enabling and the merge."""
    shop.pgtv("init", "--apply")
    stop = threading.Event()
    failed: list[str] = []
    counts = [0] * 3

    def write(number: int) -> None:
        # as many rows as before, however long it goes on: else what is missed grows with the time that
        # a busy machine takes, and bringing it with that
        statements = (
            "UPDATE public.tb_customer SET name = md5(name) WHERE pk_customer = %(n)s",
            'UPDATE "Sales Dept".tb_order SET fk_customer = 1 + (fk_customer %% 150)'
            " WHERE pk_order = %(n)s",
            'INSERT INTO "Sales Dept".tb_order (pk_order, fk_customer) OVERRIDING SYSTEM VALUE'
            " VALUES (100000 + %(n)s, %(n)s) ON CONFLICT DO NOTHING",
            'DELETE FROM "Sales Dept".tb_order WHERE pk_order = 100000 + %(n)s',
            "UPDATE public.tb_product SET fk_category = 1 + %(n)s %% 10 WHERE pk_product = %(n)s",
            "INSERT INTO public.tb_stock_move (pk_stock_move, fk_product, moved_on, amount)"
            " OVERRIDING SYSTEM VALUE VALUES (100000 + %(n)s, %(n)s, '2026-05-05', 1)"
            " ON CONFLICT DO NOTHING",
            "DELETE FROM public.tb_stock_move WHERE pk_stock_move = 100000 + %(n)s",
            'DELETE FROM "Sales Dept".tb_order_line WHERE fk_product = %(n)s',
        )
        with shop.connect() as connection:
            while not stop.is_set():
                counts[number] += 1
                n = 1 + (counts[number] * 7 + number * 31) % 99
                # what the extension itself throws beside concurrent writers is tried again
                with contextlib.suppress(
                    psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure,
                    psycopg.errors.CardinalityViolation,
                ):  # fmt: skip
                    try:
                        connection.execute(statements[counts[number] % len(statements)], {"n": n})
                    except psycopg.Error as e:
                        if e.sqlstate not in ("40P01", "40001", "21000"):
                            failed.append(str(e))
                            return
                        raise

    threads = [threading.Thread(target=write, args=(i,), daemon=True) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        for tviews in (["tv_customer"], [], ["tv_order", "tv_product"]):
            until(lambda: min(counts) > 20)
            done(shop, "disable", *tviews, *FOR, "--apply", "--lock-timeout", "5s")
            counts[:] = [0] * 3
            until(lambda: min(counts) > 20 or failed)
            done(shop, "enable", "--apply", "--lock-timeout", "5s")
            counts[:] = [0] * 3
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not failed
    assert differing(shop) == {}
    assert all(owed == [] and held == 0 for _, owed, held in leases(shop))


def test_rows_stay_owed_while_somebody_may_commit_old_ones(shop: Database) -> None:
    """An order inserted, uncommitted, embeds what its customer was; no table of the lease is locked."""
    leased(shop, "tv_customer")
    shop.sql("UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1")
    with shop.connect(autocommit=False) as slow:
        slow.execute('INSERT INTO "Sales Dept".tb_order (fk_customer) VALUES (1)')
        refused = done(shop, "enable", "--apply", "--barrier-timeout", "0.2", code=3)
        assert "still owed" in refused.stderr
        # also when that which it read is right by now, as after a run that was killed
        again = done(shop, "enable", "--apply", "--barrier-timeout", "0.2", code=3)
        assert str(slow.info.backend_pid) in again.stderr
        assert leases(shop) == [(1, ["order", "segment"], 0)], "what it wrote, and what reads that"
        slow.commit()
    assert set(differing(shop)) == {'"Sales Dept".tv_order'}, "else waiting is not needed"
    done(shop, "enable", "--apply")
    assert differing(shop) == {}
    assert leases(shop) == [(1, [], 0)]


def test_a_snapshot_of_before_is_refused_by_the_extension(shop18: Database) -> None:
    """Why such transactions are not waited for: a dump would keep rows owed for hours."""
    shop = shop18
    leased(shop, "tv_stock")
    move = "UPDATE public.tb_stock_move SET amount = amount {} 1000 WHERE fk_product = 7"
    shop.sql(move.format("+"))
    for level in (psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE):
        with shop.connect(autocommit=False) as old:
            old.isolation_level = level
            old.execute("SELECT count(*) FROM public.tb_stock_move")
            shop.sql(move.format("-"))
            done(shop, "enable", "--apply")
            with pytest.raises(psycopg.errors.SerializationFailure):
                old.execute("UPDATE public.tb_product SET name = name || '!' WHERE pk_product = 7")
            old.rollback()
        assert differing(shop) == {}
        leased(shop, "tv_stock")
        shop.sql(move.format("+"))


def test_a_prepared_transaction_is_in_the_way_and_named(shop18: Database) -> None:
    shop = shop18
    leased(shop, "tv_customer")
    shop.sql("UPDATE public.tb_customer SET name = 'missed' WHERE pk_customer = 1")
    # embeds the customer's old row; its own table is no part of the lease
    shop.sql("""BEGIN; INSERT INTO "Sales Dept".tb_order (fk_customer) VALUES (1);
        PREPARE TRANSACTION 'embeds'""")
    refused = done(shop, "enable", "--apply", code=3)
    assert "embeds" in refused.stderr
    assert off(shop) == 0 and leases(shop)[0][1]
    shop.sql("COMMIT PREPARED 'embeds'")
    done(shop, "enable", "--apply")
    assert differing(shop) == {}


def test_partitions_come_and_go_during_a_lease(shop: Database) -> None:
    leased(shop, "tv_stock")
    shop.sql("""
        CREATE TABLE public.tb_stock_move_2027 PARTITION OF public.tb_stock_move
            FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
        INSERT INTO public.tb_stock_move (fk_product, moved_on, amount) VALUES (1, '2027-01-01', 5);
        ALTER TABLE public.tb_stock_move DETACH PARTITION public.tb_stock_move_2025;
    """)
    assert off(shop) >= 8, "the new partition's copy is disabled like its root"
    done(shop, "enable", "--apply")
    assert off(shop) == 0
    assert differing(shop) == {}
    shop.sql("INSERT INTO public.tb_stock_move (fk_product, moved_on, amount) VALUES"
             " (2, '2027-01-02', 5)")  # fmt: skip
    assert differing(shop) == {}


def test_a_table_dropped_during_a_lease(shop18: Database) -> None:
    shop = shop18
    leased(shop, "tv_category", "tv_search", "tv_product", "tv_order_line")
    shop.sql("SELECT tviews.pg_tviews_drop('public.tv_search')")
    shop.sql("SELECT tviews.pg_tviews_drop('\"Sales Dept\".tv_order_line')")
    shown = done(shop, "enable", code=1).stdout
    assert "triggers of the lease are gone" in shown
    done(shop, "enable", "--apply")
    assert off(shop) == 0 and leases(shop) == [(1, [], 0)]
    assert differing(shop) == {}


def test_a_lease_is_extended_and_ended_in_parts(shop18: Database) -> None:
    shop = shop18
    leased(shop, "tv_customer", "tv_stock")
    assert "and of public.tv_stock" in done(shop, "disable", "tv_customer", *FOR, code=3).stderr
    args = (
        "disable",
        "tv_customer",
        "tv_stock",
        "tv_category",
        "--for",
        "2h",
        "--reason",
        "longer",
    )
    shop.sql(done(shop, *args).stdout)
    assert leases(shop) == [(1, [], 15), (2, [], 3)]
    assert shop.sql("SELECT DISTINCT reason FROM pgtv.lease") == "longer\n"
    assert all(6000 < x.remaining_seconds < 7300 for x in shop.snapshot().leases)
    # one that fires again, as after an update of the extension, is disabled again
    shop.sql("ALTER TABLE public.tb_customer ENABLE TRIGGER USER")
    done(shop, *args, "--apply")
    assert off(shop) == 18
    done(shop, "enable", "tv_customer", "--apply")
    assert leases(shop) == [(1, [], 12), (2, [], 3)]
    done(shop, "status", "tv_customer")
    done(shop, "enable", "--apply")
    assert off(shop) == 0
    assert shop.sql("SELECT count(*) FROM pgtv.lease WHERE enabled_at IS NULL") == "0\n"
    shop.sql("ALTER TABLE public.tb_customer DISABLE TRIGGER USER")
    assert "no lease holds them" in done(shop, "disable", "tv_customer", *FOR, code=3).stderr
    assert "are disabled all the same" in done(shop, "enable").stderr


def test_the_leases_of_a_copy_are_not_its_own(shop18: Database) -> None:
    shop = shop18
    leased(shop, "tv_customer")
    other = f"{shop.name}_copy"
    shop.server.create_database(other)
    try:
        copy = Database(shop.server, other)
        copy.sql(shop.program("pg_dump", shop.name))
        assert off(copy) == 3, "a dump carries the states of triggers"
        assert copy.snapshot().leases == ()
        (finding,) = triggers_findings(copy)
        assert (finding.check, finding.severity) == ("trigger-disabled", Severity.CRITICAL)
        assert "no lease holds triggers" in done(copy, "enable", "--apply").stderr
        assert copy.pgtv("repair", "--apply").returncode == 0
        assert off(copy) == 0
    finally:
        shop.server.drop_database(other)


def test_status(shop18: Database) -> None:
    shop = shop18
    shown = done(shop, "status").stdout
    assert "47 triggers on 9 tables, none missing: 47 fire" in shown
    assert "LEASE" not in shown and "2 partitions" in shown
    assert "tb_stock_move_2026" in done(shop, "status", "-v", COLUMNS="200").stdout
    leased(shop, "tv_stock")
    shop.sql("DROP TRIGGER trg_tview_row_stock_on_public_tb_product ON public.tb_product")
    shown = done(shop, "status", "tv_stock", code=2, COLUMNS="80").stdout
    assert all(len(line) <= 80 for line in shown.splitlines()[1:] if "lease" not in line)
    assert "missing: row" in shown and "disabled" in shown and "15 min left" in shown
    document = json.loads(done(shop, "status", "tv_stock", "--format", "json", code=2).stdout)
    assert document["schema"] == "pgtv.triggers/1" and document["exit_code"] == 2
    (product,) = (t for t in document["tables"] if t["table"] == "public.tb_product")
    assert product["missing"] == ["row"] and product["expected"] is False
    assert {(t["enabled"], t["before"], t["lease"]) for t in product["triggers"]} == {("D", "O", 1)}
    assert document["leases"][0]["tviews"] == ["public.tv_stock"]
    file = str(shop.folder / "leased.json")
    assert shop.pgtv("snapshot", "save", file).returncode == 0
    assert "15 min left" in done(shop, "status", "--from", file, code=2).stdout


OWNERS = """DO $$ BEGIN CREATE ROLE healthy_owner; EXCEPTION WHEN duplicate_object THEN END $$;
ALTER ROLE healthy_owner LOGIN;"""
MAY_LEASE = """
GRANT USAGE ON SCHEMA pgtv TO healthy_owner;
GRANT SELECT ON pgtv.installation TO healthy_owner;
GRANT SELECT, INSERT, UPDATE ON pgtv.lease TO healthy_owner;
GRANT USAGE ON SEQUENCE pgtv.lease_id_seq TO healthy_owner;
GRANT SELECT, INSERT, DELETE ON pgtv.lease_trigger TO healthy_owner;
"""


def test_whatever_things_are_called_and_whoever_owns_them(empty: Database) -> None:
    """Partitions, two schemas, names with quotes, dots, emoji and 63 bytes; as their plain owner."""
    s = HOSTILE
    shape = next(x for x in SHAPES if x.name == "partitioned")
    empty.sql(f"{OWNERS} CREATE EXTENSION pg_tviews;")
    empty.sql(build(shape, s))
    before = empty.sql(STATES)
    empty.pgtv("init", "--apply")
    reason = 'it\'s a "test" \\ of 😀\x1b[31m'
    args = ("disable", "--for", "90s", "--reason", reason)
    refused = done(empty, *args, "--apply", code=3, user="healthy_owner")
    assert "permission denied for schema pgtv" in refused.stderr
    empty.sql(MAY_LEASE)
    shown = done(empty, *args, user="healthy_owner").stdout
    assert "\x1b" not in shown
    empty.sql(shown, user="healthy_owner")
    assert off(empty) == len(before.splitlines())
    assert empty.snapshot().leases[0].reason == reason
    for statement in (*writes(s), *shape.more(s)):  # partitions come and go, too
        empty.sql(statement)
    assert differing(empty)
    assert "\x1b" not in empty.pgtv("doctor").stdout + done(empty, "status", code=1).stdout
    done(empty, "enable", "--apply", user="healthy_owner")
    assert off(empty) == 0
    assert differing(empty) == {}
    # a partition that came is somebody else's
    assert "must be owner" in done(empty, *args, "--apply", code=3, user="healthy_owner").stderr
    done(empty, *args, "--apply")
    empty.sql(f"UPDATE {s.tb('book')} SET title = title || '?'")
    empty.sql(done(empty, "enable", "--strategy", "rebuild", code=1).stdout)
    assert differing(empty) == {}
    assert all(owed == [] and held == 0 for _, owed, held in leases(empty))


def test_a_superusers_tview_needs_the_rebuild(shop18: Database) -> None:
    """Its definition would run with a superuser's rights; the others are settled all the same."""
    shop = shop18
    shop.sql(
        "SELECT tviews.pg_tviews_create('public.tv_email', 'SELECT c.pk_customer AS pk_email, c.email"
        " FROM public.tb_customer c')"
    )
    leased(shop, "tv_email", "tv_category")
    write_everywhere(shop)
    shop.sql("UPDATE public.tb_customer SET email = email || '!'")
    refused = done(shop, "enable", "--apply", code=3)
    assert "superuser" in refused.stderr and "--strategy rebuild" in refused.stderr
    assert leases(shop) == [(1, ["email"], 0)]
    assert set(differing(shop)) == {"public.tv_email"}
    done(shop, "enable", "--strategy", "rebuild", "--apply")
    assert differing(shop) == {} and leases(shop) == [(1, [], 0)]


def test_triggers_of_a_lost_tview_are_disabled_too(shop18: Database) -> None:
    shop = shop18
    shop.sql("DELETE FROM tviews.pg_tview_meta WHERE entity = 'stock'")
    everything = len(shop.sql(STATES).splitlines())
    leased(shop)
    assert off(shop) == everything
    shop.sql("UPDATE public.tb_product SET name = 'x' WHERE pk_product = 1")
    done(shop, "enable", "--apply")
    assert off(shop) == 0
    assert differing(shop) == {}
