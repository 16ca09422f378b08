"""Gives each drill its scene: a fresh copy of the shop, on a shared server or on one of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from pgtv import shipped
from pgtv.catalog import dialects
from pgtv.cluster.provider import Provider, Wish
from pgtv.cluster.verbs import Verbs
from pgtv.drills import early
from pgtv.drills.readers import READER
from pgtv.drills.scene import APP, Scene
from pgtv.errors import ClusterError, PgtvError

_names = itertools.count(1)
_GRANTS = f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{APP}') THEN CREATE ROLE {APP} NOLOGIN; END IF;
END $$;
GRANT USAGE ON SCHEMA "Sales Dept" TO {APP};
GRANT SELECT, INSERT, UPDATE, DELETE ON public.tb_category, public.tb_product, public.tb_customer,
  public.tb_stock_move, public.tb_stock_move_2026, "Sales Dept".tb_order, "Sales Dept".tb_order_line
  TO {APP};
"""
_ROLES = (APP, "shop_owner")


def shop() -> str:
    """The SQL of the shop. Raises NotPossible."""
    return shipped.text("demo/shop")


@dataclass
class Stage:
    """Servers of one provider, for as long as drills run. Use as a context manager.

    keep: leave the database of a drill that failed, and its server where that is a throwaway one.
    """

    provider: Provider
    keep: bool = False
    _shared: Verbs | None = None
    _roles_there: frozenset[str] = frozenset()
    _roles_kept: bool = False
    _failed: PgtvError | None = None
    _template: str = field(default_factory=lambda: f"drill_template_{os.getpid()}")

    @property
    def _throwaway(self) -> bool:
        return self.provider.name != "existing"

    @contextlib.contextmanager
    def scene(self, wish: Wish, *, own: bool) -> Iterator[Scene]:
        """A fresh shop. Raises ClusterError when it cannot be made."""
        alone = own or not wish.plain
        server = self._furnished(wish) if alone else self._common()
        name = f"drill_{os.getpid()}_{next(_names)}"
        # the role that --dsn names is the only one that surely may log in on somebody's server
        scene = Scene(server, name, self._template, reader=READER if self._throwaway else None)
        try:
            server.create_database(name, self._template)
            yield scene
        finally:
            scene.close()
            if alone:
                server.destroy()
            else:
                self._leave(scene, [*scene.more_databases, name])

    def _leave(self, scene: Scene, databases: list[str]) -> None:
        """Drop what was made on the shared server, or keep it."""
        assert self._shared is not None
        if not scene.keep:
            self._drop(databases)
        elif self._throwaway:
            # with its prepared transactions, which would be in the way of other drills
            server, self._shared = self._shared, None
            server.keep = True
            server.destroy()
        else:
            self._roles_kept = True
            for name in databases:
                self._shared.keeps_database(name)
                self._end_prepared(name)

    def _common(self) -> Verbs:
        if self._failed:  # somebody's server: it is not tried again for each drill
            raise self._failed
        if self._shared is None:
            try:
                self._shared = self._furnished(Wish())
            except PgtvError as e:
                if not self._throwaway:
                    self._failed = e
                raise
        return self._shared

    def _furnished(self, wish: Wish) -> Verbs:
        server = self.provider.make(wish)
        try:
            with server.connect() as connection:
                self._roles_there = frozenset(
                    r[0]
                    for r in connection.execute(
                        "SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s)", [list(_ROLES)]
                    )
                )
            for role in sorted(set(_ROLES) - self._roles_there):
                server.makes_role(role)
            server.create_database(self._template)
            try:
                server.psql(dialects.current.DIALECT.create_extension(), self._template)
                text = shop() + _GRANTS
                if wish.release == early.RELEASE:
                    text = early.shop(shop()) + _GRANTS + early.grants(APP)
                server.psql(text, self._template)
                if self._throwaway:
                    password = f" PASSWORD '{server.password}'" if server.password else ""
                    server.psql(
                        f"CREATE ROLE {READER} LOGIN IN ROLE pg_read_all_data, {APP}{password}"
                    )
            except BaseException:
                self._clear(server)
                raise
        except BaseException:
            server.destroy()
            raise
        return server

    def _drop(self, databases: list[str]) -> None:
        import psycopg

        assert self._shared is not None
        for name in databases:
            # an existing server refuses to drop what was there before
            with contextlib.suppress(psycopg.Error, ClusterError):
                self._end_prepared(name)
                self._shared.drop_database(name)

    def _end_prepared(self, database: str) -> None:
        """A database with a prepared transaction cannot be dropped, and its gid is in others' way."""
        from psycopg import sql

        assert self._shared is not None
        with self._shared.connect(database) as connection:
            left = connection.execute(
                "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
            ).fetchall()
            for (gid,) in left:
                connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(gid))

    def _clear(self, server: Verbs) -> None:
        """What was made on somebody's server goes, and nothing else."""
        import psycopg

        if self._throwaway:
            return
        with contextlib.suppress(psycopg.Error, ClusterError):
            server.drop_database(self._template)
        if self._roles_kept:  # they own what is in the databases that are kept
            return
        for role in sorted(set(_ROLES) - self._roles_there):
            with contextlib.suppress(psycopg.Error, ClusterError), server.connect() as connection:
                connection.execute(f"DROP ROLE IF EXISTS {role}".encode())

    def __enter__(self) -> Stage:
        if not self._throwaway:  # an address that leads nowhere is told once, not by each drill
            self.provider.make(Wish()).destroy()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._shared is not None:
            self._clear(self._shared)
            self._shared.destroy()
