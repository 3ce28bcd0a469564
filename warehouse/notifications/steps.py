"""What a step writes down in its own transaction: a publication, notices of shares. An error undoes that alone."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from ingest.settings import Channel
from warehouse.build.publish import PublicationResult
from warehouse.notifications import events, outbox
from warehouse.sharing import lifecycle

log = logging.getLogger("warehouse.notifications")


class Changes:
    """What a publication changes, compared before the views move, and written down when they do."""

    def __init__(self, conn: psycopg.Connection, channels: Sequence[Channel], build: str) -> None:
        self.channels, self.build = channels, build
        self.before = events.current(conn)
        self.indicators: list[str] = []
        if self.before is not None and channels:
            with _harmless(conn):
                self.indicators = events.indicators(conn, self.before.build, build)

    def write(self, conn: psycopg.Connection, number: int, deliveries: list[str], moved: PublicationResult) -> None:
        """Write the message down, in the transaction that publishes."""
        item = events.published(number, self.build, deliveries, moved.row_counts, self.before, self.indicators)
        with _harmless(conn):
            outbox.add(conn, self.channels, [item])


def share_notices(conn: psycopg.Connection, channels: Sequence[Channel]) -> list[lifecycle.Notice]:
    """The shares that end soon and were not told yet; with the message a notice counts as given."""
    with conn.transaction():
        notices = lifecycle.notices(conn)
        with _harmless(conn):
            outbox.add(conn, channels, [_share_ends(notice) for notice in notices])
    return notices


def _share_ends(notice: lifecycle.Notice) -> events.Item:
    passed = min(days for days in lifecycle.NOTICE_DAYS if notice.days <= days)
    return events.share_ends(notice.name, notice.version, notice.valid_until, notice.days, passed)


@contextmanager
def _harmless(conn: psycopg.Connection) -> Iterator[None]:
    try:
        with conn.transaction():
            yield
    except psycopg.Error as error:
        log.warning("A notification could not be written down (%s)", type(error).__name__)
