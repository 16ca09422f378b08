"""Logs of pg_upgrade, told apart by how far it came. Real ones are made and read in the slow tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgtv.errors import Exit, UsageError
from pgtv.lifecycle.upgrade import died as upgrade_died
from pgtv.lifecycle.upgrade import log as upgrade_log
from pgtv.lifecycle.upgrade.log import Log
from pgtv.lifecycle.verdict import Verdict

CHECKS = ["Checking cluster versions", "Checking for prepared transactions"]
PREPARES = ["Setting locale and encoding for new cluster", "Restoring global objects in the new cluster",
            "Restoring database schemas in the new cluster"]  # fmt: skip
ASIDE = 'Adding ".old" suffix to old "global/pg_control"'
AFTER = ["Setting next OID for new cluster", "Creating script to delete old cluster",
         "Checking for extension updates"]  # fmt: skip
TRANSFERS = {v: k for k, v in upgrade_log.TRANSFER.items()}
SAID = {
    "link": ["", 'the ".old" suffix from "/old/data/global/pg_control.old".',
             'Because "link" mode was used, the old cluster cannot be safely',
             "started once the new cluster has been started."],
    "swap": ["", 'Because "swap" mode was used, the old cluster can no longer be', "safely started."],
}  # fmt: skip


def step(name: str, end: str = "ok") -> str:
    return f"{name:<62}{end}"


def run(mode: str) -> list[str]:
    """The lines of a whole run."""
    aside = [step(ASIDE), *SAID[mode]] if mode in SAID else []
    return [
        "Performing Consistency Checks", "-----------------------------", *map(step, CHECKS), "",
        "If pg_upgrade fails after this point, you must re-initdb the", "new cluster before continuing.",
        "", "Performing Upgrade", "------------------", *map(step, PREPARES), *aside,
        step(TRANSFERS[mode]), *map(step, AFTER), "", "Upgrade Complete", "----------------",
        "Some statistics are not transferred by pg_upgrade.",
    ]  # fmt: skip


def logged(folder: Path, lines: list[str], **others: str) -> Path:
    """A folder as pg_upgrade leaves it; others: further logs by name."""
    log = folder / upgrade_log.OUTPUT / "20260101T000000.000" / "log"
    log.mkdir(parents=True, exist_ok=True)
    (log / "pg_upgrade_internal.log").write_text("\n".join(lines))
    for name, text in others.items():
        (log / f"pg_upgrade_{name}.log").write_text(text)
    return folder


def verdict(path: Path) -> tuple[Log, Verdict]:
    log = upgrade_log.read(path)
    return log, upgrade_died.judge(log, str(path))


def begun(lines: list[str], name: str) -> bool:
    return any(x.startswith(name) for x in lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(mode=st.sampled_from(sorted(TRANSFERS)), data=st.data())
def test_wherever_it_is_cut_the_old_server_is_started_only_where_it_is_whole(
    tmp_path: Path, mode: str, data: st.DataObject
) -> None:
    """Cut after any line, or within one, as a killed pg_upgrade leaves it."""
    whole = run(mode)
    count = data.draw(st.integers(3, len(whole)))
    lines = whole[:count]
    if data.draw(st.booleans()) and begun(
        lines[-1:], ("Checking", "Restoring", *TRANSFERS.values())[0]
    ):
        lines[-1] = f"{lines[-1][:-2]}"
    _, told = verdict(logged(tmp_path, lines))
    starts = [c for c in told.commands if " start " in c]
    if "Upgrade Complete" in lines:
        assert told.exit is Exit.HEALTHY
    elif step(AFTER[-1]) in lines:  # there is nothing left that it would have done to the clusters
        assert (told.exit, told.points[0].id) == (Exit.WARNING, "carried-over")
        assert [("NEW_DATA" in c, "OLD_DATA" in c) for c in starts] == [(True, False)]
    elif mode == "swap" and begun(lines, TRANSFERS["swap"]):
        assert (told.exit, starts) == (Exit.CRITICAL, [])
    elif mode in ("link", "swap") and begun(lines, "Adding"):
        assert all("OLD" in c or "/old/" in c for c in starts)
        renamed = [c for c in told.commands if c.startswith("mv ")]
        assert bool(renamed) == (mode == "link" and told.exit is Exit.WARNING)
    else:
        assert told.exit is Exit.WARNING
        assert told.points[0].id in ("old-untouched", "checks-failed")
        assert len(starts) == 1
        assert not [c for c in told.commands if c.startswith("rm ")]
        assert not [c for c in told.commands if c.startswith("mv ")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=400))
def test_any_other_text_is_refused_or_cannot_be_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "said"
    file.write_text(text)
    try:
        log, told = verdict(file)
    except UsageError:
        return
    assert log.steps or log.said
    assert told.exit is not Exit.HEALTHY


KNOWN = """pg_restore: connecting to new database "shop"
pg_restore: creating TABLE "public.tb_order"
pg_restore: while PROCESSING TOC:
pg_restore: error: could not execute query: ERROR:  relation "tviews.pg_tview_meta" does not exist
LINE 1: SELECT 1 FROM tviews.pg_...
Command was: ALTER TABLE public.tb_order OWNER TO app;
"""
# of beta.19 on 15, upgraded to 18 with beta.34
EARLY = """pg_restore: connecting to new database "old"
pg_restore: creating FUNCTION "public.tviewschema_in("cstring")"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 238; 1255 16448 FUNCTION tviewschema_in("cstring") postgres
pg_restore: error: could not execute query: ERROR:  could not find function "tviewschema_in_wrapper" in\
 file "/n/lib/pg_tviews.so"
