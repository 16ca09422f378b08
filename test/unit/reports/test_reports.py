"""All formats show the same findings, whatever names hold, in their own rules."""

from __future__ import annotations

import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from pgtv.errors import Exit
from pgtv.finding import Effect, Finding, Severity
from pgtv.reports import html, human, markdown, nagios, prometheus
from pgtv.reports import json as as_json
from pgtv.reports.layout import layout

_spec = importlib.util.spec_from_file_location("findings", Path(__file__).parent / "findings.py")
assert _spec and _spec.loader
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)

HOSTILE = made.HOSTILE


def hostile() -> list[Finding]:
    return [
        made.finding("first", HOSTILE, effect=Effect.WRITES_FAIL),
        made.finding("second", "public.tb_b", severity=Severity.WARNING, effect=Effect.RISK),
        made.finding("third", "(check)", severity=Severity.UNKNOWN, needs=("SELECT on x",)),
        made.finding("fourth", HOSTILE, severity=Severity.INFO, effect=Effect.NONE, remedy=None),
    ]


def test_human_groups_by_meaning_and_puts_information_last() -> None:
    text = human.render(layout(made.examination(*hostile())))
    heads = [line for line in text.splitlines() if line.isupper() and line[0] != " "]
    assert [h for h in heads if not h.startswith(("CRIT", "WARN", "UNKN"))] == [
        "WRITES FAIL NOW", "RISK", "COULD NOT BE SEEN", "FOR INFORMATION",
    ]  # fmt: skip
    assert "pg_tviews 1, catalog 10" in text
    assert "(about 1,234 rows)" in text
    assert "SELECT on x" in text
    assert "cannot be taken back" in text


def test_human_shows_no_control_character_of_a_name() -> None:
    for kw in ({}, {"verbosity": 1}, {"verbosity": -1}, {"all": True}):
        text = human.render(layout(made.examination(*hostile())), **kw)  # type: ignore[arg-type]
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", text), kw
        assert "\\x1b" in text


@pytest.mark.parametrize("columns", [60, 80, 100, 120])
def test_human_keeps_within_the_columns(columns: int) -> None:
    findings = [*hostile(), *(made.finding("many", f"public.tb_{i}") for i in range(300))]
    shown = layout(made.examination(*findings), commands=("repair", "explain"))
    text = human.render(shown, width=columns)
    assert "Next: pgtv repair" in text
    for line in text.splitlines():
        # only what is to be pasted may be longer
        assert len(line) <= columns or re.match(r"  (cure|whole|try|or|undo|to see)", line), line


def test_human_stays_readable_with_hundreds_and_all_unfolds_them() -> None:
    many = made.examination(*(made.finding("many", f"public.tb_{i:03}") for i in range(300)))
    short = human.render(layout(many))
    assert len(short.splitlines()) < 60
    assert "297 more of the same kind" in short
    assert "pgtv doctor --only many --all" in short
    whole = human.render(layout(many), all=True)
    assert all(f"public.tb_{i:03}" in whole for i in range(300))


def test_human_puts_consequences_under_their_cause() -> None:
    cause = made.finding("cause", "public.tb_a")
    effect = made.finding("effect", "public.tv_a", caused_by=cause.id)
    text = human.render(layout(made.examination(cause, effect)))
    assert text.index("public.tb_a") < text.index("causes") < text.index("effect  public.tv_a")
    assert text.count("What is wrong with public.tv_a") == 0


def test_human_says_which_role_would_lift_the_unknowns() -> None:
    unseen = [
        made.finding("a", severity=Severity.UNKNOWN, needs=("pg_monitor",)),
        made.finding("b", severity=Severity.UNKNOWN, needs=("pg_read_all_settings",)),
        made.finding("c", severity=Severity.UNKNOWN, needs=("UPDATE on public.tb_a",)),
    ]
    text = human.render(layout(made.examination(*unseen)))
    assert '  to see    GRANT pg_monitor TO "me""x";\n' in text
    assert "GRANT" not in human.render(layout(made.examination(unseen[2])))


def test_human_quiet_is_a_line_a_finding_and_nothing_when_healthy() -> None:
    assert len(human.render(made.examination(*hostile()), verbosity=-1).splitlines()) == 3
    assert human.render(made.examination(), verbosity=-1) == ""


def test_cures_are_never_wrapped_and_color_only_on_request() -> None:
    statement = "SELECT " + ", ".join(f"'{i}'" for i in range(100)) + ";"
    long = made.finding(remedy=made.Remedy(sql=(statement,)))
    text = human.render(made.examination(long), width=60)
    assert statement in text
    assert "\x1b[" not in text
    assert "\x1b[" in human.render(made.examination(long), color=True)


