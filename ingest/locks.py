"""Locks that only the owner of the warehouse can take.

An advisory lock of PostgreSQL can be taken by every login of the database, and no privilege forbids it: a reader could
keep builds and loads away with one. These locks are rows of ``ops.lock``, on which readers have no privilege. A row is
made when its lock is first wanted, and stays.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from ingest.database import beside

#: Lock held while schemas, roles or comments are changed.
_MIGRATION = "migration"
#: Errors when several commands create the schema or the table at the same moment.
_CONCURRENT_CREATION = (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable, psycopg.errors.DuplicateSchema)
#: Time limits that a server or role may have, and that would end a session which only holds a lock.
_TIME_LIMITS = ["idle_in_transaction_session_timeout", "transaction_timeout", "statement_timeout", "lock_timeout"]


def hold(conn: psycopg.Connection, key: str) -> None:
    """Take a lock until the current transaction ends; waits for whoever has it. Must run in a transaction."""
    conn.execute("INSERT INTO ops.lock (key) VALUES (%s) ON CONFLICT (key) DO UPDATE SET key = excluded.key", [key])


@contextmanager
def held(conn: psycopg.Connection, key: str, wait: bool = True) -> Iterator[bool]:
    """Hold a lock over several transactions of ``conn``, on a connection beside it; it ends with the process.

    Yields whether the lock was acquired, which is not certain without ``wait``.
    """
    with beside(conn) as holder:
        lift_time_limits(holder)
        holder.execute("INSERT INTO ops.lock (key) VALUES (%s) ON CONFLICT DO NOTHING", [key])
        with holder.transaction():
            if wait:
                row = holder.execute("SELECT key FROM ops.lock WHERE key = %s FOR UPDATE", [key]).fetchone()
            else:
                row = holder.execute("SELECT key FROM ops.lock WHERE key = %s FOR UPDATE SKIP LOCKED", [key]).fetchone()
            yield row is not None


@contextmanager
def migrating(conn: psycopg.Connection) -> Iterator[None]:
    """A transaction with the lock of changes of schemas, roles and comments. ``conn`` is in autocommit mode."""
    _create(conn)
    with conn.transaction():
        hold(conn, _MIGRATION)
        yield


def lift_time_limits(conn: psycopg.Connection) -> None:
    """Let a session hold a lock for as long as it must."""
    # transaction_timeout exists since PostgreSQL 17.
    conn.execute("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY(%s)", [_TIME_LIMITS])


@retry(
    retry=retry_if_exception_type(_CONCURRENT_CREATION),
    stop=stop_after_attempt(10),
    wait=wait_random(0, 0.3),
    reraise=True,
)
def _create(conn: psycopg.Connection) -> None:
    """Create the table of the locks where it is missing: the first migration needs a lock, too."""
    if conn.execute("SELECT to_regclass('ops.lock')").fetchone() == (None,):
        conn.execute("CREATE SCHEMA IF NOT EXISTS ops")
        conn.execute('CREATE TABLE IF NOT EXISTS ops.lock (key text COLLATE "C" PRIMARY KEY)')
