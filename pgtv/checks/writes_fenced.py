"""Writes are refused because TVIEWs are detached, or because attaching them did not end.

Meaning:
    pgtv upgrade detach took the extension away and put a trigger on every table that TVIEWs read, which
    refuses writes until they are attached again. The triggers are still there.

Impact:
    INSERT, UPDATE, DELETE, TRUNCATE and COPY into these tables fail with SQLSTATE 25006, for every role
    and for replication's apply. Reading works, TVIEWs included: their rows are those of when it began.

Diagnosis:
    Triggers that call the function of the schema pgtv_fence. The comment on that schema says when it
    was made and which snapshot attaching needs:
    SELECT obj_description('pgtv_fence'::regnamespace, 'pg_namespace');

Mitigation:
    Attach with the snapshot that detaching saved: pgtv upgrade attach --from FILE --apply. It goes on
    where an interrupted run ended, lets writes in once every TVIEW is registered, and compares the
    rows. Dropping the schema opens the tables at once; while TVIEWs are missing, writes then do not
    reach them, and attaching has to repair the rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv import fence
from pgtv.checks.declare import Check, Context, Provoke
from pgtv.finding import Effect, Finding, Remedy, Severity


def run(context: Context) -> Iterator[Finding]:
    fenced = fence.fenced(context.snapshot)
    if not fenced:
        return
    names = sorted(r.qualified for r in fenced)
    missing = not context.snapshot.extension.installed
    yield context.finding(
        f"schema {fence.SCHEMA}",
        f"Writes to the tables of {len(names)} TVIEWs, and to all that these read, fail (25006): they "
        "are detached, and wait for pgtv upgrade attach."
        if missing
        else f"Writes to {len(names)} tables fail (25006): they were fenced while TVIEWs were "
        "detached, and attaching did not end.",
        affects=tuple(t.label for t in context.edges.affected(r.oid for r in fenced)),
        evidence=[{"table": name} for name in names],
        remedy=Remedy(
            sql=("SET lock_timeout = '2s';", fence.lower()),
            command="pgtv upgrade attach --from SNAPSHOT --apply",
            role="superuser",
            locks=(f"ACCESS EXCLUSIVE on {', '.join(names)}",),
            note="Attach instead: it opens the tables when every TVIEW is back. The comment on the "
            "schema names the snapshot.",
            decide="It lets writes in; those to tables of TVIEWs that are still missing get lost to them.",
        ),
    )


CHECK = Check(
    id="writes-fenced",
    title="Writes are refused until TVIEWs are attached",
    group="metadata",
    severity=Severity.CRITICAL,
    effect=Effect.WRITES_FAIL,
    run=run,
    needs=("triggers", "relations"),
    extension=False,
    provoke=Provoke(
        near_miss="CREATE SCHEMA other; CREATE FUNCTION other.refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT ON public.tb_customer FOR EACH"
        " STATEMENT EXECUTE FUNCTION other.refuse();",
        break_="CREATE SCHEMA pgtv_fence; CREATE FUNCTION pgtv_fence.refuse() RETURNS trigger LANGUAGE"
        " plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '25006'; END $$;"
        ' CREATE TRIGGER "0_pgtv_fence" BEFORE INSERT OR UPDATE OR DELETE ON public.tb_customer'
        " FOR EACH STATEMENT EXECUTE FUNCTION pgtv_fence.refuse();",
        object="schema pgtv_fence",
    ),
)
