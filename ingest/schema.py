"""Creates the database schemas of ingestion: the ledger, the vault, its log and a landing table for each feed."""

import hashlib
from collections.abc import Sequence
from importlib import resources

import psycopg
import sqlparse
from psycopg import sql

from ingest import locks
from ingest.contracts.model import Contracts
from ingest.landing import tables
from ingest.privacy import access_log

#: Python packages whose ``schema.sql`` is run, in this order.
ROOMS = ("ingest.ledger", "ingest.privacy")


def migrate(conn: psycopg.Connection, contracts: Contracts, rooms: Sequence[str] = ()) -> None:
    """Migrate the schemas to this version of the code and the contracts; does nothing if they are up to date.

    Landing tables follow the contracts: new tables are created, new columns added, types widened. Safe to run from
    several processes at once.

    Args:
        conn: A connection as the owner of the warehouse.
        contracts: All feeds.
        rooms: Further Python packages with a ``schema.sql``, whose statements can be run again.

    Raises:
        WarehouseError: A contract narrows or changes the type of an existing column, or the owner may not make the role
            of the vault's access log.
    """
    scripts = {room: resources.files(room).joinpath("schema.sql").read_text("utf-8") for room in (*ROOMS, *rooms)}
    definition = (access_log.definition(), list(scripts.values()), tables.layout(contracts))
    version = hashlib.sha256(repr(definition).encode()).hexdigest()
    if _version(conn) == version:
        return
    with locks.migrating(conn):
        if _version(conn) == version:
            return
        for room, script in scripts.items():
            if room == "ingest.privacy":  # whose functions and views read the log
                access_log.migrate(conn)
            for statement in statements(script):
                conn.execute(sql.SQL(statement))
        tables.evolve(conn, contracts)
        conn.execute(
            "INSERT INTO ops.setting (name, value) VALUES ('schema', %s)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [version],
        )


def _version(conn: psycopg.Connection) -> str | None:
    """The hash of the scripts and contracts of the last migration, or None."""
    if conn.execute("SELECT to_regclass('ops.setting')").fetchone() == (None,):
        return None
    row = conn.execute("SELECT value FROM ops.setting WHERE name = 'schema'").fetchone()
    return row[0] if row else None


def statements(script: str) -> list[str]:
    """The statements of an SQL script, without comments, to be executed one at a time."""
    plain = (sqlparse.format(statement, strip_comments=True).strip() for statement in sqlparse.split(script))
    return [statement.removesuffix(";") for statement in plain if statement.strip(";")]
