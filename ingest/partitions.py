"""Fewer partitions: the deliveries of a closed month share one, feed by feed.

A partition a delivery and feed is what lets a delivery be attached as a whole; but planning a query slows with some
thousands of them. Which delivery a row came with stays in the row, so nothing that reads landing tables notices.
"""

import re

import psycopg
from psycopg import sql

from ingest import landing
from ingest.contracts.model import Contracts
from ingest.database import NOT_NOW, patient

#: The newest months are left alone: deliveries of them still come, and each would mean copying the month again.
OPEN_MONTHS = 3

_CLOSED = """
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
    """Merge the partitions of closed months: one transaction a feed and month, readers wait for its end only.

    Args:
        conn: Not within a transaction.
        contracts: The feeds.
        open_months: How many months up to the newest accepted one are left alone.

    Returns:
        How many partitions each merged one was made of. A month whose readers do not let go within
        ``database.LOCK_SECONDS`` is left for the next time.
    """
    merged = {}
    for table in landing.layout(contracts):
        with conn.transaction():
            closed = conn.execute(
                _CLOSED, {"parent": f"{landing.SCHEMA}.{table}", "open_months": open_months}
            ).fetchall()
        for month, partitions, ids in closed:
            try:
                with patient(conn):
                    merged[_merge(conn, table, month, partitions, ids)] = len(partitions)
            except NOT_NOW:
                continue
    return merged


def _merge(conn: psycopg.Connection, table: str, month: str, partitions: list[str], ids: str) -> str:
    """Copy into a new table, then exchange; returns the new partition's name."""
    numbers = [int(number) for number in re.findall(r"\d+", ids)]
    values = sql.SQL(", ").join(map(sql.Literal, numbers))
    parent = sql.Identifier(landing.SCHEMA, table)
    # not a name that the batch of an arrival may have; the last number makes room for a month that is merged again
    name = f"{table}_{month}_n{numbers[-1]}"
    new = sql.Identifier(landing.SCHEMA, name)
    conn.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(new, parent))
    for partition in partitions:
        conn.execute(
            sql.SQL("INSERT INTO {} SELECT {} FROM {}").format(
                new, _columns(conn, table), sql.Identifier(landing.SCHEMA, partition)
            )
        )
    # spares ATTACH PARTITION the reading of every row
    conn.execute(
        sql.SQL("ALTER TABLE {} ADD CHECK (delivery_id IS NOT NULL AND delivery_id IN ({}))").format(new, values)
    )
    conn.execute(sql.SQL("ANALYZE {}").format(new))
    for partition in partitions:
        old = sql.Identifier(landing.SCHEMA, partition)
        conn.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, old))
        conn.execute(sql.SQL("DROP TABLE {}").format(old))
    conn.execute(sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(parent, new, values))
    return name


def _columns(conn: psycopg.Connection, table: str) -> sql.Composable:
    """The feed's columns in the order of its table: a partition may have them in another."""
    names = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        [f"{landing.SCHEMA}.{table}"],
    ).fetchall()
    return sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)
