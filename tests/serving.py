"""``warehouse serve`` as a child process of a test."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
import psycopg

from ingest.settings import Settings
from warehouse.local import server, services

#: Longest first start, on two busy cores.
START_SECONDS = 240


def open_to_others(home: Path) -> list[str]:
    """Files of a home that others may read or write, and folders that they may list.

    PostgreSQL's socket is left out: its folder lets readers connect, who need a password.
    """
    paths = [path for path in (home, *home.rglob("*")) if path.relative_to(home).parts[:2] != ("postgres", "run")]
    return [
        f"{path.relative_to(home)} {stat.S_IMODE(path.stat().st_mode):o}"
        for path in sorted(paths)
        if not path.is_symlink() and path.stat().st_mode & 0o066
    ]


class Serving:
    """One running ``warehouse serve``."""

    def __init__(self, home: Path, inbox: Path, *options: str) -> None:
        self.settings = Settings(home=home, inbox=str(inbox))
        self.inbox = inbox
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("warehouse"), "serve", "--inbox", inbox, *options],
            env={**os.environ, "WAREHOUSE_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait(self, condition: Callable[[], Any], seconds: float) -> Any:
        """Wait until ``condition`` returns something true, and return it; fails after ``seconds`` or if the command ends."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable, httpx.HTTPError):
                if result := condition():
                    return result
            assert self.process.poll() is None, f"ended:\n{self.output}"
            time.sleep(0.5)
        raise AssertionError(f"not within {seconds} s:\n{self.output}\n{self.logs()}")

    def logs(self) -> str:
        """DAG runs, failed tasks and import errors of Airflow's database, and the end of each service's log."""
        folder = self.settings.root / "airflow" / "logs"
        parts = [f"== {path.name}\n{path.read_text()[-1500:]}" for path in folder.glob("*.log")]
        with suppress(psycopg.Error), psycopg.connect(server.database_dsn(self.settings, "airflow")) as conn:
            for query in (
                "SELECT dag_id, state, queued_at, start_date, end_date FROM dag_run ORDER BY queued_at",
                "SELECT dag_id, task_id, state, try_number FROM task_instance WHERE state NOT IN ('success', 'skipped')",
                "SELECT filename, stacktrace FROM import_error",
                "SELECT dag_id, last_parsed_time FROM dag",
            ):
                parts += [query, *map(str, conn.execute(query))]
        return "\n".join(parts)

    def query(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(server.database_dsn(self.settings, "warehouse")) as conn:
            return conn.execute(query, parameters).fetchall()

    def published(self) -> list[str]:
        """Names of the deliveries in the current publication."""
        rows = self.query("SELECT unnest(deliveries) FROM ops.publication WHERE is_current")
        return [name for (name,) in rows]

    def publications(self) -> int:
        return int(self.query("SELECT count(*) FROM ops.publication")[0][0])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call Airflow's REST API, with the login that the command has printed."""
        match = re.search(r"page +(\S+) +login (\S+) / (\S+)", self.output)
        assert match, self.output
        address, user, password = match.groups()
        with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
            token = client.post("/auth/token", json={"username": user, "password": password}).json()["access_token"]
            response = client.request(
                method, f"/api/v2/{path}", json=body, headers={"Authorization": f"Bearer {token}"}
            )
        response.raise_for_status()
        return response.json()

    def at_rest(self) -> bool:
        """Whether no DAG run is queued or running."""
        return not self.call("GET", "dags/~/dagRuns?state=queued&state=running")["dag_runs"]

    def pid(self, service: str) -> int:
        """The first process of a service."""
        return services.running(self.settings.root / "airflow", service)[0].pid

    def members(self) -> list[psutil.Process]:
        """Every process of every service."""
        return services.running(self.settings.root / "airflow")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, by default as Ctrl-C does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=120)


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A folder that the embedded server's OS user can reach. Its server is stopped at the end."""
    with TemporaryDirectory(prefix="warehouse-test-") as home:
        try:
            yield Path(home)
        finally:
            server.stop(Settings(home=Path(home)))
