"""Mode 9: server, library and catalog of different releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pgtv.cluster import binaries
from pgtv.cluster.provider import Absent, Wish
from pgtv.cluster.verbs import Can
from pgtv.drills import early
from pgtv.drills.model import Mode, Sees, Variant
from pgtv.drills.scene import Scene
from pgtv.drills.statements import Break, Refusal
from pgtv.errors import ClusterError
from pgtv.lifecycle.upgrade import program
from pgtv.lifecycle.upgrade.target import checksums

if TYPE_CHECKING:
    from pgtv.cluster.server import Server

_WRITE = "UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 5"
OLDER = "0.1.0-beta.33"
LIBRARY = Break("pg_tviews").sql


def _binaries(scene: Scene, release: str) -> None:
    """The package of another release is installed: the server comes back with its library."""
    server = cast("Server", scene.server)
    found = binaries.real(server.major, release)
    if found is None:
        raise Absent(f"{release} for PostgreSQL {server.major} is not here")
    server.stop()
    server.binaries = found
    server.start()


def library_newer(scene: Scene) -> None:
    """The package was updated, ALTER EXTENSION … UPDATE was forgotten."""
    scene.commit_marker()
    _binaries(scene, binaries.RELEASE)
    scene.try_(_WRITE)


def library_older(scene: Scene) -> None:
    """The package went back to the release before; the catalog did not."""
    scene.commit_marker()
    _binaries(scene, OLDER)
    scene.try_(_WRITE)


def library_back(scene: Scene) -> None:
    """No SQL leads back: the library of the catalog's release is installed again."""
    scene.steps.append(f"install the library of {binaries.RELEASE} again, restart the server")
    _binaries(scene, binaries.RELEASE)


def not_preloaded(scene: Scene) -> None:
    """The new server's configuration does not preload the library."""
    scene.commit_marker()
    scene.server.configure({"shared_preload_libraries": ""})
    scene.server.restart()


def preload(scene: Scene) -> None:
    """What doctor prints, which counts from the next start."""
    scene.paste_cures()
    scene.steps.append("restart the server")
    scene.server.restart()


def major_fails(to: int, *, checked: bool = True) -> Callable[[Scene], None]:
    """pg_upgrade dies; the old cluster is whole. checked: --check says compatible before."""

    def inject(scene: Scene) -> None:
        scene.commit_marker()
        old = cast("Server", scene.server)
        if checked:
            _upgraded(old, to, "--check")
        try:
            _upgraded(old, to)
        except ClusterError as e:
            scene.refused.append(Refusal("pg_upgrade", e.message, "pg_upgrade"))
        else:
            raise AssertionError("pg_upgrade works by now: say so in the documents")
        old.start()

    return inject


def detach_and_attach(to: int) -> Callable[[Scene], None]:
    """Registrations saved, extension away, pg_upgrade, extension and registrations back."""

    def recover(scene: Scene) -> None:
        file = str(Path(scene.folder()) / "shop.json")
        old = cast("Server", scene.server)
        scene.do("upgrade", "detach", "--snapshot", file, "--apply")
        old.drop_database(scene.template)  # it has the extension too, and is not what is rehearsed
        scene.steps.append(f"pg_upgrade to PostgreSQL {to}")
        scene.server = _upgraded(old, to)
        scene.more_servers.append(scene.server)
        scene.server.start()
        scene.do("upgrade", "attach", "--from", file, "--apply")
        scene.sql("VACUUM ANALYZE")

    return recover


def _upgraded(old: Server, to: int, *options: str) -> Server:
    """A server of major `to` made by pg_upgrade from `old`, which is stopped for it."""
    from pgtv.cluster.server import Server as Made

    found = binaries.real(to)
    if found is None:
        raise Absent(f"no PostgreSQL {to} with the extension is here")
    new = Made(found, {"shared_preload_libraries": LIBRARY})
    try:
        new.init(*checksums(False, to))
        old.stop()
        new.program(
            "pg_upgrade", "-b", str(old.binaries / "bin"), "-B", str(found / "bin"),
            "-d", str(old.data), "-D", str(new.data), "-s", str(new.root), "-U", "postgres",
            "--no-sync", *program.OPTIONS, *options,
        )  # fmt: skip
    except ClusterError as e:
        # pg_upgrade itself says little: the reason is in the log of the restore that it ran
        logs = sorted(new.data.glob("pg_upgrade_output.d/*/log/*.log"))
        said = [x for f in logs for x in f.read_text(errors="replace").splitlines() if "ERROR" in x]
        new.destroy()
        raise ClusterError((said or [e.message])[0]) from None
    except BaseException:
        new.destroy()
        raise
    if options:
        new.destroy()
    return new


MODE = Mode(
    9, "upgrade", "Upgrades", "operational/test-upgrade",
    (
        Variant(
            "library-newer", "The library is newer than the catalog: writes fail",
            library_newer,
            Sees(errors=(("55000", "revision"),), findings=("library-mismatch",)), None,
            (Can.CONTROL, Can.OTHER_BINARIES), Wish(major=18, release=OLDER), own=True,
        ),
        Variant(
            "library-older", "The library is older than the catalog: writes fail",
            library_older,
            Sees(errors=(("55000", "revision"),), findings=("library-mismatch",)), library_back,
            (Can.CONTROL, Can.OTHER_BINARIES), Wish(major=18, release=binaries.RELEASE), own=True,
        ),
        Variant(
            "not-preloaded", "The library is not preloaded any more", not_preloaded,
            Sees(findings=("not-preloaded",)), preload, (Can.CONTROL, Can.OTHER_BINARIES), own=True,
        ),
        Variant(
            "major", "pg_upgrade fails half-way although --check said that it would not",
            major_fails(18),
            Sees(errors=(("pg_upgrade", "does not exist"),), equal=True), detach_and_attach(18),
            (Can.CONTROL, Can.OTHER_BINARIES), Wish(major=17), own=True,
        ),
        Variant(
            "early-release", "From an early release on 15 to the current one on 16",
            major_fails(16, checked=False),
            Sees(errors=(("pg_upgrade", "could not find function"),), equal=True), detach_and_attach(16),
            (Can.CONTROL, Can.OTHER_BINARIES), Wish(major=early.MAJOR, release=early.RELEASE), own=True,
            majors=(early.MAJOR,),
        ),
        Variant(
            "major-16", "The same from 16 to 17",
            major_fails(17),
            Sees(errors=(("pg_upgrade", "does not exist"),), equal=True), detach_and_attach(17),
            (Can.CONTROL, Can.OTHER_BINARIES), Wish(major=16), own=True,
        ),
    ),
)  # fmt: skip
