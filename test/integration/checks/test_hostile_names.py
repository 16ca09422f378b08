"""Printed cures where every name is hostile: capitals, spaces, quotes, dots, emoji, 63 bytes.

Each fault in a database of its own. What doctor prints is pasted as it stands, by the role that it
names; afterwards nothing is found, contents are equal, and writes arrive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from contents import differing
from healthy import HOSTILE as S
from healthy import SHAPES, build, literal, writes
from servers import Database

from pgtv.cluster.server import Server

TEMPLATE = "hostile_template"
META = "tviews.pg_tview_meta"
AUTHOR, BOOK = S.tb("author"), S.tb("book")
TV_AUTHOR, TV_BOOK = S.tv("author"), S.tv("book")
UNSEEN = "SET session_replication_role = replica;"
ROUNDS = 3  # a cure may uncover the next cause


@dataclass(frozen=True)
class Fault:
    """check: whose finding has to come. break_: SQL for psql. verify: whether contents have to be read."""

    check: str
    break_: str
    verify: bool = False


def _each(select: str) -> str:
    return f"SELECT {select} \\gexec\n"


def _row(word: str) -> str:
    return f"WHERE entity = {literal(S.entity(word))}"


FAULTS = {
    "trigger dropped": Fault(
        "trigger-missing",
        _each(
            "format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger"
            f" WHERE tgrelid = {literal(AUTHOR)}::regclass AND tgtype = 29 AND NOT tgisinternal"
        )
        + f"UPDATE {AUTHOR} SET name = name || ' missed'",
    ),
    "triggers disabled": Fault(
        "trigger-disabled",
        f"ALTER TABLE {BOOK} DISABLE TRIGGER USER; UPDATE {BOOK} SET title = title || ' missed'",
    ),
    "registration deleted": Fault(
        "registration-missing",
        f"DELETE FROM {META} {_row('book')}; UPDATE {BOOK} SET title = title || ' missed'",
    ),
    "backing view dropped": Fault(
        "view-mismatch",
        _each(f"format('DROP VIEW %s', view_oid::regclass) FROM {META} {_row('book')}"),
    ),
    "plan emptied": Fault("plan-unreadable", f"UPDATE {META} SET plan = '{{}}' {_row('book')}"),
    "unique key dropped": Fault(
        "unique-key",
        _each(
            "format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)"
            f" FROM pg_constraint WHERE contype = 'p' AND conrelid = {literal(TV_BOOK)}::regclass"
        ),
    ),
    "lookup index dropped": Fault(
        "lookup-index",
        _each(
            "format('DROP INDEX %s', indexrelid::regclass) FROM pg_index"
            f" WHERE NOT indisunique AND indrelid = {literal(TV_BOOK)}::regclass"
        ),
    ),
    "base table renamed": Fault(
        "names-stale", f"""ALTER TABLE {AUTHOR} RENAME TO "Odd ""new"" 'n.a.m.e' 😀";"""
    ),
    "rows changed": Fault(
        "drift",
        f"{UNSEEN} UPDATE {TV_AUTHOR} SET data = '{{}}' WHERE {S.pk('author')} < 4;"
        f" DELETE FROM {TV_BOOK} WHERE {S.pk('book')} = 5",
        verify=True,
    ),
}


@pytest.fixture(scope="module")
def template(real_server_18: Server) -> Iterator[Server]:
    shape = next(x for x in SHAPES if x.name == "chain")
    real_server_18.create_database(TEMPLATE)
    real_server_18.psql(
        "DO $$ BEGIN CREATE ROLE healthy_owner; EXCEPTION WHEN duplicate_object THEN END $$;"
        f" CREATE EXTENSION pg_tviews; {build(shape, S)}",
        TEMPLATE,
    )
    yield real_server_18
    real_server_18.drop_database(TEMPLATE)


@pytest.fixture
def hostile(template: Server) -> Iterator[Database]:
    database = Database(template, "hostile")
    template.create_database(database.name, TEMPLATE)
    yield database
    template.drop_database(database.name)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_cured_as_printed(fault: Fault, hostile: Database) -> None:
    hostile.sql(fault.break_)
    found = _printed(hostile, fault)
    assert fault.check in {f["check"] for f in found}, [f["id"] for f in found]
    for _ in range(ROUNDS):
        cures = [f for f in found if f["remedy"] and f["remedy"]["sql"] and not f["caused_by"]]
        if not cures:
            break
        hostile.sql(_session(cures[0]) + "\n".join(cures[0]["remedy"]["sql"]))
        found = _printed(hostile, fault)
    assert not found, [f["id"] for f in found]
    assert differing(hostile) == {}
    if fault.check == "names-stale":
        return  # the writes name the table
    for statement in writes(S):
        hostile.sql(statement)
    assert differing(hostile) == {}


def _printed(database: Database, fault: Fault) -> list[dict[str, Any]]:
    """What doctor finds beyond info."""
    verify = ("--verify",) if fault.verify else ()
    done = database.pgtv("doctor", "--format", "json", *verify)
    assert "Traceback" not in done.stderr, done.stderr
    return [f for f in json.loads(done.stdout)["findings"] if f["severity"] != "info"]


def _session(finding: dict[str, Any]) -> str:
    """The line that makes the session one of the role that is printed."""
    if finding["remedy"]["role"] in ("superuser", "a superuser"):
        return ""
    assert "owner" in finding["remedy"]["role"], finding["remedy"]["role"]
    return "SET SESSION AUTHORIZATION healthy_owner;\n"
