"""A server in a container, and doctor against it as against any remote server: TCP and a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import SHOP, require_real

from pgtv.cluster.container import Container, new_container
from pgtv.errors import ClusterError

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def engine() -> None:
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip("no container engine answers")


@pytest.fixture(scope="module")
def container(engine: None) -> Iterator[Container]:
    require_real(18)
    with new_container(preload=["pg_tviews"], settings={"max_prepared_transactions": "10"}) as c:
        yield c


@pytest.fixture(scope="module")
def environment(container: Container, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How an operator reaches it: PG* variables and a password file."""
    folder = tmp_path_factory.mktemp("home")
    passwords = folder / "pgpass"
    passwords.write_text(f"127.0.0.1:*:*:postgres:{container.password}\n")
    passwords.chmod(0o600)
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {
        "HOME": str(folder), "PGPASSFILE": str(passwords), "PGHOST": "127.0.0.1",
        "PGPORT": str(container.port), "PGUSER": "postgres", "PGDATABASE": "shop",
    }  # fmt: skip


@pytest.fixture(scope="module")
def shop(container: Container, environment: dict[str, str]) -> Container:
    with container.connect() as connection:
        connection.execute("CREATE DATABASE shop")
    psql = str(require_real(18) / "bin" / "psql")
    for args in (["-c", "CREATE EXTENSION pg_tviews"], ["-f", str(SHOP)]):
        subprocess.run(
            [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", *args], env=environment, check=True
        )
    return container


def doctor(environment: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgtv", "doctor", "-w", *args],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_only_the_loopback_interface_listens(container: Container) -> None:
    handle = container.handle.get_wrapped_container()
    handle.reload()
    assert [b["HostIp"] for b in handle.ports["5432/tcp"]] == ["127.0.0.1"]


def test_doctor_over_tcp_with_a_password_file(
    shop: Container, environment: dict[str, str], tmp_path: Path
) -> None:
    healthy = doctor(environment)
    assert healthy.returncode == 0, healthy.stdout + healthy.stderr
    with shop.connect("shop") as connection:
        connection.execute(
            "DROP TRIGGER trg_tview_row_customer_on_public_tb_customer ON public.tb_customer"
        )
    broken = doctor(environment)
    assert broken.returncode == 2
    assert "tb_customer" in broken.stdout
    for shown in (broken.stdout, broken.stderr):
        assert shop.password not in shown

    refused = doctor(environment | {"PGPASSFILE": str(tmp_path / "none")})
    assert refused.returncode == 3
    assert "password" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_it_survives_a_kill_and_a_stop(shop: Container) -> None:
    with shop.connect("shop") as connection:
        connection.execute("UPDATE public.tb_category SET name = 'kept' WHERE pk_category = 1")
    shop.kill()
    with pytest.raises(ClusterError, match="does not run"):
        shop.conninfo()
    for _ in range(2):
        shop.start()
        with shop.connect("shop") as connection:
            row = connection.execute(
                "SELECT data->>'name' FROM public.tv_category WHERE pk_category = 1"
            ).fetchone()
        assert row == ("kept",)
        shop.stop()


@pytest.mark.usefixtures("engine")
def test_an_image_that_is_not_there_is_named() -> None:
    with pytest.raises(ClusterError, match="no image pgtv/none:1 here, and it cannot be fetched"):
        new_container("pgtv/none:1")


@pytest.mark.usefixtures("engine")
def test_a_registry_that_never_answers_is_a_registry_without_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine waits for it, and the client of the engine gives up first."""
    monkeypatch.setattr("docker.client.DEFAULT_TIMEOUT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"127.0.0.1:{silent.getsockname()[1]}/pgtv/none:1"
        with pytest.raises(ClusterError, match=f"no image {image} here, and it cannot be fetched"):
            new_container(image)


@pytest.mark.usefixtures("engine")
def test_stopping_what_does_not_run_is_nothing() -> None:
    with new_container() as stopped:
        stopped.stop("immediate")
        stopped.stop()
