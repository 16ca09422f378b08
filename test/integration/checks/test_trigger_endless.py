"""Rings of triggers over several tables: which are told, and which end by themselves."""

from __future__ import annotations

import psycopg
import pytest
from servers import Database

from pgtv.checks.examine import examine
from pgtv.checks.registry import all_checks

RING = """
CREATE FUNCTION public.there() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE public.tb_category SET name = NEW.name WHERE pk_category = {there}; RETURN NULL; END $$;
CREATE FUNCTION public.back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    {back}; RETURN NULL; END $$;
CREATE TRIGGER there AFTER UPDATE ON public.tb_customer FOR EACH ROW EXECUTE FUNCTION public.there();
CREATE TRIGGER back AFTER {event} ON public.tb_category FOR EACH ROW {when}
    EXECUTE FUNCTION public.back();
"""
ENDLESS = {
    "there": "1",
    "back": "UPDATE tb_customer SET name = NEW.name WHERE pk_customer = 1",
    "event": "UPDATE",
    "when": "",
}
WRITE = "UPDATE public.tb_customer SET name = name || '.' WHERE pk_customer = 1"


def told(shop: Database) -> list[str]:
    found = examine(shop.snapshot(), all_checks().values()).findings
    return [f.id for f in found if f.check == "trigger-endless"]


def test_a_ring_is_told_once_and_its_cure_lets_writes_through(shop18: Database) -> None:
    shop18.sql(RING.format(**ENDLESS))
    with shop18.connect() as session, pytest.raises(psycopg.errors.StatementTooComplex):
        session.execute(WRITE)
    assert told(shop18) == ["trigger-endless:public.tb_category:back"]
    (cure,) = [
        f.remedy
        for f in examine(shop18.snapshot(), all_checks().values()).findings
        if f.check == "trigger-endless"
    ]
    assert cure and cure.decide and cure.undo
    shop18.sql("\n".join(cure.sql))
    shop18.sql(WRITE)
    assert told(shop18) == []


@pytest.mark.parametrize(
    "differing",
    [
        {"back": ENDLESS["back"] + " AND name IS DISTINCT FROM NEW.name"},
        {"back": ENDLESS["back"] + " AND name <> NEW.name"},
        {"back": "IF pg_trigger_depth() < 2 THEN " + ENDLESS["back"] + "; END IF"},
        # what stands between two comments is none
        {
            "back": "/* once */ IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF; /* then **/ "
            + ENDLESS["back"]
        },
        {"event": "INSERT"},  # which nothing in the ring does
        {"event": "UPDATE OF id"},
        {"when": "WHEN (OLD.name <> NEW.name)"},
    ],
    ids=(
        "distinct",
        "differs",
        "if",
        "between comments",
        "another event",
        "another column",
        "when",
    ),
)
def test_what_ends_is_not_told(shop18: Database, differing: dict[str, str]) -> None:
    shop18.sql(RING.format(**ENDLESS | differing))
    shop18.sql(WRITE)
    assert told(shop18) == []
