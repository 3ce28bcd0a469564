"""All schemas of the warehouse."""

import psycopg

from ingest import schema
from ingest.contracts.model import Contracts

#: Packages above ``ingest`` that have a ``schema.sql`` of their own.
PACKAGES = ("expectations", "warehouse.access", "warehouse.build", "warehouse.sharing", "warehouse.notifications")


def migrate(conn: psycopg.Connection, contracts: Contracts) -> None:
    """Bring every schema of the warehouse to what this version of the code and the contracts need.

    Raises:
        WarehouseError: A contract narrows or changes the type of a column that has landed before.
    """
    schema.migrate(conn, contracts, PACKAGES)
