"""Mode 10: dumps and restores that leave something out."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can, until
from pgtv.drills.crash_recovery import DURABLE
from pgtv.drills.load import Load
from pgtv.drills.metadata_corruption import attach
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene, insert_marker
from pgtv.drills.statements import Break, Refusal
from pgtv.drills.steps import nothing, repair
from pgtv.errors import ClusterError

if TYPE_CHECKING:
    from pgtv.cluster.server import Server

_WRITE = "UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 5"
REFRESH = Break("SELECT tviews.pg_tviews_refresh('public.tv_customer')")
# of a product that the load does not write, and of no TVIEW that the refresh needs
PREPARED = (
    "BEGIN; INSERT INTO public.tb_stock_move (fk_product, moved_on, amount)"
    " SELECT max(pk_product), '2026-07-07', 1 FROM public.tb_product; PREPARE TRANSACTION 'drill'"
)
_ARCHIVED = DURABLE | {"archive_mode": "on", "archive_command": "/bin/true"}
_BASES = (
    "tb_category", "tb_product", "tb_customer", "tb_order", "tb_order_line", "tb_stock_move_2025",
    "tb_stock_move_2026",
)  # fmt: skip
_SEQUENCES = (
    "SELECT setval(c.oid, 100000) FROM pg_class c WHERE relkind = 'S' AND relname LIKE 'tb\\_%'"
)


def restored(
    *dump: str,
    phases: tuple[tuple[str, ...], ...] = ((),),
    before: str = "",
    after: str = "",
    form: tuple[str, ...] = ("-Fc",),
) -> Callable[[Scene], None]:
    """Dump the shop with options, restore it into a new database in `phases`, go on there."""

    def inject(scene: Scene) -> None:
        scene.commit_marker()
        if before:
            scene.sql(before)
        archive = f"{scene.server.place}/{scene.name}.dump"
        scene.server.program("pg_dump", *form, *dump, "-f", archive, database=scene.name)
        other = scene.fresh_database("r")
        for phase in phases:
            _restore(scene, other, *phase, archive)
        scene.name = other
        if after:
            scene.sql(after)
        scene.try_(_WRITE)

    return inject


def _restore(scene: Scene, database: str, *args: str) -> None:
    """pg_restore goes on after errors, and so do people: they are noted."""
    try:
        scene.server.program("pg_restore", "-d", database, *args)
    except ClusterError as e:
        errors = [x.partition("ERROR:")[2].strip() for x in e.message.splitlines() if "ERROR" in x]
        scene.refused += [Refusal("pg_restore", x, "pg_restore") for x in errors[:3]]


def by_schema(scene: Scene) -> None:
    """Schema by schema is not the whole: the extension and what it keeps are in none of them."""
    file = str(Path(scene.folder()) / "beside.json")
    code, said = scene.pgtv("snapshot", "save", file)
    assert code == 0, said
    scene.remembered["snapshot"] = file
    restored("-n", "public", "-n", '"Sales Dept"')(scene)


def without_table(scene: Scene) -> None:
    """A table is left out, and takes with it every registration: they are one COPY."""
    file = str(Path(scene.folder()) / "beside.json")
    code, said = scene.pgtv("snapshot", "save", file)
    assert code == 0, said
    scene.remembered |= {"snapshot": file, "source": scene.name}
    restored("-T", "public.tb_category")(scene)


def bring_the_table(scene: Scene) -> None:
    """The table from where it still is, then what could not be restored without it."""
    archive = f"{scene.server.place}/{scene.name}.table"
    scene.steps.append("pg_dump that table where it still is, pg_restore it here")
    scene.server.program(
        "pg_dump", "-Fc", "-t", "public.tb_category", "-f", archive,
        database=scene.remembered["source"],
    )  # fmt: skip
    scene.server.program("pg_restore", "-d", scene.name, archive)
    scene.paste(
        "ALTER TABLE public.tb_product ADD FOREIGN KEY (fk_category) REFERENCES public.tb_category;"
    )
    attach(scene)


def base_backup(scene: Scene) -> None:
    """A base backup is taken while transactions are open and others commit; a server starts on it."""
    server = cast("Server", scene.server)
    scene.open().execute(f"BEGIN; {_WRITE}".encode())
    scene.commit_marker()
    copy = server.backup(DURABLE)
    scene.more_servers.append(copy)
    copy.start()
    scene.server = copy


def _archive(server: Server) -> Path:
    """A folder beside the server's, and the command that fills it."""
    folder = server.root / "archive"
    folder.mkdir()
    folder.chmod(0o777)
    server.configure({"archive_command": f"cp %p {folder}/%f"})
    server.reload()
    return folder


def point_in_time(scene: Scene) -> None:
    """Recovered to a point between two commits: the first is there, the second is not."""
    server = cast("Server", scene.server)
    scene.commit_marker()
    archive = _archive(server)
    copy = server.backup(DURABLE)
    scene.more_servers.append(copy)
    marker = scene.commit_marker()
    (point,) = scene.rows("SELECT pg_current_wal_lsn()::text")[0]
    scene.sql(insert_marker("marker after"))
    _recovered_to(scene, copy, archive, point)
    names = [r[0] for r in scene.rows("SELECT name FROM public.tb_customer")]
    assert marker in names, "the commit before the point is not there"
    assert "marker after" not in names, "the commit after the point is there"


