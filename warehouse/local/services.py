"""Airflow's services as child processes: started, restarted when one ends, and stopped with all their descendants.

A variable in the environment of each process names the home that it belongs to; its own children inherit the variable.
So the processes are found even when their parent was killed, and no process of another home, another user or another
program is mistaken for one of them. Process ids are stored nowhere, because the system reuses them.
``docs/decisions.md`` says why this is not ``airflow standalone``.
"""

import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from rich.console import Console

from ingest.errors import WarehouseError
from warehouse.local.airflow_config import AirflowConfig

#: Arguments of each service. Airflow's log server would listen on all interfaces; the logs are local files here.
SERVICES = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
#: Variables of a service's environment: its home and its name.
_HOME = "WAREHOUSE_SERVICE_OF"
_NAME = "WAREHOUSE_SERVICE"
#: Seconds that processes get to end by themselves before they are killed.
STOP_SECONDS = 15
#: A service counts as stopped when this many searches in a row have found no process of it.
EMPTY_SEARCHES = 2
#: Restarts of all services together before ``serve`` gives up.
MAX_RESTARTS = 5


# --- the metadata database --------------------------------------------------------------------------------------------


def ensure_database(conn: psycopg.Connection[Any]) -> None:
    """Create the database ``airflow`` where it is missing: on another server than the embedded one.

    Raises:
        WarehouseError: It exists with another encoding than UTF8.
    """
    row = conn.execute("SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'airflow'").fetchone()
    if row is None:
        conn.rollback()
        conn.autocommit = True
        conn.execute("CREATE DATABASE airflow ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0")
    elif row != ("UTF8",):
        raise WarehouseError(f"The database airflow keeps text as {row[0]}: rename or drop it, and it is made as UTF8.")


@contextmanager
def database_migration(config: AirflowConfig) -> Iterator[None]:
    """Migrate Airflow's metadata database while the body of the ``with`` runs, and wait for it at the end.

    Skipped where a marker file says that this version of Airflow has migrated this database before.

    Raises:
        WarehouseError: The migration failed.
    """
    database = config.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].rpartition("@")[2]
    version = f"{importlib.metadata.version('apache-airflow')} {database}"
    marker = config.home / "migrated"
    if marker.exists() and marker.read_text() == version:
        yield
        return
    process = _start(config, "migrate", "db", "migrate")
    try:
        yield
        code = process.wait()
    finally:
        stop(config.home, seconds=0, name="migrate")
    if code:
        raise WarehouseError(f"Airflow's database could not be prepared; see {config.home / 'logs' / 'migrate.log'}")
    marker.write_text(version)


# --- the processes ----------------------------------------------------------------------------------------------------


def _start(config: AirflowConfig, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``airflow …`` with its output in ``logs/<name>.log``.

    In a session of its own, so that Ctrl-C and a hangup of the terminal reach ``serve`` only, which then stops the
    services in order. ``SPT_NOENV`` keeps setproctitle from overwriting the environment that ``running`` reads.
    """
    folder = config.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "airflow", *arguments],
            env={**config.environment, _HOME: os.path.realpath(config.home), _NAME: name, "SPT_NOENV": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=config.home,
            start_new_session=True,
        )


@dataclass
class Services:
    """The services that this process has started.

    ``started_at`` is a POSIX timestamp in seconds.
    """

    config: AirflowConfig
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    restarts: int = 0
    started_at: float = field(default_factory=time.time)

    def start(self) -> None:
        """Start every service."""
        for name in SERVICES:
            self._start(name)

    def _start(self, name: str) -> None:
        self.processes[name] = _start(self.config, name, *SERVICES[name])

    def restart_ended(self, console: Console) -> None:
        """Restart each service that has ended by itself, after stopping the children that it left.

        Raises:
            WarehouseError: Services have ended more than ``MAX_RESTARTS`` times.
        """
        for name, process in list(self.processes.items()):
            if process.poll() is None:
                continue
            self.restarts += 1
            log = self.config.home / "logs" / f"{name}.log"
            if self.restarts > MAX_RESTARTS:
                raise WarehouseError(f"Airflow's {name} ends again and again; see {log}")
            console.print(f"[yellow]Airflow's {name} ended ({process.returncode}); starting it again[/]")
            stop(self.config.home, seconds=0, name=name)
            self._start(name)


def running(home: Path, name: str | None = None) -> list[psutil.Process]:
    """The current user's processes of one service, or of all, with Airflow's folder ``home``; oldest first."""
    folder, user = os.path.realpath(home), os.geteuid()
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.uids().effective == user and process.status() != psutil.STATUS_ZOMBIE:
                environment = process.environ()
                if environment.get(_HOME) == folder and name in (None, environment.get(_NAME)):
                    found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def stop(home: Path, seconds: float = STOP_SECONDS, name: str | None = None) -> bool:
    """Stop the processes that ``running`` finds: SIGTERM, and SIGKILL to those that run on after ``seconds``.

    Returns:
        Whether there were any.
    """
    first = alive = running(home, name)
    if seconds:
        for process in alive:
            with suppress(psutil.Error):
                process.terminate()
        psutil.wait_procs(alive, timeout=seconds)
        alive = running(home, name)  # processes that were started in the meantime, too
    # A process has no readable environment in the moment of its start, so a single search might miss it.
    empty_searches = 0
    while empty_searches < EMPTY_SEARCHES:
        for process in alive:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        time.sleep(0.2)
        alive = running(home, name)
        empty_searches = 0 if alive else empty_searches + 1
    return bool(first)
