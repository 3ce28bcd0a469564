"""The vault: encrypted direct identifiers by person, and texts of senders; every access to a person is logged.

Besides ``keyring``, which computes person keys, only this module and the encrypted extracts of ``warehouse.sharing``
handle an identifier together with its person key.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zlib import crc32

import numpy as np
import polars as pl
import psycopg
from psycopg import sql

from ingest.contracts.model import Feed, Kind
from ingest.database import LOCK_ERRORS, bounded_lock_wait
from ingest.errors import WarehouseError
from ingest.kernels.interning import SeenFilter
from ingest.landing.pg_copy import CopyJob
from ingest.privacy.keyring import Keyring

#: Names of columns in the encrypted record, independent of the feed.
_FIELDS = {Kind.CERT_TYPE: "cert_type", Kind.CERTNO: "certno", Kind.NAME: "name", Kind.MOBILE: "mobile"}


class VaultBatch:
    """The persons and texts of an arrival, in tables of their own, which acceptance attaches to the vault."""

    def __init__(self, conn: psycopg.Connection, keyring: Keyring, arrival_id: int) -> None:
        self.conn, self.keyring = conn, keyring
        self._arrival_id = arrival_id
        self._table = sql.Identifier("vault", f"batch_{arrival_id}")
        self._texts = sql.Identifier("vault", f"texts_{arrival_id}")
        self._next_place = 0
        self._has_texts = False
        self._seen = SeenFilter()

    def create(self) -> None:
        """Create the tables."""
        owner = sql.SQL("delivery_id integer NOT NULL DEFAULT {id} CHECK (delivery_id = {id})").format(
            id=sql.Literal(self._arrival_id)
        )
        self.conn.execute(
            sql.SQL(
                "CREATE TABLE {} ({}, place bigint NOT NULL, person_key uuid NOT NULL, sealed bytea NOT NULL)"
            ).format(self._table, owner)
        )
        self.conn.execute(
            sql.SQL(
                "CREATE TABLE {} ({}, file_no integer NOT NULL, line_number bigint NOT NULL,"
                " column_name text NOT NULL, person_key uuid, sealed bytea NOT NULL)"
            ).format(self._texts, owner)
        )

    def encrypted(self, feed: Feed, persons: pl.DataFrame) -> CopyJob:
        """A copy job for encrypted persons.

        Args:
            feed: Their feed.
            persons: ``person_key`` and the feed's personal columns, text. Records that this delivery contained before
                are skipped as far as they are remembered (equal records are equivalent).
        """
        new = self._unseen(feed, persons)
        if new.is_empty():
            return CopyJob.of_rows(self._table, [], [])
        fields = {name: _FIELDS.get(feed.by_name[name].kind, name) for name in new.columns if name != "person_key"}
        record = pl.struct(pl.col(name).alias(field) for name, field in fields.items())
        records = new.select(record.struct.json_encode()).to_series()
        encrypted = self.keyring.encrypt_owned(records.cast(pl.Binary).to_list(), new["person_key"].to_list())
        first_place, self._next_place = self._next_place, self._next_place + len(encrypted)
        return CopyJob.of_frame(
            self._table,
            pl.DataFrame(
                {
                    "place": pl.arange(first_place, self._next_place, eager=True, dtype=pl.Int64),
                    "person_key": new["person_key"],
                    "sealed": pl.Series(encrypted, dtype=pl.Binary),
                }
            ),
            frozen=True,
        )

    def encrypted_texts(self, feed: Feed, file_no: int, texts: pl.DataFrame) -> CopyJob:
        """A copy job for texts that do not land, each bound to its person, or to its row where it has none.

        Args:
            feed: Their feed.
            file_no: Their file.
            texts: ``line_number``, ``column``, ``person_key``, ``text``.
        """
        if texts.is_empty():
            return CopyJob.of_rows(self._texts, [], [])
        self._has_texts = True
        contents, owners = [], []
        for line, column, person_key, text in texts.iter_rows():
            contents.append(json.dumps({"column": f"{feed.table}.{column}", "text": text}).encode())
            owners.append(person_key or row_owner(self._arrival_id, file_no, line))
        return CopyJob.of_frame(
            self._texts,
            texts.select(
                pl.lit(file_no, dtype=pl.Int32).alias("file_no"),
                "line_number",
                pl.concat_str(pl.lit(f"{feed.table}."), "column").alias("column_name"),
                "person_key",
                pl.Series("sealed", self.keyring.encrypt_owned(contents, owners), dtype=pl.Binary),
            ),
        )

    def _unseen(self, feed: Feed, persons: pl.DataFrame) -> pl.DataFrame:
        """The persons whose record has not occurred in this delivery yet."""
        if persons.is_empty():
            return persons
        hashes = persons.hash_rows(seed=crc32(feed.table.encode())).to_numpy()
        all_rows = np.ones(len(hashes), dtype=np.bool_)
        return persons.filter(pl.Series(self._seen.first_seen(hashes, np.full(len(hashes), -1), all_rows)))

    def keep_only_landed(self, tables: Sequence[sql.Identifier], with_texts: Sequence[sql.Identifier]) -> None:
        """Delete what has no row in the staging tables (it was rejected for a repeated key).

        Args:
            tables: Those of feeds with persons.
            with_texts: Those of all feeds.
        """
        if self._has_texts:
            rows = sql.SQL(" UNION ALL ").join(
                sql.SQL("SELECT file_no, line_number FROM {}").format(table) for table in with_texts
            )
            self.conn.execute(
                sql.SQL("DELETE FROM {} AS t WHERE (t.file_no, t.line_number) NOT IN ({})").format(self._texts, rows)
            )
        if not tables:
            return
        landed = sql.SQL(" UNION ALL ").join(sql.SQL("SELECT person_key FROM {}").format(table) for table in tables)
        self.conn.execute(
            sql.SQL(
                "DELETE FROM {} AS b WHERE NOT EXISTS (SELECT FROM ({}) AS l WHERE l.person_key = b.person_key)"
            ).format(self._table, landed)
        )

    def finish(self) -> None:
        """Create the indexes on person keys, once every file has been read."""
        self._seen = SeenFilter()
        for table in (self._table, *((self._texts,) if self._has_texts else ())):
            self.conn.execute(sql.SQL("CREATE INDEX ON {} (person_key)").format(table))

    def attach(self) -> None:
        """Attach the persons and the texts, if there are any, to the vault."""
        for parent, table, filled in (
            ("recent", self._table, self._next_place > 0),
            ("text", self._texts, self._has_texts),
        ):
            if filled:
                self.conn.execute(
                    sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(
                        sql.Identifier("vault", parent), table, sql.Literal(self._arrival_id)
                    )
                )


def row_owner(arrival_id: int, file_no: int, line_number: int) -> bytes:
    """To what a text is bound whose row has no person."""
    return f"{arrival_id}/{file_no}/{line_number}".encode()


def compact(conn: psycopg.Connection) -> int:
    """Reduce the records of all accepted deliveries to the latest record of each person.

    Acceptance only attaches a partition, so that its cost does not depend on the size of the vault; this step merges
    the partitions into a table with a row for each person. A transaction for each delivery.

    Args:
        conn: Not within a transaction.

    Returns:
        The number of deliveries merged. If a lock is not granted within ``database.LOCK_TIMEOUT_SECONDS``, the others
        are left for the next run.
    """
    count = 0
    try:
        while _compact_next(conn):
            count += 1
    except LOCK_ERRORS:
        pass
    return count


def _compact_next(conn: psycopg.Connection) -> bool:
    """Merge the persons of the oldest delivery; False if there is none."""
    with bounded_lock_wait(conn):
        # Without concurrent writers a plain INSERT is enough, at half the cost of ON CONFLICT.
        conn.execute("LOCK TABLE vault.folded IN SHARE ROW EXCLUSIVE MODE")
        first = conn.execute(
            "SELECT i.inhrelid::regclass::text, substring(pg_get_expr(c.relpartbound, c.oid) FROM '[0-9]+')::integer"
            " FROM pg_inherits AS i INNER JOIN pg_class AS c ON i.inhrelid = c.oid"
            " WHERE i.inhparent = 'vault.recent'::regclass ORDER BY 2 LIMIT 1"
        ).fetchone()
        if first is not None:
            _compact(conn, sql.SQL(first[0]), first[1])
        return first is not None


def _compact(conn: psycopg.Connection, table: sql.Composable, arrival_id: int) -> None:
    conn.execute(sql.SQL("ANALYZE {}").format(table))
    newest = sql.SQL(
        "(SELECT DISTINCT ON (b.person_key) b.person_key, b.sealed, a.created, a.name"
        " FROM {} AS b INNER JOIN ops.arrival AS a ON a.arrival_id = %s"
        " ORDER BY b.person_key, b.place DESC) AS n"
    ).format(table)
    conn.execute(
        sql.SQL(
            "UPDATE vault.folded AS p SET sealed = n.sealed, created = n.created, delivery_name = n.name"
            " FROM {} WHERE p.person_key = n.person_key AND (p.created, p.delivery_name) < (n.created, n.name)"
        ).format(newest),
        [arrival_id],
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO vault.folded (person_key, sealed, created, delivery_name)"
            " SELECT n.person_key, n.sealed, n.created, n.name FROM {}"
            " WHERE NOT EXISTS (SELECT FROM vault.folded AS p WHERE p.person_key = n.person_key)"
        ).format(newest),
        [arrival_id],
    )
    conn.execute(sql.SQL("ALTER TABLE vault.recent DETACH PARTITION {}").format(table))
    conn.execute(sql.SQL("DROP TABLE {}").format(table))


@dataclass(frozen=True)
class Request:
    """Why a person is opened: the case, a purpose of the list, and words of one's own."""

    case_number: str
    purpose: str
    reason: str | None = None


