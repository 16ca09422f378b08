"""Mode 8: the extension's triggers are disabled, dropped, bypassed, or meet a user's trigger."""

from __future__ import annotations

from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene
from pgtv.drills.statements import Break
from pgtv.drills.steps import repair, then_write

_BASE = "public.tb_customer"
_WRITE = f"UPDATE {_BASE} SET name = 'written meanwhile' WHERE pk_customer = 5"
_ROW = Break("trg_tview_row_customer_on_public_tb_customer").sql
DISABLED = Break(f"ALTER TABLE {_BASE} DISABLE TRIGGER {_ROW}")
DROPPED = Break(f"DROP TRIGGER {_ROW} ON {_BASE}")
FLUSH_DISABLED = Break(
    f"""ALTER TABLE {_BASE}
    DISABLE TRIGGER trg_tview_flush_customer_on_public_tb_customer,
    DISABLE TRIGGER trg_tview_flush_basket_on_public_tb_customer,
    DISABLE TRIGGER trg_tview_flush_segment_on_public_tb_customer"""
)
BULK_LOAD = Break(
    f"""ALTER TABLE {_BASE} DISABLE TRIGGER USER;
    UPDATE {_BASE} SET name = 'loaded' WHERE pk_customer < 20;
    ALTER TABLE {_BASE} ENABLE TRIGGER USER"""
)
BYPASSED = Break(
    f"""SET session_replication_role = replica;
    UPDATE {_BASE} SET name = 'bypassed' WHERE pk_customer < 20"""
)
RECURSIVE = Break(
    f"""CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE {_BASE} SET email = email || '.' WHERE pk_customer = NEW.pk_customer; RETURN NULL; END $$;
    CREATE TRIGGER again AFTER UPDATE ON {_BASE} FOR EACH ROW EXECUTE FUNCTION public.again()"""
)
HANDLER = Break(
    """CREATE OR REPLACE FUNCTION tviews.pg_tview_trigger_handler() RETURNS trigger
    LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"""
)
_DRIFTED = Sees(findings=("drift:public.tv_customer",), verify=True)


def leased(scene: Scene) -> None:
    """Triggers are disabled for a load by a lease, which outlives its time; writes are missed."""
    scene.commit_marker()
    for args in (
        ("init", "--apply"),
        ("triggers", "disable", "tv_customer", "--for", "1s", "--reason", "drill", "--apply",
         "--receipt", f"{scene.folder()}/receipt.json"),
    ):  # fmt: skip
        code, said = scene.pgtv(*args)
        assert code == 0, said
    scene.try_(_WRITE)


def end_lease(scene: Scene) -> None:
    """Every state as it was before the lease, and the rows that were missed."""
    scene.do("triggers", "enable", "--apply")


MODE = Mode(
    8, "triggers", "Triggers disabled, dropped or bypassed", "extension-failures/test-triggers",
    (
        Variant(
            "disabled", "A row trigger is disabled and a write is missed: silent drift",
            then_write(DISABLED, _WRITE),
            Sees(findings=(f"trigger-disabled:{_BASE}", "drift:public.tv_customer"), verify=True),
        ),
        Variant(
            "dropped", "A row trigger is dropped and a write is missed: silent drift",
            then_write(DROPPED, _WRITE),
            Sees(findings=(f"trigger-missing:{_BASE}", "drift:public.tv_customer"), verify=True),
            repair,
        ),
        Variant(
            "lease", "A lease of disabled triggers has run out and nobody enabled them",
            leased, Sees(findings=("trigger-lease", "drift:public.tv_customer"), verify=True),
            end_lease,
        ),
        Variant(
            "bulk-load", "Triggers are disabled, rows are loaded, triggers are enabled again",
            then_write(BULK_LOAD), _DRIFTED, repair,
        ),
        Variant(
            "bypassed", "Rows are written with session_replication_role = replica",
            then_write(BYPASSED), _DRIFTED,
        ),
        Variant(
            "partly-disabled", "Flush triggers alone are disabled: writes fail",
            then_write(FLUSH_DISABLED, _WRITE),
            Sees(errors=(("55000", "queued"),), findings=(f"trigger-disabled:{_BASE}",)),
        ),
        Variant(
            "recursive", "A user's trigger writes its table again without end: writes fail",
            then_write(RECURSIVE, _WRITE),
            Sees(errors=(("54001", "stack depth"),), findings=("trigger-endless:public.tb_customer",)),
        ),
        Variant(
            "handler-replaced", "The extension's trigger function is replaced by one that does nothing",
            then_write(HANDLER, _WRITE),
            Sees(findings=("trigger-function", "drift:public.tv_customer"), verify=True),
        ),
    ),
)  # fmt: skip
