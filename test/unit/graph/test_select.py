"""Selectors, over a chain a <- b <- c <- d and one TVIEW apart, all with awkward names."""

from __future__ import annotations

import pytest

from pgtv.catalog.model import Extension, Read, Relation, Server, Snapshot, Tview
from pgtv.errors import UsageError
from pgtv.graph.select import select

NAMES = [
    ("public", "tv_a"),
    ("Sales Dept", "tv_b"),
    ("public", "tv_C.d"),
    ("x", "tv_d2"),
    ("y", "tv_é😀"),
]


def quoted(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").isalnum() and name == name.lower()
    return name if plain else '"' + name.replace('"', '""') + '"'


def snapshot() -> Snapshot:
    relations, tviews, reads = [], [], []
    for i, (schema, name) in enumerate(NAMES):
        table, view = 10 + i, 20 + i
        full = f"{quoted(schema)}.{quoted(name)}"
        relations.append(Relation(table, schema, name, full, "r", "o"))
        tviews.append(
            Tview(name.removeprefix("tv_"), schema, name, table, view, "", table_name=full)
        )
        if 0 < i < 4:
            # the second edge leads through a helper view
            if i == 2:
                reads += [Read(view, 90), Read(90, table - 1)]
            else:
                reads.append(Read(view, table - 1))
    relations.append(Relation(90, "public", "v_helper", "public.v_helper", "v", "o"))
    return Snapshot(
        "now", "0", Server(), extension=Extension("current", True), tviews=tuple(tviews),
        relations=tuple(relations), reads=tuple(reads),
    )  # fmt: skip


def names(*args: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [t.name for t in select(snapshot(), args, exclude)]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), ["tv_a", "tv_b", "tv_C.d", "tv_d2", "tv_é😀"]),
        (("tv_a",), ["tv_a"]),
        (("TV_A",), ["tv_a"]),
        (("a",), ["tv_a"]),
        (('"Sales Dept".tv_b',), ["tv_b"]),
        (("Sales Dept.tv_b",), ["tv_b"]),
        (('"tv_C.d"',), ["tv_C.d"]),
        (('public."tv_C.d"',), ["tv_C.d"]),
        (("tv_é😀",), ["tv_é😀"]),
        (("tv_d2",), ["tv_d2"]),
        (("tv_a+",), ["tv_a", "tv_b", "tv_C.d", "tv_d2"]),
        (("tv_a+1",), ["tv_a", "tv_b"]),
        (("tv_a+2",), ["tv_a", "tv_b", "tv_C.d"]),
        (("+d2",), ["tv_a", "tv_b", "tv_C.d", "tv_d2"]),
        (("1+d2",), ["tv_C.d", "tv_d2"]),
        (('1+"tv_C.d"+1',), ["tv_b", "tv_C.d", "tv_d2"]),
        (("tv_a,tv_d2", "tv_é😀"), ["tv_a", "tv_d2", "tv_é😀"]),
    ],
)
def test_selectors(args: tuple[str, ...], expected: list[str]) -> None:
    assert names(*args) == expected


def test_exclude() -> None:
    assert names("+d2", exclude=("tv_b+",)) == ["tv_a"]
    assert names(exclude=("tv_a+",)) == ["tv_é😀"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tv_bb", "near: .*tv_b"),
        ("x.tv_a", "there is no TVIEW 'x.tv_a'"),
        ("", "cannot read"),
        ("+", "cannot read"),
        ("a.b.c", "cannot read"),
        ('"tv_a', "not closed"),
        ('tv"a', "quote"),
        ("-1+tv_a", "there is no TVIEW"),
    ],
)
def test_what_is_no_selector(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        names(text)


def test_a_name_in_two_schemas_needs_the_schema() -> None:
    one = snapshot()
    twin = Tview("twin", "z", "tv_a", 50, 51, "", table_name="z.tv_a")
    both = Snapshot(
        "now",
        "0",
        Server(),
        extension=one.extension,
        tviews=(*one.tviews, twin),
        relations=one.relations,
    )
    with pytest.raises(UsageError, match=r"public\.tv_a or z\.tv_a"):
        select(both, ["tv_a"])
    assert [t.label for t in select(both, ["z.tv_a"])] == ["z.tv_a"]