def test_next_names_only_commands_that_exist() -> None:
    text = human.render(layout(made.examination(*hostile()), commands=("explain",)))
    assert "Next: pgtv explain first" in text
    assert "pgtv repair" not in text
    assert "Next:" not in human.render(layout(made.examination(*hostile())))


def test_next_ends_a_lease_where_it_is_all_there_is() -> None:
    lease = made.finding("trigger-lease", "lease 1", severity=Severity.WARNING)
    commands = ("explain", "repair", "triggers")
    text = human.render(layout(made.examination(lease), commands=commands))
    assert "Next: pgtv triggers enable" in text
    assert "pgtv repair" not in text
    both = human.render(layout(made.examination(lease, made.finding()), commands=commands))
    assert "Next: pgtv repair" in both
    assert "triggers enable" not in both


def test_json_follows_its_published_schema(root: Path) -> None:
    schema = json.loads((root / "schemas" / "pgtv.doctor.1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for found in (made.examination(*hostile()), made.examination()):
        document = json.loads(as_json.render(found))
        jsonschema.validate(document, schema)
    broken = json.loads(as_json.render(made.examination(*hostile())))
    broken["findings"][0]["severity"] = "bad"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_nagios_has_one_pipe_on_its_first_line_and_none_after() -> None:
    first, *rest = nagios.render(layout(made.examination(*hostile()), Exit.CRITICAL)).splitlines()
    assert re.fullmatch(r"PGTV CRITICAL - [^|]+ \| (\S+=[\d.]+s?;;;0 ?)+", first), first
    assert not any("|" in line for line in rest)
    assert "critical=1;;;0" in first


@pytest.mark.parametrize("code", [Exit.HEALTHY, Exit.WARNING, Exit.CRITICAL, Exit.UNKNOWN])
def test_nagios_word_is_the_exit_codes(code: Exit) -> None:
    word = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}[int(code)]
    assert nagios.render(layout(made.examination(), code)).startswith(f"PGTV {word} - ")


def test_prometheus_lines_parse_and_every_check_has_a_series() -> None:
    text = prometheus.render(layout(made.examination(*hostile())))
    sample = re.compile(r'[a-z_]+\{([a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*\} [\d.e+-]+')
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(sample.fullmatch(line) for line in lines)
    assert '{database="d|b<i>",check="first",group="triggers"} 2' in text
    assert '{database="d|b<i>",check="fourth",group="triggers"} 0' in text


def test_markdown_escapes_names_and_fences_cures() -> None:
    text = markdown.render(layout(made.examination(*hostile())))
    assert "<b>" not in re.sub(r"(?<![`\\])(`+)(?!`).+?(?<!`)\1(?!`)", "", text, flags=re.DOTALL)
    assert "\x1b" not in text
    assert "```sql\nSET lock_timeout = '2s';\nSELECT 1;\n```" in text


WHY = "It ends <b>somebody's</b> session."


def test_every_format_says_before_the_cure_why_a_person_decides() -> None:
    asked = made.finding(remedy=made.Remedy(sql=("SELECT 1;",), role="owner", decide=WHY))
    decided = layout(made.examination(asked))
    text = human.render(decided)
    assert f"  decide    {WHY}\n  cure      SELECT 1;" in text
    text = markdown.render(decided)
    assert 0 < text.index("- decide: It ends \\<b\\>somebody's") < text.index("SELECT 1;")
    text = html.render(decided)
    assert 0 < text.index("<dt>decide</dt><dd>It ends &lt;b&gt;somebody") < text.index("SELECT 1;")
    (found,) = json.loads(as_json.render(decided.examination))["findings"]
    assert found["remedy"]["decide"] == WHY


def test_no_format_speaks_of_deciding_where_nobody_has_to() -> None:
    plain = layout(made.examination(made.finding()))
    for text in (human.render(plain), markdown.render(plain), html.render(plain)):
        assert "decide" not in text
    (found,) = json.loads(as_json.render(plain.examination))["findings"]
    assert found["remedy"]["decide"] is None


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_whole_self_contained_and_escaped() -> None:
    text = html.render(layout(made.examination(*hostile())))
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert not page.tags & {"script", "link", "img", "iframe", "b", "i"}
    assert "{{" not in text.replace("{{x}}", "")
    assert "http" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("render", [markdown.render, html.render, nagios.render])
def test_every_format_names_every_loud_finding(render: object) -> None:
    text = render(layout(made.examination(*hostile())))  # type: ignore[operator]
    assert all(check in text for check in ("first", "second", "third"))
