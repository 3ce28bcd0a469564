"""Erases a person from the vault, the landed rows and the kept text of rejected rows.

What the person leaves is counts, and keyed hashes by which later deliveries are recognised (``erased``). Landed rows
that a build has are not deleted at once: they are moved under a number of their own, which the next build finds
withdrawn, so that it computes without them what they were part of (``vault.taken_out``).
"""

import csv
import io
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from ingest.contracts.model import Contracts, Feed, header_key
from ingest.errors import RowCode
from ingest.landing import tables
from ingest.ledger import ledger
from ingest.privacy import erased, vault
from ingest.privacy.erased import Reference
from ingest.privacy.keyring import REPLACED_PATTERN, Keyring

#: What separates the fields of a rejected row's text.
_DELIMITERS = ("\t", ",", ";", "|")
#: The step of an arrival of which rows were erased.
STEP = "erased"


class Place(NamedTuple):
    """Where a row stood in a delivery."""

    delivery_id: int
    file_no: int
    line_number: int


@dataclass
class Found:
    """What there is of a person.

    Attributes:
        landed: Places of the landed rows, by landing table.
        numbers: Under which senders know the person, by the landing table whose key they are and the sender.
        rejected: Places of rejected rows whose text is kept.
        texts: Places and columns of texts in the vault that did not land.
        counts: Rows by table.
    """

    landed: dict[str, list[Place]] = field(default_factory=dict)
    numbers: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    rejected: list[Place] = field(default_factory=list)
    texts: list[tuple[Place, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def places(self) -> set[Place]:
        """Of all rows, landed or rejected."""
        return {*self.rejected, *(place for rows in self.landed.values() for place in rows)}


# --- finding ---------------------------------------------------------------------------------------------------------


def find(conn: psycopg.Connection, contracts: Contracts, keyring: Keyring, person_key: UUID) -> Found:
    """Everything that vault, landing and ledger have of a person; changes nothing.

    Every landing table with persons is read, and the text of every rejected row.
    """
    found = Found()
    for feed in sorted(contracts.feeds.values(), key=lambda one: one.table):
        if feed.has_person:
            _find_landed(conn, feed, person_key, found)
    for feed in sorted(contracts.feeds.values(), key=lambda one: one.table):
        if (named := erased.reference(contracts, feed)) is not None:
            _find_referring(conn, keyring, feed, named, person_key, found)
    for table, places in found.landed.items():
        found.counts[f"{tables.SCHEMA}.{table}"] = len(places)
    _find_rejected(conn, contracts, keyring, person_key, found)
    _find_texts(conn, keyring, person_key, found)
    found.counts["ops.rejection"] = len(found.rejected)
    found.counts["vault.text"] = len(found.texts)
    found.counts["ops.warning"] = _at_places(conn, "SELECT count(*) FROM ops.warning AS w WHERE {}", found.places)
    for table in ("folded", "recent"):
        row = conn.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE person_key = %s").format(sql.Identifier("vault", table)),
            [person_key],
        ).fetchone()
        found.counts[f"vault.{table}"] = int(row[0]) if row else 0
    return found


def _find_landed(conn: psycopg.Connection, feed: Feed, person_key: UUID, found: Found) -> None:
    """Rows with the person's key, and the numbers under which a register knows the person."""
    keys = [column.name for column in feed.keys]
    number = sql.Identifier(keys[0]) if len(keys) == 1 else sql.NULL
    rows = conn.execute(
        sql.SQL(
            "SELECT r.delivery_id, r.file_no, r.line_number, a.sender, {}::text FROM {} AS r"
            " INNER JOIN ops.arrival AS a ON r.delivery_id = a.arrival_id WHERE r.person_key = %s"
        ).format(number, sql.Identifier(tables.SCHEMA, feed.table)),
        [person_key],
    ).fetchall()
    if rows:
        found.landed[feed.table] = [Place(*row[:3]) for row in rows]
    for *_, sender, value in rows:
        if value is not None:
            found.numbers[feed.table, sender].add(value)


def _find_referring(
    conn: psycopg.Connection, keyring: Keyring, feed: Feed, named: Reference, person_key: UUID, found: Found
) -> None:
    """Rows that name the person by a number; not where the sender gave the number to another person as well."""
    for (register, sender), values in found.numbers.items():
        if register != named.register.table:
            continue
        column = sql.Identifier(named.column)
        rows = conn.execute(
            sql.SQL(
                "SELECT r.delivery_id, r.file_no, r.line_number FROM {} AS r"
                " INNER JOIN ops.arrival AS a ON r.delivery_id = a.arrival_id AND a.sender = %(sender)s"
                " WHERE r.{column} = ANY(%(values)s)"
            ).format(sql.Identifier(tables.SCHEMA, feed.table), column=column),
            {"sender": sender, "values": _own_numbers(conn, keyring, named.register, sender, values, person_key)},
        ).fetchall()
        if rows:
            found.landed.setdefault(feed.table, []).extend(Place(*row) for row in rows)


def _own_numbers(
    conn: psycopg.Connection,
    keyring: Keyring,
    register: Feed,
    sender: str,
    values: Collection[str],
    person_key: UUID,
) -> list[str]:
    """The numbers that a sender gave to the person and to nobody else, and the hashes that may land instead of them."""
    hashes = _hashes(keyring, values)
    column = sql.Identifier(register.keys[0].name)
    of_others = conn.execute(
        sql.SQL(
            "SELECT DISTINCT r.{column} FROM {} AS r INNER JOIN ops.arrival AS a ON r.delivery_id = a.arrival_id"
            " WHERE a.sender = %s AND r.{column} = ANY(%s) AND r.person_key <> %s"
        ).format(sql.Identifier(tables.SCHEMA, register.table), column=column),
        [sender, [*hashes, *hashes.values()], person_key],
    ).fetchall()
    taken = set(_hashes(keyring, [value for (value,) in of_others]).values())
    return sorted({form for number, hashed in hashes.items() if hashed not in taken for form in (number, hashed)})


def _hashes(keyring: Keyring, numbers: Collection[str]) -> dict[str, str]:
    """Each number with what lands instead of it where its column has identity numbers."""
    return {
        number: number if re.fullmatch(REPLACED_PATTERN, number) else keyring.replaced(pl.Series([number]))[0]
        for number in numbers
    }


def _find_rejected(
    conn: psycopg.Connection, contracts: Contracts, keyring: Keyring, person_key: UUID, found: Found
) -> None:
    """Rejected rows whose text has the person's identity number, or the number under which the sender knows him."""
    identity = _identity(conn, keyring, person_key)
    for row in _rejected_rows(conn):
        text = unicodedata.normalize("NFKC", keyring.decrypt(row.raw).decode())
        feed = contracts.feeds.get((row.source, row.feed))
        if identity.search(text.upper()) or (
            feed is not None and _is_numbered(contracts, keyring, feed, row, text, found)
        ):
            found.rejected.append(row.place)


def _identity(conn: psycopg.Connection, keyring: Keyring, person_key: UUID) -> re.Pattern[str]:
    """Finds the person's identity number; nothing where the vault has no record of the person."""
    record = vault.find_record(conn, keyring, person_key)
    return _pattern(_forms(str((record or {}).get("certno") or "")))


def _find_texts(conn: psycopg.Connection, keyring: Keyring, person_key: UUID, found: Found) -> None:
    """Texts in the vault of the person's rows, and those of other rows that have the identity number."""
    identity, places = _identity(conn, keyring, person_key), found.places
    with conn.transaction(), conn.cursor(name="erasure_texts") as cursor:
        cursor.execute(
            "SELECT delivery_id, file_no, line_number, column_name, person_key, sealed FROM vault.text"
            " INNER JOIN ops.arrival ON delivery_id = arrival_id"
        )
        for *numbers, column, owner, encrypted in cursor:
            place = Place(*numbers)
            bound_to = vault.row_owner(*place) if owner is None else owner.bytes
            if (
                owner == person_key
                or place in places
                or identity.search(unicodedata.normalize("NFKC", vault.text_of(keyring, bound_to, encrypted)).upper())
            ):
                found.texts.append((place, column))


class _Rejected(NamedTuple):
    place: Place
    source: str
    feed: str
    sender: str
    header: list[str] | None
    raw: bytes


def _rejected_rows(conn: psycopg.Connection) -> Iterator[_Rejected]:
    with conn.transaction(), conn.cursor(name="erasure") as cursor:
        cursor.execute(
            "SELECT r.arrival_id, r.file_no, r.line_number, a.source, r.feed, a.sender, f.header, r.raw"
            " FROM ops.rejection AS r INNER JOIN ops.arrival AS a USING (arrival_id)"
            " LEFT JOIN ops.file AS f USING (arrival_id, file_no)"
        )
        for arrival_id, file_no, line_number, *others in cursor:
            yield _Rejected(Place(arrival_id, file_no, line_number), *others)


def _is_numbered(contracts: Contracts, keyring: Keyring, feed: Feed, row: _Rejected, text: str, found: Found) -> bool:
    """Whether the row has the number under which its sender knows the person."""
    named = erased.reference(contracts, feed)
    register = named.register if named is not None else feed
    numbers = found.numbers.get((register.table, row.sender))
    if not numbers or row.header is None:
        return False
    names = [feed.headers.get(header_key(cell)) for cell in row.header]
    column = register.keys[0].name
    if column not in names:
        return False
    for delimiter in _DELIMITERS:
        fields = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        if len(fields) == len(names):
            number = fields[names.index(column)].strip()
            return not numbers.isdisjoint({number, *_hashes(keyring, [number]).values()})
    return False


def _forms(number: str) -> set[str]:
    """An identity number, and a resident's as it was written with 15 digits."""
    if re.fullmatch(r"\d{17}[\dX]", number):
        return {number, number[:6] + number[8:17]}
    return {number} if number else set()


def _pattern(numbers: Iterable[str]) -> re.Pattern[str]:
    """Finds one of the numbers as a word of its own; nothing where there is none."""
    words = sorted(re.escape(number.upper()) for number in numbers)
    return re.compile(rf"(?<![0-9A-Z])(?:{'|'.join(words)})(?![0-9A-Z])" if words else r"(?!)")


def _at_places(conn: psycopg.Connection, statement: str, places: Collection[Place]) -> int:
    """Run a statement about the rows at places; returns its count, or how many rows it changed."""
    condition = sql.SQL(
        "(w.arrival_id, w.file_no, w.line_number) IN (SELECT * FROM unnest(%s::integer[], %s::integer[], %s::bigint[]))"
    )
    columns = [list(column) for column in zip(*places, strict=True)] or [[], [], []]
    cursor = conn.execute(sql.SQL(statement).format(condition), columns)
    row = cursor.fetchone() if cursor.description else None
    return int(row[0]) if row else max(cursor.rowcount, 0)


# --- erasing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Erasure:
    """An erasure and its receipt, which does not say whom it was about."""

    erasure_id: int
    found: Found
    taken_out: dict[int, int]  # number of rows that builds have -> the delivery that brought them


def begin(
    conn: psycopg.Connection,
    contracts: Contracts,
    keyring: Keyring,
    person_key: UUID,
    *,
    case_number: str,
    ground: str,
    os_user: str,
    built: Collection[int],
) -> Erasure:
    """Erase a person from vault, landing and ledger.

    Args:
        conn: The owner's, in a transaction. Deliveries are not accepted until it ends.
        contracts: All feeds.
        keyring: Decrypts rejected rows, and hashes the numbers under which senders know the person.
        person_key: The person.
        case_number: Of the request; kept in the access log.
        ground: Of ``access_log.erasure_grounds``.
        os_user: The user of this machine.
        built: Deliveries whose rows the published build has.
    """
    conn.execute("LOCK TABLE vault.erased IN EXCLUSIVE MODE")
    found = find(conn, contracts, keyring, person_key)
    (erasure_id,) = conn.execute(  # type: ignore[misc]
        "INSERT INTO vault.erasure (ground, entry_id, counts) VALUES (%s, audit.erasure(%s, %s, %s), '{}')"
        " RETURNING erasure_id",
        [ground, case_number, ground, os_user],
    ).fetchone()
    _list(conn, contracts, keyring, person_key, found, erasure_id)
    for table in ("folded", "recent"):
        conn.execute(
            sql.SQL("DELETE FROM {} WHERE person_key = %s").format(sql.Identifier("vault", table)), [person_key]
        )
    _at_places(conn, "DELETE FROM ops.rejection AS w WHERE {}", found.rejected)
    _at_places(conn, "DELETE FROM ops.warning AS w WHERE {}", found.places)
    conn.cursor().executemany(
        "DELETE FROM vault.text WHERE delivery_id = %s AND file_no = %s AND line_number = %s AND column_name = %s",
        [(*place, column) for place, column in found.texts],
    )
    taken_out = _take_out(conn, found, built)
    conn.cursor().executemany(
        "INSERT INTO vault.taken_out (delivery_id, origin_id, erasure_id) VALUES (%s, %s, %s)",
        [(number, origin, erasure_id) for number, origin in taken_out.items()],
    )
    _count_as_rejected(conn, found, erasure_id)
    return Erasure(erasure_id, found, taken_out)


def record_counts(conn: psycopg.Connection, erasure_id: int, counts: dict[str, int]) -> None:
    """Write down how many rows of each table are erased."""
    conn.execute("UPDATE vault.erasure SET counts = %s WHERE erasure_id = %s", [Jsonb(counts), erasure_id])


def _list(
    conn: psycopg.Connection,
    contracts: Contracts,
    keyring: Keyring,
    person_key: UUID,
    found: Found,
    erasure_id: int,
) -> None:
    """Put the person, and the numbers by which feeds without identity numbers name him, on the list."""
    hashes = {person_key}
    for feed in contracts.feeds.values():
        if (named := erased.reference(contracts, feed)) is None:
            continue
        for (register, sender), values in found.numbers.items():
            if register == named.register.table:
                own = _own_numbers(conn, keyring, named.register, sender, values, person_key)
                numbers = pl.Series([f"{erased.scope(feed, sender, named.column)}|{value}" for value in own])
                hashes |= {UUID(bytes=key) for key in (keyring.person_keys(numbers) if own else ())}
    conn.cursor().executemany(
        "INSERT INTO vault.erased (key_hash, erasure_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [(key, erasure_id) for key in sorted(hashes)],
    )


def _take_out(conn: psycopg.Connection, found: Found, built: Collection[int]) -> dict[int, int]:
    """Delete the landed rows, those that a build has after copying them under numbers of their own."""
    numbers: dict[int, int] = {}
    for table, places in found.landed.items():
        by_delivery: dict[int, list[Place]] = defaultdict(list)
        for place in places:
            by_delivery[place.delivery_id].append(place)
        for delivery_id, rows in by_delivery.items():
            if delivery_id in built and delivery_id not in numbers:
                numbers[delivery_id] = _next_number(conn)
            _take_out_of(conn, table, delivery_id, rows, numbers.get(delivery_id))
    return {number: delivery_id for delivery_id, number in numbers.items()}


def _next_number(conn: psycopg.Connection) -> int:
    (number,) = conn.execute(  # type: ignore[misc]
        "SELECT nextval(pg_get_serial_sequence('ops.arrival', 'arrival_id'))::integer"
    ).fetchone()
    return int(number)


def _take_out_of(
    conn: psycopg.Connection, feed_table: str, delivery_id: int, places: Collection[Place], number: int | None
) -> None:
    """Delete rows of one delivery and feed; with a number they are copied into a partition of that number before."""
    table = sql.Identifier(tables.SCHEMA, feed_table)
    condition = sql.SQL(
        "delivery_id = {} AND (file_no, line_number) IN (SELECT * FROM unnest(%s::integer[], %s::bigint[]))"
    ).format(sql.Literal(delivery_id))
    where = [[place.file_no for place in places], [place.line_number for place in places]]
    if number is not None:
        partition = _partition(feed_table, number)
        names = [name for name in tables.types(conn, f"{tables.SCHEMA}.{feed_table}") if name != "delivery_id"]
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        conn.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(partition, table))
        conn.execute(
            sql.SQL("INSERT INTO {} (delivery_id, {columns}) SELECT {}, {columns} FROM {} WHERE {}").format(
                partition, sql.Literal(number), table, condition, columns=columns
            ),
            where,
        )
        conn.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(
                table, partition, sql.Literal(number)
            )
        )
    conn.execute(sql.SQL("DELETE FROM {} WHERE {}").format(table, condition), where)


