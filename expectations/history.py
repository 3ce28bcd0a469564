"""The sender's previous deliveries as the ledger has them, for comparisons that only warn."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg

from ingest.delivery.manifest import Manifest


@dataclass(frozen=True)
class Previous:
    """Rows and recorded sums of the sender's previous accepted delivery with one feed."""

    rows: int | None = None
    sums: Mapping[str, float] = field(default_factory=dict)


def previous(conn: psycopg.Connection, manifest: Manifest) -> dict[str, Previous]:
    """Find, of each feed, the delivery just before this one in the order (period, created, name).

    Args:
        conn: The warehouse.
        manifest: Of the delivery at hand; only deliveries of its source, sender and mode are looked at.

    Returns:
        By feed; a feed that was not delivered before is not in it.
    """
    rows = conn.execute(
        """
        WITH latest AS (
            SELECT DISTINCT ON (f.feed) f.feed, d.delivery_id, sum(f.rows_loaded)::bigint AS row_count
            FROM ops.delivery AS d INNER JOIN ops.delivery_file AS f ON d.delivery_id = f.delivery_id
            WHERE d.status = 'accepted' AND d.source = %(source)s AND d.sender = %(sender)s AND d.mode = %(mode)s
                AND (d.period, d.created, d.name) < (%(period)s, %(created)s, %(name)s COLLATE "C")
            GROUP BY f.feed, d.delivery_id, d.period, d.created, d.name
            ORDER BY f.feed, d.period DESC, d.created DESC, d.name DESC
        )
        SELECT feed, row_count, (
            SELECT jsonb_object_agg(v."column", v.observed -> 'observed_value')
            FROM ops.validation_result AS v
            WHERE v.arrival_id = latest.delivery_id AND v.suite = %(source)s || '_' || latest.feed
                AND v.expectation = 'sum_against_previous' AND v."column" IS NOT NULL
                AND v.observed ->> 'observed_value' IS NOT NULL
        ) AS sums
        FROM latest
        """,
        {
            "source": manifest.source,
            "sender": manifest.sender,
            "mode": manifest.mode,
            "period": manifest.period,
            "created": manifest.created,
            "name": manifest.name,
        },
    )
    return {
        feed: Previous(row_count, {column: float(total) for column, total in (sums or {}).items()})
        for feed, row_count, sums in rows
    }
