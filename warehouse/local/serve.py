"""PostgreSQL and Airflow under one command: start them, print what the DAGs do, stop them."""

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import httpx
import psutil
import psycopg
from rich.console import Console

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import operations
from warehouse.documentation import pages
from warehouse.local import portal_server, preflight, server
from warehouse.local.airflow_config import USER, AirflowConfig, free_port
from warehouse.local.progress import ActivityReport, AirflowApi
from warehouse.local.services import Services, database_migration, ensure_database
from warehouse.local.services import stop as stop_services

#: Port of the portal where it is free and the settings name none.
PORTAL_PORT = 8090
#: Time in which the API server must answer after the start.
START_SECONDS = 180
#: Time in which a running ``serve`` must end after SIGTERM. It completes migrations of the databases first.
END_SECONDS = 240
#: Interval of the requests to Airflow's API.
API_INTERVAL_SECONDS = 3
#: With ``once``, ``serve`` ends when Airflow was idle for this long: an asset event takes less to become a DAG run.
IDLE_SECONDS = 6


def serve(settings: Settings, *, once: bool = False, inbox: str | None = None) -> None:
    """Start PostgreSQL and Airflow and print what the DAGs do, until Ctrl-C, SIGTERM or a hangup of the terminal.

    Args:
        settings: The settings of the command.
        once: End when the inbox is scanned and everything is decided and published.
        inbox: Folder or fsspec URL instead of the one in the settings. Without either, sample deliveries are generated.

    Raises:
        WarehouseError: A service does not start, or, with ``once``, a package is not decided or not published.
    """
    console = Console(highlight=False)
    if inbox is not None:
        settings = settings.model_copy(update={"inbox": inbox if "://" in inbox else str(Path(inbox).absolute())})
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup: continue without the terminal
            signal.signal(number, lambda *_: stop.set())
    home = settings.root / "airflow"
    with _serve_lock(home):
        server_was_running = server.is_running(settings)
        try:
            console.print("starting PostgreSQL …")
            preflight.require(settings)
            if settings.inbox is None:
                _generate_samples(settings.root / "inbox", console)
            services = _start_services(settings, home, console, stop)
            if not stop.is_set():
                pages.refresh_portal(settings)  # so that there is something to serve before the first publication
                port = settings.portal_port or free_port(PORTAL_PORT)
                with portal_server.serving(pages.folder(settings), port, services.config.address) as portal:
                    _print_addresses(settings, services.config, portal, console)
                    _watch(settings, services, console, stop, once=once)
        finally:
            with suppress(OSError, SystemExit):  # the terminal may be closed
                console.print("stopping …")
            try:
                stop_services(home)
            finally:
                if not server_was_running:
                    server.stop(settings)


def _start_services(settings: Settings, home: Path, console: Console, stop: threading.Event) -> Services:
    with psycopg.connect(server.ensure_running(settings)) as conn:
        ensure_database(conn)
    if stop_services(home):  # of a killed command; before a port is chosen, so that it is free again
        console.print("ended what an earlier run had left")
    config = AirflowConfig.load(home, settings)
    services = Services(config)
    if not server.port_is_free(config.port):
        raise WarehouseError(f"Port {config.port} (WAREHOUSE_AIRFLOW_PORT) is taken by another program.")
    console.print("starting Airflow …")
    with database_migration(config):  # takes as long as the first parse of the dbt project: both at the same time
        operations.prepare(settings)
    services.start()
    api = AirflowApi(config)
    while not api.is_up():
        services.restart_ended(console)
        if time.time() - services.started_at > START_SECONDS:
            raise WarehouseError(f"Airflow does not answer; see {home / 'logs'}")
        if stop.wait(0.5):
            break
    return services


