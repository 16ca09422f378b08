"""Mode 9: server, library and catalog of different releases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from pgtv.cluster import binaries
from pgtv.cluster.provider import Absent, Wish
from pgtv.cluster.verbs import Can
from pgtv.drills.model import Break, Mode, Refusal, Sees, Variant
from pgtv.drills.scene import Scene
from pgtv.errors import ClusterError

if TYPE_CHECKING:
    from pgtv.cluster.server import Server

_WRITE = "UPDATE public.tb_customer SET name = 'written meanwhile' WHERE pk_customer = 5"
OLDER = "0.1.0-beta.33"
OLD_MAJOR, NEW_MAJOR = 17, 18
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


def major_fails(scene: Scene) -> None:
    """pg_upgrade --check says compatible, and the upgrade dies; the old cluster is whole."""
    scene.commit_marker()
    old = cast("Server", scene.server)
    _upgraded(old, "--check")
    try:
        _upgraded(old)
    except ClusterError as e:
        scene.refused.append(Refusal("pg_upgrade", e.message, "pg_upgrade"))
    else:
        raise AssertionError("pg_upgrade works by now: say so in the documents")
    old.start()


def detach_and_attach(scene: Scene) -> None:
    """Registrations saved, extension away, pg_upgrade, extension and registrations back."""
    file = str(Path(scene.folder()) / "shop.json")
    old = cast("Server", scene.server)
    scene.do("upgrade", "detach", "--snapshot", file, "--apply")
    old.drop_database(scene.template)  # it has the extension too, and is not what is rehearsed
    scene.steps.append(f"pg_upgrade to PostgreSQL {NEW_MAJOR}")
    scene.server = _upgraded(old)
    scene.more_servers.append(scene.server)
    scene.server.start()
    scene.do("upgrade", "attach", "--from", file, "--apply")
    scene.sql("VACUUM ANALYZE")


def _upgraded(old: Server, *options: str) -> Server:
    """A server of the new major made by pg_upgrade from `old`, which is stopped for it."""
    from pgtv.cluster.server import Server as Made

    found = binaries.real(NEW_MAJOR)
    if found is None:
        raise Absent(f"no PostgreSQL {NEW_MAJOR} with the extension is here")
    new = Made(found, {"shared_preload_libraries": LIBRARY})
    try:
        # checksums are on by default from 18 on; both clusters must agree
        new.init("--no-data-checksums")
        old.stop()
        new.program(
            "pg_upgrade", "-b", str(old.binaries / "bin"), "-B", str(found / "bin"),
            "-d", str(old.data), "-D", str(new.data), "-s", str(new.root), "-U", "postgres",
            "--no-sync", *options,
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
            major_fails,
            Sees(errors=(("pg_upgrade", "does not exist"),), equal=True), detach_and_attach,
            (Can.CONTROL, Can.OTHER_BINARIES), Wish(major=OLD_MAJOR), own=True,
        ),
    ),
)  # fmt: skip
