"""What is said of one statement while it is judged: rules, with the locks and effects that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pgtv.catalog.model import Tview
from pgtv.definitions.parse import Node
from pgtv.definitions.reads import Relation as Name
from pgtv.migration.copy import Copy
from pgtv.migration.cures import cures
from pgtv.migration.model import Effect, Mode, Statement, What
from pgtv.migration.read import Step
from pgtv.migration.rule import Rule
from pgtv.migration.rules import RULES
from pgtv.migration.waiting import waiting
from pgtv.migration.words import listed


@dataclass
class Heard:
    """then: changes of the working copy, made when the statement does not fail."""

    copy: Copy
    step: Step
    rules: list[Rule] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    locks: dict[int, Mode] = field(default_factory=dict)
    rewritten: dict[int, None] = field(default_factory=dict)
    scanned: dict[int, None] = field(default_factory=dict)
    upto: dict[str, None] = field(default_factory=dict)
    then: list[Callable[[], None]] = field(default_factory=list)
    touched: set[Name] = field(default_factory=set)
    makes: str | None = None
    adding: set[str] = field(default_factory=set)  # columns that an earlier part of it adds

    def say(
        self,
        rule_id: str,
        oid: int | None = None,
        *,
        tviews: Iterable[Tview] = (),
        others: Iterable[int] = (),
        only: bool = False,
        **about: str,
    ) -> None:
        """Apply a rule to relation `oid`. others: what its second lock is on. about: for its words.

        only: ALTER TABLE ONLY, which leaves partitions alone.
        """
        rule = RULES[rule_id]
        self.rules.append(rule)
        parts = [] if oid is None or only else self.copy.parts(oid)
        if oid is not None and rule.lock is not None:
            for one in (oid, *(parts if rule.parts else ())):
                self.lock(one, rule.lock)
        if rule.other is not None:
            for one in others:
                self.lock(one, rule.other)
        if oid is not None:
            stored = [o for o in (oid, *parts) if self.copy.relation(o).kind in "rm"]
            if rule.rewrites:
                self.rewritten.update(dict.fromkeys(stored))
            if rule.scans:
                self.scanned.update(dict.fromkeys(stored))
        named = list(tviews)
        if rule.what is not None:
            table = self.copy.label(oid) if oid is not None else ""
            labels = tuple(t.label for t in named)
            words = {"table": table, "tviews": listed(labels), "column": "", "uses": "", "other": "",
                     "rows": "", **about}  # fmt: skip
            self.effects.append(
                Effect(
                    rule.what, rule.says.format(**words), labels, rule.sqlstate,
                    cures(self.copy.dialect, rule, words, named, self.copy.graph),
                )
            )  # fmt: skip

    def named(self, rangevar: Node) -> int | None:
        """The relation that a statement names, where TVIEWs have to do with it."""
        schema, name = rangevar.get("schemaname"), rangevar.get("relname", "")
        self.touched.add((schema, name))
        oid = self.copy.find(schema, name)
        return oid if oid is not None and oid >= 0 else None

    def concurrently(self, what: str) -> None:
        """A statement that no transaction may hold."""
        if self.copy.transaction or self.step.block:
            self.say("concurrently/in-transaction", other=what)

    def created(self, name: str) -> None:
        """A TVIEW that is made here."""
        self.makes = name
        self.say("tview-created", other=name)

    def create_on(self, oids: Iterable[int]) -> None:
        """Triggers are made on these tables."""
        for oid in oids:
            for one in (oid, *self.copy.parts(oid)):
                self.lock(one, Mode.SHARE_ROW_EXCLUSIVE)

    def unknown(self, rule_id: str, tview: str, what: str) -> None:
        """Of a TVIEW that is known by name only."""
        self.say(rule_id, uses=tview, other=what)

    def may_lock(self, oid: int) -> None:
        """A relation that a write reaches where its rows say so."""
        self.upto[self.copy.label(oid)] = None

    def lock(self, oid: int, mode: Mode) -> None:
        if oid not in self.copy.snapshot.by_oid:
            return
        relation = self.copy.relation(oid)
        if relation.schema == self.copy.snapshot.extension.schema:
            return  # backing views: whoever waits for one waits for the TVIEW as well
        before = self.locks.get(oid)
        if before is None or before.rank < mode.rank:
            self.locks[oid] = mode

    def heard(self) -> Statement:
        """The statement with its effects; changes the working copy as it would."""
        failing = any(e.what is What.FAILS for e in self.effects)
        locks = {} if failing else self.locks
        others = () if failing else waiting(self.copy, self.locks, self.rewritten, self.scanned)
        statement = Statement(
            self.step.source.name,
            *self.step.source.position(self.step.at),
            self.step.text,
            tuple(dict.fromkeys(r.id for r in self.rules)),
            tuple(sorted(
                dict.fromkeys([*self.effects, *others]),
                key=lambda e: (-e.severity.rank, list(What).index(e.what)),
            )),
            tuple((self.copy.label(o), m) for o, m in locks.items()),
            () if failing else tuple(self.copy.label(o) for o in self.rewritten),
            () if failing else tuple(self.upto),
            self.copy.transaction,
            self.step.sql or self.step.text,
            self.step.kind,
            self.step.node,
            self.step.block,
            self.makes,
        )  # fmt: skip
        if not failing:
            for change in self.then:
                change()
        return statement
