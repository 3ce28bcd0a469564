"""What the ledger knows of a sender's previous delivery, for comparisons that only warn."""

from dataclasses import dataclass, field

import psycopg

from ingest.manifest import Manifest


@dataclass(frozen=True)
class Previous:
    """Rows and recorded sums of the sender's previous accepted delivery with one feed."""

    rows: int | None = None
    sums: dict[str, float] = field(default_factory=dict)


def previous(conn: psycopg.Connection, manifest: Manifest, feed: str) -> Previous:
    """Find the delivery just before this one in the order (period, created, name), of the same sender and mode."""
    row = conn.execute(
        """
        SELECT d.delivery_id, sum(f.rows_loaded)
        FROM ops.delivery AS d INNER JOIN ops.delivery_file AS f ON d.delivery_id = f.delivery_id AND f.feed = %(feed)s
        WHERE d.status = 'accepted' AND d.source = %(source)s AND d.sender = %(sender)s AND d.mode = %(mode)s
            AND (d.period, d.created, d.name) < (%(period)s, %(created)s, %(name)s COLLATE "C")
        GROUP BY d.delivery_id, d.period, d.created, d.name
        ORDER BY d.period DESC, d.created DESC, d.name DESC
        LIMIT 1
        """,
        {
            "feed": feed,
            "source": manifest.source,
            "sender": manifest.sender,
            "mode": manifest.mode,
            "period": manifest.period,
            "created": manifest.created,
            "name": manifest.name,
        },
    ).fetchone()
    if row is None:
        return Previous()
    sums = conn.execute(
        """
        SELECT "column", (observed ->> 'observed_value')::double precision FROM ops.validation_result
        WHERE arrival_id = %s AND suite = %s AND expectation = 'sum_against_previous' AND "column" IS NOT NULL
            AND observed ->> 'observed_value' IS NOT NULL
        """,
        [row[0], f"{manifest.source}_{feed}"],
    ).fetchall()
    return Previous(rows=int(row[1]), sums=dict(sums))
