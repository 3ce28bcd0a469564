"""How dbt holds its connections to the database; importing this takes as long as dbt does."""

from dbt.adapters.contracts.connection import ConnectionState
from dbt.adapters.postgres import PostgresAdapter
from dbt.adapters.postgres.connections import PostgresConnectionManager


class KeptConnections(PostgresConnectionManager):
    """One connection a thread, kept from node to node; dbt's own manager opens one a node.

    A new server process knows no table yet: with hundreds of partitions it spends longer on learning them than most
    nodes do on their rows, a tenth of a month's build in all.
    """

    def release(self) -> None:
        """A node is done: end what it may have left open, and keep the connection for the next one."""
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


def keep() -> None:
    """From now on dbt keeps its connections in this process."""
    PostgresAdapter.ConnectionManager = KeptConnections
