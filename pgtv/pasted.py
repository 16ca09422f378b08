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

    Comments stay as they are, and so does dollar-quoted text unless it holds more of these than line
    breaks and tabs: then it becomes an ordinary literal. Reads literals as PostgreSQL does with
    standard_conforming_strings on.
    """
    if sql.isprintable() and not any(c in sql for c in also):
        return sql

    def loud(character: str) -> bool:
        return not character.isprintable() or character in also

    def rewritten(found: re.Match[str]) -> str:
        token, kind = found.group(), found.lastgroup
        if kind == "comment" or not any(map(loud, token)):
            return token
        if kind in ("dollar", "tag"):
            if all(c in "\n\t" for c in token if loud(c)):
                return token
            quote = len(found["tag"]) + 2
            token = "'" + token[quote:-quote].replace("'", "''") + "'"
        if kind in ("name", "unicode"):
            plain = token if kind == "unicode" else "U&" + token.replace("\\", "\\\\")
            return "".join(_of_name(c) if loud(c) else c for c in plain)
        body = token if kind == "escaped" else "E" + token.replace("\\", "\\\\")
        text = "".join(_of_literal(c) if loud(c) else c for c in body)
        # xE'…' would be read as a name
        before = sql[found.start() - 1 : found.start()]
        return f" {text}" if before.isalnum() or (before in ("_", "$") and before) else text

    return _TOKEN.sub(rewritten, sql)


def indented(sql: str, indent: str) -> list[str]:
    """The lines of `sql`, each behind `indent` but for those that begin inside a dollar-quoted text:
    there the indentation would become part of a literal."""
    inside = {
        at
        for token in _TOKEN.finditer(sql)
        if token.lastgroup in ("dollar", "tag")
        for at in range(*token.span())
        if sql[at] == "\n"
    }
    lines, start = [], 0
    for end in [*(i for i, c in enumerate(sql) if c == "\n"), len(sql)]:
        lines.append(("" if start - 1 in inside else indent) + sql[start:end])
        start = end + 1
    return lines


def connect_line(database: str) -> str:
    """psql's command for going on in another database of the same server.

    psql takes a name with `=` or `://` in it for a connection string, reads backslashes in quotes, and
    then takes double quotes off as an identifier's.
    """
    if "=" not in database and "://" not in database:
        return f"\\connect {_psql_argument(database)}"
    value = database.replace("\\", "\\\\").replace("'", "\\'")
    return "\\connect -reuse-previous=on " + _psql_argument(f"dbname='{value}'")


def _psql_argument(text: str) -> str:
    if '"' in text:
        text = '"' + text.replace('"', '""') + '"'
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return "'" + "".join(c if c.isprintable() else _octal(c) for c in quoted) + "'"


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "replace"))


def _of_name(character: str) -> str:
    code = ord(character)
    return f"\\{code:04X}" if code < 0x10000 else f"\\+{code:06X}"


def _of_literal(character: str) -> str:
    code = ord(character)
    if character == "\n":
        return "\\n"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
