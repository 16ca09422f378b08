"""Mode 11: standbys that lag, promotions, and logical replication past the triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can, until
from pgtv.drills.crash_recovery import DURABLE, NO_WORKER
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene, insert_marker

if TYPE_CHECKING:
    from pgtv.cluster.server import Server

_READ = "SELECT count(*) FROM {}"


def _standby(scene: Scene) -> Server:
    """A streaming standby of the scene's server that has caught up."""
    standby = cast("Server", scene.server).standby(DURABLE)
    scene.more_servers.append(standby)
    standby.start()
    scene.until_true("SELECT bool_or(state = 'streaming') FROM pg_stat_replication")
    return standby


def _caught_up(scene: Scene, standby: Server) -> None:
    (point,) = scene.rows("SELECT pg_current_wal_lsn()::text")[0]
    with standby.connect() as there:
        until(
            lambda: (there.execute(
                "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [point]).fetchone() or (0,))[0],
            "the standby does not catch up",
        )  # fmt: skip


def lag(scene: Scene) -> None:
    """Replay stands still; readers of the standby are served old rows."""
    primary, standby = scene.server, _standby(scene)
    _caught_up(scene, standby)
    standby.pause_replay()
    marker = scene.commit_marker()
    scene.remembered["primary"], scene.server = primary, standby
    seen = scene.rows(f"SELECT count(*) FROM public.tv_customer WHERE data->>'name' = '{marker}'")
    assert seen == [(0,)], "the standby replays although it is paused"
    # what is UNLOGGED has no rows there
    scene.try_(_READ.format("public.tv_search"), role=None)


def resume(scene: Scene) -> None:
    """On the standby, as doctor prints it; then the primary is looked at again."""
    standby = cast("Server", scene.server)
    scene.paste("SELECT pg_wal_replay_resume();")
    scene.server = scene.remembered["primary"]
    _caught_up(scene, standby)
    with standby.connect(scene.name) as there:
        shown = there.execute("SELECT count(*) FROM public.tv_customer").fetchone()
    assert shown == scene.rows(_READ.format("public.tv_customer"))[0], "the standby differs"


def promoted(scene: Scene) -> None:
    """The primary is gone; the standby becomes one. UNLOGGED TVIEWs begin empty there."""
    standby = _standby(scene)
    scene.commit_marker()
    _caught_up(scene, standby)
    standby.configure({NO_WORKER.sql: ""})
    standby.restart()
    cast("Server", scene.server).kill()
    scene.server = standby
    scene.forget_log()
    warned = [f.id for f in scene.doctor().findings if f.check == "unlogged-standby"]
    assert warned, "doctor on the standby did not tell of the UNLOGGED TVIEW before the promotion"
    standby.promote()


def promoted_prepared(scene: Scene) -> None:
    """As a crash: a prepared transaction with an UNLOGGED TVIEW comes along, and then commits."""
    standby = _standby(scene)
    marker = scene.commit_marker() + " prepared"
    with scene.connect() as session:
        session.execute(f"BEGIN; {insert_marker(marker)}; PREPARE TRANSACTION 'drill'".encode())
    warned = [f.id for f in scene.doctor().findings if f.check == "prepared-unlogged"]
    assert warned, "doctor did not warn of the prepared transaction before the promotion"
    _caught_up(scene, standby)
    cast("Server", scene.server).kill()
    scene.server = standby
    scene.forget_log()
    standby.promote()
    scene.sql("UPDATE public.tb_product SET price = price + 1 WHERE pk_product = 1")
    scene.sql("COMMIT PREPARED 'drill'")
    scene.acknowledged.append(marker)


def subscriber(scene: Scene) -> None:
    """Rows of a base table arrive by logical replication: no trigger fires, TVIEWs stay behind."""
    source = scene.fresh_database("source")
    server = cast("Server", scene.server)
    server.psql(
        "CREATE TABLE public.tb_customer (pk_customer bigint PRIMARY KEY, id uuid, name text,"
        " email text);"
        "INSERT INTO public.tb_customer VALUES (44, gen_random_uuid(), 'a', 'b');"
        "CREATE PUBLICATION p FOR TABLE public.tb_customer;"
        "SELECT pg_create_logical_replication_slot('drill_feed', 'pgoutput')",
        source,
    )
    scene.sql(
        f"CREATE SUBSCRIPTION feed CONNECTION '{server.conninfo(source).replace(chr(39), chr(39) * 2)}'"
        " PUBLICATION p WITH (create_slot = false, copy_data = false, slot_name = 'drill_feed')"
    )
    server.psql("UPDATE public.tb_customer SET name = 'applied' WHERE pk_customer = 44", source)
    with scene.connect() as here:
        until(
            lambda: here.execute(
                "SELECT 1 FROM public.tb_customer WHERE pk_customer = 44 AND name = 'applied'"
            ).fetchone(),
            "the change never arrived",
        )


def end_subscription(scene: Scene) -> None:
    """Base tables of TVIEWs are not subscribed to; what was missed is brought."""
    scene.paste("DROP SUBSCRIPTION feed;")
    scene.do("refresh", "--apply")


MODE = Mode(
    11, "replication", "Replication", "operational/test-replication",
    (
        Variant(
            "lag", "Replay of a standby stands still: old rows are served", lag,
            Sees(errors=(("0A000", "unlogged|temporary"),), findings=("replica-lag:(standby)",)),
            resume, (Can.STANDBY,), Wish(DURABLE), own=True,
        ),
        Variant(
            "promoted", "A standby is promoted: UNLOGGED TVIEWs are empty", promoted,
            Sees(findings=("unlogged-reset:public.tv_search",)), None, (Can.STANDBY, Can.KILL),
            Wish(DURABLE), own=True,
        ),
        Variant(
            "promoted-prepared",
            "Promoted with a prepared transaction over an UNLOGGED TVIEW: silent drift",
            promoted_prepared, Sees(findings=("drift:public.tv_search",), verify=True), None,
            (Can.STANDBY, Can.KILL), Wish(DURABLE), own=True,
        ),
        Variant(
            "subscriber", "A subscription writes a base table: silent drift", subscriber,
            Sees(findings=("subscription-writes", "drift:public.tv_customer"), verify=True),
            end_subscription, (Can.SUBSCRIBE,), own=True,
        ),
    ),
)  # fmt: skip