@dataclass(frozen=True)
class Emergency:
    """Why a person is opened at once, beyond the limit of a day and without a case."""

    reason: str


def request(conn: psycopg.Connection, person_key: UUID, why: Request | Emergency, os_user: str) -> int:
    """Write to the log that a person is to be opened; returns the number of the request.

    Args:
        conn: Not within a transaction: the entry is committed. Its login is the one that may open the person then.
        person_key: The person.
        why: A case with a purpose, or an emergency.
        os_user: The user of this machine; what the program claims, unlike the login.

    Raises:
        WarehouseError: No case, an unknown purpose, or the limit of the day is reached.
    """
    with _refusals(), conn.transaction():
        if isinstance(why, Emergency):
            asked = conn.execute("SELECT vault.ask_in_emergency(%s, %s, %s)", [person_key, why.reason, os_user])
        else:
            asked = conn.execute(
                "SELECT vault.ask_for_person(%s, %s, %s, %s, %s)",
                [person_key, why.case_number, why.purpose, why.reason, os_user],
            )
        (number,) = asked.fetchone() or (0,)
    return int(number)


def open_requested(
    conn: psycopg.Connection, keyring: Keyring, person_key: UUID, number: int, os_user: str
) -> dict[str, Any] | None:
    """The identifiers of a person, or None where the vault has none. The request is used up by it.

    With them, by table and column, the texts of senders about the person that did not land.

    Raises:
        WarehouseError: The request is of another login, older than a minute, or used up.
    """
    with _refusals(), conn.transaction():
        row = conn.execute("SELECT vault.open_person(%s, %s)", [number, os_user]).fetchone()
        texts = conn.execute("SELECT vault.open_texts(%s)", [number]).fetchall()
    if row is None or row[0] is None:
        return None
    record = _record(keyring, person_key, row[0])
    written: dict[str, list[str]] = {}
    for (encrypted,) in texts:
        text = _record(keyring, person_key, encrypted)
        written.setdefault(text["column"], []).append(text["text"])
    return record | {column: " | ".join(dict.fromkeys(found)) for column, found in written.items()}


