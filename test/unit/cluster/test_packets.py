"""Why packets of a container cannot be dropped is said before a container is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pgtv.cluster import packets
from pgtv.cluster.container import Container
from pgtv.cluster.verbs import Can


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Root on Linux, with both programs, and the engine on this machine."""
    for name in ("nsenter", "iptables"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")


def test_where_all_is_there_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert packets.why_not() is None
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    assert Can.PACKETS not in Container().cannot


def test_each_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "iptables").unlink()
    assert "no iptables here" in Container().cannot[Can.PACKETS]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root" in str(packets.why_not())
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert "another machine" in str(packets.why_not())
