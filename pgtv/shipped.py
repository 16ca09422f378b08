"""The SQL files that come with pgtv: in the folder sql of the checkout, in the package once installed."""

from __future__ import annotations

from pathlib import Path

from pgtv.errors import NotPossible

FOR_PSQL = ("emergency", "monitoring", "roles")  # what people run by themselves


def path(name: str) -> Path:
    """Where `name` (FOLDER/FILE, without .sql) is. Raises NotPossible where it was left out."""
    found = _root() / f"{name}.sql"
    if not found.is_file():
        raise NotPossible(f"sql/{name}.sql is not part of this installation")
    return found


def text(name: str) -> str:
    """The text of `name`. Raises NotPossible where it was left out."""
    return path(name).read_text(encoding="utf-8")


def names() -> list[str]:
    """The files that people run by themselves, as FOLDER/FILE, in the order of their names."""
    return [
        f"{folder}/{file.stem}"
        for folder in FOR_PSQL
        for file in sorted((_root() / folder).glob("*.sql"))
    ]


def about(name: str) -> str:
    """What a file says of itself first: one sentence."""
    lines = iter(text(name).splitlines())
    said = []
    for line in lines:
        if not line.startswith("-- "):
            break
        said.append(line[3:].strip())
        if line.rstrip().endswith((".", ":")):
            break
    sentence, dot, _ = " ".join(said).partition(". ")
    return sentence + dot.strip()


def _root() -> Path:
    here = Path(__file__).resolve().parent
    packed = here / "_sql"
    return packed if packed.is_dir() else here.parent / "sql"
