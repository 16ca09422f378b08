"""A snapshot made by hand: two tables, a helper view, three TVIEWs that read each other."""

from __future__ import annotations

from pgtv.catalog.model import (
    Column,
    Constraint,
    Extension,
    Function,
    Index,
    Read,
    Relation,
    Role,
    Server,
    Setting,
    Snapshot,
    Trigger,
    Tview,
)

CUSTOMER, ORDER, OPEN = 1, 2, 3
OWNER = "shop_owner"
FOREIGN = Constraint("tb_order_fk_customer_fkey", "f", "public.tb_order")


def _columns(**types: str) -> tuple[Column, ...]:
    return tuple(Column(n, t, i, n.startswith("pk_")) for i, (n, t) in enumerate(types.items(), 1))


DEFINITIONS = {
    "customer": "SELECT c.pk_customer, jsonb_build_object('name', c.name, 'email', shout(c.email)) AS data"
    " FROM tb_customer c",
    "order": "SELECT o.pk_order, o.fk_customer, jsonb_build_object('c', v.data) AS data FROM tb_order o"
    " JOIN tv_customer v ON v.pk_customer = o.fk_customer",
    "basket": "SELECT o.fk_customer AS pk_basket, count(*) AS n FROM v_open o GROUP BY o.fk_customer",
    "report": "SELECT o.pk_order AS pk_report, o.data FROM tv_order o",
}
READS = {
    "customer": ((CUSTOMER, ("pk_customer", "name", "email")),),
    "order": ((ORDER, ("pk_order", "fk_customer")), (10, ("pk_customer", "data"))),
    "basket": ((OPEN, ("fk_customer",)),),
    "report": ((11, ("pk_order", "data")),),
}
CARRIES = {"customer": (CUSTOMER,), "order": (ORDER,), "basket": (ORDER,), "report": ()}


def snapshot(*, rows: int = 1000) -> Snapshot:
    """tv_report reads tv_order, which reads tv_customer; tv_basket reads tb_order through v_open."""
    relations = [
        Relation(CUSTOMER, "public", "tb_customer", "public.tb_customer", "r", OWNER, relpages=1000,
                 reltuples=rows, constraints=(FOREIGN,),
                 columns=_columns(pk_customer="bigint", name="text", email="text", note="varchar(10)")),
        Relation(ORDER, "public", "tb_order", "public.tb_order", "r", OWNER, relpages=5, reltuples=rows,
                 constraints=(FOREIGN,),
                 columns=_columns(pk_order="bigint", fk_customer="bigint", status="text")),
        Relation(OPEN, "public", "v_open", "public.v_open", "v", OWNER,
                 columns=_columns(pk_order="bigint", fk_customer="bigint"),
                 definition=" SELECT pk_order, fk_customer FROM tb_order o WHERE status = 'open'::text;"),
    ]  # fmt: skip
    tviews, reads, triggers = (
        [],
        [Read(OPEN, ORDER, columns=("pk_order", "fk_customer", "status"))],
        [],
    )
    for number, (entity, definition) in enumerate(DEFINITIONS.items()):
        table, view = 10 + number, 20 + number
        name = f"tv_{entity}"
        relations.append(
            Relation(table, "public", name, f"public.{name}", "r", OWNER, reltuples=rows,
                     columns=_columns(**{f"pk_{entity}": "bigint", "data": "jsonb"}))
        )  # fmt: skip
        relations.append(
            Relation(view, "tviews", f"public__{name}", f"tviews.public__{name}", "v", OWNER,
                     definition=definition)
        )  # fmt: skip
        tviews.append(
            Tview(entity, "public", name, table, view, definition, f"public.{name}",
                  identity=(f"pk_{entity}",), options={"logged": True, "fillfactor": 85})
        )  # fmt: skip
        reads += [Read(view, oid, columns=columns) for oid, columns in READS[entity]]
        for oid in CARRIES[entity]:
            for kind, kind_type in (("row", 29), ("flush", 28), ("truncate", 32)):
                triggers.append(
                    Trigger(1000 + len(triggers), oid, f"trg_tview_{kind}_{entity}", "tviews.f", kind, entity,
                            kind_type, "O")
                )  # fmt: skip
    reads.append(Read(20, function=500))
    return Snapshot(
        "now", "0", Server(180000, database="shop", host="db1"),
        Extension("current", True, schema="tviews", owner="postgres"),
        tviews=tuple(tviews), relations=tuple(relations), reads=tuple(reads), triggers=tuple(triggers),
        functions=(Function("public.shout(text)", 500, OWNER, "immutable", "sql"),),
        indexes=(Index(CUSTOMER, "tb_customer_pkey", ("pk_customer",), True, True, constraint=True),
                 Index(10, "tv_customer_pkey", ("pk_customer",), True, True, constraint=True)),
        roles=(Role("postgres", True, True), Role(OWNER)),
        settings=(Setting("pg_tviews.max_queue_size", "1000000"),),
    )  # fmt: skip
