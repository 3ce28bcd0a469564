"""Airflow's services as child processes of one command: start them, tell what the DAGs do, stop them.

Everything lies below ``home/airflow`` (Airflow's own home): ``secrets.json`` and ``passwords.json`` (0600), ``logs/``,
``services.json`` (which processes run). Secrets reach the services through files and the environment only.
"""

import fcntl
import importlib.metadata
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psutil
import psycopg
from cryptography.fernet import Fernet
from psycopg import sql
from rich.console import Console

from ingest import ledger
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import build, docs, passes, server

PROJECT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
USER = "admin"
#: Logs lie in files that the page reads itself: no server for them, which would listen to the whole network.
SERVICES = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

#: How long a service may take to answer, a task to end when everything stops.
START_SECONDS = 180
STOP_SECONDS = 15
#: A service that dies is started again, this often at most.
RESTARTS = 5
#: Airflow is asked about its runs this often.
PAGE_SECONDS = 3
#: Rest that must last before ``once`` believes that nothing more will come: longer than an event needs to make a run.
REST_SECONDS = 6


def serve(settings: Settings, *, once: bool = False, inbox: str | None = None) -> None:
    """Bring up PostgreSQL and Airflow, let the DAGs work, tell what they do, until Ctrl-C or SIGTERM.

    Args:
        settings: as of every command.
        once: end when there is nothing more to do: the inbox is scanned, everything decided and published.
        inbox: folder or fsspec URL in place of the settings' one. Without either, sample deliveries are made.

    Raises:
        WarehouseError: a service does not start, or, with ``once``, something was left undone.
    """
    console = Console(highlight=False)
    if inbox is not None:
        settings = settings.model_copy(update={"inbox": inbox if "://" in inbox else str(Path(inbox).absolute())})
    elif settings.inbox is None:
        _make_samples(settings.root / "inbox", console)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    home = settings.root / "airflow"
    with _only_one(home):
        ran_before = server.is_running(settings)
        try:
            services = _bring_up(settings, home, console, stop)
            try:
                if not stop.is_set():
                    _watch(settings, services, console, stop, once=once)
            finally:
                console.print("stopping …")
                services.stop()
        finally:
            if not ran_before:
                server.stop(settings)


def _bring_up(settings: Settings, home: Path, console: Console, stop: threading.Event) -> "Services":
    console.print("starting PostgreSQL …")
    dsn = server.ensure_running(settings)
    with psycopg.connect(dsn) as conn:
        _ensure_database(conn)
    place = Place.at(home, settings)
    services = Services(place)
    services.clear_leftovers()
    console.print("starting Airflow …")
    with _migrating(place):  # takes as long as dbt's first look at the project: side by side
        passes.prepare(settings)
    services.start()
    page = Page(place)
    while not page.is_up():
        services.revive(console)
        if time.time() - services.since > START_SECONDS:
            raise WarehouseError(f"Airflow does not answer; see {home / 'logs'}")
        if stop.wait(0.5):
            break
    return services


def _make_samples(inbox: Path, console: Console) -> None:
    """Fill the default inbox with synthetic deliveries, unless something lies in it."""
    if inbox.is_dir() and any(inbox.iterdir()):
        return
    from ingest import samples

    # whoever is interrupted here must not find half of them the next time
    part = inbox.with_name(f"{inbox.name}.part")
    if part.exists():
        shutil.rmtree(part)
    made = samples.generate(part)
    if inbox.is_dir():
        inbox.rmdir()
    part.rename(inbox)
    console.print(f"made {len(made)} sample deliveries in {inbox}", soft_wrap=True)


