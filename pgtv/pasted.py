"""SQL that survives being printed, indented, piped and pasted, whatever the names in it hold.

A newline inside a name is lost when the line is indented, and a terminal acts on an escape sequence
instead of showing it. SQL has escapes of its own for both: U&"…" for names and E'…' for literals.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
  | (?P<dollar>  \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$ )
  | (?P<unicode> [Uu]&(?:"(?:[^"]|"")*"|'(?:[^']|'')*') )
  | (?P<name>    "(?:[^"]|"")*" )
  | (?P<escaped> \b[Ee]'(?:[^'\\]|''|\\.)*' )
  | (?P<literal> '(?:[^']|'')*' )
    """,
    re.VERBOSE | re.DOTALL,
)


def pasteable(sql: str, also: str = "") -> str:
    """The same SQL with what does not print, and the characters `also`, escaped inside quotes.

    Comments and dollar-quoted text stay as they are. Reads literals as PostgreSQL does with
    standard_conforming_strings on.
    """
    if sql.isprintable() and not any(c in sql for c in also):
        return sql

    def loud(character: str) -> bool:
        return not character.isprintable() or character in also

    def rewritten(found: re.Match[str]) -> str:
        token, kind = found.group(), found.lastgroup
        if kind in ("comment", "dollar", "tag") or not any(map(loud, token)):
            return token
        if kind in ("name", "unicode"):
            plain = token if kind == "unicode" else "U&" + token.replace("\\", "\\\\")
            return "".join(_of_name(c) if loud(c) else c for c in plain)
        body = token if kind == "escaped" else "E" + token.replace("\\", "\\\\")
        text = "".join(_of_literal(c) if loud(c) else c for c in body)
        # xE'…' would be read as a name
        before = sql[found.start() - 1 : found.start()]
        return f" {text}" if before.isalnum() or (before in ("_", "$") and before) else text

    return _TOKEN.sub(rewritten, sql)


def _of_name(character: str) -> str:
    code = ord(character)
    return f"\\{code:04X}" if code < 0x10000 else f"\\+{code:06X}"


def _of_literal(character: str) -> str:
    code = ord(character)
    if character == "\n":
        return "\\n"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
