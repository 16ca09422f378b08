"""Where two rows differ: by column and, inside JSON documents, by path.

A path reads `data.author.name`, `data.tags[2]`, `data["odd name"]`; the first step is the column.
Numbers are compared as they are written, because 1.0 and 1.00 are different images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Step = str | int
_NAME = re.compile(r"[^\W\d]\w*")
_DEPTH = 200  # deeper documents are compared as text

ABSENT = "(absent)"
SHOWN = 200  # characters of a value that a report shows


@dataclass(frozen=True)
class PathDiff:
    """One place: what the definition says and what the table holds, as JSON text.

    None for a value that is not there at all (SQL NULL of a column is the text `NULL`).
    """

    path: str
    expected: str | None
    found: str | None


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def parse(text: str) -> Any:
    """JSON with numbers kept as written. Raises ValueError."""
    return json.loads(
        text, parse_int=Number, parse_float=Number, parse_constant=Number,
        object_pairs_hook=_Object,
    )  # fmt: skip


class _Object(dict[str, Any]):
    """An object; `json` (not jsonb) may repeat keys, then only its text tells."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        if len(self) != len(pairs):
            raise ValueError("a key occurs twice")


def render(value: Any) -> str:
    """JSON text of a parsed value."""
    if isinstance(value, Number):
        return str.__str__(value)
    if isinstance(value, dict):
        inner = ", ".join(
            f"{json.dumps(k, ensure_ascii=False)}: {render(v)}" for k, v in value.items()
        )
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ", ".join(render(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def join(steps: Sequence[Step]) -> str:
    """The path's text; `split` reads it back."""
    text = ""
    for i, step in enumerate(steps):
        if isinstance(step, int):
            text += f"[{step}]"
        elif _NAME.fullmatch(step):
            text += ("." if i else "") + step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text


def split(path: str) -> list[Step]:
    """The steps of a path's text. Raises ValueError."""
    steps: list[Step] = []
    at = 0
    decoder = json.JSONDecoder()
    while at < len(path):
        if path[at] == "[":
            value, end = decoder.raw_decode(path, at + 1)
            if not isinstance(value, str | int) or path[end : end + 1] != "]":
                raise ValueError(f"not a path: {path!r}")
            steps.append(value)
            at = end + 1
            continue
        if path[at] == "." and steps:
            at += 1
        name = _NAME.match(path, at)
        if not name:
            raise ValueError(f"not a path: {path!r}")
        steps.append(name.group())
        at = name.end()
    return steps


def at(document: Any, steps: Sequence[Step]) -> Any:
    """The value at a path of a parsed document. Raises LookupError where there is none."""
    for step in steps:
        if isinstance(step, int) != isinstance(document, list):
            raise LookupError(step)
        document = document[step]
    return document


def differences(
    columns: Sequence[tuple[str, bool]],
    expected: Sequence[Any],
    found: Sequence[Any],
    limit: int = 10,
) -> tuple[tuple[PathDiff, ...], int]:
    """The first `limit` places where two rows of texts differ, and how many there are at least.

    columns: name and whether it holds JSON. A value is text, None for NULL, or `[bytes]` for one
    too large to have been brought here.
    """
    found_diffs: list[PathDiff] = []
    total = 0
    for (name, is_json), e, f in zip(columns, expected, found, strict=True):
        for diff in _column(name, is_json, e, f):
            total += 1
            if len(found_diffs) < limit:
                found_diffs.append(diff)
    return tuple(found_diffs), total


def _column(name: str, is_json: bool, expected: Any, found: Any) -> Iterator[PathDiff]:
    if isinstance(expected, list) or isinstance(found, list):
        if expected != found or isinstance(expected, list):
            yield PathDiff(join([name]), _size(expected), _size(found))
        return
    if expected == found:
        return
    if is_json and expected is not None and found is not None:
        try:
            inside = list(_inside([name], parse(expected), parse(found), 0))
        except (ValueError, RecursionError):
            inside = []
        if inside:
            yield from inside
            return
    yield PathDiff(join([name]), _text(expected, is_json), _text(found, is_json))


def _inside(steps: list[Step], expected: Any, found: Any, depth: int) -> Iterator[PathDiff]:
    both = (expected, found)
    if depth < _DEPTH and all(isinstance(v, dict) for v in both):
        for key in dict.fromkeys([*expected, *found]):
            e, f = expected.get(key, ABSENT_VALUE), found.get(key, ABSENT_VALUE)
            yield from _inside([*steps, key], e, f, depth + 1)
    elif depth < _DEPTH and all(isinstance(v, list) for v in both):
        for i in range(max(len(expected), len(found))):
            e = expected[i] if i < len(expected) else ABSENT_VALUE
            f = found[i] if i < len(found) else ABSENT_VALUE
            yield from _inside([*steps, i], e, f, depth + 1)
    elif _json(expected) != _json(found):
        yield PathDiff(join(steps), _json(expected), _json(found))


class _Absent:
    pass


ABSENT_VALUE = _Absent()


def _json(value: Any) -> str | None:
    return None if value is ABSENT_VALUE else render(value)


def _text(value: str | None, is_json: bool) -> str:
    if value is None:
        return "NULL"
    return value if is_json else json.dumps(value, ensure_ascii=False)


def _size(value: Any) -> str:
    if isinstance(value, list):
        return f"({value[0]} bytes)"
    return _text(value, False)
