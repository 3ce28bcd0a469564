"""What a warehouse holds after loading, without what may differ: numbers of arrivals, clocks, order of arrival."""

from collections import Counter
from typing import Any

import psycopg
from psycopg import sql

from ingest import contracts
from ingest.contracts import Contracts
from ingest.landing import staging_tables, tables
from ingest.privacy.keyring import Keyring

State = dict[str, Any]
#: Published relations that show when a publication was made, and its number.
CLOCKS = {"marts.share_catalogue"}


def of(conn: psycopg.Connection, known: Contracts, keyring: Keyring) -> State:
    """Deliveries with status, codes, files, rejected rows and warnings; landed rows; persons."""
    state: State = {
        "deliveries": conn.execute(
            "SELECT name, status, codes, source, sender, period, mode, created, content_hash FROM ops.delivery"
            " ORDER BY name"
        ).fetchall(),
        "files": conn.execute(
            "SELECT delivery_name, path, feed, rows_read, rows_loaded, rows_rejected, rows_skipped, bytes, hash,"
            " unknown_columns FROM ops.delivery_file ORDER BY 1, 2, 3"
        ).fetchall(),
        "rejected": [
            (*row[:-1], keyring.decrypt(row[-1]))
            for row in conn.execute(
                "SELECT delivery_name, path, feed, line_number, reasons, raw FROM ops.rejected_row ORDER BY 1, 2, 3, 4"
            )
        ],
        "warnings": conn.execute(
            "SELECT delivery_name, path, line_number, codes FROM ops.row_warning ORDER BY 1, 2, 3, 4"
        ).fetchall(),
        "persons": [
            (key, keyring.decrypt(sealed, key.bytes), created, name)
            for key, sealed, created, name in conn.execute(
                "SELECT person_key, sealed, created, delivery_name FROM vault.person ORDER BY 1"
            )
        ],
    }
    for table in tables.layout(known):
        state[table] = conn.execute(
            sql.SQL(
                "SELECT a.name, a.status, to_jsonb(l) - 'delivery_id' FROM {} AS l"
                " INNER JOIN ops.arrival AS a ON a.arrival_id = l.delivery_id"
                " ORDER BY a.name, l.file_no, l.line_number"
            ).format(sql.Identifier(tables.SCHEMA, table))
        ).fetchall()
    state["leftovers"] = staging_tables.orphaned_tables(conn)
    return state


def published(dsn: str, keyring: Keyring) -> State:
    """``of``, and every published relation."""
    with psycopg.connect(dsn) as conn:
        state = of(conn, contracts.load(), keyring)
        views = conn.execute(
            "SELECT schemaname, viewname FROM pg_views WHERE schemaname IN ('core', 'marts', 'casework')"
        ).fetchall()
        for view in views:
            if ".".join(view) in CLOCKS:
                continue
            rows = conn.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(*view))).fetchall()
            state[".".join(view)] = Counter(map(repr, rows))
    return state
