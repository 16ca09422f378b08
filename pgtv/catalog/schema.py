"""JSON schemas of snapshot files and other documents, derived from their own classes."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pgtv.catalog.model import SCHEMA, Snapshot

_PRIMITIVES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def snapshot_schema() -> dict[str, Any]:
    """The document that schemas/ publishes; required is what has no default."""
    return document_schema(
        Snapshot,
        SCHEMA,
        "What was true of TVIEWs in one database at one moment. Readers ignore keys "
        "that they do not know; keys that are missing have the model's defaults.",
    )


def document_schema(cls: type, name: str, description: str) -> dict[str, Any]:
    """The schema of a document that is `cls`, a dataclass or TypedDict, as JSON, `schema` naming it."""
    definitions: dict[str, Any] = {}
    root = _object(cls, definitions)
    root["properties"]["schema"] = {"const": name}
    root["required"] = [*(r for r in root["required"] if r != "schema"), "schema"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": description,
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _object(cls: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    if typing.is_typeddict(cls):
        return {
            "type": "object",
            "properties": {name: _type(kind, definitions) for name, kind in hints.items()},
            "required": [name for name in hints if name in vars(cls)["__required_keys__"]],
        }
    fields = dataclasses.fields(cls)
    required = [
        f.name
        for f in fields
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    return {
        "type": "object",
        "properties": {f.name: _type(hints[f.name], definitions) for f in fields},
        "required": required,
    }


def _type(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_type(a, definitions) for a in args]}
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return {"type": "array", "items": _type(args[0], definitions)}
    if origin is tuple:
        items = [_type(a, definitions) for a in args]
        return {"type": "array", "prefixItems": items, "minItems": len(items)}
    if origin is typing.Annotated:  # a text, and the values that it has
        return {"enum": list(args[1:])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _type(args[1], definitions)}
    if origin is list:
        return {"type": "array", "items": _type(args[0], definitions)}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"enum": [str(member) for member in kind]}
    if kind is type(None):
        return {"type": "null"}
    if kind is Any:
        return {}
    if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        assert isinstance(kind, type)
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # before going deeper, should one contain itself
            text = " ".join((kind.__doc__ or "").split())
            found = _object(kind, definitions)
            # the docstring that dataclass makes up is no description
            has_text = text and not text.startswith(f"{kind.__name__}(")
            definitions[kind.__name__] = ({"description": text} if has_text else {}) | found
        return {"$ref": f"#/$defs/{kind.__name__}"}
    return {"type": _PRIMITIVES[kind]}
