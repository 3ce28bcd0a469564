"""The ledger: which packages arrived, what was decided about each of them, and why.

An arrival is a package at a location of the inbox with a certain content; a delivery is the arrival that owns a name.
``schema.sql`` defines the tables. This module does not read packages.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ingest import locks, shown
from ingest.errors import CODES_WITHOUT_NAME, DeliveryCode, NotDecided, RowCode, WarehouseError
from ingest.landing.pg_copy import CopyJob

#: States of an arrival before its decision, in order.
UNDECIDED = ("received", "checked", "staged", "validated")
#: The step recorded when an internal error ended an attempt. The status does not change: the next attempt starts over.
NOT_DECIDED = "not decided"
#: The step recorded when an arrival is set aside: no pass tries it until somebody asks for that, which is a step too.
SET_ASIDE, RETRIED = "set aside", "to be tried again"


@dataclass(frozen=True)
class Arrival:
    """A package at a location of the inbox, and its state."""

    arrival_id: int
    location: str
    fingerprint: str
    name: str
    source: str | None
    sender: str | None
    period: str | None
    mode: str | None
    status: str
    codes: list[str]
    content_hash: str | None
    holds_name: bool
    set_aside: bool


@dataclass(frozen=True)
class Identity:
    """The properties of a delivery from its manifest, as far as they could be read."""

    name: str
    source: str | None = None
    sender: str | None = None
    period: str | None = None
    mode: str | None = None
    created: datetime | None = None
    created_date: date | None = None
    contract_version: str | None = None


_COLUMNS = (
    "arrival_id, location, fingerprint, name, source, sender, period, mode, status, codes, content_hash, holds_name,"
    " set_aside_at IS NOT NULL AS set_aside"
)


#: Arrivals that the next pass tries; the parameter is ``UNDECIDED``.
_WAITING = "status = ANY(%s) AND set_aside_at IS NULL"


def _arrivals(conn: psycopg.Connection, condition: str, parameters: Sequence[object]) -> list[Arrival]:
    query = f"SELECT {_COLUMNS} FROM ops.arrival WHERE {condition} ORDER BY arrival_id"
    with conn.cursor(row_factory=class_row(Arrival)) as cursor:
        return cursor.execute(query, parameters).fetchall()


def arrival(conn: psycopg.Connection, arrival_id: int) -> Arrival:
    """The current state of an arrival."""
    found = _arrivals(conn, "arrival_id = %s", [arrival_id])
    if not found:
        raise WarehouseError(f"There is no arrival {arrival_id} in the ledger.")
    return found[0]


def known_packages(conn: psycopg.Connection) -> set[tuple[str, str]]:
    """(location, fingerprint) of every arrival."""
    return set(conn.execute("SELECT location, fingerprint FROM ops.arrival"))


def receive(conn: psycopg.Connection, location: str, fingerprint: str, identity: Identity) -> Arrival | None:
    """Record a new package; None when another process has just recorded it."""
    with conn.transaction():
        row = conn.execute(
            "INSERT INTO ops.arrival (location, fingerprint, name, source, sender, period, mode)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (location, fingerprint) DO NOTHING RETURNING arrival_id",
            [
                location,
                fingerprint,
                identity.name,
                identity.source,
                identity.sender,
                identity.period,
                identity.mode,
            ],
        ).fetchone()
        if row is None:
            return None
        record_step(conn, row[0], "received", {"location": location})
        return arrival(conn, row[0])


def undecided(conn: psycopg.Connection, source: str | None = None) -> list[Arrival]:
    """Undecided arrivals of a source, or of all, in order of arrival; without those that are set aside."""
    if source is None:
        return _arrivals(conn, _WAITING, [list(UNDECIDED)])
    return _arrivals(conn, f"{_WAITING} AND source = %s", [list(UNDECIDED), source])


def untried(conn: psycopg.Connection) -> list[Arrival]:
    """Undecided arrivals without an attempt that ended with an internal error; without those that are set aside."""
    tried = "EXISTS (SELECT FROM ops.step AS s WHERE s.arrival_id = arrival.arrival_id AND s.step = %s)"
    return _arrivals(conn, f"{_WAITING} AND NOT {tried}", [list(UNDECIDED), NOT_DECIDED])


def set_aside(conn: psycopg.Connection) -> list[Arrival]:
    """Undecided arrivals that no pass tries, because their processes broke off too often."""
    return _arrivals(conn, "status = ANY(%s) AND set_aside_at IS NOT NULL", [list(UNDECIDED)])


def findings(conn: psycopg.Connection, arrival_id: int) -> list[str]:
    """Why an arrival was refused when it was last decided, each reason with its code and place; empty if it was not."""
    row = conn.execute(
        "SELECT detail -> 'findings' FROM ops.step WHERE arrival_id = %s AND step = 'refused' ORDER BY at DESC LIMIT 1",
        [arrival_id],
    ).fetchone()
    return list(row[0] or ()) if row else []


def undecided_before(conn: psycopg.Connection, later: Arrival) -> list[Arrival]:
    """Undecided arrivals of the same name that came earlier: the first one owns the name, so it is processed first.

    One that is set aside is left out: nothing waits for it.
    """
    return _arrivals(
        conn,
        f"{_WAITING} AND name = %s AND arrival_id < %s",
        [list(UNDECIDED), later.name, later.arrival_id],
    )


def name_owner(conn: psycopg.Connection, name: str, excluding: int = 0) -> Arrival | None:
    """The arrival that owns a name, except the arrival ``excluding``."""
    found = _arrivals(conn, "name = %s AND holds_name AND arrival_id <> %s", [name, excluding])
    return found[0] if found else None


@contextmanager
def name_locked(conn: psycopg.Connection, name: str, wait: bool = True) -> Iterator[bool]:
    """Lock a delivery's name, so that no other process loads or withdraws it; at most until the process ends.

    Yields whether the lock was acquired, which is not certain without ``wait``.
    """
    with locks.held(conn, f"delivery {name}", wait) as locked:
        yield locked


def record_step(conn: psycopg.Connection, arrival_id: int, step: str, detail: Mapping[str, object]) -> None:
    """Append a step to the log of an arrival. ``detail`` contains no personal data."""
    conn.execute(
        "INSERT INTO ops.step (arrival_id, step, detail) VALUES (%s, %s, %s)", [arrival_id, step, Jsonb(dict(detail))]
    )


def begin_attempt(conn: psycopg.Connection, arrival_id: int, allowed: int) -> bool:
    """Record that an attempt at the decision begins; the name is locked, so that no other attempt is under way.

    An earlier attempt that has not ended in order was broken off, and is counted here. It is not counted where the
    database server was started after it began: then everything was stopped, and the package is not to blame.

    Must not run in a transaction: it is to stand in the ledger when the process is killed.

    Returns:
        False when ``allowed`` attempts were broken off: the arrival is set aside and must not be processed.
    """
    row = conn.execute(
        """
        UPDATE ops.arrival AS a SET
            attempts_broken_off = b.broken_off,
            attempt_begun_at = CASE WHEN b.broken_off < %(allowed)s THEN clock_timestamp() END,
            set_aside_at = CASE WHEN b.broken_off >= %(allowed)s THEN coalesce(a.set_aside_at, clock_timestamp()) END
        FROM (
            SELECT arrival_id, attempts_broken_off
                + coalesce(attempt_begun_at > pg_postmaster_start_time(), false)::integer AS broken_off
            FROM ops.arrival WHERE arrival_id = %(arrival_id)s
        ) AS b
        WHERE a.arrival_id = b.arrival_id
        RETURNING a.set_aside_at IS NULL
        """,
        {"arrival_id": arrival_id, "allowed": allowed},
    ).fetchone()
    return bool(row and row[0])


def end_attempt(conn: psycopg.Connection, arrival_id: int) -> None:
    """Record that an attempt has ended in order, decided or not: it does not count against the package."""
    conn.execute(
        "UPDATE ops.arrival SET attempt_begun_at = NULL WHERE arrival_id = %s AND attempt_begun_at IS NOT NULL",
        [arrival_id],
    )


def retry(conn: psycopg.Connection, name: str) -> list[Arrival]:
    """Let the next pass try the arrivals of a name, or of a location, that are set aside; returns them."""
    with conn.transaction():
        found = _arrivals(
            conn, "set_aside_at IS NOT NULL AND (name = %s OR location = %s)", [name, shown.location(name)]
        )
        conn.execute(
            "UPDATE ops.arrival SET set_aside_at = NULL, attempts_broken_off = 0, attempt_begun_at = NULL"
            " WHERE arrival_id = ANY(%s)",
            [[arrival.arrival_id for arrival in found]],
        )
        for arrival in found:
            record_step(conn, arrival.arrival_id, RETRIED, {})
    return found


def record_error(conn: psycopg.Connection, arrival_id: int, error: NotDecided) -> None:
    """Append the internal error that prevented a decision to the log of an arrival."""
    record_step(conn, arrival_id, NOT_DECIDED, {"reason": error.reason, "trace": error.trace})


def identify(
    conn: psycopg.Connection,
    arrival_id: int,
    identity: Identity,
    content_hash: str | None = None,
    manifest: Mapping[str, object] | None = None,
) -> None:
    """Store the properties from the manifest of an arrival."""
    conn.execute(
        "UPDATE ops.arrival SET name = %s, source = %s, sender = %s, period = %s, mode = %s, created = %s,"
        " created_date = %s, contract_version = %s, content_hash = %s, manifest = %s WHERE arrival_id = %s",
        [
            identity.name,
            identity.source,
            identity.sender,
            identity.period,
            identity.mode,
            identity.created,
            identity.created_date,
            identity.contract_version,
            content_hash,
            None if manifest is None else Jsonb(dict(manifest)),
            arrival_id,
        ],
    )


def advance(conn: psycopg.Connection, arrival_id: int, status: str, detail: Mapping[str, object]) -> None:
    """Record a completed step. A refused arrival that is processed again stays refused until it is decided."""
    conn.execute(
        "UPDATE ops.arrival SET status = %s WHERE arrival_id = %s AND status <> 'refused'", [status, arrival_id]
    )
    record_step(conn, arrival_id, status, detail)


def decide(
    conn: psycopg.Connection, arrival_id: int, status: str, codes: Sequence[str], detail: Mapping[str, object]
) -> None:
    """Record the decision on an arrival, ``accepted``, ``refused`` or ``duplicate``, and whether it owns its name.

    Must run in the transaction that carries out the decision.
    """
    takes_name = status == "accepted" or (status == "refused" and not _releases_name(codes))
    conn.execute(
        "UPDATE ops.arrival SET status = %s, codes = %s, holds_name = %s, decided_at = clock_timestamp(),"
        " attempt_begun_at = NULL, attempts_broken_off = 0, set_aside_at = NULL WHERE arrival_id = %s",
        [status, sorted(codes), takes_name, arrival_id],
    )
    record_step(conn, arrival_id, status, detail)


def _releases_name(codes: Sequence[str]) -> bool:
    # A reused name is owned by another arrival; the other codes mean that the package is damaged or half copied.
    return any(code in CODES_WITHOUT_NAME or code == DeliveryCode.NAME_REUSED for code in codes)


def delete_rows(conn: psycopg.Connection, arrival_id: int) -> None:
    """Delete what an earlier attempt, complete or not, recorded about the files and rows of an arrival."""
    for table in ("rejection", "warning", "file"):
        conn.execute(sql.SQL("DELETE FROM {} WHERE arrival_id = %s").format(sql.Identifier("ops", table)), [arrival_id])


def row_warnings(arrival_id: int, file_no: int, path: str, warnings: pl.DataFrame) -> CopyJob:
    """A copy job for the warnings of a file: ``line_number`` and ``codes``, a list of texts.

    They are copied while rows are read; no view shows them before the decision.
    """
    return CopyJob.of_frame(
        sql.Identifier("ops", "warning"),
        warnings.select(
            pl.lit(arrival_id, dtype=pl.Int32).alias("arrival_id"),
            pl.lit(file_no, dtype=pl.Int32).alias("file_no"),
            pl.lit(path).alias("path"),
            "line_number",
            "codes",
        ),
    )


def delete_row_warnings(conn: psycopg.Connection, arrival_id: int, file_no: int) -> None:
    """Delete the warnings of a file that could not be read completely."""
    conn.execute("DELETE FROM ops.warning WHERE arrival_id = %s AND file_no = %s", [arrival_id, file_no])


def record_file(
    conn: psycopg.Connection,
    arrival_id: int,
    file_no: int,
    path: str,
    feed: str,
    *,
    read: int,
    rejected: int,
    skipped: int,
    size: int,
    sha256: str,
    unknown_columns: Sequence[str],
    replaced_columns: Sequence[str],
    header: Sequence[str],
) -> None:
    """Record a file that was read completely, with its header and counts.

    Each unknown column is a warning, and each column all of whose values were replaced by hashes.
    """
    names = [name.replace("\0", "\\0") for name in unknown_columns]
    conn.execute(
        "INSERT INTO ops.file (arrival_id, file_no, path, feed, rows_read, rows_loaded, rows_rejected, rows_skipped,"
        " bytes, hash, unknown_columns, header) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [arrival_id, file_no, path, feed, read, read - rejected, rejected, skipped, size, sha256, names, [*header]],
    )
    codes = [f"{RowCode.UNKNOWN_COLUMN}:{name}" for name in names]
    codes += [f"{RowCode.IDENTIFIER_COLUMN}:{name}" for name in replaced_columns]
    if codes:
        conn.execute(
            "INSERT INTO ops.warning (arrival_id, file_no, path, line_number, codes) VALUES (%s, %s, %s, 0, %s)",
            [arrival_id, file_no, path, codes],
        )


def replaced_columns(conn: psycopg.Connection, source: str, sender: str) -> set[str]:
    """The columns of a sender whose values are all replaced by hashes since an accepted delivery."""
    return {
        name
        for (name,) in conn.execute(
            "SELECT column_name FROM ops.replaced_column WHERE source = %s AND sender = %s", [source, sender]
        )
    }


def record_replaced_columns(
    conn: psycopg.Connection, arrival_id: int, source: str, sender: str, columns: Iterable[str]
) -> None:
    """Record that all values of columns of a sender are replaced from now on."""
    for name in sorted(columns):
        conn.execute(
            "INSERT INTO ops.replaced_column (source, sender, column_name, arrival_id) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [source, sender, name, arrival_id],
        )


def withdraw(conn: psycopg.Connection, arrival_id: int, reason: str) -> None:
    """Withdraw an accepted arrival. Must run in a transaction."""
    conn.execute(
        "UPDATE ops.arrival SET status = 'withdrawn', decided_at = clock_timestamp() WHERE arrival_id = %s",
        [arrival_id],
    )
    record_step(conn, arrival_id, "withdrawn", {"reason": reason})


@contextmanager
def last_snapshot_counts(conn: psycopg.Connection, source: str, sender: str, period: str) -> Iterator[None]:
    """A context for changing snapshots of a sender and period; at its end only the latest accepted one is in force.

    Must run in a transaction; a lock excludes other changes until the transaction ends.
    """
    locks.hold(conn, f"period {source} {sender} {period}")
    yield
    _supersede(conn, source, sender, period)


def _supersede(conn: psycopg.Connection, source: str, sender: str, period: str) -> None:
    """Of the snapshots of a sender and period, the one with the greatest (created, name) is in force."""
    changed = conn.execute(
        """
        UPDATE ops.arrival AS a SET status = s.status, decided_at = clock_timestamp()
        FROM (
            SELECT arrival_id,
                CASE WHEN row_number() OVER (ORDER BY created DESC, name DESC) = 1 THEN 'accepted' ELSE 'superseded' END
                    AS status
            FROM ops.arrival
            WHERE source = %s AND sender = %s AND period = %s AND mode = 'snapshot'
                AND status IN ('accepted', 'superseded')
        ) AS s
        WHERE a.arrival_id = s.arrival_id AND a.status <> s.status
        RETURNING a.arrival_id, a.status
        """,
        [source, sender, period],
    ).fetchall()
    for arrival_id, status in changed:
        record_step(conn, arrival_id, status, {"because": "another snapshot of the sender and period"})
