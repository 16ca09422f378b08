"""Where throwaway servers come from: local binaries, containers, or databases of an existing server.

A provider makes servers by a wish; what it cannot make or do it tells beforehand, with the reason.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pgtv.catalog.dialects.base import EXTENSION
from pgtv.cluster import binaries
from pgtv.cluster.verbs import Can, Verbs
from pgtv.errors import ClusterError, ConnectError


@dataclass(frozen=True)
class Wish:
    """A server as somebody needs it.

    settings: of postgresql.conf. small: (MiB, what lies on it) of a disk of its own. memory: MiB of
    the whole server. major, release: of PostgreSQL and of the extension, where not any will do.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    small: tuple[int, str] | None = None
    memory: int | None = None
    major: int | None = None
    release: str | None = None

    @property
    def plain(self) -> bool:
        """Whether any server does, so that it can be shared."""
        return self == Wish()


class Absent(ClusterError):
    """A server that cannot be made here, for want of what would have to be installed."""


class Provider(Protocol):
    """`name` as the command line has it; `label` tells people which servers these are."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    def missing(self, powers: Iterable[Can]) -> str | None:
        """Why servers of this provider cannot do one of `powers`, or None."""

    def make(self, wish: Wish) -> Verbs:
        """A running server with the library preloaded. Raises ClusterError; Absent where none can be."""


@dataclass(frozen=True)
class Local:
    """Servers from the binaries in a folder."""

    folder: Path
    name: str = "local"

    @property
    def label(self) -> str:
        return f"local, PostgreSQL {binaries.version(self.folder)}"

    def missing(self, powers: Iterable[Can]) -> str | None:
        from pgtv.cluster import room

        socket = "a local server is reached by a socket, not by a network: --provider docker"
        lacking = {
            Can.NETWORK: socket,
            Can.PACKETS: socket,
            Can.MEMORY: "only a container bounds a whole server's memory: --provider docker",
        }
        if why := room.cannot_mount():
            lacking[Can.ROOM] = f"{why}: --provider docker"
        if not shutil.which("prlimit"):
            lacking[Can.BACKEND_MEMORY] = "there is no prlimit here (util-linux)"
        return _first(powers, lacking)

    def make(self, wish: Wish) -> Verbs:
        from pgtv.cluster.server import new_server

        return new_server(self._folder(wish), (EXTENSION,), wish.settings, small=wish.small)

    def _folder(self, wish: Wish) -> Path:
        if wish.major is None and wish.release is None:
            return self.folder
        major = wish.major or binaries.version(self.folder)
        found = binaries.real(major, wish.release or binaries.RELEASE)
        if found is None:
            raise Absent(
                f"no PostgreSQL {major} with {EXTENSION} {wish.release or binaries.RELEASE} is here"
            )
        return found


@dataclass(frozen=True)
class Docker:
    """Servers from an image."""

    image: str
    name: str = "docker"

    @property
    def label(self) -> str:
        return f"docker, {self.image}"

    def missing(self, powers: Iterable[Can]) -> str | None:
        from pgtv.cluster.container import Container

        return _first(powers, Container(self.image).cannot)

    def make(self, wish: Wish) -> Verbs:
        from pgtv.cluster.container import new_container

        if wish.major or wish.release:
            raise Absent("an image has one PostgreSQL and one release of the extension")
        options = {"mem_limit": f"{wish.memory}m", "memswap_limit": f"{wish.memory}m"}
        settings = {"max_prepared_transactions": "20", "fsync": "off"} | dict(wish.settings)
        return new_container(
            self.image, (EXTENSION,), settings, small=wish.small,
            options=options if wish.memory else {},
        )  # fmt: skip


@dataclass(frozen=True)
class OnExisting:
    """Databases of one's own on a server that somebody else runs."""

    dsn: str
    name: str = "existing"
    label: str = "an existing server"

    def missing(self, powers: Iterable[Can]) -> str | None:
        return _first(powers, dict.fromkeys(Can, "other people use this server"))

    def make(self, wish: Wish) -> Verbs:
        import psycopg

        from pgtv.cluster.existing import Existing

        if not wish.plain:
            raise ClusterError("an existing server is taken as it is")
        server = Existing(self.dsn)
        try:
            server.connect(connect_timeout=10).close()
        except psycopg.OperationalError as e:
            server.destroy()
            raise ConnectError(f"cannot connect: {' '.join(str(e).split())}") from None
        return server


def _first(powers: Iterable[Can], lacking: Mapping[Can, str]) -> str | None:
    return next((lacking[p] for p in powers if p in lacking), None)
