"""Text as a terminal may show it: nothing in it steers the terminal, and lines fit."""

from __future__ import annotations

import textwrap


def printable(text: str) -> str:
    """Control characters made visible: a name must not steer the terminal that shows it."""
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """As printable, on one line."""
    return " ".join(printable(text).split())


def _escaped(character: str) -> str:
    code = ord(character)
    # joiners and non-breaking spaces belong to ordinary names; direction overrides do not
    if code > 0x9F and code not in _DIRECTIONS and not 0xD800 <= code <= 0xDFFF:
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_DIRECTIONS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F}


def wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    """Lines of at most `width`, the first after `first` and others after `rest`; words stay whole."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def plural(n: int, word: str) -> str:
    return f"{n} {word}" + ("" if n == 1 else "s")
