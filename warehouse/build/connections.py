"""Makes dbt reuse its connections to the database. Importing this module imports dbt, which takes 2 s."""

from dbt.adapters.contracts.connection import ConnectionState
from dbt.adapters.postgres import PostgresAdapter
from dbt.adapters.postgres.connections import PostgresConnectionManager


class PersistentConnectionManager(PostgresConnectionManager):
    """Reuses one connection a thread for all nodes; dbt's own manager opens a new one for each node.

    A new server process has an empty catalog cache. With hundreds of partitions, filling it takes longer than most
    nodes take for their rows: a tenth of a month's build in all.
    """

    def release(self) -> None:
        """Called by dbt after each node: roll back an open transaction, and keep the connection for the next node."""
        with self.lock:
            connection = self.get_if_exists()
        if connection is None or connection.state != ConnectionState.OPEN or connection.handle.closed:
            super().release()
            return
        try:
            connection.handle.rollback()
            connection.transaction_open = False
        except Exception:
            self.clear_thread_connection()
            raise


def install() -> None:
    """Make dbt use this connection manager in the current process."""
    PostgresAdapter.ConnectionManager = PersistentConnectionManager
