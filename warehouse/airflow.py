"""PostgreSQL and Airflow under one command: bring them up, tell what the DAGs do, stop them."""

import fcntl
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psycopg
from rich.console import Console

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import docs, passes, server
from warehouse.news import News, Page
from warehouse.place import USER, Place
from warehouse.services import Services, ensure_database, migrating

#: How long the services may take to answer.
START_SECONDS = 180
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


def _bring_up(settings: Settings, home: Path, console: Console, stop: threading.Event) -> Services:
    console.print("starting PostgreSQL …")
    dsn = server.ensure_running(settings)
    with psycopg.connect(dsn) as conn:
        ensure_database(conn)
    place = Place.at(home, settings)
    services = Services(place)
    services.clear_leftovers()
    if not server.port_is_free(place.port):
        raise WarehouseError(f"Port {place.port} (WAREHOUSE_AIRFLOW_PORT) is taken by another program.")
    console.print("starting Airflow …")
    with migrating(place):  # takes as long as dbt's first look at the project: side by side
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


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WarehouseError(f"Airflow of {home.parent} is being served already.") from error
        yield


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
