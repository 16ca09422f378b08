"""Generated sections of pages that are written by hand: what stands between `<!-- name -->` and its end.

Imported by the generators beside it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

Sections = Mapping[str, Callable[[], Iterable[str]]]


def filled(text: str, sections: Sections) -> str:
    """`text` with each section's lines in its place. Raises ValueError where it has no place."""
    for name, lines in sections.items():
        body = "\n".join(lines()).rstrip()
        text, found = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda m, body=body: f"{m[1]}\n{body}\n\n{m[2]}",
            text,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(f"section {name} has {found} places")
    return text


def main(pages: Mapping[Path, Sections], arguments: Sequence[str]) -> int:
    """Write what is not up to date; with --check only name it, and give 1."""
    stale = []
    for page, sections in pages.items():
        text = page.read_text(encoding="utf-8")
        made = filled(text, sections)
        if made != text:
            stale.append(page.name)
            if "--check" not in arguments:
                page.write_text(made, encoding="utf-8")
    for name in stale:
        print(f"{'out of date' if '--check' in arguments else 'wrote'}: {name}", file=sys.stderr)
    return int(bool(stale) and "--check" in arguments)
