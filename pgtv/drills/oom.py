"""Mode 3: memory that is used up, and limits that keep it from being."""

from __future__ import annotations

from collections.abc import Callable

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can, until
from pgtv.drills.crash_recovery import DURABLE
from pgtv.drills.killing import until_restarted
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene
from pgtv.drills.statements import Break
from pgtv.drills.steps import nothing, repair

_ALL = "UPDATE public.tb_customer SET name = name || '.' WHERE pk_customer BETWEEN {} AND {}"
_WIDE = _ALL.format(1, 200)
_MANY = (
    "INSERT INTO public.tb_customer (name, email) SELECT repeat('x', 2000) || g, 'm@example.com'"
    " FROM generate_series(1, 60000) g"
)
_SORT = (
    "SET work_mem = '{}'; SELECT count(*) FROM (SELECT repeat(md5(g::text), 20) AS t"
    " FROM generate_series(1, {}) g ORDER BY 1 OFFSET 1) s"
)
# rows that a sort or a hash holds in memory as they are: too short to be compressed
_LOAD = (
    "SET session_replication_role = replica; INSERT INTO public.tb_product (fk_category, name, price)"
    " SELECT 1, repeat(md5(g::text), 56), 1 FROM generate_series(1, 30000) g;"
    " ANALYZE public.tb_product"
)
_BELOW = "UPDATE public.tb_category SET name = name || '.' WHERE pk_category = 3"
REFRESH = Break("SELECT tviews.pg_tviews_refresh('public.tv_stock')")
LINK = Break("""SELECT tviews.pg_tviews_create('public.tv_link{number}', $$
    SELECT l.pk_{below} AS pk_link{number}, l.data FROM public.tv_{below} l $$);""")
QUEUE = Break("pg_tviews.max_queue_size").sql
ROWS = Break("pg_tviews.max_refresh_rows").sql
DEPTH = Break("pg_tviews.max_propagation_depth").sql


def limited(setting: str, value: str, statement: str) -> Callable[[Scene], None]:
    """The limit is set for the database; a statement of an application meets it."""

    def inject(scene: Scene) -> None:
        scene.commit_marker()
        scene.server.psql(f'ALTER DATABASE "{scene.name}" SET {setting} = {value}')
        scene.try_(statement)

    return inject


def in_batches(scene: Scene) -> None:
    """The same change in statements that stay below the limit."""
    for first in range(1, 41, 5):
        scene.paste(_ALL.format(first, first + 4) + ";")


def raised(setting: str) -> Callable[[Scene], None]:
    """The limit back to its default, for new sessions; the statement again."""

    def recover(scene: Scene) -> None:
        statement = f'ALTER DATABASE "{scene.name}" RESET {setting};'
        scene.steps.append(statement)
        scene.server.psql(statement)
        scene.paste(_WIDE + ";")

    return recover


def both(*steps: Callable[[Scene], None]) -> Callable[[Scene], None]:
    def recover(scene: Scene) -> None:
        for step in steps:
            step(scene)

    return recover


def lock_table(scene: Scene) -> None:
    """One session takes all the room there is for locks; writes and logins find none."""
    scene.remembered["administrator"] = scene.open()
    writer, holder = scene.open(), scene.open()
    scene.remembered["holder"] = holder.info.backend_pid
    # what a statement has taken when it fails stays taken: these are locks of the session
    for first in (0, 10_000_000):
        until(
            lambda first=first: not scene.try_(  # type: ignore[misc]
                f"SELECT pg_advisory_lock(g) FROM generate_series({first}, {first} + 999999) g",
                holder, None,
            ),
            "the lock table never fills",
        )  # fmt: skip
    scene.try_(_WIDE, writer, None)


def end_holder(scene: Scene) -> None:
    """From a session that was open already: a new one would find no room either, until the holder is
    gone, for which the statement waits."""
    statement = f"SELECT pg_terminate_backend({scene.remembered['holder']}, 10000);"
    scene.steps.append(statement)
    scene.remembered["administrator"].execute(statement)


def _bounded(scene: Scene, statement: str) -> None:
    """A backend that has written may have a few MiB more and no more; its statement needs many."""
    scene.commit_marker()
    session = scene.open()
    session.execute(f"BEGIN; {_ALL.format(1, 20)}".encode())
    scene.server.limit_backend(session.info.backend_pid, 24 << 20)
    scene.try_(statement, session, None)


def backend_memory(scene: Scene) -> None:
    """PostgreSQL itself asks for memory and reports that there is none."""
    _bounded(scene, _SORT.format("1GB", 400_000))


