"""Mode 6: rows of the extension's catalog are gone, unreadable or point nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pgtv.drills.barriers import EXTENSION_GONE
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene
from pgtv.drills.statements import Break
from pgtv.drills.steps import repair, then_write

_WRITE = "UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 5"
_CATEGORY = "UPDATE public.tb_category SET name = 'written meanwhile' WHERE pk_category = 5"

ROW_GONE = Break("DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer'")
MAPPED_GONE = Break("DELETE FROM tviews.pg_tview_meta WHERE entity = 'search'")
PLAN_UNREADABLE = Break("UPDATE tviews.pg_tview_meta SET plan = '{}' WHERE entity = 'stock'")
TABLE_NOWHERE = Break(
    "UPDATE tviews.pg_tview_meta SET table_oid = 999999 WHERE entity = 'customer'"
)
TABLE_OTHER = Break(
    "UPDATE tviews.pg_tview_meta SET table_oid = 'public.tb_product'::regclass"
    " WHERE entity = 'customer'"
)
TABLE_COPY = Break(
    "CREATE TABLE public.tv_customer_old (LIKE public.tv_customer INCLUDING ALL);"
    "INSERT INTO public.tv_customer_old SELECT * FROM public.tv_customer;"
    "UPDATE tviews.pg_tview_meta SET table_oid = 'public.tv_customer_old'::regclass"
    " WHERE entity = 'customer'"
)
VIEW_NOWHERE = Break("UPDATE tviews.pg_tview_meta SET view_oid = 999999 WHERE entity = 'customer'")
VIEW_OTHER = Break(
    "UPDATE tviews.pg_tview_meta SET view_oid = 'tviews.public__tv_category'::regclass"
    " WHERE entity = 'customer'"
)
VIEW_GONE = Break("DROP VIEW tviews.public__tv_customer CASCADE")
ALL_GONE = Break("DELETE FROM tviews.pg_tview_meta")
DEFINITION_LOST = Break("UPDATE tviews.pg_tview_meta SET definition = '' WHERE entity = 'customer'")


DEFINITION_GONE = Break(
    "DROP VIEW tviews.public__tv_customer CASCADE;"
    " DELETE FROM tviews.pg_tview_meta WHERE entity = 'customer'"
)


def with_snapshot(how: Break, *writes: str) -> Callable[[Scene], None]:
    """A snapshot was saved in better days; then what it holds is lost from the database."""

    def inject(scene: Scene) -> None:
        file = str(Path(scene.folder()) / "good.json")
        code, said = scene.pgtv("snapshot", "save", file)
        assert code == 0, said
        scene.remembered["snapshot"] = file
        then_write(how, *writes)(scene)

    return inject


def from_snapshot(scene: Scene) -> None:
    """Registrations from the snapshot; then the rows that were missed."""
    scene.do("repair", "metadata", "--from", scene.remembered["snapshot"], "--apply", ok=(0, 1))
    scene.do("refresh", "--apply")


def attach(scene: Scene) -> None:
    """The extension, every registration and every trigger back; rows are compared."""
    scene.do("upgrade", "attach", "--from", scene.remembered["snapshot"], "--apply")


MODE = Mode(
    6, "metadata-corruption", "Metadata corruption", "extension-failures/test-metadata-corruption",
    (
        Variant(
            "row-gone", "A registration is deleted: writes are silently not propagated",
            then_write(ROW_GONE, _WRITE),
            Sees(findings=("registration-missing:public.tv_customer",)),
        ),
        Variant(
            "row-gone-mapped", "A registration is deleted: writes fail",
            then_write(MAPPED_GONE, _CATEGORY),
            Sees(errors=(("42704", ""),), findings=("registration-missing",)),
            repair,
        ),
        Variant(
            "plan-unreadable", "One unreadable plan: every write to any base table fails",
            then_write(PLAN_UNREADABLE, _WRITE),
            Sees(errors=(("XX000", ""),), findings=("plan-unreadable:public.tv_stock",)),
        ),
        Variant(
            "oid-nowhere", "A registration points at a table that is not there",
            then_write(TABLE_NOWHERE, _WRITE),
            Sees(findings=("table-mismatch",)),
            repair,
        ),
        Variant(
            "oid-of-another", "A registration points at the table of something else: writes fail",
            then_write(TABLE_OTHER, _WRITE),
            Sees(errors=(("42703", "pk_customer"),), findings=("table-mismatch:public.tv_customer",)),
        ),
        Variant(
            "oid-of-copy", "A registration points at a copy of the table: the copy is kept, silent drift",
            then_write(TABLE_COPY, _WRITE),
            Sees(findings=("table-mismatch:public.tv_customer",)),
        ),
        Variant(
            "view-oid-nowhere", "A registration points at a view that is not there: writes fail",
            then_write(VIEW_NOWHERE, _WRITE),
            Sees(errors=(("XX000", "does not exist"),), findings=("view-mismatch:public.tv_customer",)),
        ),
        Variant(
            "view-oid-of-another", "A registration points at the view of another TVIEW: writes fail",
            then_write(VIEW_OTHER, _WRITE),
            Sees(errors=(("42703", "pk_customer"),), findings=("view-mismatch:public.tv_customer",)),
        ),
        Variant(
            "view-gone", "The backing view is dropped: writes fail",
            then_write(VIEW_GONE, _WRITE),
            Sees(errors=(("XX000", ""),), findings=("view-mismatch",)),
        ),
        Variant(
            "definition-lost", "The stored definition is empty",
            DEFINITION_LOST,
            Sees(findings=("definition-disagrees",)),
        ),
        Variant(
            "definition-gone", "Registration and backing view are gone: nobody knows the definition",
            with_snapshot(DEFINITION_GONE, _WRITE),
            Sees(findings=("registration-missing",)), from_snapshot,
        ),
        Variant(
            "extension-gone", "DROP EXTENSION … CASCADE: TVIEWs stay as tables, never updated again",
            with_snapshot(EXTENSION_GONE, _WRITE),
            Sees(findings=("extension-missing",)), attach,
        ),
        Variant(
            "all-gone", "Every registration is deleted",
            then_write(ALL_GONE, _WRITE, _CATEGORY),
            Sees(findings=("registration-missing",)),
            repair,
        ),
    ),
)  # fmt: skip