def _partition(feed_table: str, number: int) -> sql.Identifier:
    return sql.Identifier(tables.SCHEMA, f"{feed_table}_{number}")


def _count_as_rejected(conn: psycopg.Connection, found: Found, erasure_id: int) -> None:
    """Let the ledger count the rows as it would if the person had been erased before they came."""
    by_file = Counter((place.delivery_id, place.file_no) for rows in found.landed.values() for place in rows)
    conn.cursor().executemany(
        "UPDATE ops.file SET rows_loaded = rows_loaded - %s, rows_rejected = rows_rejected + %s"
        " WHERE arrival_id = %s AND file_no = %s",
        [(rows, rows, *file) for file, rows in by_file.items()],
    )
    by_delivery: Counter[int] = Counter()
    for (delivery_id, _), rows in by_file.items():
        by_delivery[delivery_id] += rows
    for delivery_id, rows in by_delivery.items():
        detail = {"erasure": erasure_id, "rejected_rows_not_kept": {RowCode.ERASED.value: rows}}
        ledger.record_step(conn, delivery_id, STEP, detail)


# --- afterwards ------------------------------------------------------------------------------------------------------


def taken_out(conn: psycopg.Connection) -> dict[int, int]:
    """Numbers of rows that were taken out and wait for a build, with the delivery that brought them."""
    return dict(conn.execute("SELECT delivery_id, origin_id FROM vault.taken_out").fetchall())


