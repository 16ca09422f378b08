"""A user's trigger on a base table fires itself without end, alone or by way of another table's.

Meaning:
    A trigger's function does again, under no condition, what fired it: a row trigger for UPDATE
    updates the very row, one for INSERT inserts into its own table, a statement trigger runs a
    statement of its own kind on its own table. Or triggers of several tables write each other's, each
    under no condition.

Impact:
    Every such write sets off the next one, until it fails with SQLSTATE 54001 (stack depth, or the
    propagation depth of TVIEWs, whichever is reached first). Nothing is written. Triggers of several
    tables do so as soon as each finds a row to write.

Diagnosis:
    The text of PL/pgSQL functions of triggers without WHEN and without a list of columns. Only a text
    without any condition at all counts (no IF, CASE, LOOP, exception, or question about depth or
    settings), so what is reported does not end. A ring over several tables counts where each statement
    is an INSERT of values, or an UPDATE that asks for no difference: it is a warning, for which rows
    there are is not looked at. Dynamic SQL cannot be seen.

Mitigation:
    Let a BEFORE trigger assign to NEW instead of updating the row, or give the trigger a condition
    under which it stops (in an UPDATE: AND column IS DISTINCT FROM value). Disabling it, or one of a
    ring, lets writes through meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.dialects.base import ident
from pgtv.catalog.model import Relation, Trigger
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.checks.spelled import relations_named
from pgtv.checks.trigger_faults import FIRES, SHARE_ROW_EXCLUSIVE, as_before, fires, timing
from pgtv.finding import Effect, Finding, Remedy, Severity

_BITS = {"INSERT": 4, "UPDATE": 16}


def run(context: Context) -> Iterator[Finding]:
    snapshot = context.snapshot
    for trigger in snapshot.triggers:
        relation = snapshot.by_oid.get(trigger.relation)
        if not trigger.repeats or not relation or trigger.kind or not fires(trigger):
            continue
        affects = context.affected(relation.oid)
        if (
            trigger.parent is not None
            or not affects
            or relation not in relations_named(snapshot, trigger.repeats)
        ):
            continue
        disable = f"ALTER TABLE {relation.qualified} DISABLE TRIGGER {ident(trigger.name)};"
        yield context.finding(
            relation.qualified,
            f"The trigger {trigger.name} on {relation.qualified} does again what fired it, under no "
            "condition: each such write sets off the next, until it fails with SQLSTATE 54001.",
            key=trigger.name,
            affects=affects,
            evidence=[
                {
                    "trigger": trigger.name, "timing": timing(trigger.type),
                    "function": trigger.function, "enabled": FIRES[trigger.enabled],
                    "writes": ", ".join(trigger.repeats),
                }
            ],
            remedy=Remedy(
                sql=("SET lock_timeout = '2s';", disable),
                role=f"the owner of {relation.qualified}, or a superuser",
                locks=(f"{SHARE_ROW_EXCLUSIVE} on {relation.qualified}",),
                undo=as_before(context.snapshot, [trigger]),
                note="It is somebody's own, but no write that fires it succeeds: a BEFORE trigger that "
                "assigns to NEW does the same and ends.",
            ),
        )  # fmt: skip
    yield from _rings(context)


def _rings(context: Context) -> Iterator[Finding]:
    """Triggers of several tables that fire each other; each ring once."""
    snapshot = context.snapshot
    own = [
        t for t in snapshot.triggers if t.always and not t.kind and t.parent is None and fires(t)
    ]
    fired: dict[int, list[Trigger]] = {
        t.oid: [u for u in own if u.relation != t.relation and _fires(context, t, u)] for t in own
    }
    told: set[frozenset[int]] = set()
    for first in own:
        ring = _shortest(fired, first)
        members = frozenset(t.oid for t in ring)
        if not ring or members in told:
            continue
        told.add(members)
        tables = [snapshot.by_oid[t.relation] for t in ring]
        affects = context.affected(*(t.oid for t in tables))
        if affects:
            yield _ring(context, ring, tables, affects)


def _fires(context: Context, one: Trigger, other: Trigger) -> bool:
    relation = context.snapshot.by_oid.get(other.relation)
    for statement in one.always:
        event, _, name = statement.partition(" ")
        if other.type & _BITS[event] and relation in relations_named(context.snapshot, [name]):
            return True
    return False


def _shortest(fired: dict[int, list[Trigger]], first: Trigger) -> list[Trigger]:
    """The shortest way from `first` back to it, without it at the end; empty when there is none."""
    ways, seen = [[first]], {first.oid}
    while ways:
        way = ways.pop(0)
        for follower in fired[way[-1].oid]:
            if follower.oid == first.oid:
                return way
            if follower.oid not in seen:
                seen.add(follower.oid)
                ways.append([*way, follower])
    return []


def _ring(
    context: Context, ring: list[Trigger], tables: list[Relation], affects: tuple[str, ...]
) -> Finding:
    names = [f"{t.name} on {r.qualified}" for t, r in zip(ring, tables, strict=True)]
    youngest = max(ring, key=lambda t: t.oid)
    table = context.snapshot.by_oid[youngest.relation]
    return context.finding(
        table.qualified,
        f"Triggers fire each other in a ring: {' → '.join([*names, names[0]])}. None has a condition:"
        " once each finds a row to write, writes to these tables fail with SQLSTATE 54001.",
        key=youngest.name,
        severity=Severity.WARNING,
        effect=Effect.RISK,
        affects=affects,
        evidence=[
            {
                "trigger": t.name, "on": r.qualified, "timing": timing(t.type),
                "function": t.function, "runs": ", ".join(t.always),
            }
            for t, r in zip(ring, tables, strict=True)
        ],
        remedy=Remedy(
            sql=(
                "SET lock_timeout = '2s';",
                f"ALTER TABLE {table.qualified} DISABLE TRIGGER {ident(youngest.name)};",
            ),
            role=f"the owner of {table.qualified}, or a superuser",
            locks=(f"{SHARE_ROW_EXCLUSIVE} on {table.qualified}",),
            undo=as_before(context.snapshot, [youngest]),
            note="Its statement may ask for a difference instead (AND column IS DISTINCT FROM value): "
            "then the ring ends by itself.",
            decide="This disables the youngest of them; which one has to go or to end, their authors "
            "know.",
        ),
    )  # fmt: skip


CHECK = Check(
    id="trigger-endless",
    title="A trigger fires itself without end",
    group="triggers",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("tviews", "triggers", "relations"),
    provoke=Provoke(
        near_miss="CREATE FUNCTION public.once() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.email NOT LIKE ''%.'' THEN UPDATE public.tb_customer SET email = email"
        " || ''.'' WHERE pk_customer = NEW.pk_customer; END IF; RETURN NULL; END';"
        " CREATE TRIGGER once AFTER UPDATE ON public.tb_customer"
        " FOR EACH ROW EXECUTE FUNCTION public.once();"
        " CREATE FUNCTION public.other() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE public.tb_customer SET email = email WHERE pk_customer = NEW.pk_customer;"
        " RETURN NULL; END';"
        " CREATE TRIGGER other AFTER INSERT OR UPDATE OF name ON public.tb_customer"
        " FOR EACH ROW EXECUTE FUNCTION public.other();",
        break_="CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE public.tb_customer AS c SET email = ''where; '' || c.email"
        " WHERE c.pk_customer = NEW.pk_customer; RETURN NULL; END';"
        " CREATE TRIGGER again AFTER UPDATE ON public.tb_customer"
        " FOR EACH ROW EXECUTE FUNCTION public.again();",
        object="public.tb_customer",
    ),
)
