"""Commands that compare or take away many TVIEWs give a statement more than a look has."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from click.testing import CliRunner

from pgtv import session
from pgtv.cli.main import run
from pgtv.cli.options import COMPARING
from pgtv.errors import ConnectError
from pgtv.session import STATEMENT_TIMEOUT, Target

LONG = ("verify", "refresh", "upgrade detach --snapshot s.json")


def timeout_of(command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The statement_timeout of the first session that the command opens."""
    asked: list[Target] = []

    def refuse(target: Target, **_: Any) -> NoReturn:
        asked.append(target)
        raise ConnectError("nobody is there")

    monkeypatch.setattr(session, "connect", refuse)
    with CliRunner().isolation():
        run(command.split())
    return asked[0].statement_timeout


@pytest.mark.parametrize("command", LONG)
def test_what_may_take_long_has_hours(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert timeout_of(command, monkeypatch) == COMPARING
    given = timeout_of(f"{command} --statement-timeout 5s", monkeypatch)
    assert given == "5s"


def test_a_look_has_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timeout_of("status", monkeypatch) == STATEMENT_TIMEOUT
