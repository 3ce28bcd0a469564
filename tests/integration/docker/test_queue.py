"""The queue of Compose's profile ``celery``: a real Redis with the files that Compose gives it.

Debian's package ``redis-server`` is enough.
"""

import runpy
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker

from warehouse.local import server

ROOT = Path(__file__).parents[3]
REDIS = shutil.which("redis-server")

pytestmark = pytest.mark.skipif(REDIS is None, reason="Redis (Debian's package redis-server) is not installed")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docker") / "secrets"
    subprocess.run([ROOT / "docker/make-secrets.sh", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def port(secrets: Path) -> Iterator[int]:
    """Port of a Redis with Compose's settings."""
    assert REDIS is not None
    port = server._free_port()
    here = ["--bind", server.HOST, "--port", str(port), "--aclfile", str(secrets / "redis_users")]
    command = [REDIS, ROOT / "docker/redis.conf", *here]
    with subprocess.Popen(command, cwd=secrets.parent, stdout=subprocess.DEVNULL) as process:
        for _ in range(100):
            if not server.port_is_free(port):
                break
            time.sleep(0.1)
        yield port
        process.terminate()


def test_nobody_gets_in_without_the_password(port: int, secrets: Path) -> None:
    password = (secrets / "redis_password").read_text()
    for wrong in ({}, {"password": password}, {"username": "airflow", "password": "wrong"}, {"username": "airflow"}):
        with pytest.raises(redis.AuthenticationError), redis.Redis(server.HOST, port, **wrong) as client:
            client.ping()
    with redis.Redis(server.HOST, port, username="airflow", password=password) as client:
        assert client.ping()
        for command in ("FLUSHALL", "CONFIG GET dir", "ACL LIST", "SHUTDOWN", "KEYS *"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())


def test_the_health_check_holds_without_a_password(port: int) -> None:
    """The command of docker-compose.yml, with this port."""
    import yaml

    kind, command = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["redis"]["healthcheck"][
        "test"
    ]
    assert kind == "CMD-SHELL"
    for number, expected in ((port, 0), (server._free_port(), 1)):
        ran = subprocess.run(["sh", "-c", command.replace("redis-cli", f"redis-cli -p {number}")])
        assert ran.returncode == expected


def test_celery_works_with_what_airflow_may_do(port: int, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN the addresses that the entry point makes THEN a task goes through the queue and its result comes back."""
    monkeypatch.setenv("WAREHOUSE_SECRETS", str(secrets))
    monkeypatch.setenv("REDIS_HOST", f"{server.HOST}:{port}")
    made = runpy.run_path(str(ROOT / "docker/entrypoint.py"))["environment"]()
    app = Celery(broker=made["AIRFLOW__CELERY__BROKER_URL"], backend=made["AIRFLOW__CELERY__RESULT_BACKEND"])

    @app.task
    def double(number: int) -> int:
        return 2 * number

    with start_worker(app, perform_ping_check=False, pool="solo"):
        assert double.delay(21).get(timeout=30) == 42
        assert app.control.ping(timeout=5)  # what the health check of a worker asks
