"""The explanations, as data files hold them, and how a text finds its own.

A text is a check's id, an SQLSTATE, a name or habit from an early release, or a server's message as it
was pasted; numbers and names in it vary.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Explanation:
    """What a text means here and what to type next.

    kind: check, message, sqlstate or name. details: further paragraphs by label.
    """

    kind: str
    name: str
    title: str
    means: str
    type: tuple[str, ...] = ()
    sqlstate: str | None = None
    checks: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def table(name: str) -> tuple[dict[str, Any], ...]:
    """The entries of one data file: messages, sqlstates or early_names."""
    file = resources.files("pgtv.explain") / "data" / f"{name}.toml"
    (entries,) = tomllib.loads(file.read_text(encoding="utf-8")).values()
    return tuple(entries)


def find(text: str) -> list[Explanation]:
    """All that `text` matches, most special first; empty when nothing does."""
    text = " ".join(text.split())
    check = _check(text)
    if check:
        return [check]
    if re.fullmatch(r"[0-9A-Za-z]{5}", text) and (state := _sqlstate(text.upper())):
        return [state]
    names = [n for e in table("early_names") if (n := _name(e, text))]
    if names:
        return names[:1]
    message = _message(text)
    found = [message] if message else []
    code = _code_in(text) or (message.sqlstate if message else None)
    if code and (state := _sqlstate(code)):
        found.append(state)
    if message and message.name in ("early-function", "early-relation"):
        # an unknown function or relation: its name may be of an early release
        from pgtv.catalog.dialects.base import OWN_NAME

        for word in re.findall(OWN_NAME, text):
            found += [n for e in table("early_names") if (n := _name(e, word))][:1]
    return found


def nearest(text: str, limit: int = 5) -> list[str]:
    """Known texts that are written alike, best first."""
    import difflib

    from pgtv.checks.registry import all_checks

    known = [
        *all_checks(), *(s["code"] for s in table("sqlstates")),
        *(n["shown"] for n in table("early_names")), *(m["title"] for m in table("messages")),
    ]  # fmt: skip
    lowered = {k.lower(): k for k in known}
    close = difflib.get_close_matches(text.lower(), list(lowered), n=limit, cutoff=0.45)
    words = set(re.findall(r"[a-z0-9]{4,}", text.lower()))
    shared = sorted(
        (k for k in lowered if words & set(re.findall(r"[a-z0-9]{4,}", k))),
        key=lambda k: -len(words & set(re.findall(r"[a-z0-9]{4,}", k))),
    )
    return [lowered[k] for k in dict.fromkeys([*close, *shared])][:limit]


def from_check(check_id: str) -> Explanation | None:
    """A check's own page as an explanation."""
    return _check(check_id)


def _check(text: str) -> Explanation | None:
    from pgtv.checks.registry import all_checks, sections

    # a finding's id (check:object) is pasted as often as the check's
    check = all_checks().get(text) or all_checks().get(text.partition(":")[0])
    if check is None:
        return None
    parts = sections(check)
    option = f" {check.option}" if check.option else ""
    thresholds = ", ".join(f"{n} = {t.default:g} {t.unit}" for n, t in check.thresholds.items())
    return Explanation(
        kind="check", name=check.id, title=check.title,
        means=parts.get("Meaning") or parts.get("", ""),
        type=(f"pgtv doctor{option} --only {check.id}",),
        details={
            **{k: v for k, v in parts.items() if k not in ("", "Meaning") and v},
            **({"Thresholds": thresholds} if thresholds else {}),
        },
    )  # fmt: skip


def _sqlstate(code: str) -> Explanation | None:
    for entry in table("sqlstates"):
        if entry["code"] == code:
            return Explanation(
                "sqlstate", code, entry["title"], _flow(entry["means"]), tuple(entry["type"]), code
            )
    return None


def _message(text: str) -> Explanation | None:
    for entry in table("messages"):
        if match := re.search(entry["match"], text, re.IGNORECASE):
            groups = {k: v for k, v in match.groupdict().items() if v}
            return Explanation(
                "message", entry["id"], entry["title"], _fill(_flow(entry["means"]), groups),
                tuple(_fill(t, groups) for t in entry["type"]), entry["sqlstate"],
                tuple(entry.get("checks", ())),
            )  # fmt: skip
    return None


def _name(entry: dict[str, Any], text: str) -> Explanation | None:
    if not re.fullmatch(entry["match"], text.rstrip("; "), re.IGNORECASE):
        return None
    return Explanation(
        "name", entry["shown"], f"{entry['shown']}: {_flow(entry['was'])}", _flow(entry["today"]),
        tuple(entry["type"]),
    )  # fmt: skip


def _code_in(text: str) -> str | None:
    """An SQLSTATE inside a pasted message, as psql and log lines write it."""
    codes = {s["code"] for s in table("sqlstates")}
    return next((w for w in re.findall(r"\b[0-9A-Z]{5}\b", text) if w in codes), None)


def _fill(text: str, groups: Mapping[str, str]) -> str:
    """`{name}` replaced where the message named it, `…` where it did not."""
    return re.sub(r"\{([a-z]+)\}", lambda m: groups.get(m[1], "…"), text)


def _flow(text: str) -> str:
    return " ".join(text.split())
