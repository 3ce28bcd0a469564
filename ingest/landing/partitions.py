"""Merges the partitions of closed months, so that each feed has few partitions.

Each delivery is attached as a partition of each of its feeds, but thousands of partitions slow down query planning.
Every row has its delivery_id, so queries of landing tables do not depend on the partitions.
"""

import re

import psycopg
from psycopg import sql

from ingest.contracts.model import Contracts
from ingest.database import LOCK_ERRORS, bounded_lock_wait
from ingest.landing import tables

#: The newest months are not merged: their deliveries still arrive, and each would copy the month again.
OPEN_MONTHS = 3

_CLOSED_MONTHS = """
    SELECT
        replace(a.period, '-', 'm') AS month,
        array_agg(p.partition ORDER BY p.first_id) AS partitions,
        string_agg(p.ids, ', ' ORDER BY p.first_id) AS ids
    FROM (
        SELECT
            c.relname::text AS partition,
            substring(pg_get_expr(c.relpartbound, c.oid) FROM '\\((.*)\\)') AS ids,
            substring(pg_get_expr(c.relpartbound, c.oid) FROM '\\d+')::integer AS first_id
        FROM pg_inherits AS i INNER JOIN pg_class AS c ON i.inhrelid = c.oid
        WHERE i.inhparent = %(parent)s::regclass
    ) AS p
    INNER JOIN ops.arrival AS a ON p.first_id = a.arrival_id
    WHERE a.period < (
        SELECT to_char(to_date(max(period), 'YYYY-MM') - make_interval(months => %(open_months)s - 1), 'YYYY-MM')
        FROM ops.arrival WHERE status = 'accepted'
    )
    GROUP BY a.period
    HAVING count(*) > 1
    ORDER BY a.period
"""


def merge(conn: psycopg.Connection, contracts: Contracts, open_months: int = OPEN_MONTHS) -> dict[str, int]:
    """Merge the partitions of closed months, in a transaction for each feed and month.

    Readers are blocked only while the new partition is attached, at the end of the transaction.

    Args:
        conn: Not within a transaction.
        contracts: The feeds.
        open_months: How many months, up to the newest accepted one, are not merged.

    Returns:
        The number of merged partitions by the name of the new one. A month whose lock is not granted within
        ``database.LOCK_TIMEOUT_SECONDS`` is left for the next run.
    """
    merged = {}
    for table in tables.layout(contracts):
        with conn.transaction():
            closed = conn.execute(
                _CLOSED_MONTHS, {"parent": f"{tables.SCHEMA}.{table}", "open_months": open_months}
            ).fetchall()
        for month, partitions, ids in closed:
            try:
                with bounded_lock_wait(conn):
                    merged[_merge(conn, table, month, partitions, ids)] = len(partitions)
            except LOCK_ERRORS:
                continue
    return merged


def _merge(conn: psycopg.Connection, table: str, month: str, partitions: list[str], ids: str) -> str:
    """Copy the partitions into a new table and replace them by it; returns the new partition's name."""
    numbers = [int(number) for number in re.findall(r"\d+", ids)]
    values = sql.SQL(", ").join(map(sql.Literal, numbers))
    parent = sql.Identifier(tables.SCHEMA, table)
    # distinct from the staging table of any arrival; the last number allows a month to be merged again
    name = f"{table}_{month}_n{numbers[-1]}"
    new = sql.Identifier(tables.SCHEMA, name)
    conn.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(new, parent))
    for partition in partitions:
        conn.execute(
            sql.SQL("INSERT INTO {} SELECT {} FROM {}").format(
                new, _columns(conn, table), sql.Identifier(tables.SCHEMA, partition)
            )
        )
    # lets ATTACH PARTITION skip the scan that verifies the partition constraint
    conn.execute(
        sql.SQL("ALTER TABLE {} ADD CHECK (delivery_id IS NOT NULL AND delivery_id IN ({}))").format(new, values)
    )
    conn.execute(sql.SQL("ANALYZE {}").format(new))
    for partition in partitions:
        old = sql.Identifier(tables.SCHEMA, partition)
        conn.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, old))
        conn.execute(sql.SQL("DROP TABLE {}").format(old))
    conn.execute(sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(parent, new, values))
    return name


def _columns(conn: psycopg.Connection, table: str) -> sql.Composable:
    """The columns in the order of the feed's table, from which a partition may differ."""
    names = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        [f"{tables.SCHEMA}.{table}"],
    ).fetchall()
    return sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)