Command was: CREATE FUNCTION "public"."tviewschema_in"("input" "cstring") RETURNS "public"."tviewschema"
    LANGUAGE "c" IMMUTABLE PARALLEL SAFE
    AS '$libdir/pg_tviews', 'tviewschema_in_wrapper';
"""
SERVER = """command: "/o/bin/pg_ctl" -w -l "/n/data/pg_upgrade_output.d/x/s" -D "/o/data" -o "-p 5" start >>
command: "/o/bin/pg_ctl" -w -D "/o/data" -o "" -m fast stop >> "x" 2>&1
command: "/n/bin/pg_ctl" -w -l "/n/data/pg_upgrade_output.d/x/s" -D "/n/data" -o "-p 5" start >>
"""


def died_in_restore(folder: Path, of: str = KNOWN) -> Path:
    lines = [*run("copy")[:13], f"{PREPARES[-1]:<62}", "*failure*"]
    return logged(folder, lines, server=SERVER, dump_16384=of)


@pytest.mark.parametrize(("of", "database", "why"), [
    (KNOWN, "shop", "reads a table that the restore has not made yet"),
    (EARLY, "old", "names tviewschema_in_wrapper, a function that the new server's library"),
], ids=["table", "function"])  # fmt: skip
def test_a_known_failure_is_named_with_the_database_and_the_way_on(
    tmp_path: Path, of: str, database: str, why: str
) -> None:
    log, told = verdict(died_in_restore(tmp_path, of))
    assert log.last == upgrade_log.Step(PREPARES[-1], "failed")
    known = next(p for p in told.points if p.id == "extension-in-the-way")
    assert f"database {database}" in known.text
    assert why in known.text
    assert told.commands[-1].startswith("/o/bin/pg_ctl -D /o/data ")
    then = next(p for p in told.points if p.id == "then")
    assert f"pgtv upgrade detach -d {database} --snapshot before.json --apply" in then.cure
    assert told.exit is Exit.WARNING


def test_clusters_programs_and_a_server_left_running_come_from_the_commands(tmp_path: Path) -> None:
    log, told = verdict(died_in_restore(tmp_path))
    assert (log.old, log.new, log.old_bin, log.new_bin) == (
        "/o/data",
        "/n/data",
        "/o/bin",
        "/n/bin",
    )
    assert log.running == ("/n/data",)
    assert told.commands[0] == "/n/bin/pg_ctl -D /n/data -m fast stop"
    assert told.commands[1].startswith("/o/bin/pg_ctl -D /o/data ")


def test_a_server_that_was_too_slow_is_told_with_what_waits_longer(tmp_path: Path) -> None:
    said = [
        "",
        'Consult the last few lines of "/n/pg_upgrade_server.log" for',
        "the probable cause",
    ]
    lines = [*run("copy")[:12], f"{PREPARES[1]:<62}", "*failure*", *said]
    folder = logged(tmp_path, lines, server=f"{SERVER}pg_ctl: server did not start in time\n")
    point = next(p for p in verdict(folder)[1].points if p.id == "server-failed")
    assert "PGCTLTIMEOUT" in point.text


HELD = "pg_ctl: server does not shut down\n"
STOPPING = 'command: "/n/bin/pg_ctl" -w -D "/n/data" -o "" -m smart stop >> "x" 2>&1\n'


def test_a_server_that_the_extension_holds_up_is_told_to_go(tmp_path: Path) -> None:
    lines = [*run("copy")[:12], f"{PREPARES[1]:<62}", "*failure*", "", "pg_upgrade_server.log"]
    log, told = verdict(logged(tmp_path, lines, server=SERVER + STOPPING + HELD))
    assert log.running == ("/n/data",)
    assert told.points[0].id == "old-untouched"
    point = next(p for p in told.points if p.id == "server-failed")
    assert "-o and -O" in point.text
    assert told.commands[0] == (
        "pkill -INT -P $(head -n 1 /n/data/postmaster.pid) -f 'pg_tviews rebuild'"
    )
    (again,) = (p for p in told.points if p.id == "then")
    assert again.cure[-1].count("'-c pg_tviews.auto_rebuild_databases='") == 2


def test_where_only_the_new_server_was_not_stopped_the_way_is_on(tmp_path: Path) -> None:
    whole = run("link")
    lines = [*whole[: whole.index(step(AFTER[-1])) + 1], "", "*failure*", "",
             'Consult "/n/pg_upgrade_server.log"']  # fmt: skip
    _, told = verdict(logged(tmp_path, lines, server=SERVER + STOPPING + HELD))
    assert told.exit is Exit.WARNING
    assert [p.id for p in told.points] == ["carried-over", "server-failed"]
    assert told.facts["start now"] == "the new server"
    assert [c.split()[0] for c in told.commands] == [
        "pkill",
        "/n/bin/pg_ctl",
        "/n/bin/pg_ctl",
        "pgtv",
    ]
    assert not any("/o/" in c for c in told.commands)


@pytest.mark.parametrize(("of", "known", "other"), [
    (KNOWN, "tviews.pg_tview_meta", "public.other"),
    (EARLY, "/n/lib/pg_tviews.so", "/n/lib/my_pg_tviews.so"),
], ids=["table", "function"])  # fmt: skip
def test_another_error_of_the_restore_is_quoted_and_not_called_known(
    tmp_path: Path, of: str, known: str, other: str
) -> None:
    _, told = verdict(died_in_restore(tmp_path, of.replace(known, other)))
    point = next(p for p in told.points if p.id == "restore-failed")
    assert other in point.objects[0]
    assert not any("upgrade detach" in c for p in told.points for c in p.cure)


def test_what_is_printed_beside_a_step_is_why_it_stopped(tmp_path: Path) -> None:
    lines = [*run("copy")[:3], f"{CHECKS[1]:<62}The source cluster contains prepared transactions"]
    _, told = verdict(logged(tmp_path, lines))
    assert told.facts["died at"] == CHECKS[1]
    assert "prepared" in [p.id for p in told.points]


@pytest.mark.parametrize(("said", "option"), [
    ("old cluster does not use data checksums but the new one does", "--no-data-checksums"),
    ("old cluster uses data checksums but the new one does not", " --data-checksums"),
])  # fmt: skip
def test_checksums_name_the_option_of_initdb(tmp_path: Path, said: str, option: str) -> None:
    _, told = verdict(logged(tmp_path, [*run("copy")[:3], "", said, "Failure, exiting"]))
    assert option in next(p.text for p in told.points if p.id == "checksums")


def linked(folder: Path) -> tuple[Path, Path]:
    """Logs of a run that died while it linked, and the new data directory that they name."""
    new = folder / "new"
    (new / "global").mkdir(parents=True)
    (new / "global" / "pg_control").touch()
    lines = run("link")
    cut = [*lines[: lines.index(step(TRANSFERS["link"]))], f"{TRANSFERS['link']:<62}"]
    utility = f'command: cp -Rf "/old/data/pg_xact" "{new}/pg_xact" >> "x" 2>&1'
    return logged(folder, cut, utility=utility), new


def test_after_linking_a_new_server_that_was_started_closes_the_way_back(tmp_path: Path) -> None:
    path, new = linked(tmp_path)
    _, told = verdict(path)
    assert (told.exit, told.points[0].id) == (Exit.WARNING, "linked")
    assert "cannot be seen" not in told.points[0].text
    later = next(tmp_path.rglob("pg_upgrade_internal.log")).stat().st_mtime + 60
    os.utime(new / "global" / "pg_control", (later, later))
    _, told = verdict(path)
    assert (told.exit, told.points[0].id) == (Exit.CRITICAL, "linked-and-started")
    assert told.commands == ()


def test_a_control_file_that_is_still_there_was_not_set_aside(tmp_path: Path) -> None:
    old = tmp_path / "old"
    (old / "global").mkdir(parents=True)
    server = f'command: "/o/bin/pg_ctl" -w -D "{old}" -o "-p 5" start >> "x"'
    lines = run("swap")
    cut = [*lines[: lines.index(step(ASIDE))], f"{ASIDE:<62}"]
    folder = logged(tmp_path, cut, server=server)
    assert verdict(folder)[1].exit is Exit.UNKNOWN
    (old / "global" / "pg_control").touch()
    assert verdict(folder)[1].points[0].id == "old-untouched"


def test_a_running_new_server_closes_it_too(tmp_path: Path) -> None:
    path, new = linked(tmp_path)
    (new / "postmaster.pid").touch()
    assert verdict(path)[1].exit is Exit.CRITICAL


@pytest.mark.parametrize("name", upgrade_log.STARTS_NEW)
def test_pg_upgrade_itself_starts_the_new_server_after_linking(tmp_path: Path, name: str) -> None:
    lines = run("link")
    at = lines.index(step(AFTER[0]))
    assert verdict(logged(tmp_path, lines[: at + 1]))[1].points[0].id == "linked"
    folder = logged(tmp_path, [*lines[: at + 1], f"{name:<62}"])
    assert verdict(folder)[1].points[0].id == "linked-and-started"


def test_the_newest_run_counts(tmp_path: Path) -> None:
    died_in_restore(tmp_path)
    later = tmp_path / upgrade_log.OUTPUT / "20260102T000000.000" / "log"
    later.mkdir(parents=True)
    (later / "pg_upgrade_internal.log").write_text("\n".join(run("copy")))
    assert verdict(tmp_path)[1].exit is Exit.HEALTHY
    assert verdict(tmp_path / upgrade_log.OUTPUT)[1].exit is Exit.HEALTHY
    assert verdict(later.parent)[1].exit is Exit.HEALTHY
    assert verdict(later / "pg_upgrade_internal.log")[1].exit is Exit.HEALTHY


def test_a_check_that_passed_promises_nothing(tmp_path: Path) -> None:
    lines = [*run("copy")[:4], "", "*Clusters are compatible*"]
    _, told = verdict(logged(tmp_path, lines))
    assert told.exit is Exit.HEALTHY
    assert "unless it is detached" in told.points[0].text


@pytest.mark.parametrize("what", ["nothing", "empty folder", "text"])
def test_what_is_no_log_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "empty folder":
        path.mkdir()
    elif what == "text":
        path.write_text("\n")
    with pytest.raises(UsageError):
        upgrade_log.read(path)
