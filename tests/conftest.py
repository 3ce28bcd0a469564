"""What every test may use: settings of its own, and a database of its own on one embedded PostgreSQL a worker."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from ingest import contracts
from ingest.database import connect
from ingest.settings import Settings
from warehouse import schema
from warehouse.access import comments, roles
from warehouse.local import server

pytest_plugins = ["tests.plugins.skips", "tests.plugins.long_files"]
#: Property of each test that stands for one of dbt's unit tests; its value says whether dbt ran it.
DBT_UNIT_TEST = "dbt_unit_test"
#: Database of each test that builds with dbt.
BUILDS_DATABASE = "test_builds"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Close the summary with the number of dbt's unit tests."""
    yield
    outcomes = [
        (value, report.outcome)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == DBT_UNIT_TEST
    ]
    if outcomes:
        ran = sum(value for value, _ in outcomes)
        passed = sum(outcome == "passed" for _, outcome in outcomes)
        terminalreporter.write_line(f"dbt unit tests: {len(outcomes)} written, {ran} run, {passed} passed")


@pytest.fixture(scope="session")
def server_settings() -> Iterator[Settings]:
    """Settings whose embedded server runs while the session does (one a worker of pytest-xdist).

    Not below pytest's own folder: every pytest that starts takes it back from the OS user that the server runs as.
    """
    with TemporaryDirectory(prefix="warehouse-test-") as home:
        settings = Settings(home=Path(home), dsn=None)
        server.ensure_running(settings)
        _stop_waiting_for_the_disk(settings.root / "postgres" / "data")
        yield settings
        server.stop(settings)


def _stop_waiting_for_the_disk(data: Path) -> None:
    """Let the server leave it to the operating system when it writes: tests kill processes, not the machine."""
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("fsync = off\nfull_page_writes = off\n")
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)


@pytest.fixture(scope="session")
def migrated_database(server_settings: Settings) -> Iterator[str]:
    """Name of a database with an empty warehouse. Tests get copies, which take a fraction of a migration's time."""
    name = "migrated"
    with fresh_database(server_settings, name) as dsn:
        with connect(dsn) as conn:
            schema.migrate(conn, contracts.load())
            roles.ensure(conn)
            comments.ensure(conn)
        yield name


# No role but a superuser may end an autovacuum worker that happens to be in the database: it is soon gone.
@retry(
    retry=retry_if_exception_type(psycopg.errors.InsufficientPrivilege),
    wait=wait_fixed(0.5),
    stop=stop_after_delay(60),
    reraise=True,
)
def drop_database(conn: psycopg.Connection, name: str) -> None:
    """Drop a database of a test, whoever is connected to it."""
    conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def fresh_database(server_settings: Settings, name: str, template: str = "template1") -> Iterator[str]:
    """DSN of a database on the embedded server, a copy of another one (by default empty), dropped at the end."""
    admin = server.database_dsn(server_settings, "warehouse")
    with psycopg.connect(admin, autocommit=True) as conn:
        drop_database(conn, name)
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, template))))
    yield server.database_dsn(server_settings, name)
    with psycopg.connect(admin, autocommit=True) as conn:
        drop_database(conn, name)


@pytest.fixture
def database(server_settings: Settings, request: pytest.FixtureRequest) -> Iterator[str]:
    """DSN of a database with an empty warehouse, gone after the test.

    Tests with ``builds`` share a name: what dbt has parsed for one of them holds it, and serves the others.
    """
    builds = "builds" in request.fixturenames
    template = request.getfixturevalue("seeded_database" if builds else "migrated_database")
    name = BUILDS_DATABASE if builds else f"test_{abs(hash(request.node.nodeid)):x}"
    with fresh_database(server_settings, name, template) as dsn:
        yield dsn


@pytest.fixture
def bare_database(server_settings: Settings) -> Iterator[str]:
    """DSN of a database in which nothing is, gone after the test."""
    with fresh_database(server_settings, "test_bare") as dsn:
        yield dsn


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    """Settings with a home and a database of the test's own (``WAREHOUSE_DSN``), and a fixed key."""
    return Settings(home=tmp_path / "home", dsn=SecretStr(database), key=SecretStr("test-key-" + "0" * 32))