def open_person(
    conn: psycopg.Connection, keyring: Keyring, person_key: UUID, why: Request | Emergency, os_user: str
) -> dict[str, Any] | None:
    """``request`` and ``open_requested`` in one."""
    return open_requested(conn, keyring, person_key, request(conn, person_key, why, os_user), os_user)


def open_for_share(
    conn: psycopg.Connection,
    keyring: Keyring,
    person_keys: Sequence[UUID],
    case_number: str,
    reason: str,
    os_user: str,
) -> dict[UUID, dict[str, Any]]:
    """The identifiers of many persons, as far as the vault has them. Each is an entry of the access log.

    Args:
        conn: The owner's, not within a transaction: the entries are committed before a record is read.
        keyring: Decrypts them.
        person_keys: The persons.
        case_number: The share and its approval.
        reason: For what.
        os_user: The user of this machine.
    """
    keys = list(person_keys)
    with conn.transaction():
        conn.execute("SELECT audit.open_for_share(%s::uuid[], %s, %s, %s)", [keys, case_number, reason, os_user])
    with conn.transaction():
        rows = conn.execute(
            "SELECT p.person_key, p.sealed FROM vault.person AS p WHERE p.person_key = ANY(%s)", [keys]
        ).fetchall()
    return {key: _record(keyring, key, encrypted) for key, encrypted in rows}


def find_record(conn: psycopg.Connection, keyring: Keyring, person_key: UUID) -> dict[str, Any] | None:
    """The identifiers of a person for the program alone, to find what is to be erased: shown to nobody, not logged."""
    row = conn.execute("SELECT sealed FROM vault.person WHERE person_key = %s", [person_key]).fetchone()
    return _record(keyring, person_key, row[0]) if row else None


def text_of(keyring: Keyring, owner: bytes, encrypted: bytes) -> str:
    """A text that did not land, for the program alone.

    Args:
        keyring: Decrypts it.
        owner: The person key, or ``row_owner``.
        encrypted: As it is in ``vault.text``.
    """
    return str(json.loads(keyring.decrypt(encrypted, owner))["text"])


def _record(keyring: Keyring, person_key: UUID, encrypted: bytes) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(keyring.decrypt(encrypted, person_key.bytes))
    return record


@contextmanager
def _refusals() -> Iterator[None]:
    """What the functions of the log refuse, as an error for the user."""
    try:
        yield
    except (psycopg.errors.RaiseException, psycopg.errors.ProgramLimitExceeded) as error:
        message = str(error.diag.message_primary)
        raise WarehouseError(message[:1].upper() + message[1:] + ".") from None
