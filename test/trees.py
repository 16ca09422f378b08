"""Private copies of the trees with the real extension, for tests that exchange parts of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import TEMPLATE, Database, require_real, shop_server

from pgtv.cluster.server import Server

OLD, NEW = "0.1.0-beta.33", "0.1.0-beta.34"


@contextmanager
def copied(release: str) -> Iterator[tuple[Path, Server, Database]]:
    """A server on a copy of the release's tree, which the test may change."""
    source = require_real(18, release)
    folder = Path(tempfile.mkdtemp(prefix="pgtv-tree-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        tree = folder / "tree"
        shutil.copytree(source, tree, symlinks=True)
        with shop_server(tree) as server:
            yield tree, server, Database(server, TEMPLATE)
    finally:
        shutil.rmtree(folder)


def put(tree: Path, release: str, *, library: bool, sql: bool) -> None:
    """Replace parts of the tree, as installing another package does."""
    source = require_real(18, release)
    if library:
        shutil.copy(source / "lib/pg_tviews.so", tree / "lib/new.so")
        (tree / "lib/new.so").replace(tree / "lib/pg_tviews.so")
    if sql:
        for file in (source / "share/extension").glob("pg_tviews*"):
            shutil.copy(file, tree / "share/extension")
