"""Connections, and the schema: the ledger, the vault and one landing table a feed."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources

import psycopg
from psycopg import sql

from ingest import landing
from ingest.contracts.model import Contracts
from ingest.errors import WarehouseError
from ingest.settings import Settings

#: What our own connections call themselves.
APPLICATION = "warehouse"
#: How long the daily round may wait for readers. It does another day what would take longer.
LOCK_SECONDS = 10
#: What ends such a wait.
NOT_NOW = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
#: Advisory lock of whoever changes the schema.
_MIGRATION = 7_301_001
#: A statement ends at a semicolon that stands neither in a comment, nor in quotes, nor in a function's body.
_PIECE = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\$\$.*?\$\$|;|[^-'$;]+|.", re.DOTALL)


def dsn(settings: Settings) -> str:
    """The connection string from the settings.

    Raises:
        WarehouseError: ``WAREHOUSE_DSN`` is unset. (Who wants the embedded server starts it and passes its address.)
    """
    if settings.dsn is None:
        raise WarehouseError("WAREHOUSE_DSN is not set, so there is no database to connect to.")
    return settings.dsn.get_secret_value()


def connect(dsn: str, **options: object) -> psycopg.Connection:
    """Connect in autocommit mode: every transaction is one written ``with connection.transaction()``."""
    settings = {"autocommit": True, "application_name": APPLICATION, "client_encoding": "UTF8", **options}
    try:
        return psycopg.connect(dsn, **settings)  # type: ignore[arg-type]
    except psycopg.ProgrammingError:  # what it quotes may be a password
        raise WarehouseError(
            "The connection string (WAREHOUSE_DSN) cannot be read: write postgresql://user:password@host:5432/database."
        ) from None


@contextmanager
def patient(conn: psycopg.Connection) -> Iterator[None]:
    """A transaction that waits for any lock ``LOCK_SECONDS`` at most; ``NOT_NOW`` is raised where that is too short."""
    with conn.transaction():
        conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_SECONDS}s")))
        yield


def migrate(conn: psycopg.Connection, contracts: Contracts) -> None:
    """Bring the schema to what this version of the code and the contracts need; nothing is done when it is there.

    Landing tables follow the contracts: new ones are created, new columns added, types widened.

    Raises:
        WarehouseError: A contract narrows or changes the type of a column that has landed before.
    """
    script = resources.files("ingest").joinpath("ledger.sql").read_text(encoding="utf-8")
    wanted = hashlib.sha256(repr((script, landing.layout(contracts))).encode()).hexdigest()
    if _schema(conn) == wanted:
        return
    with conn.transaction():
        # Several commands may start at once: the first one does it, the others find it done.
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION])
        if _schema(conn) == wanted:
            return
        for statement in statements(script):
            conn.execute(sql.SQL(statement))
        landing.evolve(conn, contracts)
        conn.execute(
            "INSERT INTO ops.setting (name, value) VALUES ('schema', %s)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [wanted],
        )


def _schema(conn: psycopg.Connection) -> str | None:
    """Hash of the schema that stands, or None."""
    if conn.execute("SELECT to_regclass('ops.setting')").fetchone() == (None,):
        return None
    row = conn.execute("SELECT value FROM ops.setting WHERE name = 'schema'").fetchone()
    return row[0] if row else None


def statements(script: str) -> list[str]:
    """The statements of an SQL script, without comments (a cluster takes one statement of DDL at a time)."""
    parts = [""]
    for piece in _PIECE.findall(script):
        if piece == ";":
            parts.append("")
        elif not piece.startswith("--"):
            parts[-1] += piece
    return [part.strip() for part in parts if part.strip()]
