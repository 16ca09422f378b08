"""What a standby is like as a primary: what it serves, and whether TVIEWs would be kept there.

Binaries and configuration are a standby's own, so that the primary is well says nothing of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgtv.catalog.model import Snapshot
from pgtv.checks.examine import State, examine
from pgtv.checks.registry import all_checks
from pgtv.finding import Severity
from pgtv.lifecycle.verdict import Point

# of the library: a standby that is promoted with another one refuses writes, or misses DDL
_CHECKS = ("library-unloadable", "library-mismatch", "not-preloaded")


def facts(here: Snapshot) -> dict[str, str]:
    """Which TVIEWs can be read on it now."""
    reset = [t.label for t in here.tviews if _persistence(here, t.table_oid) == "u"]
    count = len(here.tviews)
    if not reset:
        return {"can be read": f"all {count} TVIEWs"}
    return {
        "can be read": f"{count - len(reset)} of {count} TVIEWs; not the UNLOGGED: {', '.join(reset)}"
    }


def points(here: Snapshot) -> Iterator[Point]:
    """What is wrong with its own library and configuration, as doctor finds it."""
    examination = examine(here, [all_checks()[name] for name in _CHECKS])
    for outcome in examination.outcomes:
        for one in outcome.findings if outcome.state is not State.OK else ():
            severity = Severity.CRITICAL if one.severity is Severity.WARNING else one.severity
            yield Point(
                one.check, severity,
                f"{one.title} on this server, which counts once it is the primary: {one.detail}",
                (one.object,), tuple(one.remedy.sql) if one.remedy else (),
            )  # fmt: skip
    if _new_session(here, "default_transaction_read_only") == "on":
        yield Point(
            "read-only-default",
            Severity.CRITICAL,
            "default_transaction_read_only is on in this server's own configuration: once it is "
            "promoted, every write fails (25006).",
            cure=("ALTER SYSTEM RESET default_transaction_read_only;", "SELECT pg_reload_conf();"),
        )


def _new_session(here: Snapshot, name: str) -> str | None:
    """What a session gets that sets nothing; ours has set some itself."""
    for setting in here.settings:
        if setting.name == name:
            return setting.reset if setting.source == "session" else setting.value
    return None


def _persistence(here: Snapshot, oid: int) -> str | None:
    relation = here.by_oid.get(oid)
    return relation.persistence if relation else None