# --- where things lie -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Folder, ports, secrets and environment of the services."""

    home: Path
    port: int
    password: str
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """Of Airflow's page."""
        return f"http://{HOST}:{self.port}"

    @classmethod
    def at(cls, home: Path, settings: Settings) -> "Place":
        """Read the place's secrets and ports, or make them; ports that serve no more are chosen anew."""
        kept = _private_json(
            home / "secrets.json",
            lambda: {
                "password": secrets.token_urlsafe(12),
                "jwt": secrets.token_urlsafe(48),
                "page": secrets.token_urlsafe(32),
                "fernet": Fernet.generate_key().decode(),
            },
        )
        passwords = home / "passwords.json"
        _private_json(passwords, lambda: {USER: kept["password"]})
        port = settings.airflow_port or _free_port(8080)
        address = f"http://{HOST}:{port}"
        database = server.database_dsn(settings, "airflow")
        config = {
            "core__dags_folder": PROJECT / "dags",
            "core__load_examples": False,
            "core__executor": "warehouse.executor.PreloadingExecutor",
            "core__mp_start_method": "fork",  # what the executor imports must be there in its workers
            "core__parallelism": (os.cpu_count() or 2) + 2,
            "core__dags_are_paused_at_creation": False,
            "core__default_timezone": "Asia/Shanghai",
            "core__simple_auth_manager_users": f"{USER}:admin",
            "core__simple_auth_manager_passwords_file": passwords,
            "core__fernet_key": kept["fernet"],
            "core__execution_api_server_url": f"{address}/execution/",
            "database__sql_alchemy_conn": database.replace("postgresql://", "postgresql+psycopg2://", 1),
            "database__sql_alchemy_conn_async": database.replace("postgresql://", "postgresql+psycopg://", 1),
            "api__host": HOST,
            "api__port": port,
            "api__base_url": address,
            "api__workers": 1,
            "api__instance_name": "工会智慧数据库",
            "api__secret_key": kept["page"],
            "api_auth__jwt_secret": kept["jwt"],
            # build_warehouse first: it must be known before the first delivery is decided, or that event goes nowhere.
            "dag_processor__file_parsing_sort_mode": "alphabetical",
            # The files change with a new version of the project only; parsing costs what the loads need.
            "dag_processor__min_file_process_interval": 300,
            "dag_processor__dag_file_processor_timeout": 120,
            # A killed process is noticed within a minute, not within five.
            "scheduler__task_instance_heartbeat_timeout": 45,
            "scheduler__task_instance_heartbeat_sec": 10,
            "scheduler__orphaned_tasks_check_interval": 30,
            "scheduler__scheduler_idle_sleep_time": 0.5,
            "triggerer__job_heartbeat_sec": 2,
            "usage_data_collection__enabled": False,
        }
        own = {
            "AIRFLOW_HOME": home,
            "WAREHOUSE_HOME": settings.root,
            "WAREHOUSE_INBOX": settings.inbox_url,
            "GX_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # A forked process must not inherit a thread pool that lives in its parent only.
            "OPENBLAS_NUM_THREADS": "1",
            "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), HOST, "localhost"])),
            **build.dbt_environment(settings),
        }
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")},
            **{f"AIRFLOW__{name.upper()}": str(value) for name, value in config.items()},
            **{name: str(value) for name, value in own.items()},
        }
        return cls(home, port, kept["password"], environment)


def _private_json(path: Path, make: Any) -> dict[str, str]:
    if not path.exists():
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(make(), file)
        part.replace(path)
    return dict(json.loads(path.read_text()))


def _free_port(wanted: int = 0) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise WarehouseError("No free port on 127.0.0.1")


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WarehouseError(f"Airflow of {home.parent} is being served already.") from error
        yield


# --- the metadata database --------------------------------------------------------------------------------------------


def _ensure_database(conn: psycopg.Connection[Any]) -> None:
    """Make the database ``airflow`` on a server of one's own (the embedded one has it from the start)."""
    if conn.execute("SELECT FROM pg_database WHERE datname = 'airflow'").fetchone() is None:
        conn.rollback()
        conn.autocommit = True
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier("airflow")))


@contextmanager
def _migrating(place: Place) -> Iterator[None]:
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


# --- what Airflow says ------------------------------------------------------------------------------------------------


