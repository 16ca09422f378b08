"""Whether the extension's library can read a stored plan: one that it cannot fails every write.

The library decodes plans strictly: a member of the wrong JSON type fails the whole plan, unknown
members are ignored, absent ones are empty where they may be. `problem` decides the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

VERSIONS = range(1, 4)  # what the libraries from beta.30 to beta.34 read; beta.34 writes 3
EMPTY = '{"version": 1}'  # readable by all of them, and says that nothing is read
EMBEDS = ("scalar", "nested_object", "array")
KINDS = ("local", "mapped", "propagated", "all_keys")

Reader = Callable[[Any], str | None]


def problem(plan: Any) -> str | None:
    """Why the extension could not read `plan`, or None when it can."""
    found = _PLAN(plan)
    if found:
        return f"the plan{found}"
    if plan["version"] not in VERSIONS:
        return f"the plan is of version {plan['version']}, the library reads 1 to {VERSIONS[-1]}"
    for entry in plan.get("tables", ()):
        if entry["kind"] == "mapped" and entry.get("sql") is None:
            return f"the plan stores no query for writes to {entry['table']}"
    return None


def json_kind(value: Any) -> str:
    """The JSON type of a parsed value, for messages."""
    return {
        dict: "object", list: "array", str: "string", bool: "boolean", int: "number",
        float: "number", type(None): "null",
    }.get(type(value), "value")  # fmt: skip


# A reader says what is wrong with a value, as the rest of a sentence that begins with its name.


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else f" is a JSON {json_kind(value)}, not a string"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else f" is a JSON {json_kind(value)}, not a boolean"


def _whole(low: int, high: int) -> Reader:
    def read(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return f" is a JSON {json_kind(value)}, not a whole number"
        return None if low <= value <= high else f" is {value}, out of range"

    return read


def _word(*words: str) -> Reader:
    def read(value: Any) -> str | None:
        return None if value in words else f" is {value!r}, not one of {', '.join(words)}"

    return read


def _maybe(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def _either(first: Reader, second: Reader) -> Reader:
    return lambda value: None if first(value) is None else second(value)


def _list(reader: Reader) -> Reader:
    def read(value: Any) -> str | None:
        if not isinstance(value, list):
            return f" is a JSON {json_kind(value)}, not an array"
        for i, element in enumerate(value):
            if found := reader(element):
                return f"[{i}]{found}"
        return None

    return read


def _pair(first: Reader, second: Reader) -> Reader:
    def read(value: Any) -> str | None:
        if not isinstance(value, list) or len(value) != 2:
            return " is not an array of two"
        return first(value[0]) or second(value[1])

    return read


def _object(required: Mapping[str, Reader], optional: Mapping[str, Reader]) -> Reader:
    def read(value: Any) -> str | None:
        if not isinstance(value, dict):
            return f" is a JSON {json_kind(value)}, not an object"
        for name, reader in required.items():
            if name not in value:
                return f" has no {name}"
            if found := reader(value[name]):
                return f".{name}{found}"
        for name, reader in optional.items():
            if name in value and (found := reader(value[name])):
                return f".{name}{found}"
        return None

    return read


_OID, _ATTNUM = _whole(0, 2**32 - 1), _whole(-(2**15), 2**15 - 1)
_EMBED = _object(
    {"entity": _text, "lookups": _list(_text), "kind": _word(*EMBEDS)}, {"path": _list(_text)}
)
_FANOUT = _object(
    {"lookup_col": _text, "fields": _list(_pair(_text, _either(_text, _list(_text))))},
    {"via": _maybe(_text)},
)
_TABLE = _object(
    {"relid": _OID, "table": _text, "kind": _word(*KINDS)},
    {
        "column": _maybe(_text), "entity": _maybe(_text), "reason": _maybe(_text),
        "sql": _maybe(_text), "attnums": _list(_ATTNUM), "columns": _list(_text),
        "hop": _maybe(_pair(_text, _text)), "key_col": _maybe(_text), "fanout": _maybe(_FANOUT),
        "tview": _maybe(_text),
        "reads": _list(_object({"attnum": _ATTNUM}, {"sql": _maybe(_text)})),
        "links": _maybe(_list(_ATTNUM)),
    },
)  # fmt: skip
_PATH = _object(
    {"source_oid": _OID, "source_table": _text, "entity_name": _text, "initial_col": _text},
    {"source_columns": _list(_text), "root": _flag, "initial_attnum": _maybe(_ATTNUM)},
)
_REFERENCE = _object(
    {
        "column": _text, "source": _text, "table": _text, "key": _text, "constraint": _text,
        "unique": _flag, "nullable": _flag,
    },
    {},
)  # fmt: skip
_PLAN = _object(
    {"version": _whole(0, 2**32 - 1)},
    {
        "set_operation": _flag, "embeds": _list(_EMBED), "direct": _list(_pair(_text, _text)),
        "tables": _list(_TABLE), "paths": _list(_PATH), "references": _list(_REFERENCE),
    },
)  # fmt: skip