def _generate_samples(inbox: Path, console: Console) -> None:
    """Fill the default inbox with synthetic deliveries, unless it has files."""
    if inbox.is_dir() and any(inbox.iterdir()):
        return
    from ingest import synthetic

    # Generated beside the inbox and renamed, so that an interruption leaves no partial inbox.
    part = inbox.with_name(f"{inbox.name}.part")
    if part.exists():
        shutil.rmtree(part)
    packages = synthetic.generate(part)
    if inbox.is_dir():
        inbox.rmdir()
    part.rename(inbox)
    console.print(f"made {len(packages)} sample deliveries in {inbox}", soft_wrap=True, markup=False)


def down(settings: Settings) -> bool:
    """Stop ``serve`` of this home, services that a killed ``serve`` left, and the embedded server.

    Returns:
        Whether anything was running.

    Raises:
        WarehouseError: ``serve`` cannot be stopped by this process, or does not end in time. Nothing else is stopped
            then.
    """
    home, was_running = settings.root / "airflow", False
    if home.is_dir():
        with (home / "lock").open("a+") as file:
            deadline = time.monotonic() + END_SECONDS
            while not _try_lock(file):
                if not was_running:
                    _terminate_lock_owner(file)
                    was_running = True
                if time.monotonic() > deadline:
                    raise WarehouseError(
                        f"`warehouse serve` of {settings.root} does not end; nothing else was stopped."
                    )
                time.sleep(0.2)
            was_running |= stop_services(home)
    return server.stop(settings) or was_running


def _terminate_lock_owner(file: TextIO) -> None:
    """Send SIGTERM to the ``serve`` that holds this lock; the file has its process id.

    Raises:
        WarehouseError: There is no such process on this machine, or it belongs to another user.
    """
    file.seek(0)
    pid = file.read().strip()
    try:
        process = psutil.Process(int(pid))
        # A process id of another machine or a container may be another program's here: it must have the lock file open.
        if process.uids().effective != os.geteuid() or not _has_open(process, Path(file.name)):
            raise psutil.NoSuchProcess(process.pid)
        process.terminate()
    except (ValueError, psutil.Error) as error:
        raise WarehouseError(
            f"Nothing was stopped: `warehouse serve` runs (process {pid or 'not known yet'}) and cannot be ended "
            "from here. End it where it was started, as the user who started it."
        ) from error


def _has_open(process: psutil.Process, path: Path) -> bool:
    return any(Path(file.path).exists() and path.samefile(file.path) for file in process.open_files())


def _try_lock(file: TextIO) -> bool:
    """Take the lock of ``serve`` and return true, unless another process has it. It ends with its process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _serve_lock(home: Path) -> Iterator[None]:
    """Hold the lock that allows one ``serve`` a home, with this process's id in the lock file."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a+") as file:
        if not _try_lock(file):
            raise WarehouseError(f"Airflow of {home.parent} is being served already.")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _watch(settings: Settings, services: Services, console: Console, stop: threading.Event, *, once: bool) -> None:
    """Print what happens until ``stop`` is set, or, with ``once``, until Airflow was idle for ``IDLE_SECONDS``."""
    api = AirflowApi(services.config)
    report = ActivityReport(settings, console, since=services.started_at)
    idle_since: float | None = None
    last_request = 0.0
    while not stop.wait(1):
        services.restart_ended(console)
        with suppress(httpx.HTTPError, psycopg.OperationalError):
            report.print_ledger()
            if time.monotonic() - last_request < API_INTERVAL_SECONDS:  # costs Airflow more than a query of the ledger
                continue
            last_request = time.monotonic()
            report.print_failed_runs(api)
            if not once:
                continue
            if not report.is_idle(api):
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > IDLE_SECONDS:
                report.check_complete()
                return


def _print_addresses(settings: Settings, config: AirflowConfig, portal: str, console: Console) -> None:
    console.print(f"inbox     {settings.inbox_url}", soft_wrap=True, markup=False)
    console.print(f"portal    {portal}", soft_wrap=True)
    console.print(f"page      {config.address}   login {USER} / {config.password}", soft_wrap=True)
    console.print(f"database  {server.ensure_running(settings)}", soft_wrap=True)
