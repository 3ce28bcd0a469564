"""Connections to PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from ingest.errors import WarehouseError
from ingest.settings import Settings

#: The application_name of all connections of this project.
APPLICATION_NAME = "warehouse"
#: How long maintenance of the daily run waits for a lock; what gets no lock is left for the next run.
LOCK_TIMEOUT_SECONDS = 10
#: Errors that end such a wait.
LOCK_ERRORS = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


def dsn(settings: Settings) -> str:
    """The connection string from the settings.

    Raises:
        WarehouseError: ``WAREHOUSE_DSN`` is unset. (Callers of the embedded server start it and pass its address.)
    """
    if settings.dsn is None:
        raise WarehouseError("WAREHOUSE_DSN is not set, so there is no database to connect to.")
    return settings.dsn.get_secret_value()


def connect(dsn: str, **options: object) -> psycopg.Connection:
    """Connect in autocommit mode; transactions are explicit: ``with connection.transaction()``."""
    settings = {"autocommit": True, "application_name": APPLICATION_NAME, "client_encoding": "UTF8", **options}
    try:
        return psycopg.connect(dsn, **settings)  # type: ignore[arg-type]
    except psycopg.ProgrammingError:  # its message may quote a password
        raise WarehouseError(
            "The connection string (WAREHOUSE_DSN) cannot be read: write postgresql://user:password@host:5432/database."
        ) from None


def beside(conn: psycopg.Connection) -> psycopg.Connection:
    """A second connection to the database of another one, as the same user."""
    return connect(conn.info.dsn, password=conn.info.password or None)


@contextmanager
def bounded_lock_wait(conn: psycopg.Connection) -> Iterator[None]:
    """A transaction that waits at most ``LOCK_TIMEOUT_SECONDS`` for a lock, and raises one of ``LOCK_ERRORS`` then."""
    with conn.transaction():
        conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_TIMEOUT_SECONDS}s")))
        yield
