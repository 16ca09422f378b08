"""tools/demo: what it must not pass over."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest


class _Server:
    """A server that does whatever it is asked."""

    major = 18
    binaries = Path("/nowhere")

    def env(self, *_: object) -> dict[str, str]:
        return {}

    def create_database(self, *_: object) -> None: ...

    def psql(self, *_: object) -> str:
        return ""


def test_a_start_that_is_not_healthy_fails_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import demo_tour

    typed: list[str] = []

    def pgtv(_: Any, *args: str) -> int:
        typed.append(" ".join(args))
        return 2 if args == demo_tour.DOCTOR else 0

    monkeypatch.setattr(demo_tour.Tour, "pgtv", pgtv)
    with pytest.raises(SystemExit, match="not healthy before anything happened"):
        demo_tour.tour_of(_Server(), "lab", 0.0)
    assert typed == ["status", "doctor --verify"]
    assert "things happen in the night" not in capsys.readouterr().out
    sys.modules.pop("demo_tour", None)
