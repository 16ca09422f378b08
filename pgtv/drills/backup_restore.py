"""Mode 10: dumps and restores that leave something out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can
from pgtv.drills.crash_recovery import DURABLE
from pgtv.drills.model import Mode, Refusal, Sees, Variant
from pgtv.drills.scene import Scene, insert_marker
from pgtv.drills.steps import nothing, repair
from pgtv.errors import ClusterError

if TYPE_CHECKING:
    from pgtv.cluster.server import Server

_WRITE = "UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 5"
_BASES = (
    "tb_category", "tb_product", "tb_customer", "tb_order", "tb_order_line", "tb_stock_move_2025",
    "tb_stock_move_2026",
)  # fmt: skip
_SEQUENCES = (
    "SELECT setval(c.oid, 100000) FROM pg_class c WHERE relkind = 'S' AND relname LIKE 'tb\\_%'"
)


def restored(
    *dump: str, phases: tuple[tuple[str, ...], ...] = ((),), before: str = "", after: str = ""
) -> Callable[[Scene], None]:
    """Dump the shop with options, restore it into a new database in `phases`, go on there."""

    def inject(scene: Scene) -> None:
        scene.commit_marker()
        if before:
            scene.sql(before)
        archive = f"{scene.server.place}/{scene.name}.dump"
        scene.server.program("pg_dump", "-Fc", *dump, "-f", archive, database=scene.name)
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
    with scene.connect() as session:
        session.execute(insert_marker("marker after").encode())
        session.execute("SELECT pg_switch_wal()")
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
    names = [r[0] for r in scene.rows("SELECT name FROM public.tb_customer")]
    assert marker in names, "the commit before the point is not there"
    assert "marker after" not in names, "the commit after the point is there"


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
            Sees(equal=True), nothing, (Can.BACKUP,),
            Wish(DURABLE | {"archive_mode": "on", "archive_command": "/bin/true"}), own=True,
        ),
    ),
)  # fmt: skip
