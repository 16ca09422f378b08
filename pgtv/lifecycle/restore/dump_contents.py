"""What a dump holds, read from the dump alone: no server, and of the rows only the extension's catalog.

An archive (custom, directory, tar) is asked with pg_restore for its list, its schema and the rows of
the one catalog table; a plain dump is read once, line by line, and rows of other tables are skipped.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pgtv.catalog.dialects import current
from pgtv.catalog.dialects.base import EXTENSION
from pgtv.errors import UsageError
from pgtv.lifecycle.restore import archive_program

Name = tuple[str, str]  # schema, name; not quoted

_DIALECT = current.DIALECT
META: Name = (_DIALECT.schema or "", _DIALECT.meta)
_HEADER = re.compile(
    r"-- (Data for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*?); Owner: (.*?)(; Tablespace: .*)?"
)
_ENTRY = re.compile(r"\d+; \d+ \d+ (TABLE DATA|EXTENSION -|[A-Z]+) (.*)")
_IDENT = r'(?:"(?:[^"]|"")+"|[^\s".,()]+)'
_QUALIFIED = re.compile(rf"({_IDENT})\.({_IDENT})")
_ATTACH = re.compile(
    rf"ALTER TABLE ONLY ({_IDENT}\.{_IDENT}) ATTACH PARTITION ({_IDENT}\.{_IDENT}) "
)
_COPY = re.compile(rf"COPY ({_IDENT}\.{_IDENT}) \((.*)\) FROM stdin;")
_READABLE = ("TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "VIEW", "SEQUENCE")
_ESCAPE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True)
class Registered:
    """One TVIEW as the dumped catalog row names it.

    table, view: None where the row holds a bare OID, so it pointed nowhere. reads: the relations that
    its plan names; the extension looks all of them up when the row is loaded.
    """

    entity: str
    table: Name | None
    view: Name | None
    reads: tuple[Name, ...]

    @property
    def label(self) -> str:
        return shown(self.table) if self.table else f"tv_{self.entity}"


@dataclass
class Contents:
    """What was found. catalog: None where its rows are absent or written in a form that is not read.

    data: texts `schema name owner` of the data entries and each of their beginnings, so that a name
    with blanks needs no parsing. columns: of the catalog. early: a catalog
    table lies in another schema, as in early releases. dumped_from, dumped_by: releases. created: when
    an archive was begun; its header has no zone, so it is read in this machine's. database: its name.
    """

    form: str
    relations: dict[Name, str] = field(default_factory=dict)  # name to kind
    unlogged: set[Name] = field(default_factory=set)
    partitioned: set[Name] = field(default_factory=set)
    partitions: dict[Name, list[Name]] = field(default_factory=dict)
    data: set[str] = field(default_factory=set)
    data_entries: int = 0
    extension: bool = False
    triggers: int = 0
    catalog: list[Registered] | None = None
    columns: tuple[str, ...] = ()
    triggers_off: bool = False
    early: bool = False
    dumped_from: str | None = None
    dumped_by: str | None = None
    created: datetime | None = None
    database: str | None = None
    compressed: bool = False

    def has_data(self, name: Name) -> bool:
        return f"{name[0]} {name[1]}" in self.data

    def without_data(self, name: Name) -> list[Name]:
        """The tables among `name` and its partitions whose rows are not in the dump."""
        if name in self.partitioned:
            below = [self.without_data(p) for p in self.partitions.get(name, ())]
            return [n for part in below for n in part]
        return [] if self.has_data(name) else [name]

    @property
    def catalog_data(self) -> bool:
        return self.has_data(META)

    @property
    def likely(self) -> list[Name]:
        """Tables that are named as TVIEWs are."""
        return sorted(n for n, kind in self.relations.items() if _likely(n, kind))


def _likely(name: Name, kind: str) -> bool:
    return kind == "TABLE" and name[1].startswith("tv_") and name[0] != META[0]


def shown(name: tuple[str, ...]) -> str:
    """Qualified, quoted where SQL needs it."""
    return ".".join(
        p if re.fullmatch(r"[a-z_][a-z0-9_$]*", p) else '"' + p.replace('"', '""') + '"'
        for p in name
    )


def read(path: Path, pg_restore: str | None = None) -> Contents:
    """Read the dump at `path`. pg_restore: the program to use; one is looked for otherwise.

    Raises UsageError for what is no dump of one database, PgtvError where pg_restore is missing or
    cannot read it.
    """
    form = archive_program.form(path)
    if form in ("plain", "plain, gzip"):
        return _plain(path, form)
    program = pg_restore or archive_program.find()
    contents = Contents(form)
    _list(archive_program.run(program, "-l", str(path)), contents)
    _schema_text(archive_program.run(program, "-s", "-f", "-", str(path)), contents)
    if contents.catalog_data:
        only = ("-a", "-n", META[0], "-t", META[1], "-f", "-")
        _text(archive_program.run(program, *only, str(path)), contents)
    return contents


def _list(lines: Iterable[str], contents: Contents) -> None:
    for line in lines:
        if line.startswith(";"):
            _releases(line.removeprefix(";"), contents)
        elif found := _ENTRY.fullmatch(line):
            kind, rest = found[1], found[2]
            if kind == "TABLE DATA":
                _data(contents, rest)
            elif kind == "EXTENSION -":
                contents.extension |= rest.rstrip().split(" ")[0] == EXTENSION
            elif kind == "TRIGGER":
                contents.triggers += f" {_DIALECT.trigger_prefix}" in rest


def _data(contents: Contents, rest: str) -> None:
    contents.data_entries += 1
    words = rest.split(" ")
    contents.data |= {" ".join(words[:n]) for n in range(2, len(words))}
    contents.early |= words[0] != META[0] and META[1] in words


def _releases(line: str, contents: Contents) -> None:
    if found := re.search(r"Dumped from database version:? (\S+)", line):
        contents.dumped_from = found[1]
    elif found := re.search(r"Dumped by pg_dump version:? (\S+)", line):
        contents.dumped_by = found[1]
    elif found := re.match(r" Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", line):
        contents.created = datetime.fromisoformat(found[1]).astimezone()
    elif found := re.fullmatch(r"     dbname: (.+)", line):
        contents.database = found[1]


def _plain(path: Path, form: str) -> Contents:
    contents = Contents(form, compressed=form != "plain")
    try:
        with path.open("rb") as raw:
            source = gzip.GzipFile(fileobj=raw) if contents.compressed else raw
            lines = (line.decode(errors="replace").rstrip("\r\n") for line in source)
            _text(lines, contents)
    except (OSError, EOFError) as e:
        raise UsageError(f"cannot read {path}: {e}") from None
    if contents.dumped_by is None:
        raise UsageError(
            f"{path} is no dump of PostgreSQL's",
            "custom, directory, tar and plain dumps (gzip too) are read",
        )
    return contents


def _schema_text(lines: Iterable[str], contents: Contents) -> None:
    """An archive's schema; its extension and triggers were counted by the list already."""
    extension, triggers = contents.extension, contents.triggers
    _text(lines, contents)
    contents.extension, contents.triggers = extension, triggers


