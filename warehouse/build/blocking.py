"""Ends the sessions of readers that stand in the way of a publication.

A reader can lift every time limit of his role (``SET idle_in_transaction_session_timeout = 0``), so limits alone do not
let a publication through. Only sessions that cannot act as the owner of the warehouse are ended: never a load, a build,
or a superuser. Each is written to the log and to ``ops.ended_session``.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg

from ingest.database import beside
from ingest.errors import WarehouseError

#: How long a session may block a publication whose patience is over: what ends by itself meanwhile is left alone.
GRACE_SECONDS = 0.5
#: How often is looked who blocks.
_INTERVAL_SECONDS = 0.05
_log = logging.getLogger(__name__)

#: A role that cannot act as the owner (current_user); a superuser can act as everybody. For rows of pg_stat_activity.
_IS_READER = "NOT pg_has_role(a.usesysid, current_user, 'MEMBER')"


def named(conn: psycopg.Connection, pids: Iterable[int], *, only_others: bool = False) -> str:
    """Users, processes and states of these sessions as text; of those that are not readers' if ``only_others``."""
    rows = conn.execute(
        "SELECT a.usename, a.pid, a.state FROM pg_stat_activity AS a"
        f" WHERE a.pid = ANY(%s) AND NOT (%s AND {_IS_READER}) ORDER BY a.pid",
        [list(pids), only_others],
    ).fetchall()
    return ", ".join(f"{user} (pid {pid}): {state}" for user, pid, state in rows)


def end(conn: psycopg.Connection, build: str, pids: Iterable[int]) -> None:
    """End those of these sessions that are of readers.

    Args:
        conn: As the owner of the warehouse, in autocommit mode.
        build: The build that is to be published.
        pids: Processes of the server.

    Raises:
        WarehouseError: The owner may not end a session of a reader. The message has the statement that lets him.
    """
    try:
        ended = conn.execute(
            # Materialized, so that no session is ended before it is known whose it is.
            "WITH reader AS MATERIALIZED ("
            " SELECT a.pid, a.usename, coalesce(a.application_name, '') AS application, a.client_addr, a.xact_start"
            " FROM pg_stat_activity AS a"
            f" WHERE a.pid = ANY(%s) AND a.datname = current_database() AND {_IS_READER}"
            ") INSERT INTO ops.ended_session (build, pid, login, application, client, transaction_since)"
            " SELECT %s, pid, usename, application, client_addr, xact_start FROM reader WHERE pg_terminate_backend(pid)"
            " RETURNING login, pid, application, transaction_since",
            [list(pids), build],
        ).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise WarehouseError(
            f"A reader stands in the way of the publication, and {conn.info.user} may not end his session. "
            f'Let the server\'s administrator run: GRANT pg_signal_backend TO "{conn.info.user}";'
        ) from error
    for login, pid, application, since in ended:
        _log.warning(
            "Ended a session that kept %s from being published: %s (pid %s, application %r, in a transaction since %s)",
            build,
            login,
            pid,
            application,
            since,
        )


class Watch:
    """What came of watching a publication: ``problem`` says why a session could not be ended."""

    problem: WarehouseError | None = None


@contextmanager
def ended_while_waiting(conn: psycopg.Connection, build: str) -> Iterator[Watch]:
    """Meanwhile, end every session of a reader that this connection waits for, after ``GRACE_SECONDS``.

    The connection keeps its place in the queue for a lock, so that nobody new can get ahead of it.
    """
    stop, watch = threading.Event(), Watch()
    with beside(conn) as own:
        thread = threading.Thread(target=_watch, args=[own, conn, build, stop, watch], daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            stop.set()
            thread.join()


def _watch(
    conn: psycopg.Connection, publisher: psycopg.Connection, build: str, stop: threading.Event, watch: Watch
) -> None:
    first_seen: dict[int, float] = {}
    try:
        while not stop.wait(_INTERVAL_SECONDS):
            (pids,) = conn.execute("SELECT pg_blocking_pids(%s)", [publisher.info.backend_pid]).fetchone() or ([],)
            now = time.monotonic()
            first_seen = {pid: first_seen.get(pid, now) for pid in pids}
            late = [pid for pid, since in first_seen.items() if now - since >= GRACE_SECONDS]
            if late:
                end(conn, build, late)
    except WarehouseError as error:
        watch.problem = error
        publisher.cancel()  # it need not wait until its time is over
