"""Every property of every trigger of the shop, broken one at a time: doctor says so, its cure holds.

The breaks are made from what stands in pg_trigger, so a kind of trigger that the shop gains is broken
here without a word added. One database a property: each break is cured before the next one comes.
Each property is tried on every fifth trigger, each on others; with tools/test --all on all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from servers import THOROUGH, Database

from pgtv.checks.examine import examine
from pgtv.checks.registry import select
from pgtv.finding import Finding, Severity


@dataclass(frozen=True)
class Standing:
    """One trigger of the extension as it stands on the healthy shop."""

    table: str
    name: str
    definition: str
    kind: str
    clone: bool
    parent: str | None

    @property
    def quoted(self) -> str:
        return '"' + self.name.replace('"', '""') + '"'


LIST = """
SELECT t.tgrelid::regclass::text, t.tgname::text, pg_get_triggerdef(t.oid),
       substr(t.tgname, length('trg_tview_') + 1), t.tgparentid <> 0,
       (SELECT p.tgrelid::regclass::text FROM pg_trigger p WHERE p.oid = t.tgparentid)
FROM pg_trigger t
WHERE t.tgname LIKE 'trg\\_tview\\_%' ORDER BY 1, 2
"""

Break = Callable[[Standing], str | None]


def dropped(t: Standing) -> str | None:
    return None if t.clone else f"DROP TRIGGER {t.quoted} ON {t.table}"


def state(word: str) -> Break:
    # ALTER TABLE … ENABLE REPLICA and ALWAYS work on copies on partitions too
    return lambda t: f"ALTER TABLE {t.table} {word} TRIGGER {t.quoted}"


def remade(pattern: str, new: str, kinds: str = "row|flush|truncate|delta_[iud]") -> Break:
    """Drop and create it again with a change in its definition."""

    def statement(t: Standing) -> str | None:
        changed = re.sub(pattern, new, t.definition, count=1)
        if t.clone or changed == t.definition or not re.match(rf"({kinds})_", t.kind):
            return None
        return f"DROP TRIGGER {t.quoted} ON {t.table}; {changed}"

    return statement


def doubled(t: Standing) -> str | None:
    if t.clone:
        return None
    return re.sub(r'TRIGGER ("[^"]+"|\S+)', "TRIGGER again", t.definition, count=1)


PROPERTIES: dict[str, Break] = {
    "dropped": dropped,
    "disabled": state("DISABLE"),
    "replica": state("ENABLE REPLICA"),
    "always": state("ENABLE ALWAYS"),
    "doubled": doubled,
    "condition": remade(
        r" FOR EACH (ROW|STATEMENT) ", r" FOR EACH \1 WHEN (pg_trigger_depth() > 50) "
    ),
    "columns": remade(r" UPDATE ON (\S+|\S*\"[^\"]+\"\S*) ", r" UPDATE OF id ON \1 ", "row|flush"),
    "event-lost": remade(r"INSERT OR DELETE OR UPDATE", "INSERT OR UPDATE"),
    "before": remade(r" AFTER ", " BEFORE ", "row|flush|truncate"),
    "level": remade(r"FOR EACH ROW", "FOR EACH STATEMENT", "row"),
    "level-of-flush": remade(r"FOR EACH STATEMENT", "FOR EACH ROW", "flush"),
    "deferrable": remade(
        r"CREATE TRIGGER (.*) FOR EACH", r"CREATE CONSTRAINT TRIGGER \1 DEFERRABLE FOR EACH", "row"
    ),
    "deferred": remade(
        r"CREATE TRIGGER (.*) FOR EACH",
        r"CREATE CONSTRAINT TRIGGER \1 INITIALLY DEFERRED FOR EACH",
        "row",
    ),
    "no-transition-tables": remade(r" REFERENCING .* FOR EACH", " FOR EACH", "delta_[iud]"),
    "other-transition-tables": remade(r"TABLE AS pg_tviews_", "TABLE AS other_", "delta_[iud]"),
    "argument": remade(r"\('[^']+'\)", "('nobody')"),
    "no-argument": remade(r"\('[^']+'\)", "()"),
}
# Broken so, a copy of the trigger does the work, or PostgreSQL itself refuses (row triggers of a
# partitioned table are never BEFORE or deferrable constraints with copies that can be told apart).
REFUSED = re.compile(r"Partitioned tables|is a partition|cannot have|not supported|cannot be")


def _findings(shop: Database) -> list[Finding]:
    return [
        f
        for f in examine(shop.snapshot(), select(("triggers",))).findings
        if f.severity is not Severity.INFO
    ]


def _health(shop: Database) -> str:
    return shop.sql(
        "SELECT string_agg(component || ': ' || message, '; ') FROM"
        " tviews.pg_tviews_health_check() WHERE status <> 'OK' AND component = 'triggers'"
    ).strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_each_trigger(name: str, shop18: Database) -> None:
    shop = shop18
    with shop.connect() as connection:
        standing = [Standing(*row) for row in connection.execute(LIST).fetchall()]
    assert len(standing) > 40
    before = {(t.table, t.name, t.definition) for t in standing}
    fitting = [s for t in standing if (s := PROPERTIES[name](t)) is not None]
    step = 1 if THOROUGH else 5
    tried = 0
    for statement in fitting[list(PROPERTIES).index(name) % step :: step]:
        with shop.connect(autocommit=False) as connection:
            try:
                connection.execute(statement.encode())
            except Exception as e:
                assert REFUSED.search(str(e)), f"{statement}: {e}"
                connection.rollback()
                continue
        tried += 1
        found = _findings(shop)
        assert found, f"nothing said after {statement}"
        assert all(f.severity in (Severity.WARNING, Severity.CRITICAL) for f in found)
        for finding in found:
            assert finding.remedy and finding.remedy.sql, finding
            shop.sql("\n".join(finding.remedy.sql))
        assert _findings(shop) == [], f"not cured after {statement}"
    assert tried, "the property fits no trigger of the shop"
    assert _health(shop) == ""
    with shop.connect() as connection:
        after = [Standing(*row) for row in connection.execute(LIST).fetchall()]
    assert {(t.table, t.name, t.definition) for t in after} == before
    states = shop.sql(
        "SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgname LIKE 'trg\\_tview\\_%'"
    )
    assert states.split() == ["O"]


def test_all_at_once_is_one_finding(shop18: Database) -> None:
    """Whoever disabled every trigger reads one screen, and one paste enables them all."""
    shop18.sql(
        "SELECT format('ALTER TABLE %s DISABLE TRIGGER USER', r) FROM (SELECT DISTINCT"
        " tgrelid::regclass r FROM pg_trigger WHERE tgname LIKE 'trg\\_tview\\_%') x \\gexec"
    )
    (finding,) = _findings(shop18)
    assert finding.check == "trigger-disabled" and finding.remedy
    shop18.sql("\n".join(finding.remedy.sql))
    assert _findings(shop18) == [] and _health(shop18) == ""
