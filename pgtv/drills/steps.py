"""Injections and recoveries that several modes share."""

from __future__ import annotations

from collections.abc import Callable

from pgtv.drills.scene import APP, Scene
from pgtv.drills.statements import Break


def then_write(how: Break, *writes: str) -> Callable[[Scene], None]:
    """Break it, then write as an application does; that may be refused or silently not arrive."""

    def inject(scene: Scene) -> None:
        scene.commit_marker()
        scene.break_(how)
        for write in writes:
            scene.try_(write, role=APP)

    return inject


def prepares(scene: Scene) -> str | None:
    """Why the server takes no prepared transactions, or None."""
    if scene.rows("SHOW max_prepared_transactions") == [("0",)]:
        return "the server takes no prepared transactions: max_prepared_transactions = 0"
    return None


def repair(scene: Scene) -> None:
    """Everything by one command (what it leaves for a decision exits 1), then the rows."""
    scene.do("repair", "--apply", ok=(0, 1))
    scene.do("refresh", "--apply")


def nothing(_: Scene) -> None:
    """The server recovers by itself."""


def restarted(scene: Scene) -> None:
    """Start the server that was killed; it recovers by itself."""
    scene.steps.append("start the server")
    scene.server.start()
