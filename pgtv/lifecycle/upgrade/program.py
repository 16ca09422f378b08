"""pg_upgrade as it has to be called where the extension is preloaded.

It starts and stops both servers within moments. The extension's launcher, which refills reset TVIEWs at
each start, holds a stop up that comes while it waits for its last worker (see pgtv.cluster.launcher);
pg_upgrade then gives up after PGCTLTIMEOUT, also when every file was carried over already. Nothing needs
refilling in between: TVIEWs are detached. So the launcher is told to have no database.
"""

from __future__ import annotations

import shlex

from pgtv.catalog.dialects.base import EXTENSION

_NO_REFILL = f"-c {EXTENSION}.auto_rebuild_databases="
OPTIONS = ("-o", _NO_REFILL, "-O", _NO_REFILL)


def line(  # noqa: PLR0913 (they are pg_upgrade's own)
    program: str, old_bin: str, new_bin: str, old: str, new: str, user: str, *more: str
) -> str:
    """The call for a shell. old, new: the data directories; every word is quoted as it needs."""
    clusters = ("-b", old_bin, "-B", new_bin, "-d", old, "-D", new)
    return shlex.join((program, *clusters, "-U", user, *OPTIONS, *more))
