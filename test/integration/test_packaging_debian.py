"""tools/demo and tools/test set themselves up on an empty Debian 12: only git and Python are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.container, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "pgtv-empty:bookworm"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Machine:
    """A running container that stands for somebody's fresh machine."""

    name: str

    def run(self, script: str, user: str = "root", timeout: float = 900) -> tuple[int, str]:
        """A shell script; its exit code, and stdout and stderr together."""
        done = subprocess.run(
            ["docker", "exec", "-u", user, self.name, "sh", "-c", f"{{ {script}\n}} 2>&1"],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def sh(self, script: str, user: str = "root") -> str:
        code, output = self.run(script, user)
        assert code == 0, output
        return output


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone would hold, committed or not, without what git ignores."""
    target = tmp_path_factory.mktemp("clone") / "pgtv"
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached",
         "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture
def machine(checkout: Path) -> Iterator[Machine]:
    """How this machine reaches its package mirrors is passed on, whatever it is."""
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip("no container engine answers")
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode:
        pytest.skip(f"no image {IMAGE}: tools/make-image empty")
    arguments = ["--init"]
    for key in os.environ:
        if key.startswith("PIP_") or key.lower() in ("http_proxy", "https_proxy", "no_proxy"):
            arguments += ["-e", key]
    for path in (CERTIFICATES, Path("/etc/pip.conf")):
        if path.exists():
            arguments += ["-v", f"{path.resolve()}:{path}:ro"]
    machine = Machine(f"pgtv-empty-{uuid.uuid4().hex[:8]}")
    subprocess.run(
        ["docker", "run", "-d", "--rm", "--name", machine.name, *arguments, IMAGE, "sleep", "3600"],
        check=True, capture_output=True,
    )  # fmt: skip
    try:
        code, output = machine.run("apt-get update -q")
        if code:
            pytest.skip(f"a container reaches no package mirror here: {output[-300:]}")
        machine.sh("rm -rf /var/lib/apt/lists/*")
        subprocess.run(["docker", "cp", str(checkout), f"{machine.name}:/src"], check=True)
        machine.sh("chown -R root:root /src && useradd --create-home someone")
        yield machine
    finally:
        subprocess.run(["docker", "rm", "-f", machine.name], capture_output=True, check=False)


LEFT = "ps() { for p in /proc/[0-9]*; do cat $p/comm 2>/dev/null; done; }; ps | grep -c postgres || true"


def assert_toured(machine: Machine, output: str) -> None:
    assert "Healthy again" in output
    assert "Traceback" not in output
    assert output.count("CRITICAL") >= 4
    assert "The server is stopped" in output
    assert machine.sh(LEFT).strip() == "0"
    assert machine.sh("ls -d /tmp/pgtv-* /dev/shm/pgtv-* 2>/dev/null || true").strip() == ""


def test_root_with_a_checkout_that_only_root_can_read(machine: Machine) -> None:
    machine.sh(
        "mkdir -m 700 /root/work && mv /src /root/work/pgtv && chmod -R go-rwx /root/work/pgtv"
    )
    assert machine.run("python3 -c 'import ensurepip'")[0] != 0  # it is empty indeed
    output = machine.sh("sh /root/work/pgtv/tools/demo")
    assert_toured(machine, output)
    # a second time, with everything cached; from another folder, by a link, with a strict umask
    machine.sh("ln -s /root/work/pgtv /root/link")
    assert_toured(machine, machine.sh("umask 077; cd / && /root/link/tools/demo --lab"))


def test_somebody_else_is_told_what_to_install(machine: Machine) -> None:
    machine.sh("mv /src '/home/someone/my checkout' && chown -R someone: /home/someone")
    demo = "sh 'my checkout/tools/demo'"
    code, output = machine.run(f"cd && {demo}", "someone")
    assert code == 3
    assert "sudo apt-get install --no-install-recommends python3-venv" in output
    line = next(x for x in output.splitlines() if "apt-get install" in x).strip()
    machine.sh(f"apt-get update -q && {line.removeprefix('sudo ')} -y")
    assert_toured(machine, machine.sh(f"cd && {demo}", "someone"))


@pytest.mark.whole
@pytest.mark.parametrize("user", ["someone", "root"])
def test_tools_test_runs_what_it_can(machine: Machine, user: str) -> None:
    """Without Rust and without an engine two lanes say so; the others run."""
    home = machine.sh(f"getent passwd {user} | cut -d: -f6").strip()
    machine.sh(
        f"mkdir -m 700 {home}/work && mv /src {home}/work/pgtv && chown -R {user}: {home}/work"
    )
    test = (
        f"{home}/work/pgtv/tools/test --lane lab --lane real --lane containers"
        " -- -k 'lab_contract and (surface or writes_reach or refuses)'"
    )
    code, output = machine.run(test, user)
    # one line for Python, another for what the servers of the lab need
    for _ in range(2 if user != "root" else 0):
        assert code != 0
        line = next(x for x in output.splitlines() if "apt-get install" in x).strip()
        machine.sh(f"apt-get update -q && {line.removeprefix('sudo ')} -y")
        code, output = machine.run(test, user)
    assert code == 0, output[-4000:]
    assert "real         SKIPPED  cargo is missing" in output
    assert "containers   SKIPPED  docker is not installed" in output
    passed, failed, _ = (int(part.split()[0]) for part in output.splitlines()[-1].split(", "))
    assert passed >= 4
    assert failed == 0
