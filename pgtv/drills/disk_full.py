"""Mode 2: no room left for tables, for the WAL, or for temporary files."""

from __future__ import annotations

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can, until
from pgtv.drills.crash_recovery import DURABLE
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene

_MANY = (
    "INSERT INTO public.tb_customer (name, email)"
    " SELECT 'many ' || g, 'm@example.com' FROM generate_series(1, 20000) g"
)
_SMALL_WAL = DURABLE | {"min_wal_size": "32MB", "max_wal_size": "48MB"}


def _tablespace(scene: Scene) -> None:
    """A tablespace on the small disk."""
    folder = scene.server.room_folder("tables")
    scene.server.psql(f"CREATE TABLESPACE small LOCATION '{folder}'")


def tablespace(scene: Scene) -> None:
    """The disk of one TVIEW's tablespace is full: a write that makes it grow is rolled back."""
    _tablespace(scene)
    scene.sql("ALTER TABLE public.tv_customer SET TABLESPACE small")
    scene.commit_marker()
    scene.server.fill_disk()
    scene.try_(_MANY)


def temporary(scene: Scene) -> None:
    """The disk of temporary files is full: a statement that sorts more than work_mem fails."""
    _tablespace(scene)
    scene.commit_marker()
    scene.server.fill_disk()
    scene.try_(f"SET temp_tablespaces = small; SET work_mem = '64kB'; {_MANY} ORDER BY md5(g::text)",
               role=None)  # fmt: skip


def data(scene: Scene) -> None:
    """The disk of the data directory is full."""
    scene.commit_marker()
    scene.sql("CHECKPOINT")
    scene.server.fill_disk()
    scene.try_(_MANY)


def wal(scene: Scene) -> None:
    """The disk of the WAL is full: the server stops in the middle of a write."""
    scene.commit_marker()
    scene.server.fill_disk()
    writer = scene.open()

    def refused() -> bool:
        return not scene.try_(_MANY, writer, None)

    until(refused, "the WAL never filled the disk", 60)


def free(scene: Scene) -> None:
    """Room is made; the statement that failed is repeated; dead rows that it left are vacuumed."""
    scene.steps.append("make room on the disk that is full")
    scene.server.free_disk()
    scene.paste(_MANY + ";")
    scene.paste_cures()


def free_and_start(scene: Scene) -> None:
    scene.steps.append("make room on the disk that is full, then start the server")
    scene.server.free_disk()
    scene.server.stop("immediate")
    scene.server.start()


_FULL = (("53100", "No space left on device"),)

MODE = Mode(
    2, "disk-full", "Disk full", "db-failures/test-disk-full",
    (
        Variant(
            "tablespace", "The disk of one TVIEW's tablespace is full", tablespace,
            Sees(errors=_FULL, equal=True), free, (Can.ROOM,), Wish(small=(8, "nothing")), own=True,
        ),
        Variant(
            "temporary", "The disk of temporary files is full", temporary,
            Sees(errors=_FULL, equal=True), free, (Can.ROOM,), Wish(small=(8, "nothing")), own=True,
        ),
        Variant(
            "data", "The disk of the data directory is full", data,
            Sees(errors=_FULL, findings=("room",)), free, (Can.ROOM, Can.HOST),
            Wish(_SMALL_WAL, small=(256, "data")), own=True,
        ),
        Variant(
            "wal", "The disk of the WAL is full: PANIC", wal,
            Sees(errors=(("08006", "connection|terminat"),),
                 log=("PANIC:.*No space left on device",)),
            free_and_start, (Can.ROOM, Can.HOST, Can.LOG), Wish(_SMALL_WAL, small=(64, "wal")),
            own=True,
        ),
    ),
)  # fmt: skip
