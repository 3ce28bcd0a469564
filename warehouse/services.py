"""Airflow's services as child processes: started, started again when one dies, ended with all that they started."""

import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg
from psycopg import sql
from rich.console import Console

from ingest.errors import WarehouseError
from warehouse.place import Place

#: Logs lie in files that the page reads itself: no server for them, which would listen to the whole network.
SERVICES = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
#: How long a task may take to end when everything stops.
STOP_SECONDS = 15
#: A service that dies is started again, this often at most.
RESTARTS = 5


# --- the metadata database --------------------------------------------------------------------------------------------


def ensure_database(conn: psycopg.Connection[Any]) -> None:
    """Make the database ``airflow`` on a server of one's own (the embedded one has it from the start)."""
    if conn.execute("SELECT FROM pg_database WHERE datname = 'airflow'").fetchone() is None:
        conn.rollback()
        conn.autocommit = True
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier("airflow")))


@contextmanager
def migrating(place: Place) -> Iterator[None]:
    """Bring Airflow's tables to its version beside what the caller does; remembers where that was done."""
    database = place.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].rpartition("@")[2]
    done = f"{importlib.metadata.version('apache-airflow')} {database}"
    marker = place.home / "migrated"
    if marker.exists() and marker.read_text() == done:
        yield
        return
    process = _start(place, "migrate", "db", "migrate")
    try:
        yield
        code = process.wait()
    finally:
        _end(_session(process.pid), seconds=0)
    if code:
        raise WarehouseError(f"Airflow's database could not be prepared; see {place.home / 'logs' / 'migrate.log'}")
    marker.write_text(done)


# --- the processes ----------------------------------------------------------------------------------------------------


def _start(place: Place, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``airflow …`` with its output in ``logs/<name>.log``, in a session of its own.

    So Ctrl-C reaches us alone, and whatever it starts is found by the session.
    """
    folder = place.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "airflow", *arguments],
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=place.home,
            start_new_session=True,
        )


@dataclass
class Services:
    """The child processes, each with everything it starts in a session of its own."""

    place: Place
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    restarts: int = 0
    since: float = field(default_factory=time.time)

    def start(self) -> None:
        """Start all of them."""
        for name in SERVICES:
            self._start(name)

    def _start(self, name: str) -> None:
        self.processes[name] = _start(self.place, name, *SERVICES[name])
        self._note()

    def revive(self, console: Console) -> None:
        """Start a service again that ended by itself, and end what it left behind."""
        for name, process in list(self.processes.items()):
            if process.poll() is None:
                continue
            self.restarts += 1
            log = self.place.home / "logs" / f"{name}.log"
            if self.restarts > RESTARTS:
                raise WarehouseError(f"Airflow's {name} ends again and again; see {log}")
            console.print(f"[yellow]Airflow's {name} ended ({process.returncode}); starting it again[/]")
            _end(_session(process.pid), seconds=0)
            self._start(name)

    def stop(self) -> None:
        """End every process of every service."""
        members = [member for process in self.processes.values() for member in _session(process.pid)]
        _end(members, STOP_SECONDS)
        for process in self.processes.values():
            _end(_session(process.pid), seconds=0)  # what was started in the meantime
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        self.processes.clear()
        self._note()

    def clear_leftovers(self) -> None:
        """End what a ``serve`` that was killed left running."""
        path = self.place.home / "services.json"
        noted = json.loads(path.read_text()) if path.exists() else {}
        for pid, created in noted.items():
            _end(_session(int(pid), since=created), seconds=5)

    def _note(self) -> None:
        noted = {}
        for process in self.processes.values():
            with suppress(psutil.Error):
                noted[process.pid] = psutil.Process(process.pid).create_time()
        (self.place.home / "services.json").write_text(json.dumps(noted))


def _session(leader: int, since: float = 0.0) -> list[psutil.Process]:
    """Living processes of a session; a task has a process group of its own, but stays in the session."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == leader and process.create_time() >= since - 1:
                if process.pid == leader and since and abs(process.create_time() - since) > 1:
                    return []  # another program has the number by now
                found.append(process)
    return found


def _end(processes: list[psutil.Process], seconds: float) -> None:
    alive = processes
    if seconds:
        for process in processes:
            with suppress(psutil.Error):
                process.terminate()
        _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
