"""What is pasted means what was printed."""

from __future__ import annotations

import pytest

from pgtv.finding import Remedy
from pgtv.pasted import indented, pasteable


@pytest.mark.parametrize(
    ("sql", "printed"),
    [
        ('ALTER TABLE "a""b" RENAME\n  TO "c";', 'ALTER TABLE "a""b" RENAME\n  TO "c";'),
        ('DROP TABLE public."a\nb";', 'DROP TABLE public.U&"a\\000Ab";'),
        ('DROP TABLE "a""\x1b\\";', 'DROP TABLE U&"a""\\001B\\\\";'),
        ('DROP TABLE "\U000e0001";', 'DROP TABLE U&"\\+0E0001";'),
        ("SELECT 'it''s\n';", "SELECT E'it''s\\n';"),
        ("SELECT 'a\\b\n';", "SELECT E'a\\\\b\\n';"),
        ("SELECT f( E'a\\\\b\x07\\'c');", "SELECT f( E'a\\\\b\\u0007\\'c');"),
        ("SELECT $d$ 'a\nb' $d$;", "SELECT $d$ 'a\nb' $d$;"),
        ('-- it\'s\nSELECT "a\nb";', '-- it\'s\nSELECT U&"a\\000Ab";'),
        ('SELECT U&"a\\000Ab";\n', 'SELECT U&"a\\000Ab";\n'),
    ],
)
def test_only_what_does_not_print_is_escaped(sql: str, printed: str) -> None:
    assert pasteable(sql) == printed
    assert pasteable(printed) == printed


def test_other_characters_on_request() -> None:
    assert pasteable("DROP TABLE \"a|b\", 'c'", also="|") == "DROP TABLE U&\"a\\007Cb\", 'c'"
    assert pasteable('DROP TABLE U&"\\000A|"', also="|") == 'DROP TABLE U&"\\000A\\007C"'


def test_a_remedy_is_made_so() -> None:
    remedy = Remedy(sql=('DROP TABLE "a\nb";',), undo='DROP TABLE "\x1b";')
    assert (remedy.sql, remedy.undo) == (('DROP TABLE U&"a\\000Ab";',), 'DROP TABLE U&"\\001B";')


def test_indentation_stays_out_of_dollar_quotes() -> None:
    sql = "SELECT f('a',\n$def$SELECT 'x\ny'\n  FROM t$def$,\n'b');"
    assert indented(sql, "    ") == [
        "    SELECT f('a',", "    $def$SELECT 'x", "y'", "  FROM t$def$,", "    'b');",
    ]  # fmt: skip
    assert "\n".join(indented(sql, "")) == sql


def test_what_a_terminal_would_change_leaves_dollar_quotes() -> None:
    assert pasteable("SELECT $x$a\n\tb$x$;") == "SELECT $x$a\n\tb$x$;"
    assert pasteable("SELECT $x$it's\r\n\\b$x$;") == "SELECT E'it''s\\u000D\\n\\\\b';"
    assert pasteable("SELECT $$a|b$$", also="|") == "SELECT E'a\\u007Cb'"
