"""The lines that restore a dump best, as a shell takes them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pgtv.catalog.dialects import current
from pgtv.lifecycle.restore.dump_contents import META, Contents

_DIALECT = current.DIALECT


def lines(
    contents: Contents, file: str, database: str, breaks: bool, data_only: bool
) -> Iterator[str]:
    """Into a fresh `database`, except for data alone. breaks: the catalog's rows are left out,

    because their COPY fails. Roles are no part of a dump: they have to exist.
    """
    name, path = shlex.quote(database), shlex.quote(file)
    if not data_only:
        yield f"createdb -T template0 {name}"
    if contents.form.startswith("plain"):
        source = f"gunzip -c {path}" if contents.compressed else f"cat {path}"
        if breaks:
            # the rows of the one table are left out, from its COPY to their end
            start = "/^COPY " + "\\.".join(META) + " /"
            source += f" | sed '{start},/^\\\\\\.$/d'"
        strict = (
            " -v ON_ERROR_STOP=1 --single-transaction" if contents.extension or data_only else ""
        )
        off = "SET session_replication_role = replica" if data_only else None
        first = f" -c {shlex.quote(off)} -f -" if off and not contents.triggers_off else ""
        yield f"{source} | psql -X -q{strict} -d {name}{first}"
    elif data_only:
        yield f"pg_restore --data-only --disable-triggers --exit-on-error -d {name} {path}"
    elif breaks:
        entry = " ".join(("TABLE DATA", *META, ""))
        chosen = shlex.quote(f"{database}.list")
        yield f"pg_restore -l {path} | grep -v {shlex.quote(entry)} > {chosen}"
        yield f"pg_restore --exit-on-error -L {chosen} -d {name} {path}"
    else:
        # what lacks the extension fails at its triggers, and would stop there
        yield f"pg_restore{' --exit-on-error' if contents.extension else ''} -d {name} {path}"
    if data_only:
        yield f"psql -X -d {name} -c {shlex.quote(_DIALECT.reregister_all())}"