def _text(lines: Iterable[str], contents: Contents) -> None:
    """SQL as pg_dump writes it: what headers name, and the rows of the catalog."""
    at: Name | None = None
    rows = iter(lines)
    for line in rows:
        if line.startswith("-- "):
            _releases(line, contents)
            if line == "-- PostgreSQL database cluster dump":
                raise UsageError(
                    "this is a dump of a whole cluster", "dump each database by itself: pg_dump"
                )
            if found := _HEADER.fullmatch(line):
                at = _named(found, contents)
        elif line.startswith("CREATE UNLOGGED TABLE ") and at:
            contents.unlogged.add(at)
        elif line.startswith("PARTITION BY ") and at:
            contents.partitioned.add(at)
        elif found := _ATTACH.match(line):
            root, part = name_of(found[1]), name_of(found[2])
            if root and part:
                contents.partitions.setdefault(root, []).append(part)
        elif line == f"ALTER TABLE {shown(META)} DISABLE TRIGGER ALL;":
            contents.triggers_off = True
        elif found := _COPY.fullmatch(line):
            if name_of(found[1]) == META:
                contents.columns = tuple(c.strip() for c in found[2].split(","))
                contents.catalog = [*_rows(rows, contents.columns)]
            else:
                for row in rows:
                    if row == "\\.":
                        break


def _named(found: re.Match[str], contents: Contents) -> Name:
    name: Name = (found[4], found[2])
    kind = found[3]
    if found[1]:
        _data(contents, f"{name[0]} {name[1]} {found[5]}")
    elif kind == "EXTENSION":
        contents.extension |= found[2] == EXTENSION
    elif kind == "TRIGGER":
        contents.triggers += f" {_DIALECT.trigger_prefix}" in found[2]
    elif kind in _READABLE:
        contents.relations[name] = kind
    return name


def _rows(lines: Iterator[str], columns: tuple[str, ...]) -> Iterator[Registered]:
    for line in lines:
        if line == "\\.":
            return
        row = dict(zip(columns, (_value(v) for v in line.split("\t")), strict=False))
        plan: Any = None
        with suppress(ValueError):
            plan = json.loads(row.get("plan") or "null")
        tables = plan.get("tables") if isinstance(plan, dict) else None
        reads = (
            name_of(t["table"])
            for t in (tables if isinstance(tables, list) else ())
            if isinstance(t, dict) and isinstance(t.get("table"), str)
        )
        yield Registered(
            row.get("entity") or "", name_of(row.get("table_oid") or ""),
            name_of(row.get("view_oid") or ""), tuple(dict.fromkeys(n for n in reads if n)),
        )  # fmt: skip


def _value(text: str) -> str | None:
    if text == "\\N":
        return None
    return re.sub(r"\\(.)", lambda m: _ESCAPE.get(m[1], m[1]), text)


def name_of(text: str) -> Name | None:
    """A qualified name as SQL writes it; None for anything else."""
    found = _QUALIFIED.fullmatch(text)
    return (_unquoted(found[1]), _unquoted(found[2])) if found else None


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
