"""Dumps, restores, upgrades, libraries and standbys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from declare import ANYWHERE, CUSTOMER, EVERY, FAILS, RISK, STOCK, WRONG, Beyond, Fault

if TYPE_CHECKING:
    from bench import Bench


_ENUM = """CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE public.tb_pet (pk_pet bigint PRIMARY KEY, mood public.mood NOT NULL);
INSERT INTO public.tb_pet SELECT g, (ARRAY['sad','ok','happy'])[1 + g % 3]::public.mood
    FROM generate_series(1, 20) g;
SELECT tviews.pg_tviews_create_or_replace('public.tv_pet', $$
    SELECT p.pk_pet, jsonb_build_object('mood', p.mood) AS data FROM public.tb_pet p $$)"""


def _restore(*dump: str, restore: tuple[str, ...] = (), before: str = "", after: str = ""):
    """Dump the shop with options, restore it into a new database and look there."""

    def inject(bench: Bench) -> None:
        bench.restore(dump, restore, before, after)

    return inject


def data_only(bench: Bench) -> None:
    """The rows of a base table come back with --disable-triggers, over rows that were lost."""
    bench.program("pg_dump", "-Fc", "-a", "-t", "public.tb_customer", "-f", bench.file("rows"))
    bench.sql(
        "UPDATE public.tb_customer SET name = 'damaged' WHERE pk_customer < 20;"
        "SET session_replication_role = replica; DELETE FROM public.tb_customer;"
    )
    bench.program("pg_restore", "-a", "--disable-triggers", "-d", bench.name, bench.file("rows"))


def no_preload(bench: Bench) -> None:
    """The server comes back without shared_preload_libraries."""
    bench.server.configure({"shared_preload_libraries": ""})
    bench.server.restart()


def attach_without_library(bench: Bench) -> None:
    """DDL of a session that never loaded the library: nobody compares the rows."""
    no_preload(bench)
    bench.sql(
        """CREATE TABLE public.old_moves (LIKE public.tb_stock_move INCLUDING DEFAULTS);
        INSERT INTO public.old_moves (pk_stock_move, fk_product, moved_on, amount)
            SELECT 900000 + g, g, '2024-03-03', 4 FROM generate_series(1, 30) g;
        ALTER TABLE public.tb_stock_move ATTACH PARTITION public.old_moves
            FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"""
    )


def rename_without_library(bench: Bench) -> None:
    """The documents hold the enum's old name."""
    no_preload(bench)
    bench.sql("ALTER TYPE public.mood RENAME VALUE 'ok' TO 'fine'")


def older_library(bench: Bench) -> None:
    """The package went back to the release before; the catalog did not."""
    bench.other_binaries("0.1.0-beta.33")


def older_catalog(bench: Bench) -> None:
    """The package was updated; ALTER EXTENSION … UPDATE was forgotten."""
    bench.sql(
        "UPDATE pg_extension SET extversion = '0.1.0-beta.33' WHERE extname = 'pg_tviews';"
        "CREATE OR REPLACE FUNCTION tviews.pg_tviews_catalog_revision() RETURNS integer"
        " LANGUAGE sql IMMUTABLE AS 'SELECT 9'"
    )


def subscriber(bench: Bench) -> None:
    """Logical replication applies rows to a base table: no trigger fires."""
    bench.subscribe("public.tb_customer", "UPDATE {} SET name = 'applied' WHERE pk_customer = 44")


def archive_fails(bench: Bench) -> None:
    """archive_command fails, WAL piles up."""
    bench.sql("SELECT pg_switch_wal()")
    bench.until("SELECT failed_count > 0 FROM pg_stat_archiver")


