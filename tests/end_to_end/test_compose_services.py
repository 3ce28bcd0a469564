"""The services of docker-compose.yml as processes of this machine, each with its own secrets alone.

Containers are what Docker adds: here the entry point, the commands, the environment and the secrets are tried, with a
real PostgreSQL made by the script of its image, and a real Redis.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ingest import synthetic
from tests import postgres
from warehouse.local import server

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
REDIS = shutil.which("redis-server")
SECONDS = 500

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def settings_of(text: str) -> str:
    """A value of the file with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


class Machine:
    """What the services share: folders, secrets, addresses."""

    def __init__(self, folder: Path, database: postgres.Server, executor: str | None) -> None:
        self.folder, self.executor = folder, executor
        self.secrets = folder / "secrets"
        self.postgres = f"{server.HOST}:{database.port}"
        self.redis, self.page = server._free_port(), server._free_port()
        (folder / "data").mkdir()
        subprocess.run([ROOT / "docker/make-secrets.sh", self.secrets], check=True, capture_output=True)

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a service, with paths and addresses of this machine, and a folder of its own secrets."""
        service = COMPOSE["services"][name]
        own = self.folder / f"secrets-of-{name}"
        own.mkdir(exist_ok=True)
        for secret in service["secrets"]:
            shutil.copy(self.secrets / secret, own)
        given = {key: settings_of(str(value)) for key, value in service["environment"].items()}
        if self.executor:
            given["AIRFLOW__CORE__EXECUTOR"] = self.executor
        places = {
            "/data": f"{self.folder}/data",
            "/inbox": f"{self.folder}/inbox",
            "/opt/warehouse": str(ROOT),
            "/tmp": f"{self.folder}/tmp-of-{name}",  # noqa: S108
        }
        page = f"{server.HOST}:{self.page}"
        for key, value in given.items():
            here = re.sub(r"^(/data|/inbox|/opt/warehouse|/tmp)", lambda found: places[found[0]], value)
            given[key] = re.sub("api-server:8080|localhost:8080", page, here)
        return {
            **given,
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "WAREHOUSE_SECRETS": str(own),
            "POSTGRES_HOST": self.postgres,
            "REDIS_HOST": f"{server.HOST}:{self.redis}",
            "AIRFLOW__API__HOST": server.HOST,
            "AIRFLOW__API__PORT": str(self.page),
            "WAREHOUSE_DBT_THREADS": "2",
        }

    @contextmanager
    def running(self, name: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A service, ended after the test with all that it started."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(COMPOSE["services"][name]["command"]),
                env=self.environment(name), cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, 15)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()

    def command(self, words: list[Any]) -> list[str]:
        return [sys.executable, str(ROOT / "docker/entrypoint.py"), *(settings_of(str(word)) for word in words)]

    def check(self, name: str) -> int:
        """Run the health check of a service; returns its exit code."""
        kind, *words = COMPOSE["services"][name]["healthcheck"]["test"]
        words = [word.replace("/opt/warehouse", str(ROOT)).replace("$$", "$") for word in words]
        words = [word.replace("localhost:8080", f"{server.HOST}:{self.page}") for word in words]
        environment = self.environment(name) | {"HOSTNAME": os.uname().nodename}
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        ran = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, timeout=120)
        return ran.returncode


@contextmanager
def queue(machine: Machine) -> Iterator[None]:
    assert REDIS is not None
    here = ["--bind", server.HOST, "--port", str(machine.redis), "--aclfile", str(machine.secrets / "redis_users")]
    with subprocess.Popen(
        [REDIS, ROOT / "docker/redis.conf", *here], cwd=machine.folder, stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.parametrize(
    "executor",
    [
        None,
        pytest.param(
            "CeleryExecutor",
            marks=pytest.mark.skipif(REDIS is None, reason="Redis (Debian's package redis-server) is not installed"),
        ),
    ],
)
def test_deliveries_are_published_by_services_with_their_own_secrets_alone(
    tmp_path: Path, executor: str | None
) -> None:
    synthetic.generate(tmp_path / "inbox", members=60, settlements=60, dirty=False)
    initdb = COMPOSE["services"]["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    given = [settings_of(word) for word in COMPOSE["services"]["postgres"]["command"] if "=" in word]
    with postgres.running(server.bin_dir(), *given, initdb=tuple(initdb)) as database, ExitStack() as stack:
        machine = Machine(tmp_path, database, executor)
        script = {"WAREHOUSE_SECRETS": str(machine.secrets), "POSTGRES_USER": postgres.SUPERUSER, "PGHOST": server.HOST,
                  "PGPORT": str(database.port), "PGPASSWORD": postgres.PASSWORD,
                  "PATH": f"{database.programs}:{os.defpath}"}  # fmt: skip
        subprocess.run(["bash", ROOT / "docker/initdb.sh"], env=script, check=True, capture_output=True)
        prepared = subprocess.run(
            machine.command(COMPOSE["services"]["prepare"]["command"]),
            env=machine.environment("prepare"), cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert prepared.returncode == 0, prepared.stdout[-3000:] + prepared.stderr[-3000:]
        names = ["api-server", "scheduler", "dag-processor", "triggerer", *(["worker"] if executor else [])]
        if executor:
            stack.enter_context(queue(machine))
        processes = {name: stack.enter_context(machine.running(name)) for name in names}
        until = time.monotonic() + SECONDS
        reader = database.dsn("warehouse", "bi_reader", (machine.secrets / "bi_reader_password").read_text())
        published: tuple[Any, ...] | None = None
        while published is None and time.monotonic() < until:
            assert {name: one.poll() for name, one in processes.items() if one.poll() is not None} == {}
            time.sleep(3)
            try:
                with psycopg.connect(reader) as conn:
                    published = conn.execute("SELECT sum(members) FROM marts.union_coverage_month").fetchone()
            except psycopg.errors.UndefinedTable:
                continue
        assert published is not None
        assert published[0] > 0
        assert {name: machine.check(name) for name in names} == dict.fromkeys(names, 0)
        if executor:  # the workers did it, without a login to Airflow's database
            assert "airflow_password" not in COMPOSE["services"]["worker"]["secrets"]
