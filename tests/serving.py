"""``warehouse serve`` as a child process of a test, and what a test asks it."""

import json
import os
import re
import signal
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
from warehouse import server

#: From the first start to the page, on two busy cores.
START_SECONDS = 240


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
    def said(self) -> str:
        return "\n".join(self.lines)

    def wait(self, for_what: Callable[[], Any], seconds: float) -> Any:
        """Wait until something is true, and return it; fails when the time is up or the command has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable, httpx.HTTPError):
                if found := for_what():
                    return found
            assert self.process.poll() is None, f"ended:\n{self.said}"
            time.sleep(0.5)
        raise AssertionError(f"not within {seconds} s:\n{self.said}\n{self.logs()}")

    def logs(self) -> str:
        """What Airflow knows of its runs, tasks that did not do and files, and the end of each service's log."""
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
        """Names of the deliveries that count in the current publication."""
        rows = self.query("SELECT unnest(deliveries) FROM ops.publication WHERE is_current")
        return [name for (name,) in rows]

    def publications(self) -> int:
        return int(self.query("SELECT count(*) FROM ops.publication")[0][0])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Airflow's REST interface, with the login that stands on the screen."""
        found = re.search(r"page +(\S+) +login (\S+) / (\S+)", self.said)
        assert found, self.said
        address, user, password = found.groups()
        with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
            token = client.post("/auth/token", json={"username": user, "password": password}).json()["access_token"]
            answer = client.request(method, f"/api/v2/{path}", json=body, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        return answer.json()

    def at_rest(self) -> bool:
        """No run is queued or running."""
        return not self.call("GET", "dags/~/dagRuns?state=queued&state=running")["dag_runs"]

    def pid(self, service: str) -> int:
        for number in json.loads((self.settings.root / "airflow" / "services.json").read_text()):
            with suppress(psutil.Error):
                if service in " ".join(psutil.Process(int(number)).cmdline()):
                    return int(number)
        raise AssertionError(f"{service} does not run")

    def members(self) -> list[psutil.Process]:
        """Every process of every service."""
        leaders = {int(pid) for pid in json.loads((self.settings.root / "airflow" / "services.json").read_text())}
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if os.getsid(process.pid) in leaders:
                    found.append(process)
        return found

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=120)


@contextmanager
def home_of_its_own() -> Iterator[Path]:
    """A home that the embedded server's OS user can reach; nothing runs in it afterwards."""
    with TemporaryDirectory(prefix="warehouse-test-") as home:
        try:
            yield Path(home)
        finally:
            server.stop(Settings(home=Path(home)))
