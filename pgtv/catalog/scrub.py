"""Keep secrets out: statements of others lose their literals before they are stored or shown."""

from __future__ import annotations

import re

LENGTH = 200

# What a statement consists of, as far as it matters here. Every kind of quoting may stay open: the
# server cuts long statements. Whatever no pattern knows is kept as one character.
_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*)
      | (?P<quoted>"(?:[^"]|"")*(?:"|\Z))
      | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$)
      | (?P<string>(?P<prefix>[eEnNbBxX]|[uU]&)?')
      | (?P<parameter>\$\d+)
      | (?P<number>\.?\d[\w.]*)
      | (?P<word>[^\W\d][\w$]*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
# SET takes values without quotes, in a session and in what ALTER fixes for a role or database.
_SETTING = re.compile(
    r"^(?P<kept>(?:SET|ALTER\s+(?:ROLE|USER|DATABASE|SYSTEM|FUNCTION|PROCEDURE)\b.*?\bSET)\s+"
    r"(?:SESSION\s+|LOCAL\s+)?[^\s=]+(?:\s*=|\s+TO\b))(?P<value>.*)",
    re.IGNORECASE | re.DOTALL,
)


def scrub(query: str | None) -> str | None:
    """A statement with its literals replaced by `?`, on one line, cut to 200 characters.

    An unclosed literal (the server cuts long statements) is removed to the end.
    """
    if query is None:
        return None
    text = " ".join(without_literals(query).split())
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


def without_literals(query: str) -> str:
    """A statement whose strings, numbers, comments and values of settings are gone."""
    kept: list[str] = []
    at = 0
    while match := _TOKEN.match(query, at):
        at = match.end()
        if match["comment"]:
            at = _after_comment(query, match)
            kept.append(" ")
        elif match["dollar"]:
            end = query.find(match["dollar"], at)
            at = len(query) if end < 0 else end + len(match["dollar"])
            kept.append("?")
        elif match["string"]:
            kept.append("?")
            close = _after_string(query, at, escapes=(match["prefix"] or "") in ("e", "E"))
            if close is None:
                break
            at = close
        else:
            kept.append("?" if match["number"] else match.group())
    text = "".join(kept)
    setting = _SETTING.match(text.strip())
    return f"{setting['kept']} ?" if setting else text


def _after_comment(query: str, match: re.Match[str]) -> int:
    """Where a comment ends; those between /* and */ nest."""
    if match.group() != "/*":
        return match.end()
    depth, at = 1, match.end()
    while depth:
        edge = _COMMENT_EDGE.search(query, at)
        if edge is None:
            return len(query)
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at


def _after_string(query: str, at: int, *, escapes: bool) -> int | None:
    """Where a string ends whose first quote stands before `at`; None where that cannot be known.

    A backslash before a quote escapes it in E'' and, by standard_conforming_strings, perhaps in
    others: what follows may be inside or outside, so the caller has to drop it.
    """
    while at < len(query):
        character = query[at]
        if character == "\\":
            if not escapes and query[at + 1 : at + 2] == "'":
                return None
            at += 2 if escapes else 1
        elif character == "'":
            if query[at + 1 : at + 2] != "'":
                return at + 1
            at += 2
        else:
            at += 1
    return None
