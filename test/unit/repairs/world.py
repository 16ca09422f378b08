"""A small snapshot, made by hand: two TVIEWs, one reading the other."""

from __future__ import annotations

from pgtv.catalog.model import (
    Column,
    Extension,
    Grant,
    Read,
    Relation,
    Role,
    Server,
    Snapshot,
    Trigger,
    Tview,
)

CUSTOMER_QUERY = "SELECT pk_customer FROM public.tb_customer"


def _relation(oid: int, name: str, kind: str = "r", schema: str = "public") -> Relation:
    key = "pk_" + name.split("tv_")[-1]
    return Relation(
        oid, schema, name, f"{schema}.{name}", kind, "app", columns=(Column(key, "bigint", 1),),
        definition=CUSTOMER_QUERY if kind == "v" else None,
    )  # fmt: skip


def _tview(entity: str, table: int, view: int, **raw: object) -> Tview:
    return Tview(
        entity, "public", f"tv_{entity}", table, view, f"SELECT pk_{entity} FROM tb_{entity}",
        table_name=f"public.tv_{entity}", identity=(f"pk_{entity}",),
        raw={"entity": entity, "created_at": "2026-01-01", "uncascaded_policy": "error", **raw},
    )  # fmt: skip


def snapshot() -> Snapshot:
    """tv_order reads tv_customer, which reads tb_customer."""
    return Snapshot(
        taken_at="2026-11-22T00:00:00+00:00",
        pgtv_version="0",
        server=Server(version_num=180006, database="shop", is_superuser=True),
        extension=Extension("current", True, schema="tviews", owner="postgres", preloaded=True),
        tviews=(_tview("order", 21, 22), _tview("customer", 11, 12, graphql_typename="Guest")),
        relations=(
            _relation(10, "tb_customer"),
            _relation(11, "tv_customer"),
            _relation(12, "public__tv_customer", "v", "tviews"),
            _relation(20, "tb_order"),
            _relation(21, "tv_order"),
            _relation(22, "public__tv_order", "v", "tviews"),
        ),
        reads=(Read(12, 10), Read(22, 20), Read(22, 11)),
        grants=(Grant(11, "PUBLIC", "SELECT"),),
        roles=(Role("postgres", superuser=True), Role("app")),
        triggers=(
            Trigger(1, 10, "trg", "tviews.pg_tview_trigger_handler", "row", "customer", 29, "O"),
        ),
    )
