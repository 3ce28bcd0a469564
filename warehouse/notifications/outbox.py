"""The table of what is told (``ops.notification``): each thing once a channel, tried a few times at most."""

import logging
from collections.abc import Iterable, Sequence

import psycopg

from ingest.settings import Channel
from warehouse.notifications import channels
from warehouse.notifications.messages import Item, Kind, clean

#: So often a message is tried; then it is given up.
MAX_ATTEMPTS = 5
#: A process that was killed while it sent leaves its messages to the next one after so long.
CLAIM_SECONDS = 600

log = logging.getLogger("warehouse.notifications")


def add(conn: psycopg.Connection, configured: Sequence[Channel], items: Iterable[Item]) -> None:
    """Write down what is to be told; what was written down before stays as it is."""
    rows = [
        (channel.name, item.kind, item.key, clean(item.zh), clean(item.en), [clean(line) for line in item.details])
        for item in items
        for channel in configured
    ]
    if rows:
        with conn.transaction(), conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO ops.notification (channel, kind, key, zh, en, details) VALUES (%s, %s, %s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                rows,
            )


def send(conn: psycopg.Connection, configured: Iterable[Channel]) -> None:
    """Send what waits, each kind of a channel as one message. What cannot be sent waits for the next call.

    No transaction is open while a server is waited for, and several processes never send the same.
    """
    for channel in configured:
        for kind in Kind:
            waiting = _claim(conn, channel.name, kind)
            if not waiting:
                continue
            numbers = [number for number, _ in waiting]
            try:
                channels.send(channel, kind, [item for _, item in waiting])
            except Exception as error:  # noqa: BLE001 - whatever a server does must not stop a pass
                _note_failure(conn, channel.name, numbers, channels.reason(error))
            else:
                conn.execute(
                    "UPDATE ops.notification SET sent_at = clock_timestamp(), claimed_at = NULL, error = NULL"
                    " WHERE notification_id = ANY(%s)",
                    [numbers],
                )


def _claim(conn: psycopg.Connection, channel: str, kind: Kind) -> list[tuple[int, Item]]:
    """Take what waits, and count the attempt before it is made: a process that is killed has tried, too."""
    rows = conn.execute(
        """
        UPDATE ops.notification SET attempts = attempts + 1, claimed_at = clock_timestamp()
        WHERE notification_id IN (
            SELECT notification_id FROM ops.notification
            WHERE channel = %s AND kind = %s AND sent_at IS NULL AND attempts < %s
                AND (claimed_at IS NULL OR claimed_at < clock_timestamp() - make_interval(secs => %s))
            FOR UPDATE SKIP LOCKED
        )
        RETURNING notification_id, key, zh, en, details
        """,
        [channel, kind, MAX_ATTEMPTS, CLAIM_SECONDS],
    ).fetchall()
    return [(number, Item(kind, key, zh, en, tuple(details))) for number, key, zh, en, details in sorted(rows)]


def _note_failure(conn: psycopg.Connection, channel: str, numbers: list[int], reason: str) -> None:
    given_up = conn.execute(
        "WITH failed AS (UPDATE ops.notification SET claimed_at = NULL, error = %s WHERE notification_id = ANY(%s)"
        " RETURNING attempts) SELECT count(*) FROM failed WHERE attempts >= %s",
        [reason, numbers, MAX_ATTEMPTS],
    ).fetchone()
    log.warning("%s notifications were not sent by %s (%s); the next pass tries again", len(numbers), channel, reason)
    if given_up and given_up[0]:
        log.error("%s notifications are given up after %s attempts (ops.notification)", given_up[0], MAX_ATTEMPTS)