FAULTS = (
    Fault(
        "extension-dropped", "DROP EXTENSION … CASCADE: the tables stay, nothing keeps them", 10,
        (*EVERY, "*"), WRONG, "DROP EXTENSION pg_tviews CASCADE",
    ),
    Fault(
        "extension-dropped-and-created", "The extension was dropped and created again", 10,
        (*EVERY, "*"), WRONG, "DROP EXTENSION pg_tviews CASCADE; CREATE EXTENSION pg_tviews",
    ),
    Fault(
        "extension-half-dropped", "The extension's functions are gone, its catalog stands", 10,
        (*EVERY, "*"), FAILS,
        """ALTER EXTENSION pg_tviews DROP FUNCTION tviews.pg_tview_flush_trigger();
        DROP FUNCTION tviews.pg_tview_flush_trigger() CASCADE""",
    ),
    Fault(
        "restore-schema-only", "Restored from pg_dump --schema-only, rows loaded afterwards", 10,
        (*EVERY, "*"), WRONG,
        _restore(restore=("BASE",)),
    ),
    Fault(
        "restore-disable-triggers", "Restored in parts, data with --disable-triggers", 10,
        (*EVERY, "*"), WRONG, _restore(restore=("--disable-triggers", "SPLIT")),
    ),
    Fault(
        "restore-without-tview-rows", "Restored from a dump that left out the rows of tv_ tables",
        10, EVERY, WRONG, _restore("--exclude-table-data=*.tv_*"),
    ),
    Fault(
        "restore-one-schema", "Restored from pg_dump -n public", 10, (*EVERY, "*"), WRONG,
        _restore("-n", "public"),
        beyond=(Beyond.FILE, "What the other TVIEWs read was not restored; it is in the backup."),
    ),
    Fault(
        "restore-without-catalog-rows", "Restored from a dump without the rows of the catalog", 10,
        (*EVERY, "*"), WRONG, _restore("--exclude-table-data=tviews.*"),
    ),
    Fault(
        "restore-after-rename", "Restored from a dump that was taken after a base table's rename",
        10, (*EVERY, "*"), WRONG,
        _restore(before='ALTER TABLE "Sales Dept".tb_order_line RENAME TO tb_line'),
    ),
    Fault(
        "restore-no-triggers", "Restored without the post-data section", 10, (*EVERY, "*"), WRONG,
        _restore(restore=("--section=pre-data", "--section=data")),
    ),
    Fault(
        "restore-one-table", "The rows of a base table restored with --disable-triggers", 10,
        (CUSTOMER,), WRONG, data_only,
    ),
    Fault(
        "not-preloaded", "The library is not preloaded", 9, ANYWHERE, RISK, no_preload, settings={},
        beyond=(Beyond.RESTART, "shared_preload_libraries counts from the next start."),
    ),
    Fault(
        "not-preloaded-attach", "A filled partition is attached while the library is not preloaded",
        9, (STOCK, "public.tb_stock_move", "public.old_moves", "*"), WRONG, attach_without_library,
        settings={},
        writes=(
            "INSERT INTO public.old_moves (fk_product, moved_on, amount) VALUES (1, '2024-07-07', 5)",
        ),
        sqlstate="55000",
        beyond=(
            Beyond.RESTART,
            "Rows are brought; shared_preload_libraries counts from the next start.",
        ),
    ),
    Fault(
        "not-preloaded-enum", "An enum's value is renamed while the library is not preloaded", 9,
        ("public.tv_pet", "*"), WRONG, rename_without_library, settings={}, setup=_ENUM,
        beyond=(
            Beyond.RESTART,
            "Rows are brought; shared_preload_libraries counts from the next start.",
        ),
    ),
    Fault(
        "library-older", "The library is older than the catalog", 9, ANYWHERE, FAILS, older_library,
        settings={}, majors=(18,),
        beyond=(Beyond.FILE, "The newer library has to be installed again."),
    ),
    Fault(
        "catalog-older", "The catalog is older than the library", 9, ANYWHERE, FAILS, older_catalog,
        sqlstate="55000",
    ),
    Fault(
        "subscription-applied", "A subscription has applied rows to a base table", 11,
        (CUSTOMER, "public.tb_customer"), WRONG, subscriber, settings={},
        beyond=(
            Beyond.DECISION,
            "The rows are brought; as long as it applies more they are missed: replicate the "
            "tv_ table instead, or refresh on a schedule.",
        ),
    ),
    Fault(
        "archive-fails", "archive_command fails and WAL piles up", 2, ANYWHERE, RISK, archive_fails,
        settings={"archive_mode": "on", "archive_command": "/bin/false"},
        beyond=(
            Beyond.ELSEWHERE,
            "The archive has to take files again: what archive_command writes to.",
        ),
    ),
)  # fmt: skip
