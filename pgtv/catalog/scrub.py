"""Keep secrets out: statements of others lose their literals before they are stored or shown."""

from __future__ import annotations

import re

_LITERAL = re.compile(
    r"""(?P<dollar>\$(?P<tag>[A-Za-z_]\w*|)\$.*?(?:\$(?P=tag)\$|\Z))
      | [eEnNbBxX]?'(?:[^'\\]|''|\\.)*(?:'|\Z)
      | (?<![\w"$])\d+(?:\.\d+)?(?![\w"])""",
    re.VERBOSE | re.DOTALL,
)
LENGTH = 200


def scrub(query: str | None) -> str | None:
    """A statement with its literals replaced by `?`, on one line, cut to 200 characters.

    An unclosed literal (the server cuts long statements) is removed to the end.
    """
    if query is None:
        return None
    text = " ".join(_LITERAL.sub("?", query).split())
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"