def finish(conn: psycopg.Connection, contracts: Contracts, numbers: Collection[int]) -> list[int]:
    """Delete rows that no build needs any more; returns the erasures that are complete now. Must run in a transaction.

    Args:
        conn: The owner's.
        contracts: All feeds.
        numbers: Of rows that were taken out.
    """
    for feed in contracts.feeds.values():
        for number in numbers:
            conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_partition(feed.table, number)))
    conn.execute("DELETE FROM vault.taken_out WHERE delivery_id = ANY(%s)", [list(numbers)])
    return [
        erasure_id
        for (erasure_id,) in conn.execute(
            "UPDATE vault.erasure AS e SET completed_at = clock_timestamp() WHERE completed_at IS NULL"
            " AND NOT EXISTS (SELECT FROM vault.taken_out AS t WHERE t.erasure_id = e.erasure_id)"
            " RETURNING erasure_id"
        ).fetchall()
    ]


def of_person(conn: psycopg.Connection, person_key: UUID) -> int | None:
    """The erasure that put a person on the list."""
    row = conn.execute("SELECT erasure_id FROM vault.erased WHERE key_hash = %s", [person_key]).fetchone()
    return row[0] if row else None


def receipts(conn: psycopg.Connection, erasure_id: int | None = None) -> list[dict[str, Any]]:
    """Erasures as they are: number, times, ground, entry of the log, rows by table; of one or all."""
    rows = conn.execute(
        "SELECT erasure_id, erased_at, completed_at, ground, entry_id, counts FROM vault.erasure"
        " WHERE %s::integer IS NULL OR erasure_id = %s ORDER BY erasure_id",
        [erasure_id, erasure_id],
    ).fetchall()
    names = ("erasure_id", "erased_at", "completed_at", "ground", "log_entry", "rows")
    return [dict(zip(names, row, strict=True)) for row in rows]
