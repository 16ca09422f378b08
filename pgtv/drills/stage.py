"""Gives each drill its scene: a fresh copy of the shop, on a shared server or on one of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pgtv.catalog import dialects
from pgtv.cluster.provider import Provider, Wish
from pgtv.cluster.verbs import Verbs
from pgtv.drills.scene import APP, Scene
from pgtv.errors import ClusterError, NotPossible

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
    """The SQL of the shop, from the checkout or from the wheel."""
    here = Path(__file__).resolve()
    for folder in (here.parent.parent / "_sql", here.parent.parent.parent / "sql"):
        path = folder / "demo" / "shop.sql"
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise NotPossible("sql/demo/shop.sql is not part of this installation")


@dataclass
class Stage:
    """Servers of one provider, for as long as drills run. Use as a context manager.

    keep: leave the data of a server on which a drill failed.
    """

    provider: Provider
    keep: bool = False
    _shared: Verbs | None = None
    _roles_there: frozenset[str] = frozenset()
    _template: str = field(default_factory=lambda: f"drill_template_{os.getpid()}")

    @contextlib.contextmanager
    def scene(self, wish: Wish, *, own: bool) -> Iterator[Scene]:
        """A fresh shop. Raises ClusterError when it cannot be made."""
        alone = own or not wish.plain
        server = self._furnished(wish) if alone else self._common()
        name = f"drill_{os.getpid()}_{next(_names)}"
        scene = Scene(server, name, self._template)
        try:
            server.create_database(name, self._template)
            yield scene
        finally:
            scene.close()
            if alone:
                server.destroy()
            else:
                self._drop([*scene.more_databases, name])

    def _common(self) -> Verbs:
        if self._shared is None:
            self._shared = self._furnished(Wish())
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
            server.create_database(self._template)
            server.psql(dialects.current.DIALECT.create_extension(), self._template)
            server.psql(shop() + _GRANTS, self._template)
        except BaseException:
            server.destroy()
            raise
        return server

    def _drop(self, databases: list[str]) -> None:
        import psycopg
        from psycopg import sql

        assert self._shared is not None
        for name in databases:
            with contextlib.suppress(psycopg.Error):
                with self._shared.connect(name) as connection:
                    left = connection.execute(
                        "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
                    ).fetchall()
                    for (gid,) in left:  # a database with a prepared transaction cannot be dropped
                        connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(gid))
                self._shared.drop_database(name)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exc: object) -> None:
        import psycopg

        if self._shared is None:
            return
        if self.provider.name == "existing":  # what was made there goes, and nothing else
            with contextlib.suppress(psycopg.Error, ClusterError):
                self._shared.drop_database(self._template)
                with self._shared.connect() as connection:
                    for role in set(_ROLES) - self._roles_there:
                        connection.execute(f"DROP ROLE IF EXISTS {role}")
        self._shared.destroy()