def extension_memory(scene: Scene) -> None:
    """The extension asks for memory while it refreshes, and aborts: the server restarts."""
    other = scene.open()
    _bounded(scene, _MANY)
    until_restarted(scene, other)


def killed_for_memory(scene: Scene) -> None:
    """The kernel kills a backend with an open transaction; all others are thrown out."""
    scene.commit_marker()
    other = scene.open()
    session = scene.open()
    session.execute(f"BEGIN; {_ALL.format(1, 20)}".encode())
    scene.try_(_SORT.format("4GB", 4_000_000), session, None)
    until_restarted(scene, other)


def killed_in_refresh(scene: Scene) -> None:
    """A load went past the triggers; the extension's refresh of it all needs more than there is."""
    scene.commit_marker()
    scene.sql(_LOAD)
    other, session = scene.open(), scene.open()
    session.execute("SET work_mem = '4GB'")
    scene.try_(REFRESH.sql, session, None)
    until_restarted(scene, other)


def chain(scene: Scene) -> None:
    """As many TVIEWs above each other as need one step more than the server's own limit."""
    scene.commit_marker()
    (limit,) = scene.rows(f"SHOW {DEPTH}")[0]
    statements, below = ["SET client_min_messages = error; SET ROLE shop_owner;"], "category"
    for number in range(1, int(limit) + 2):
        statements.append(LINK.sql.format(number=number, below=below))
        below = f"link{number}"
    scene.sql("\n".join(statements))
    scene.try_(_BELOW)


def deeper(scene: Scene) -> None:
    """What doctor prints, for the whole server; then the statement again."""
    scene.paste_cures()
    until(lambda: not scene.new_findings(scene.doctor()), "the new limit does not count")
    scene.paste(_BELOW + ";")


MODE = Mode(
    3, "oom", "Out of memory and limits", "db-failures/test-oom",
    (
        Variant(
            "queue-limit", "A statement queues more than the limit of the queue",
            limited(QUEUE, "100", _WIDE),
            Sees(errors=(("54000", "queue"),), findings=("write-limits",)),
            both(in_batches, raised(QUEUE)),
        ),
        Variant(
            "refresh-limit", "A statement refreshes more rows than the limit",
            limited(ROWS, "50", _WIDE),
            Sees(errors=(("54000", "rows"),), findings=("write-limits",)),
            both(in_batches, raised(ROWS)),
        ),
        Variant(
            "depth-limit", "A cascade is deeper than the limit",
            limited(DEPTH, "1", _WIDE),
            Sees(errors=(("54001", "depth"),), findings=("propagation-limit",)), raised(DEPTH),
        ),
        Variant(
            "deep-chain", "TVIEWs read each other deeper than the server's own limit: writes fail", chain,
            Sees(errors=(("54001", "propagation depth"),), findings=("propagation-limit",)), deeper,
            own=True,
        ),
        Variant(
            "lock-table", "The shared lock table is full", lock_table,
            Sees(errors=(("53200", "out of shared memory"),)), end_holder,
            wish=Wish({"max_locks_per_transaction": "10", "max_connections": "30"}), own=True,
        ),
        Variant(
            "backend-memory", "The kernel gives a backend no more memory: its statement fails",
            backend_memory,
            Sees(errors=(("53200", "out of memory"),), equal=True), nothing, (Can.BACKEND_MEMORY,),
        ),
        Variant(
            "extension-memory", "The extension gets no more memory: it aborts, the server restarts",
            extension_memory,
            Sees(errors=(("08006", "connection|terminat"),), log=("was terminated by signal 6",)),
            nothing, (Can.BACKEND_MEMORY, Can.LOG), Wish(DURABLE), own=True,
        ),
        Variant(
            "killed-in-refresh", "The OOM killer ends a refresh of many rows: the server restarts",
            killed_in_refresh,
            Sees(errors=(("08006", "connection|terminat"),), log=("was terminated by signal 9",),
                 findings=("drift:public.tv_stock",), verify=True),
            repair, (Can.MEMORY,), Wish(DURABLE | {"shared_buffers": "16MB"}, memory=140), own=True,
        ),
        Variant(
            "killed", "The kernel's OOM killer ends a backend: the server restarts", killed_for_memory,
            Sees(errors=(("08006", "connection|terminat"),), log=("was terminated by signal 9",)),
            nothing, (Can.MEMORY,), Wish(DURABLE, memory=400), own=True,
        ),
    ),
)  # fmt: skip
