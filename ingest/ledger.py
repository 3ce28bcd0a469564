"""The ledger: which packages came, what was decided about each of them, and why.

An ARRIVAL is a package seen at one place with one content; a DELIVERY is the arrival that holds a name. ``ledger.sql``
has the tables. Nothing here looks into a package.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ingest.copying import Copy
from ingest.errors import NAME_FREE, DeliveryCode, RowCode, WarehouseError

#: States of an arrival about which nothing is decided yet, in the order in which they are passed.
UNDECIDED = ("received", "checked", "staged", "validated")


@dataclass(frozen=True)
class Arrival:
    """A package as it was seen at a place, and its state."""

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


@dataclass(frozen=True)
class Identity:
    """What a manifest says of its delivery, as far as it can be read."""

    name: str
    source: str | None = None
    sender: str | None = None
    period: str | None = None
    mode: str | None = None
    created: datetime | None = None
    created_date: date | None = None
    contract_version: str | None = None


_COLUMNS = (
    "arrival_id, location, fingerprint, name, source, sender, period, mode, status, codes, content_hash, holds_name"
)


def _arrivals(conn: psycopg.Connection, condition: str, parameters: Sequence[object]) -> list[Arrival]:
    query = f"SELECT {_COLUMNS} FROM ops.arrival WHERE {condition} ORDER BY arrival_id"
    with conn.cursor(row_factory=class_row(Arrival)) as cursor:
        return cursor.execute(query, parameters).fetchall()


def arrival(conn: psycopg.Connection, arrival_id: int) -> Arrival:
    """One arrival, as it stands now."""
    found = _arrivals(conn, "arrival_id = %s", [arrival_id])
    if not found:
        raise WarehouseError(f"There is no arrival {arrival_id} in the ledger.")
    return found[0]


def known_places(conn: psycopg.Connection) -> set[tuple[str, str]]:
    """(location, fingerprint) of every arrival."""
    return set(conn.execute("SELECT location, fingerprint FROM ops.arrival"))


def receive(conn: psycopg.Connection, location: str, fingerprint: str, identity: Identity) -> Arrival | None:
    """Write down a package seen for the first time; None when somebody else just did."""
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
    """Arrivals about which nothing is decided yet (of one source, or all), first come first."""
    if source is None:
        return _arrivals(conn, "status = ANY(%s)", [list(UNDECIDED)])
    return _arrivals(conn, "status = ANY(%s) AND source = %s", [list(UNDECIDED), source])


def undecided_before(conn: psycopg.Connection, one: Arrival) -> list[Arrival]:
    """Undecided arrivals of the same name that came earlier: the first one keeps the name, so it is judged first."""
    return _arrivals(
        conn,
        "status = ANY(%s) AND name = %s AND arrival_id < %s",
        [list(UNDECIDED), one.name, one.arrival_id],
    )


def holder(conn: psycopg.Connection, name: str, but: int = 0) -> Arrival | None:
    """The arrival that holds a name, other than ``but``."""
    found = _arrivals(conn, "name = %s AND holds_name AND arrival_id <> %s", [name, but])
    return found[0] if found else None


@contextmanager
def name_locked(conn: psycopg.Connection, name: str, wait: bool = True) -> Iterator[bool]:
    """Hold a delivery's name: whoever loads or withdraws that name waits. Ends with the connection at the latest.

    Without ``wait`` the name may not be had; whether it was is what the block gets.
    """
    key = f"delivery {name}"
    attempt = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    (answer,) = conn.execute(f"SELECT {attempt}(hashtextextended(%s, 0))", [key]).fetchone()  # type: ignore[misc]
    held = wait or answer
    try:
        yield held
    finally:
        if held and not conn.broken:
            conn.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [key])


def record_step(conn: psycopg.Connection, arrival_id: int, step: str, detail: Mapping[str, object]) -> None:
    """Append a step to the story of an arrival. ``detail`` holds nothing personal."""
    conn.execute(
        "INSERT INTO ops.step (arrival_id, step, detail) VALUES (%s, %s, %s)", [arrival_id, step, Jsonb(dict(detail))]
    )


def identify(
    conn: psycopg.Connection,
    arrival_id: int,
    identity: Identity,
    content_hash: str | None = None,
    manifest: Mapping[str, object] | None = None,
) -> None:
    """Write what the manifest says."""
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
    """Pass a step. A refused arrival that is judged again stays refused until it is decided."""
    conn.execute(
        "UPDATE ops.arrival SET status = %s WHERE arrival_id = %s AND status <> 'refused'", [status, arrival_id]
    )
    record_step(conn, arrival_id, status, detail)


def decide(
    conn: psycopg.Connection, arrival_id: int, status: str, codes: Sequence[str], detail: Mapping[str, object]
) -> None:
    """End of an arrival: ``accepted``, ``refused`` or ``duplicate``. What takes its name, and what does not, is here.

    Must run in the transaction that makes the decision true.
    """
    takes_name = status == "accepted" or (status == "refused" and not _leaves_name(codes))
    conn.execute(
        "UPDATE ops.arrival SET status = %s, codes = %s, holds_name = %s, decided_at = clock_timestamp()"
        " WHERE arrival_id = %s",
        [status, sorted(codes), takes_name, arrival_id],
    )
    record_step(conn, arrival_id, status, detail)


def _leaves_name(codes: Sequence[str]) -> bool:
    # A reused name belongs to another arrival; the others say that the package is broken or half copied.
    return any(code in NAME_FREE or code == DeliveryCode.NAME_REUSED for code in codes)


def forget_rows(conn: psycopg.Connection, arrival_id: int) -> None:
    """Drop what an earlier judgement of an arrival said of its files and rows, or began to say before it was killed."""
    for table in ("rejection", "warning", "file"):
        conn.execute(sql.SQL("DELETE FROM {} WHERE arrival_id = %s").format(sql.Identifier("ops", table)), [arrival_id])


def row_warnings(arrival_id: int, file_no: int, path: str, warnings: pl.DataFrame) -> Copy:
    """Remarks upon rows of a file: ``line_number`` and ``codes``, a list of texts.

    They go to their table at once, while rows are read, where nobody sees them before the decision.
    """
    return Copy.of_frame(
        sql.Identifier("ops", "warning"),
        warnings.select(
            pl.lit(arrival_id, dtype=pl.Int32).alias("arrival_id"),
            pl.lit(file_no, dtype=pl.Int32).alias("file_no"),
            pl.lit(path).alias("path"),
            "line_number",
            "codes",
        ),
    )


def forget_row_warnings(conn: psycopg.Connection, arrival_id: int, file_no: int) -> None:
    """Drop the remarks upon a file that could not be read to its end."""
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
) -> None:
    """Write down a file that was read to its end, its counts, and a warning for each unknown column."""
    names = [name.replace("\0", "\\0") for name in unknown_columns]
    conn.execute(
        "INSERT INTO ops.file (arrival_id, file_no, path, feed, rows_read, rows_loaded, rows_rejected, rows_skipped,"
        " bytes, hash, unknown_columns) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [arrival_id, file_no, path, feed, read, read - rejected, rejected, skipped, size, sha256, names],
    )
    if names:
        conn.execute(
            "INSERT INTO ops.warning (arrival_id, file_no, path, line_number, codes) VALUES (%s, %s, %s, 0, %s)",
            [arrival_id, file_no, path, [f"{RowCode.UNKNOWN_COLUMN}:{name}" for name in names]],
        )


def withdraw(conn: psycopg.Connection, arrival_id: int, reason: str) -> None:
    """Take an accepted arrival out of the count. Must run in a transaction."""
    conn.execute(
        "UPDATE ops.arrival SET status = 'withdrawn', decided_at = clock_timestamp() WHERE arrival_id = %s",
        [arrival_id],
    )
    record_step(conn, arrival_id, "withdrawn", {"reason": reason})


@contextmanager
def last_snapshot_counts(conn: psycopg.Connection, source: str, sender: str, period: str) -> Iterator[None]:
    """Change the state of snapshots of one sender and period: afterwards the last of the accepted ones counts.

    Must run in a transaction; until it ends nobody else changes them.
    """
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"period {source} {sender} {period}"])
    yield
    _supersede(conn, source, sender, period)


def _supersede(conn: psycopg.Connection, source: str, sender: str, period: str) -> None:
    """Of the complete registers of one sender and period the one with the greatest (created, name) counts."""
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