class Page:
    """Airflow's REST interface, as the page uses it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client = httpx.Client(base_url=place.address, timeout=10, trust_env=False)
        self._until = 0.0

    def is_up(self) -> bool:
        """Whether the page answers."""
        with suppress(httpx.HTTPError):
            return self._client.get("/api/v2/monitor/health").status_code == httpx.codes.OK
        return False

    def runs(self, dag_id: str = "~", **parameters: Any) -> list[dict[str, Any]]:
        """DAG runs, newest first; raises httpx.HTTPError while the page does not answer."""
        response = self._client.get(
            f"/api/v2/dags/{dag_id}/dagRuns",
            params={"limit": 100, "order_by": "-run_after", **parameters},
            headers={"Authorization": f"Bearer {self._token()}"},
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            return []  # not parsed yet
        response.raise_for_status()
        return list(response.json()["dag_runs"])

    def _token(self) -> str:
        if time.monotonic() > self._until:
            response = self._client.post("/auth/token", json={"username": USER, "password": self._place.password})
            response.raise_for_status()
            self._kept = str(response.json()["access_token"])
            self._until = time.monotonic() + 600
        return self._kept


def _watch(settings: Settings, services: Services, console: Console, stop: threading.Event, *, once: bool) -> None:
    """Tell what happens until told to stop, or until nothing more is to do."""
    place = services.place
    page = Page(place)
    news = News(settings, console, since=services.since)
    _welcome(settings, place, console)
    rest_since: float | None = None
    asked_at = 0.0
    while not stop.wait(1):
        services.revive(console)
        with suppress(httpx.HTTPError, psycopg.OperationalError):
            news.of_ledger()
            if time.monotonic() - asked_at < PAGE_SECONDS:  # a request costs Airflow more than the ledger's answer
                continue
            asked_at = time.monotonic()
            news.of_runs(page)
            if not once:
                continue
            if not news.is_at_rest(page):
                rest_since = None
            elif rest_since is None:
                rest_since = time.monotonic()
            elif time.monotonic() - rest_since > REST_SECONDS:
                news.conclude()
                return


def _welcome(settings: Settings, place: Place, console: Console) -> None:
    console.print(f"inbox     {settings.inbox_url}", soft_wrap=True)
    console.print(f"page      {place.address}   login {USER} / {place.password}", soft_wrap=True)
    console.print(f"database  {server.ensure_running(settings)}", soft_wrap=True)
    console.print(f"docs      {docs.folder(settings) / 'index.html'}", soft_wrap=True)


class News:
    """What the ledger and the DAG runs have that was not told yet."""

    COLORS: ClassVar = {
        "accepted": "green",
        "refused": "red",
        "duplicate": "dim",
        "superseded": "dim",
        "withdrawn": "dim",
    }

    def __init__(self, settings: Settings, console: Console, since: float) -> None:
        self._settings = settings
        self._console = console
        self._since = since
        self._dsn = server.ensure_running(settings)
        self._told: dict[int, str] = {row[0]: row[2] for row in self._decided()}
        self._publication: int = self._query("SELECT coalesce(max(publication_id), 0) FROM ops.publication")[0][0]
        self._failed: set[str] = set()

    def _query(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dsn) as conn:
            return conn.execute(query, parameters).fetchall()

    def _decided(self) -> list[tuple[Any, ...]]:
        return self._query(
            "SELECT arrival_id, name, status, codes FROM ops.arrival WHERE status <> ALL (%s) ORDER BY decided_at",
            (list(ledger.UNDECIDED),),
        )

    def of_ledger(self) -> None:
        """Print new decisions and publications."""
        for arrival_id, name, status, codes in self._decided():
            if self._told.get(arrival_id) != status:
                self._told[arrival_id] = status
                color = self.COLORS.get(status, "dim")
                self._console.print(f"[{color}]{status:10}[/] {name}  {' '.join(codes)}", soft_wrap=True)
        for number, schema, count in self._query(
            "SELECT publication_id, build, cardinality(deliveries) FROM ops.publication WHERE publication_id > %s"
            " ORDER BY publication_id",
            (self._publication,),
        ):
            self._publication = number
            self._console.print(f"[bold green]published [/] no. {number} from {schema}: {count} deliveries count in it")

    def of_runs(self, page: Page) -> None:
        """Print runs that have failed."""
        for run in page.runs(state="failed", end_date_gte=_iso(self._since)):
            if run["dag_run_id"] not in self._failed:
                self._failed.add(run["dag_run_id"])
                self._console.print(f"[red]failed    [/] {run['dag_id']}: see the page", soft_wrap=True)

    def is_at_rest(self, page: Page) -> bool:
        """Whether the inbox was scanned since the start, and no DAG run is under way."""
        scanned = page.runs("detect_deliveries", state="success", start_date_gte=_iso(self._since))
        return bool(scanned) and not page.runs(state=["queued", "running"])

    def conclude(self) -> None:
        """Raise when something was left undone."""
        undecided = passes.pending(self._settings)
        if undecided:
            raise WarehouseError(f"{len(undecided)} deliveries could not be loaded: see the failed runs.")
        if passes.unpublished(self._settings):
            raise WarehouseError("What was decided is not published: see the failed run of build_warehouse.")


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
