"""Snapshots as JSON: written canonically, read strictly where it matters and leniently where it grew.

Unknown keys of a newer minor writer are ignored, missing keys take the model's defaults, so files
of every version with the same schema number stay readable.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import tempfile
import types
import typing
from pathlib import Path
from typing import Any

from pgtv.catalog import model
from pgtv.catalog.model import Snapshot
from pgtv.errors import SnapshotError
from pgtv.stdin import standard_input


def to_dict(value: Any) -> Any:
    """Plain JSON types; defaults are kept, so a reader sees every field."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_dict(v) for v in value]
    if isinstance(value, dict):
        return {str(k): to_dict(v) for k, v in value.items()}
    return value


def dumps(snapshot: Snapshot) -> str:
    """The file's text: one object, keys in the model's order, newline at the end."""
    return json.dumps(to_dict(snapshot), ensure_ascii=False, indent=1) + "\n"


def loads(text: str, source: str = "snapshot") -> Snapshot:
    """Read a snapshot; `source` names it in errors.

    Raises SnapshotError for what is no snapshot, or one of a schema that this release cannot read.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as e:
        where = getattr(e, "lineno", None)
        reason = f"{e.msg} at line {where}" if isinstance(e, json.JSONDecodeError) else str(e)
        raise SnapshotError(
            f"{source} is not JSON: {reason}", "make a new one with: pgtv snapshot save FILE"
        ) from None
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if not isinstance(schema, str) or not schema.startswith("pgtv.snapshot/"):
        raise SnapshotError(
            f"{source} is not a pgtv snapshot (no schema pgtv.snapshot/N)",
            "make one with: pgtv snapshot save FILE",
        )
    if schema != model.SCHEMA:
        raise SnapshotError(
            f"{source} has schema {schema}; this pgtv reads {model.SCHEMA}",
            "use the pgtv release that wrote it, or a newer one",
        )
    try:
        snapshot = _build(Snapshot, raw, "$")
    except (TypeError, ValueError, KeyError, AttributeError) as e:
        raise SnapshotError(f"{source} is damaged: {e}") from None
    assert isinstance(snapshot, Snapshot)
    return snapshot


def save(snapshot: Snapshot, path: Path) -> None:
    """Write at once and whole, readable by the owner alone: definitions may be confidential.

    Raises SnapshotError, and leaves an older file of that name as it was, when it cannot be written.
    """
    text = dumps(snapshot)
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a pipe
            path.write_text(text, encoding="utf-8")
            return
        # mkstemp: 0600, and nobody can have put a link there before
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:200]}.", dir=path.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as e:
        raise SnapshotError(f"cannot write snapshot {path}: {e.strerror or e}") from None


def load(path: Path) -> Snapshot:
    """Read a snapshot file, `-` for stdin. Raises SnapshotError when it cannot be read."""
    try:
        if str(path) == "-":
            return loads(standard_input().decode("utf-8"), "stdin")
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise SnapshotError(f"cannot read snapshot {path}: {e.strerror or e}") from None
    except UnicodeDecodeError:
        raise SnapshotError(f"{path} is not a pgtv snapshot (no UTF-8 text)") from None
    return loads(text, str(path))


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _build(kind: Any, raw: Any, where: str) -> Any:
    """`raw` as `kind`, which is one of the model's own types or a generic of them."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        arms = [a for a in typing.get_args(kind) if a is not type(None)]
        return None if raw is None else _build(arms[0], raw, where)
    if origin is tuple:
        args = typing.get_args(kind)
        if not isinstance(raw, list):
            raise TypeError(f"{where} should be a list")
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_build(args[0], v, f"{where}[{i}]") for i, v in enumerate(raw))
        return tuple(_build(a, v, where) for a, v in zip(args, raw, strict=True))
    if origin is dict:
        if not isinstance(raw, dict):
            raise TypeError(f"{where} should be an object")
        value_kind = typing.get_args(kind)[1]
        return {k: _build(value_kind, v, f"{where}.{k}") for k, v in raw.items()}
    if dataclasses.is_dataclass(kind):
        if not isinstance(raw, dict):
            raise TypeError(f"{where} should be an object")
        assert isinstance(kind, type)
        hints = _hints(kind)
        given = {
            f.name: _build(hints[f.name], raw[f.name], f"{where}.{f.name}")
            for f in dataclasses.fields(kind)
            if f.name in raw
        }
        return kind(**given)
    if kind is Any:
        return raw
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if not isinstance(raw, kind):
        raise TypeError(f"{where} should be {kind.__name__}, is {type(raw).__name__}")
    return raw