def point_under_load(scene: Scene) -> None:
    """Backup and point both fall into a load; at the point a refresh is half-way, and one is prepared."""
    server = cast("Server", scene.server)
    archive = _archive(server)
    reader = scene.open()
    with Load(scene, random.Random(7)) as load:  # noqa: S311
        _acknowledged(load, 5)
        copy = server.backup(DURABLE)
        scene.more_servers.append(copy)
        _acknowledged(load, 10)
        with scene.connect() as session:
            session.execute(PREPARED.encode())
        # the refresh has emptied one TVIEW, and waits for a reader of the next
        reader.execute('BEGIN; SELECT count(*) FROM "Sales Dept".tv_order')
        scene.wait_behind(REFRESH.sql)
        before = load.acknowledged()
        (point,) = scene.rows("SELECT pg_current_wal_lsn()::text")[0]
        reader.execute("ROLLBACK")
        _acknowledged(load, len(before) + 5)
    scene.settle()
    after = set(scene.acknowledged) - set(before)
    scene.acknowledged = before  # only these must be there
    _recovered_to(scene, copy, archive, point)
    names = {r[0] for r in scene.rows("SELECT name FROM public.tb_customer")}
    assert len(names & after) < len(after), "commits after the point are there"


def _acknowledged(load: Load, count: int) -> None:
    until(lambda: len(load.acknowledged()) >= count, "the load does not go on")


def _recovered_to(scene: Scene, copy: Server, archive: Path, point: str) -> None:
    """The scene goes on at the copy, which has replayed the archive up to the point."""
    scene.sql("SELECT pg_switch_wal()")
    scene.until_true("SELECT archived_count > 0 FROM pg_stat_archiver WHERE last_archived_wal >="
                     f" pg_walfile_name('{point}')")  # fmt: skip
    copy.configure(
        {
            "restore_command": f"cp {archive}/%f %p", "recovery_target_lsn": point,
            "recovery_target_action": "promote", "archive_mode": "off",
        }
    )  # fmt: skip
    (copy.data / "recovery.signal").touch()
    copy.start()
    scene.server = copy
    scene.until_true("SELECT NOT pg_is_in_recovery()")
    until(
        lambda: not any(f.check == "unlogged-reset" for f in scene.doctor().findings),
        "no worker refilled the UNLOGGED TVIEWs",
    )


def renamed_back(scene: Scene) -> None:
    """Registered again under the new name; then the rename is taken back, as it was before it."""
    repair(scene)
    scene.paste('ALTER TABLE "Sales Dept".tb_line RENAME TO tb_order_line;')
    repair(scene)


MODE = Mode(
    10, "backup-restore", "Backup and restore", "operational/test-backup-restore",
    (
        Variant(
            "full", "A full dump: everything comes back registered and live", restored(),
            Sees(equal=True), nothing,
        ),
        Variant(
            "jobs", "A directory dump and its restore by parallel jobs: everything comes back",
            restored(form=("-Fd", "-j", "2"), phases=(("-j", "4"),)), Sees(equal=True), nothing,
        ),
        Variant(
            "by-schema", "Dumped by schema (-n public …): the extension and registrations are missing",
            by_schema,
            Sees(errors=(("pg_restore", 'schema "tviews" does not exist'),),
                 findings=("extension-missing",)),
            attach,
        ),
        Variant(
            "without-table", "A dump without a base table (-T): no registration comes back",
            without_table,
            Sees(errors=(("pg_restore", 'relation "public.tb_category" does not exist'),),
                 findings=("registration-missing",)),
            bring_the_table,
        ),
        Variant(
            "schema-only", "A schema-only dump, base rows loaded afterwards: nothing is registered",
            restored(
                phases=(("-s",), ("-a", "--disable-triggers",
                                  *(part for t in _BASES for part in ("-t", t)))),
                after=_SEQUENCES,
            ),
            Sees(findings=("registration-missing:public.tv_customer",)), repair,
        ),
        Variant(
            "disable-triggers", "Restored in parts, data with --disable-triggers: OIDs point nowhere",
            restored(phases=(("--section=pre-data",), ("--section=post-data",),
                             ("-a", "--disable-triggers"))),
            Sees(findings=("reads-disagree",)), repair,
        ),
        Variant(
            "without-tview-rows", "A dump without the rows of tv_ tables: TVIEWs are empty, health OK",
            restored("--exclude-table-data=*.tv_*"),
            Sees(findings=("tview-empty:public.tv_category", "drift:public.tv_category"), verify=True),
            repair,
        ),
        Variant(
            "without-catalog-rows", "A dump without the rows of the extension's catalog",
            restored("--exclude-table-data=tviews.*"),
            Sees(findings=("registration-missing:public.tv_customer",)),
        ),
        Variant(
            "without-triggers", "Restored without the post-data section: no trigger, no index",
            restored(phases=(("--section=pre-data",), ("--section=data",))),
            Sees(findings=("trigger-missing",)), repair,
        ),
        Variant(
            "after-rename", "A base table was renamed before the dump: the catalog's rows fail to load",
            restored(before='ALTER TABLE "Sales Dept".tb_order_line RENAME TO tb_line'),
            Sees(errors=(("pg_restore", "names tables that do not exist"),),
                 findings=("registration-missing",)),
            renamed_back,
        ),
        Variant(
            "base-backup", "A base backup taken while transactions are open", base_backup,
            Sees(equal=True), nothing, (Can.BACKUP,), Wish(DURABLE), own=True,
        ),
        Variant(
            "point-in-time", "Recovered to a point between two commits", point_in_time,
            Sees(equal=True), nothing, (Can.BACKUP, Can.HOST),
            Wish(_ARCHIVED), own=True,
        ),
        Variant(
            "point-in-load", "Recovered to a point in a load: a refresh half-way, one prepared",
            point_under_load,
            Sees(findings=("prepared-orphan:drill",), thresholds={"prepared-orphan.age_seconds": 0},
                 equal=True),
            None, (Can.BACKUP, Can.HOST), Wish(_ARCHIVED), own=True,
        ),
    ),
)  # fmt: skip
