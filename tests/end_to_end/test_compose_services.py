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

from bi import superset
from ingest import synthetic
from tests import postgres
from tests.bi.test_superset import Client, rows, wait
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
        self.redis, self.page, self.superset = (server._free_port() for _ in range(3))
        subprocess.run([ROOT / "docker/make-secrets.sh", self.secrets], check=True, capture_output=True)

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a service, with paths and addresses of this machine, and a folder of its own secrets."""
        service = COMPOSE["services"][name]
        own = self.folder / f"secrets-of-{name}"
        own.mkdir(exist_ok=True)
        for secret in service["secrets"]:
            source, target = (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
            shutil.copy(self.secrets / source, own / target)
        given = {key: settings_of(str(value)) for key, value in service["environment"].items()}
        if self.executor:
            given["AIRFLOW__CORE__EXECUTOR"] = self.executor
        places = {
            "/data": str(self.volume(name)),
            "/inbox": f"{self.folder}/inbox",
            "/opt/warehouse": str(ROOT),
            "/run/secrets": str(own),
            "/tmp": f"{self.folder}/tmp-of-{name}",  # noqa: S108
        }
        for key, value in given.items():
            here = re.sub(r"^(/data|/inbox|/opt/warehouse|/run/secrets|/tmp)", lambda found: places[found[0]], value)
            given[key] = self.here(here)
        return {
            **given,
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "WAREHOUSE_SECRETS": str(own),
            "POSTGRES_HOST": self.postgres,
            "REDIS_HOST": f"{server.HOST}:{self.redis}",
            "AIRFLOW__API__HOST": server.HOST,
            "AIRFLOW__API__PORT": str(self.page),
            "SUPERSET_HOST": server.HOST,
            "SUPERSET_PORT": str(self.superset),
            "WAREHOUSE_DBT_THREADS": "2",
        }

    def volume(self, name: str) -> Path:
        """The folder of the volume that a service has as ``/data``."""
        (volume,) = [mount.split(":")[0] for mount in COMPOSE["services"][name]["volumes"] if mount.endswith(":/data")]
        folder = self.folder / f"volume-{volume}"
        folder.mkdir(exist_ok=True)
        return folder

    def here(self, text: str) -> str:
        """A text with the addresses of this machine in place of those of containers."""
        page, dashboards = f"{server.HOST}:{self.page}", f"{server.HOST}:{self.superset}"
        return re.sub("api-server:8080|localhost:8080", page, text.replace("localhost:8088", dashboards))

    def run(self, name: str, *words: str) -> str:
        """Run a command in a service, or the service's own, to its end; returns what it printed."""
        command = self.command(list(words) or COMPOSE["services"][name]["command"])
        environment = self.environment(name)
        ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        return ran.stdout

    @contextmanager
    def running(self, name: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A service, ended after the test with all that it started."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(COMPOSE["services"][name]["command"]),
                env=self.environment(name), cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
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
        words = [self.here(word) for word in words]
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


@contextmanager
def machine(folder: Path, executor: str | None = None) -> Iterator[Machine]:
    """A machine with a PostgreSQL as the services have it, and a warehouse that `prepare` made."""
    initdb = COMPOSE["services"]["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    given = [settings_of(word) for word in COMPOSE["services"]["postgres"]["command"] if "=" in word]
    with postgres.running(server.bin_dir(), *given, initdb=tuple(initdb)) as database:
        made = Machine(folder, database, executor)
        script = {"WAREHOUSE_SECRETS": str(made.secrets), "POSTGRES_USER": postgres.SUPERUSER, "PGHOST": server.HOST,
                  "PGPORT": str(database.port), "PGPASSWORD": postgres.PASSWORD,
                  "PATH": f"{database.programs}:{os.defpath}"}  # fmt: skip
        subprocess.run(["bash", ROOT / "docker/initdb.sh"], env=script, check=True, capture_output=True)
        made.run("prepare")
        yield made


def a_reader(on: Machine) -> tuple[str, str]:
    """Name and password of a new login that reads the figures of the whole country."""
    add = ["warehouse", "user", "add", "reader", "--role", "bi", "--divisions", "100000"]
    found = re.search(r"password: (\S+)", on.run("scheduler", *add))
    assert found is not None
    return "reader", found.group(1)


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
    with machine(tmp_path, executor) as here, ExitStack() as stack:
        names = ["api-server", "scheduler", "dag-processor", "triggerer", *(["worker"] if executor else [])]
        if executor:
            stack.enter_context(queue(here))
        login, password = a_reader(here)
        processes = {name: stack.enter_context(here.running(name)) for name in names}
        until = time.monotonic() + SECONDS
        published: tuple[Any, ...] | None = None
        while published is None and time.monotonic() < until:
            assert {name: one.poll() for name, one in processes.items() if one.poll() is not None} == {}
            time.sleep(3)
            try:
                with psycopg.connect(f"postgresql://{login}:{password}@{here.postgres}/warehouse") as conn:
                    published = conn.execute("SELECT sum(members) FROM marts.union_coverage_month").fetchone()
            except psycopg.errors.UndefinedTable:
                continue
        assert published is not None
        assert published[0] > 0
        assert {name: here.check(name) for name in names} == dict.fromkeys(names, 0)
        if executor:  # the workers did it, without a login to Airflow's database
            assert "airflow_password" not in COMPOSE["services"]["worker"]["secrets"]


@pytest.mark.skipif(not superset.PYTHON.exists(), reason="Superset's environment is not there: make bi")
def test_superset_serves_without_the_password_of_the_owner(tmp_path: Path) -> None:
    """GIVEN figures, and what `superset-prepare` left in the volume THEN Superset alone answers people and charts."""
    synthetic.generate(tmp_path / "inbox", members=60, settlements=60, dirty=False)
    with machine(tmp_path) as here:
        here.run("scheduler", "warehouse", "run")
        for _ in range(2):
            here.run("superset-prepare")
        with here.running("superset") as process:
            wait(here.superset, process)
            assert here.check("superset") == 0
            Client(here.superset, (here.secrets / "superset_admin_password").read_text())
            login, password = a_reader(here)
            assert rows(Client(here.superset, password, login), "union_coverage_month", "sender")
            others = [path.read_text() for path in here.secrets.iterdir() if path.name != "superset_key"]
            environment = Path(f"/proc/{process.pid}/environ").read_text()
            texts = [path.read_text() for path in here.volume("superset").rglob("*") if is_text(path)]
            drawn = [secret for secret in others if len(secret) > 40]  # the rest are settings such as {}
            assert len(drawn) > 9
            assert [secret for secret in drawn if any(secret in text for text in [environment, *texts])] == []


def is_text(path: Path) -> bool:
    return path.is_file() and b"\0" not in path.read_bytes()
