"""What every test may use: settings of its own, and a database of its own on one embedded PostgreSQL a worker."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from ingest.settings import Settings
from warehouse import server


@pytest.fixture(scope="session")
def server_settings() -> Iterator[Settings]:
    """Settings whose embedded server runs while the session does (one a worker of pytest-xdist).

    Not below pytest's own folder: every pytest that starts takes it back from the OS user that the server runs as.
    """
    with TemporaryDirectory(prefix="warehouse-test-") as home:
        settings = Settings(home=Path(home), dsn=None)
        server.ensure_running(settings)
        yield settings
        server.stop(settings)


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


@pytest.fixture
def database(server_settings: Settings, request: pytest.FixtureRequest) -> Iterator[str]:
    """DSN of a fresh, empty database, gone after the test."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    admin = server.database_dsn(server_settings, "warehouse")
    with psycopg.connect(admin, autocommit=True) as conn:
        drop_database(conn, name)
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield server.database_dsn(server_settings, name)
    with psycopg.connect(admin, autocommit=True) as conn:
        drop_database(conn, name)


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    """Settings with a home and a database of the test's own (``WAREHOUSE_DSN``), and a fixed key."""
    return Settings(home=tmp_path / "home", dsn=SecretStr(database), key=SecretStr("test-key-" + "0" * 32))
