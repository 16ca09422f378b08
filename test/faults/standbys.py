"""What goes wrong on a standby, and is seen, if at all, by who looks there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from declare import ANYWHERE, CUSTOMER, RISK, WAITS, Fault

if TYPE_CHECKING:
    from bench import Bench

    from pgtv.cluster.server import Server


def _standby(bench: Bench) -> Server:
    assert bench.standby
    return bench.standby


def paused(bench: Bench) -> None:
    """Somebody paused replay for a backup and went home: readers see the rows of then."""
    standby = _standby(bench)
    standby.psql("SELECT pg_wal_replay_pause()", bench.name)
    bench.until("SELECT pg_get_wal_replay_pause_state() = 'paused'", server=standby)
    bench.sql("UPDATE public.tb_customer SET name = 'newer' WHERE pk_customer = 5")


def cut_off(bench: Bench) -> None:
    """The standby no longer reaches its primary."""
    standby = _standby(bench)
    standby.psql("ALTER SYSTEM SET primary_conninfo = 'host=/nonexistent'", bench.name)
    standby.psql("SELECT pg_reload_conf()", bench.name)
    bench.until("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)", server=standby)
    bench.sql("UPDATE public.tb_customer SET name = 'newer' WHERE pk_customer = 5")


def not_preloaded(bench: Bench) -> None:
    """A standby that would be promoted to a server without the library."""
    _standby(bench).configure({"shared_preload_libraries": ""})
    _standby(bench).restart()


def older_library(bench: Bench) -> None:
    """The primary was upgraded, the standby's package was not."""
    from pgtv.cluster import binaries

    standby = _standby(bench)
    found = binaries.real(standby.major, "0.1.0-beta.33")
    assert found, "0.1.0-beta.33 is not installed"
    standby.stop()
    standby.binaries = found
    standby.start()


def replay_blocked(bench: Bench) -> None:
    """A report on the standby holds a TVIEW's lock; a refresh on the primary waits there for it."""
    standby = _standby(bench)
    reader = standby.connect(bench.name)
    bench.open_sessions.append(reader)
    reader.execute("BEGIN; SELECT count(*) FROM public.tv_customer")
    bench.sql("SELECT tviews.pg_tviews_refresh('public.tv_customer')")
    bench.until(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')",
        server=standby,
    )


def prepared_while_suspended(bench: Bench) -> None:
    """A prepared transaction holds ACCESS EXCLUSIVE on a TVIEW; readers of the standby wait too."""
    bench.sql(
        """BEGIN; SELECT tviews.pg_tviews_suspend_triggers();
        UPDATE public.tb_customer SET name = 'pending' WHERE pk_customer = 5;
        PREPARE TRANSACTION 'standby-fault'"""
    )
    bench.replayed()
    bench.wait_for_lock("SELECT count(*) FROM public.tv_customer", _standby(bench))


FAULTS = (
    Fault(
        "standby-paused", "Replay of a standby is paused, and stays so", 11, ANYWHERE, RISK, paused,
        settings={}, standby=True,
    ),
    Fault(
        "standby-cut-off", "A standby no longer reaches its primary", 11, ANYWHERE, RISK, cut_off,
        settings={}, standby=True,
    ),
    Fault(
        "standby-not-preloaded", "The library is not preloaded on a standby", 11, ANYWHERE, RISK,
        not_preloaded, settings={}, standby=True,
    ),
    Fault(
        "standby-library-older", "The library of a standby is older than the catalog", 11, ANYWHERE,
        RISK, older_library, settings={}, standby=True, majors=(18,),
    ),
    Fault(
        "standby-replay-blocked", "A long report on a standby holds up a refresh, and all behind it",
        11, (CUSTOMER, "*"), RISK, replay_blocked,
        settings={"max_standby_streaming_delay": "-1"}, standby=True, aged=3600,
    ),
    Fault(
        "standby-prepared", "Readers of a standby wait for a prepared transaction of the primary",
        11, (CUSTOMER, "*"), WAITS, prepared_while_suspended, settings={}, standby=True, aged=3600,
        undo="ROLLBACK PREPARED 'standby-fault'",
    ),
)  # fmt: skip
