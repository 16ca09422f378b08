"""Cures for tables with any name work as printed, in each format that prints them."""

from __future__ import annotations

import re

import pytest
from psycopg import sql
from servers import Database

NAME = "tb \x1b[31m\x07\u202e|'\"\\ .\n  line $$ \U0001f642%s`"


def break_it(shop: Database) -> None:
    name = sql.Identifier("public", NAME)
    with shop.connect() as connection:
        connection.execute(
            sql.SQL("ALTER TABLE public.tb_category RENAME TO {}").format(sql.Identifier(NAME))
        )
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(name))


def cure(shop: Database, printed: str) -> str:
    if printed == "repair":
        return shop.pgtv("repair", "triggers").stdout
    text = shop.pgtv("doctor", "--only", "trigger-disabled", "--format", printed).stdout
    if printed == "human":
        lines = text[text.index("  cure ") :].splitlines()
        end = next(i for i, line in enumerate(lines) if line.startswith("  as "))
        return "\n".join(line[12:] for line in lines[:end])
    if printed == "nagios":
        return text[text.index("SET lock_timeout") :]
    found = re.search(r"^(`{3,})sql\n(.*?)^\1$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[2]


@pytest.mark.parametrize("printed", ["human", "nagios", "markdown", "repair"])
def test_pasted_as_printed(shop18: Database, printed: str) -> None:
    break_it(shop18)
    assert shop18.pgtv("doctor", "--only", "trigger-disabled").returncode == 2
    script = cure(shop18, printed)
    assert all(c.isprintable() or c == "\n" for c in script)
    shop18.sql(script)
    done = shop18.pgtv("doctor", "--only", "trigger-disabled")
    assert done.returncode == 0, done.stdout
    for command in ("graph show", "graph impact tv_category", "verify", "status"):
        shown = shop18.pgtv(*command.split()).stdout
        assert all(c.isprintable() or c == "\n" for c in shown), command
