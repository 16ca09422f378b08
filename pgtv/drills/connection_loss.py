"""Mode 4: a client goes away, stays away with locks, or the network does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pgtv.cluster.provider import Wish
from pgtv.cluster.verbs import Can
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import APP, Scene
from pgtv.drills.steps import nothing

_UPDATE = "UPDATE public.tb_customer SET name = 'unfinished' WHERE pk_customer = 5"
_SAME_ROW = "UPDATE public.tb_customer SET name = 'waits' WHERE pk_customer = 5"
_NOW = {"idle-in-transaction.seconds": 0.0, "long-transaction.seconds": 0.0}


def client_killed(scene: Scene) -> None:
    """The client's machine dies in the middle of a transaction, and its kernel says goodbye."""
    scene.commit_marker()
    client = scene.client(f"BEGIN; {_UPDATE}")
    client.kill()
    client.wait()
    scene.until_true(
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'drill client'"
    )


def idle_in_transaction(scene: Scene) -> None:
    """A client wrote, and waits for something else."""
    scene.commit_marker()
    scene.client(f"BEGIN; {_UPDATE}")
    scene.try_(_SAME_ROW)


def used_up(scene: Scene) -> None:
    """Every connection that an ordinary role may have is taken."""
    import psycopg

    password = f" PASSWORD '{scene.server.password}'" if scene.server.password else ""
    scene.sql(f"ALTER ROLE {APP} LOGIN{password}")
    for _ in range(40):
        try:
            scene.remembered.setdefault("taken", []).append(
                scene.server.connect(scene.name, APP, application_name="drill pool")
            )
        except psycopg.OperationalError as e:
            # libpq gives no SQLSTATE for a refused login; the server's message has one meaning
            message = str(e).strip().split("\n")[0]
            scene.refuse_login("53300" if "slots are reserved" in message else "08006", message)
            return


def end_pool(scene: Scene) -> None:
    """End idle sessions, as doctor's page says; reserved connections are for this."""
    scene.paste(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE state = 'idle' AND application_name = 'drill pool';"
    )
    for connection in scene.remembered["taken"]:
        with contextlib.suppress(Exception):
            connection.close()


def network_cut(scene: Scene) -> None:
    """The machine of a client with locks leaves the network; the server keeps its session."""
    _silenced(scene, scene.server.cut_network)


def packets_dropped(scene: Scene) -> None:
    """Something on the way drops the packets of a client with locks; both machines stay where they are."""
    _silenced(scene, scene.server.drop_packets)


def _silenced(scene: Scene, silence: Callable[[], None]) -> None:
    scene.commit_marker()
    scene.server.distant_client(f"BEGIN; {_UPDATE};", scene.name)
    scene.until_true(f"{_DISTANT} AND state = 'idle in transaction'")
    silence()
    scene.try_(_SAME_ROW)


def keepalive(scene: Scene) -> None:
    """Keepalives or tcp_user_timeout end the session of the peer that does not answer."""
    scene.steps.append(
        "wait for tcp_keepalives_* and tcp_user_timeout, or SELECT pg_terminate_backend(pid);"
    )
    scene.until_true(f"SELECT NOT EXISTS ({_DISTANT})", 120)


_DISTANT = "SELECT true FROM pg_stat_activity WHERE application_name = 'distant client'"

# Half a minute until the session of a silent peer ends: doctor has to see it first, also on a machine
# that does much beside. Keepalives alone, two hours by default, do it
# only where nothing is unacknowledged: a last answer that never arrived is retried for 15 minutes,
# unless tcp_user_timeout says otherwise.
_KEEPALIVES = {
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "30s",
}

MODE = Mode(
    4, "connection-loss", "Connections lost or kept", "db-failures/test-connection-loss",
    (
        Variant(
            "client-killed", "A client dies in the middle of a transaction", client_killed,
            Sees(log=("unexpected EOF on client connection with an open transaction",), equal=True),
            nothing, (Can.LOG,),
        ),
        Variant(
            "idle-in-transaction", "A client wrote and does not end its transaction",
            idle_in_transaction,
            Sees(errors=(("55P03", "lock timeout"),), findings=("idle-in-transaction",),
                 thresholds=_NOW),
        ),
        Variant(
            "used-up", "Every connection is taken: logins are refused", used_up,
            Sees(errors=(("53300", "slots are reserved"),), findings=("connections",)), end_pool,
            wish=Wish({"max_connections": "16"}), own=True,
        ),
        Variant(
            "network-cut", "The network of a client with locks is cut", network_cut,
            Sees(errors=(("55P03", "lock timeout"),), findings=("idle-in-transaction",),
                 thresholds=_NOW),
            keepalive, (Can.NETWORK,),
            Wish(_KEEPALIVES), own=True,
        ),
        Variant(
            "packets-dropped", "The packets of a client with locks are dropped", packets_dropped,
            Sees(errors=(("55P03", "lock timeout"),), findings=("idle-in-transaction",),
                 thresholds=_NOW),
            keepalive, (Can.NETWORK, Can.PACKETS), Wish(_KEEPALIVES), own=True,
        ),
    ),
)  # fmt: skip
